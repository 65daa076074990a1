//! Requests under way.

use serde_json::{Map, Value};
use tokio::sync::oneshot;

use super::ClientError;
use crate::model::Token;

/// A request, as the handle gives it to the task.
pub(super) struct Request {
    /// The fields of its JSON form, the command included.
    pub(super) fields: Map<String, Value>,
    /// The token is sent with it.
    pub(super) needs_session: bool,
    /// To carry it out twice is the same as once, so that it is sent again if its reply is lost.
    pub(super) is_repeatable: bool,
    /// Who waits for the reply.
    pub(super) reply: Answer,
}

/// Who waits for a reply.
pub(super) enum Answer {
    /// A caller, for the JSON of the reply.
    Caller(oneshot::Sender<Result<String, ClientError>>),
    /// The task itself: a `hello`, `watch`, `unwatch` or `ping`.
    Task,
}

impl Request {
    /// A request of the task itself.
    pub(super) fn own(command: &str, needs_session: bool) -> Self {
        let fields = Map::from_iter([("command".to_owned(), command.into())]);
        Request { fields, needs_session, is_repeatable: false, reply: Answer::Task }
    }

    /// Whether it is a request of the task itself.
    pub(super) fn is_own(&self) -> bool {
        matches!(self.reply, Answer::Task)
    }

    /// Whether it asks for events.
    pub(super) fn is_watch(&self) -> bool {
        self.is_own() && self.is("watch")
    }

    /// Whether it sends a message.
    pub(super) fn is_send(&self) -> bool {
        self.is("send")
    }

    fn is(&self, name: &str) -> bool {
        self.fields.get("command").is_some_and(|command| command == name)
    }

    /// Appends its line.
    pub(super) fn write(&self, token: Option<Token>, out: &mut Vec<u8>) {
        let mut fields = self.fields.clone();
        if let (true, Some(token)) = (self.needs_session, token) {
            fields.insert("token".to_owned(), token.reveal().into());
        }
        out.extend_from_slice(Value::Object(fields).to_string().as_bytes());
        out.push(b'\n');
    }

    /// Tells whoever waits for the reply.
    pub(super) fn answer(self, reply: Result<String, ClientError>) {
        if let Answer::Caller(caller) = self.reply {
            // Nobody waits if the caller has given up.
            caller.send(reply).ok();
        }
    }
}
