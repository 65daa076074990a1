//! A message as JSON shows it, and pages of them.

use serde::Serialize;

use crate::{
    protocol::{
        Dialect, MAX_REPLY, Timestamp,
        reply::{self, Body, write_json},
    },
    service::Service,
    store::Message,
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
    pub(super) fn new(message: &'a Message, dialect: Dialect, service: &'a Service) -> Self {
        let Message { id, at, from, to, text } = message;
        let is_full = dialect == Dialect::Two;
        Object {
            event: None,
            id: is_full.then_some(id.0),
            at: is_full.then_some(*at),
            from: is_full.then_some(from),
            to: is_full.then_some(to),
            msg_from: service.display_name(from),
            msg_to: service.display_recipient(to),
            msg: text,
        }
    }

    /// The event that tells of the message.
    pub(super) fn event(message: &'a Message, service: &'a Service) -> Self {
        Object { event: Some("message"), ..Object::new(message, Dialect::Two, service) }
    }

    /// The message object.
    pub(super) fn render(message: &'a Message, service: &'a Service) -> Vec<u8> {
        let mut out = Vec::new();
        write_json(&Object::new(message, Dialect::Two, service), &mut out);
        out
    }
}

/// What stands around the messages of a page.
const FRAME: usize = r#"{"status": "OK", "messages": [], "more": false}"#.len() + reply::END.len();

/// How many messages at the front fit into one reply, and at least one.
pub(super) fn fitting<'a>(rendered: impl Iterator<Item = &'a Vec<u8>>) -> usize {
    let mut room = MAX_REPLY - FRAME;
    let mut count = 0;
    for object in rendered {
        let len = object.len() + 2;
        if len > room && count > 0 {
            break;
        }
        room = room.saturating_sub(len);
        count += 1;
    }
    count
}

/// A reply of messages in a list.
pub(super) fn page(rendered: &[Vec<u8>], more: bool) -> Body {
    let mut out = b"{\"status\": \"OK\", \"messages\": [".to_vec();
    for (index, object) in rendered.iter().enumerate() {
        if index > 0 {
            out.extend_from_slice(b", ");
        }
        out.extend_from_slice(object);
    }
    out.extend_from_slice(if more { b"], \"more\": true}" } else { b"], \"more\": false}" });
    out.extend_from_slice(reply::END);
    Body::Rendered(out)
}
