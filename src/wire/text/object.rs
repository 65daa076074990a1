//! A message as JSON shows it, and pages of them.

use serde_json::value::RawValue;

use super::{Body, Dialect};
use crate::{
    model::{MAX_REPLY, Message, Page},
    protocol::json::{self, write_number, write_plain, write_string},
    users::Users,
};

/// A message as JSON: with all its fields, or with those that dialect 1 shows in `inbox`.
pub(super) struct Object<'a> {
    message: &'a Message,
    users: &'a Users,
    is_full: bool,
    is_event: bool,
}

/// Room to reserve for an object beside its text, in bytes.
const AROUND: usize = 256;

impl<'a> Object<'a> {
    /// The message as the dialect shows it in `inbox`.
    pub(super) fn new(message: &'a Message, dialect: Dialect, users: &'a Users) -> Self {
        Object { message, users, is_full: dialect == Dialect::Two, is_event: false }
    }

    /// The event for a message.
    pub(super) fn event(message: &'a Message, users: &'a Users) -> Self {
        Object { is_event: true, ..Object::new(message, Dialect::Two, users) }
    }

    /// Writes the object. By hand: with the reply to `send` it is the most frequent one.
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

/// What `write` writes, as a part of a reply.
pub(super) fn raw(write: impl FnOnce(&mut Vec<u8>)) -> Box<RawValue> {
    let mut json = Vec::new();
    write(&mut json);
    let json = String::from_utf8(json).expect("JSON is UTF-8");
    RawValue::from_string(json).expect("it was written as JSON")
}

/// Length of the reply of a page without its messages, in bytes.
const FRAME: usize = r#"{"status": "OK", "messages": [], "more": false}"#.len() + json::END.len();

/// The first objects that fit into a reply beside its frame; at least one. `len` is the length of one with its separator. What does
/// not fit is not made.
pub(super) fn fitting<T>(
    frame: usize,
    objects: impl Iterator<Item = T>,
    len: impl Fn(&T) -> usize,
) -> Vec<T> {
    let mut room = MAX_REPLY - frame;
    let mut kept = Vec::new();
    for object in objects {
        let len = len(&object);
        if len > room && !kept.is_empty() {
            break;
        }
        room = room.saturating_sub(len);
        kept.push(object);
    }
    kept
}

/// Side of a page that is kept if the page is too large.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keep {
    Oldest,
    Newest,
}

/// The reply of a page of messages.
pub(super) fn page(page: &Page, keep: Keep, users: &Users) -> Body {
    let render = |message| {
        let mut object = Vec::new();
        Object::new(message, Dialect::Two, users).write(&mut object);
        object
    };
    let len = |object: &Vec<u8>| object.len() + ", ".len();
    let mut kept = match keep {
        Keep::Oldest => fitting(FRAME, page.messages.iter().map(render), len),
        Keep::Newest => fitting(FRAME, page.messages.iter().rev().map(render), len),
    };
    if keep == Keep::Newest {
        kept.reverse();
    }
    let more = page.more || kept.len() < page.messages.len();
    let mut out = b"{\"status\": \"OK\", \"messages\": [".to_vec();
    out.extend_from_slice(&kept.join(&b", "[..]));
    out.extend_from_slice(if more { b"], \"more\": true}" } else { b"], \"more\": false}" });
    out.extend_from_slice(json::END);
    Body::Rendered(out)
}
