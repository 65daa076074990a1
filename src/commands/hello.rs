//! `hello VERSION`: asks for a dialect, and tells what the server is.

use serde::Serialize;

use super::{Access, Answer, COMMANDS, Call, ClientEffect, Command, Effect, Reply};
use crate::protocol::{MAX_LINE, MAX_MESSAGE, Refusal, reply::render, request::Parameter};

pub(super) static COMMAND: Command = Command {
    name: "hello",
    access: Access::Anyone,
    parameters: &[Parameter::number("VERSION", "protocol")],
    summary: "Ask for dialect 2: codes in errors, numbers and times of messages, events.",
    help: "VERSION is 2. The reply tells the server's version, what an OK promises, the limits and the commands. It \
           holds for this connection from the next reply on, and can be said again.",
    success: "protocol {protocol}, {server}, durability {durability}",
    client: ClientEffect::Nothing,
    run,
};

#[derive(Serialize)]
struct HelloReply {
    status: &'static str,
    protocol: u8,
    server: &'static str,
    durability: &'static str,
    limits: Limits,
    commands: Vec<&'static str>,
}

#[derive(Serialize)]
struct Limits {
    line: usize,
    message: usize,
    inbox: usize,
}

fn run(call: &Call<'_>) -> Answer {
    if call.arguments.number(0) != Some(2) {
        return Refusal::BadRequest.into();
    }
    let store = &call.service.store;
    let body = render(&HelloReply {
        status: "OK",
        protocol: 2,
        server: concat!("chat-service/", env!("CARGO_PKG_VERSION")),
        durability: store.promise(),
        limits: Limits { line: MAX_LINE, message: MAX_MESSAGE, inbox: store.inbox_limit() },
        commands: COMMANDS.iter().map(|command| command.name).collect(),
    });
    Answer::Now(Reply::new(body).with(Effect::Hello))
}
