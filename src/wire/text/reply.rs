//! Replies of the line protocol, in its two dialects.

use serde::Serialize;

use crate::{
    chat::Chat,
    model::{At, Closing, MAX_MESSAGE, Outcome, Refusal, Stored},
    protocol::{
        json::{self, write_number, write_object},
        objects::{ErrorReply, EventObject, Status, TextReply},
        spec::Spec,
        text,
    },
    users::User,
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
    /// `{"status": "ERROR", "message": …}`, in dialect 2 with the code and what the limit is.
    Refused(Refusal),
    /// The same, in dialect 2 with more that helps. Boxed, because almost all replies have none.
    Hinted(Refusal, Box<Hint>),
    /// Rendered already, with its end.
    Rendered(Vec<u8>),
}

/// What helps to mend a request.
#[derive(Debug, Clone)]
pub enum Hint {
    /// How the command is used.
    Usage(&'static Spec),
    /// A name that exists, and is similar to the one that does not.
    DidYouMean(Box<str>),
}

/// How the outcomes of a request are rendered.
#[derive(Clone, Copy)]
pub(super) struct Rendering {
    pub(super) spec: &'static Spec,
    pub(super) dialect: Dialect,
}

impl Rendering {
    /// The body of a refusal.
    pub(super) fn refused(self, refusal: Refusal) -> Body {
        match refusal {
            Refusal::BadRequest if self.dialect == Dialect::Two => {
                Body::Hinted(refusal, Box::new(Hint::Usage(self.spec)))
            }
            refusal => Body::Refused(refusal),
        }
    }

    /// The reply with an outcome: what `body` makes of a success, or the refusal.
    pub(super) fn reply<T>(self, outcome: Outcome<T>, body: impl FnOnce(T) -> Body) -> At<Reply<Body>> {
        outcome.map(|result| result.map_or_else(|refusal| self.refused(refusal), body).into())
    }

    /// The reply with an outcome about the user or room `name`. If there is none, a similar name is looked for.
    pub(super) fn reply_about<T>(
        self,
        (chat, user, name): (&Chat, &User, &str),
        outcome: Outcome<T>,
        body: impl FnOnce(T) -> Body,
    ) -> At<Reply<Body>> {
        let refusal = match outcome.peek() {
            Err(refusal @ (Refusal::NoSuchUser | Refusal::NoSuchRoom)) if self.dialect == Dialect::Two => {
                *refusal
            }
            _ => return self.reply(outcome, body),
        };
        let similar = chat.similar(user, refusal, name);
        similar.after(outcome.position()).map(|similar| match similar {
            Some(similar) => Body::Hinted(refusal, Box::new(Hint::DidYouMean(similar.into()))).into(),
            None => Body::Refused(refusal).into(),
        })
    }
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
            Body::Refused(refusal) => self.write_error(refusal, None, out),
            Body::Hinted(refusal, hint) => self.write_error(refusal, Some(*hint), out),
            Body::Rendered(bytes) if out.is_empty() => *out = bytes,
            Body::Rendered(bytes) => out.extend_from_slice(&bytes),
        }
    }

    fn write_refusal(self, refusal: Refusal, out: &mut Vec<u8>) {
        self.write_error(refusal, None, out);
    }

    fn write_closing(self, reason: Closing, out: &mut Vec<u8>) {
        match self {
            Dialect::One => write_object(&ErrorReply::new(text::closing(reason)), out),
            Dialect::Two => write_object(&EventObject::Closing { reason: reason.reason().into() }, out),
        }
    }

    fn size(body: &Body) -> usize {
        if let Body::Rendered(bytes) = body { bytes.len() } else { 0 }
    }
}

impl Dialect {
    fn write_error(self, refusal: Refusal, hint: Option<Hint>, out: &mut Vec<u8>) {
        let mut error =
            ErrorReply { retry_after: retry_after(refusal), ..ErrorReply::new(text::refusal(refusal)) };
        if self == Dialect::Two {
            error.code = Some(refusal.code().into());
            (error.limit, error.got) = limit(refusal);
            match hint {
                Some(Hint::Usage(spec)) => error.usage = Some(spec.usage().into()),
                Some(Hint::DidYouMean(name)) => error.did_you_mean = Some(name.into_string().into()),
                None => {}
            }
        }
        write_object(&error, out);
    }
}

fn retry_after(refusal: Refusal) -> Option<u32> {
    match refusal {
        Refusal::RateLimited { retry_after }
        | Refusal::Unavailable { retry_after }
        | Refusal::Quota { retry_after, .. } => Some(retry_after),
        _ => None,
    }
}

/// The limit that was reached, and the length that is beyond it.
fn limit(refusal: Refusal) -> (Option<u64>, Option<u64>) {
    match refusal {
        Refusal::TooManyRooms { limit }
        | Refusal::TooManyConnections { limit }
        | Refusal::InboxFull { limit } => (Some(limit.into()), None),
        Refusal::MessageTooLong { got } => (u64::try_from(MAX_MESSAGE).ok(), Some(got.into())),
        Refusal::WeakPassword { length: Some((limit, got)) } => (Some(limit.into()), Some(got.into())),
        Refusal::Quota { mib, .. } => (Some(u64::from(mib) * 1024 * 1024), None),
        _ => (None, None),
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
            let read: SentReply = serde_json::from_slice(&by_hand).expect("JSON");
            assert_eq!(read, object);
        }
    }
}
