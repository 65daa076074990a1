//! A message as JSON shows it, and pages of them.

use serde::Serialize;

use super::Reply;
use crate::{
    protocol::{
        Dialect, MAX_REPLY, Timestamp,
        reply::{self, Body, write_json},
    },
    store::{Message, Page},
    users::Users,
};

/// A message: all of it, or what dialect 1 shows in `inbox`.
#[derive(Serialize)]
pub(super) struct Object<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<&'a str>,
    msg_from: &'a str,
    msg_to: &'a str,
    msg: &'a str,
}

impl<'a> Object<'a> {
    /// The message as the dialect has it in `inbox`.
    pub(super) fn new(message: &'a Message, dialect: Dialect, users: &'a Users) -> Self {
        let Message { id, at, from, to, text } = message;
        let is_full = dialect == Dialect::Two;
        Object {
            event: None,
            id: is_full.then_some(id.0),
            at: is_full.then_some(*at),
            from: is_full.then_some(from),
            to: is_full.then_some(to),
            msg_from: users.display_name(from),
            msg_to: users.display_recipient(to),
            msg: text,
        }
    }

    /// The event that tells of the message.
    pub(super) fn event(message: &'a Message, users: &'a Users) -> Self {
        Object { event: Some("message"), ..Object::new(message, Dialect::Two, users) }
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
        write_json(&Object::new(message, Dialect::Two, users), &mut object);
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
