//! Which messages were shown, acknowledged and read, and which of the user's own others have read.

use std::collections::{BTreeMap, HashMap, VecDeque};

use crate::protocol::objects::MessageObject;

/// Own messages of which it is told when they are read.
const MOST: usize = 200;

/// An own message.
struct Own {
    id: u64,
    to: String,
    text: String,
}

/// What is known of messages.
#[derive(Default)]
pub(super) struct Marks {
    /// The last message of each conversation that was printed and not read.
    unread: HashMap<String, u64>,
    /// All messages up to this one were written to the terminal.
    written: u64,
    own: VecDeque<Own>,
    /// How far others have read, in each conversation with one of them.
    read: BTreeMap<(String, String), u64>,
}

impl Marks {
    /// The conversation of a message.
    pub(super) fn conversation<'a>(me: &str, message: &'a MessageObject) -> &'a str {
        if message.to.starts_with('#') || message.from == me { &message.to } else { &message.from }
    }

    /// Notes a message that is printed.
    pub(super) fn shown(&mut self, me: &str, message: &MessageObject) {
        if message.from == me {
            self.sent(message.id, &message.to, &message.msg);
            return;
        }
        let with = Self::conversation(me, message).to_owned();
        let last = self.unread.entry(with).or_default();
        *last = message.id.max(*last);
    }

    /// Notes an own message that is stored.
    pub(super) fn sent(&mut self, id: u64, to: &str, text: &str) {
        self.own.push_back(Own { id, to: to.to_owned(), text: text.to_owned() });
        if self.own.len() > MOST {
            self.own.pop_front();
        }
    }

    /// Notes that the messages up to this one were written to the terminal.
    pub(super) fn written(&mut self, upto: u64) {
        self.written = self.written.max(upto);
    }

    /// A key was pressed: the last message of this conversation that the user has seen, if it was not read before.
    pub(super) fn seen(&mut self, with: &str) -> Option<u64> {
        let last = *self.unread.get(with)?;
        if last > self.written {
            return None;
        }
        self.unread.remove(with)
    }

    /// Somebody has read a conversation: the text of the last own message among what is newly read.
    pub(super) fn was_read(&mut self, with: &str, by: &str, upto: u64) -> Option<String> {
        let before = self.read.entry((with.to_owned(), by.to_owned())).or_default();
        let after = std::mem::replace(before, upto.max(*before));
        let is_new = |own: &&Own| own.to == with && own.id > after && own.id <= upto;
        self.own.iter().rev().find(is_new).map(|own| own.text.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Timestamp;

    fn message(id: u64, from: &'static str, to: &'static str) -> MessageObject {
        let (msg_from, msg_to) = (from.into(), to.into());
        MessageObject {
            id,
            at: Timestamp(0),
            from: from.into(),
            to: to.into(),
            msg_from,
            msg_to,
            msg: "hi".into(),
        }
    }

    #[test]
    fn a_conversation_is_read_when_it_was_written_and_a_key_was_pressed() {
        let mut marks = Marks::default();
        marks.shown("messi", &message(3, "henderson", "messi"));
        marks.shown("messi", &message(4, "henderson", "#team"));
        assert_eq!(marks.seen("henderson"), None, "not written yet");
        marks.written(3);
        assert_eq!((marks.seen("#team"), marks.seen("henderson")), (None, Some(3)));
        assert_eq!(marks.seen("henderson"), None, "told once");
    }

    #[test]
    fn an_own_message_is_read_once() {
        let mut marks = Marks::default();
        marks.sent(5, "henderson", "first");
        marks.sent(7, "henderson", "second");
        marks.sent(8, "lineker", "other");
        assert_eq!(marks.was_read("henderson", "henderson", 6).as_deref(), Some("first"));
        assert_eq!(marks.was_read("henderson", "henderson", 9).as_deref(), Some("second"));
        assert_eq!(marks.was_read("henderson", "henderson", 9), None);
    }
}
