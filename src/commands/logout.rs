//! `logout [token] [SESSION|all]`: ends a session, or all of the user.

use super::{Access, Answer, Call, ClientEffect, Command, Reply};
use crate::protocol::{
    Refusal,
    reply::Body,
    request::{Kind, Parameter},
};

pub(super) static COMMAND: Command = Command {
    name: "logout",
    access: Access::Session,
    parameters: &[
        Parameter::optional("SESSION|all", "session", Kind::NumberOr("all")),
        Parameter::field_only("ALL", "all", Kind::Flag),
    ],
    summary: "End the session, another one of yours, or all.",
    help: "SESSION is a number as `sessions` tells it. Without it, the session in which you speak ends; with `all`, every \
           session of yours.",
    success: "logged out",
    client: ClientEffect::EndsToken,
    run,
};

fn run(call: &Call<'_>) -> Answer {
    let own = call.session().clone();
    let user = own.user().username.clone();
    let all = call.arguments.optional(0).is_some() || call.arguments.flag(1);
    let number = call.arguments.number(0);
    let (mut sessions, position) = call.service.sessions.of_user(&user, call.now);
    match (number, all) {
        (Some(_), true) => return Refusal::BadRequest.into(),
        (None, true) => {}
        (None, false) => sessions = vec![own],
        (Some(number), false) => {
            sessions.retain(|session| u64::from(session.number()) == number);
            if sessions.is_empty() {
                return Answer::Now(Reply::from(Refusal::BadRequest).at(position));
            }
        }
    }
    let (service, origin) = (call.service.clone(), call.mailbox.cloned());
    // A session ends when its end is stored: until then nobody, on any connection, is told that it has.
    Answer::Barrier(Box::pin(async move {
        match service.log_out(&user, &sessions, origin.as_ref()).await {
            Ok(()) => Reply::new(Body::Done),
            Err(refusal) => refusal.into(),
        }
    }))
}
