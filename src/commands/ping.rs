//! `ping`, `quit`: whether anybody is there, and goodbye.

use super::{Access, Answer, Call, ClientEffect, Command, Effect, Reply};
use crate::protocol::reply::Body;

pub(super) static PING: Command = Command {
    name: "ping",
    access: Access::Anyone,
    parameters: &[],
    summary: "Be answered.",
    help: "The reply comes after the replies to everything before it.",
    success: "{message}",
    client: ClientEffect::Nothing,
    run: |_: &Call<'_>| Answer::Now(Reply::new(Body::Said("pong"))),
};

pub(super) static QUIT: Command = Command {
    name: "quit",
    access: Access::Anyone,
    parameters: &[],
    summary: "End the connection. The session goes on.",
    help: "Everything before it is answered; what comes after it is not looked at.",
    success: "{message}",
    client: ClientEffect::EndsConnection,
    run: |_: &Call<'_>| Answer::Now(Reply::new(Body::Said("bye")).with(Effect::Quit)),
};
