//! `passwd [token] OLD NEW`: another password.

use super::{Access, Answer, Call, ClientEffect, Command, Reply};
use crate::protocol::{Secret, reply::Body, request::Parameter};

pub(super) static COMMAND: Command = Command {
    name: "passwd",
    access: Access::Session,
    parameters: &[Parameter::word("OLD", "old"), Parameter::rest("NEW", "new")],
    summary: "Change your password; your other sessions end.",
    help: "OLD is one word (the JSON form takes any), NEW the rest of the line: at least 8 characters, and none of the common \
           ones. The session in which you change it goes on.",
    success: "password changed",
    client: ClientEffect::Nothing,
    run,
};

fn run(call: &Call<'_>) -> Answer {
    let secret = |at| Secret::new(call.arguments.text(at).to_owned());
    let (old, new) = (secret(0), secret(1));
    let (service, session, from) = (call.service.clone(), call.session().clone(), call.from);
    let origin = call.mailbox.cloned();
    Answer::Barrier(Box::pin(async move {
        match service.change_password(&session, &old, new, from, origin.as_ref()).await {
            Ok(()) => Reply::new(Body::Done),
            Err(refusal) => refusal.into(),
        }
    }))
}
