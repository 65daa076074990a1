//! `auth USER PASSWORD`: begins a session, and makes it the connection's own.

use serde::Serialize;

use super::{Access, Answer, Call, ClientEffect, Command, Effect, Reply};
use crate::protocol::{Secret, reply::render, request::Parameter};

pub(super) static COMMAND: Command = Command {
    name: "auth",
    access: Access::Anyone,
    parameters: &[Parameter::word("USER", "username"), Parameter::rest("PASSWORD", "password")],
    summary: "Log in. The token in the reply proves the session, on this connection or another.",
    help: "PASSWORD is the rest of the line. On this connection commands need no token from then on; a second login replaces \
           the first here, and both sessions go on.",
    success: "username {USER} logged in, token {tokenid}",
    client: ClientEffect::GivesToken,
    run,
};

#[derive(Serialize)]
struct TokenReply {
    status: &'static str,
    tokenid: String,
}

fn run(call: &Call<'_>) -> Answer {
    let name = call.arguments.text(0).to_owned();
    let password = Secret::new(call.arguments.text(1).to_owned());
    let (service, from) = (call.service.clone(), call.from);
    Answer::Barrier(Box::pin(async move {
        match service.log_in(&name, password, from).await {
            Err(refusal) => refusal.into(),
            Ok(login) => Reply::new(render(&TokenReply { status: "OK", tokenid: login.token.reveal() }))
                .at(login.position)
                .with(Effect::Bind(login.session)),
        }
    }))
}
