//! Replies of the line protocol, in its two dialects.

use serde::Serialize;

use crate::{
    model::{Closing, Outcome, Refusal, Stored},
    protocol::{
        json::{self, write_number, write_object},
        objects::{ErrorReply, EventObject, Status, TextReply},
        text,
    },
    wire::{Language, Reply},
};

/// Version of the protocol that a connection speaks. Both share one grammar of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Dialect {
    /// The replies of the first five commands as they have always been; no events.
    #[default]
    One,
    /// With codes, numbers and times of messages, and events.
    Two,
}

/// Content of a reply.
#[derive(Debug)]
pub enum Body {
    /// `{"status": "OK"}`
    Done,
    /// `{"status": "OK", "message": …}`
    Text(&'static str),
    /// `{"status": "OK", "message": "Message Sent"}`, in dialect 2 with the message's number and time.
    Sent(Stored),
    /// `{"status": "ERROR", "message": …}`, in dialect 2 with the code.
    Refused(Refusal),
    /// Rendered already, with its end.
    Rendered(Vec<u8>),
}

impl Language for Dialect {
    type Body = Body;

    fn write(self, body: Body, out: &mut Vec<u8>) {
        match body {
            Body::Done => out.extend_from_slice(b"{\"status\": \"OK\"}\r\n\r\n"),
            Body::Text(text) => write_object(&TextReply { status: Status::Ok, message: text.into() }, out),
            Body::Sent(_) if self == Dialect::One => {
                out.extend_from_slice(b"{\"status\": \"OK\", \"message\": \"Message Sent\"}\r\n\r\n");
            }
            Body::Sent(stored) => write_sent(stored, out),
            Body::Refused(refusal) => self.write_refusal(refusal, out),
            Body::Rendered(bytes) if out.is_empty() => *out = bytes,
            Body::Rendered(bytes) => out.extend_from_slice(&bytes),
        }
    }

    fn write_refusal(self, refusal: Refusal, out: &mut Vec<u8>) {
        let code = (self == Dialect::Two).then(|| refusal.code().into());
        let retry_after = match refusal {
            Refusal::RateLimited { retry_after } | Refusal::Unavailable { retry_after } => Some(retry_after),
            _ => None,
        };
        let message = text::refusal(refusal).into();
        write_object(&ErrorReply { status: Status::Error, message, code, retry_after }, out);
    }

    fn write_closing(self, reason: Closing, out: &mut Vec<u8>) {
        match self {
            Dialect::One => {
                let message = text::closing(reason).into();
                write_object(
                    &ErrorReply { status: Status::Error, message, code: None, retry_after: None },
                    out,
                );
            }
            Dialect::Two => write_object(&EventObject::Closing { reason: reason.reason().into() }, out),
        }
    }

    fn size(body: &Body) -> usize {
        if let Body::Rendered(bytes) = body { bytes.len() } else { 0 }
    }
}

/// Writes the reply to a `send`. By hand, because it is the most frequent one.
fn write_sent(stored: Stored, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"status\": \"OK\", \"message\": \"Message Sent\", \"id\": ");
    write_number(stored.id.0, out);
    out.extend_from_slice(b", \"at\": \"");
    stored.at.write(out);
    out.push(b'"');
    if stored.duplicate {
        out.extend_from_slice(b", \"duplicate\": true");
    }
    out.push(b'}');
    out.extend_from_slice(json::END);
}

/// Renders an object.
pub(super) fn render(object: &impl Serialize) -> Body {
    let mut out = Vec::new();
    write_object(object, &mut out);
    Body::Rendered(out)
}

/// The reply with an outcome: what `body` makes of a success, or the refusal.
pub(super) fn reply<T>(outcome: Outcome<T>, body: impl FnOnce(T) -> Body) -> crate::model::At<Reply<Body>> {
    outcome.map(|result| result.map_or_else(Body::Refused, body).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{MessageId, Timestamp},
        protocol::objects::SentReply,
    };

    #[test]
    fn errors_and_last_words() {
        let mut out = Vec::new();
        let stored = Stored { id: MessageId(7), at: Timestamp(0), duplicate: true };
        for dialect in [Dialect::One, Dialect::Two] {
            dialect.write(Body::Refused(Refusal::NotAuthorized), &mut out);
            dialect.write(Body::Sent(stored), &mut out);
            dialect.write_closing(Closing::Shutdown, &mut out);
        }
        assert_eq!(
            String::from_utf8(out).expect("UTF-8"),
            "{\"status\": \"ERROR\", \"message\": \"not authorized\"}\r\n\r\n\
             {\"status\": \"OK\", \"message\": \"Message Sent\"}\r\n\r\n\
             {\"status\": \"ERROR\", \"message\": \"server is shutting down\"}\r\n\r\n\
             {\"status\": \"ERROR\", \"message\": \"not authorized\", \"code\": \"not_authorized\"}\r\n\r\n\
             {\"status\": \"OK\", \"message\": \"Message Sent\", \"id\": 7, \"at\": \"1970-01-01T00:00:00.000Z\", \"duplicate\": true}\r\n\r\n\
             {\"event\": \"closing\", \"reason\": \"shutdown\"}\r\n\r\n"
        );
    }

    #[test]
    fn the_reply_that_is_written_by_hand_is_as_its_type_says() {
        for duplicate in [false, true] {
            let (mut by_hand, mut by_type) = (Vec::new(), Vec::new());
            let stored = Stored { id: MessageId(8), at: Timestamp(1_795_530_515_007), duplicate };
            Dialect::Two.write(Body::Sent(stored), &mut by_hand);
            let message = "Message Sent".into();
            let object = SentReply { status: Status::Ok, message, id: 8, at: stored.at, duplicate };
            write_object(&object, &mut by_type);
            assert_eq!(by_hand, by_type);
            let read: SentReply<'_> = serde_json::from_slice(&by_hand).expect("JSON");
            assert_eq!(read, object);
        }
    }
}
