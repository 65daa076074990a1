//! `send [token] USER TEXT`: puts a message into a user's inbox.

use super::{Access, Answer, Call, Command, TokenEffect};
use crate::{
    protocol::{
        MAX_KEY, MAX_MESSAGE, Refusal, UserName,
        reply::Body,
        request::{Form, Parameter},
    },
    store::{NewMessage, Stored},
};

pub(super) static COMMAND: Command = Command {
    name: "send",
    access: Access::Session,
    parameters: &[
        Parameter { name: "USER", field: "to", form: Form::Word },
        Parameter { name: "TEXT", field: "message", form: Form::Rest },
        Parameter { name: "KEY", field: "key", form: Form::FieldOnly },
    ],
    summary: "Put a message into a user's inbox. OK means that it is stored.",
    success: "Message sent to {USER}",
    token: TokenEffect::Keeps,
    run,
};

fn run(call: &Call<'_>) -> Answer {
    let (to, text, key) = (call.arguments.text(0), call.arguments.text(1), call.arguments.optional(2));
    if key.is_some_and(|key| key.len() > MAX_KEY) {
        return Refusal::BadRequest.into();
    }
    let store = &call.service.store;
    let from = &call.session().user().username;
    let message = |to| NewMessage { from, to, text, key, at: call.now };
    let refusal = match call.service.users.get(to) {
        Some(to) if text.len() <= MAX_MESSAGE => {
            return Answer::to_write(store.append(message(&to.username)), |_: Stored| Body::Sent);
        }
        Some(_) => Refusal::MessageTooLong,
        None => Refusal::NoSuchUser,
    };
    // What was sent before under this key is answered as then, whatever has changed since.
    match UserName::parse(to) {
        Some(to) if key.is_some() => Answer::to_write(store.find_repeated(message(&to)), move |found| {
            found.map_or(Body::Refused(refusal), |_: Stored| Body::Sent)
        }),
        _ => refusal.into(),
    }
}
