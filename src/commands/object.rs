//! A message as JSON shows it, and pages of them.

use super::Reply;
use crate::{
    protocol::{
        Dialect, MAX_REPLY,
        reply::{self, Body, write_number, write_plain, write_string},
    },
    store::{Message, Page},
    users::Users,
};

/// A message: all of it, or what dialect 1 shows in `inbox`.
pub(super) struct Object<'a> {
    message: &'a Message,
    users: &'a Users,
    is_full: bool,
    is_event: bool,
}

/// How long an object is without its names and text, and about how long those names are.
const AROUND: usize = 256;

impl<'a> Object<'a> {
    /// The message as the dialect has it in `inbox`.
    pub(super) fn new(message: &'a Message, dialect: Dialect, users: &'a Users) -> Self {
        Object { message, users, is_full: dialect == Dialect::Two, is_event: false }
    }

    /// The event that tells of the message.
    pub(super) fn event(message: &'a Message, users: &'a Users) -> Self {
        Object { is_event: true, ..Object::new(message, Dialect::Two, users) }
    }

    /// Writes it. By hand: with the reply to a send it is what is written most.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let Message { id, at, from, to, text } = self.message;
        out.reserve(AROUND + text.len());
        out.push(b'{');
        if self.is_event {
            out.extend_from_slice(b"\"event\": \"message\", ");
        }
        if self.is_full {
            out.extend_from_slice(b"\"id\": ");
            write_number(id.0, out);
            out.extend_from_slice(b", \"at\": \"");
            at.write(out);
            out.extend_from_slice(b"\", \"from\": ");
            write_plain(from, out);
            out.extend_from_slice(b", \"to\": ");
            write_plain(to, out);
            out.extend_from_slice(b", ");
        }
        out.extend_from_slice(b"\"msg_from\": ");
        write_string(self.users.display_name(from), out);
        out.extend_from_slice(b", \"msg_to\": ");
        write_string(self.users.display_recipient(to), out);
        out.extend_from_slice(b", \"msg\": ");
        write_string(text, out);
        out.push(b'}');
    }
}

/// What stands around the messages of a page.
const FRAME: usize = r#"{"status": "OK", "messages": [], "more": false}"#.len() + reply::END.len();

/// How many objects of these lengths, separators included, fit into a reply beside its frame; at least one.
pub(super) fn fitting(frame: usize, lengths: impl Iterator<Item = usize>) -> usize {
    let mut room = MAX_REPLY - frame;
    let mut count = 0;
    for len in lengths {
        if len > room && count > 0 {
            break;
        }
        room = room.saturating_sub(len);
        count += 1;
    }
    count
}

/// Which side of a page is kept if it is too large.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keep {
    Oldest,
    Newest,
}

/// The reply of a page of messages.
pub(super) fn page(page: &Page, keep: Keep, users: &Users) -> Reply {
    let mut rendered: Vec<Vec<u8>> = Vec::with_capacity(page.messages.len());
    for message in &page.messages {
        let mut object = Vec::new();
        Object::new(message, Dialect::Two, users).write(&mut object);
        rendered.push(object);
    }
    let lengths = rendered.iter().map(|object| object.len() + ", ".len());
    let kept = match keep {
        Keep::Oldest => &rendered[..fitting(FRAME, lengths)],
        Keep::Newest => &rendered[rendered.len() - fitting(FRAME, lengths.rev())..],
    };
    let more = page.more || kept.len() < rendered.len();
    let mut out = b"{\"status\": \"OK\", \"messages\": [".to_vec();
    out.extend_from_slice(&kept.join(&b", "[..]));
    out.extend_from_slice(if more { b"], \"more\": true}" } else { b"], \"more\": false}" });
    out.extend_from_slice(reply::END);
    Reply::new(Body::Rendered(out)).at(page.position)
}
