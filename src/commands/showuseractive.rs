//! `showuseractive [token]`: who is logged in, connected or not.

use serde::Serialize;

use super::{Access, Answer, Call, ClientEffect, Command, Reply};
use crate::protocol::reply::render;

pub(super) static COMMAND: Command = Command {
    name: "showuseractive",
    access: Access::Session,
    parameters: &[],
    summary: "List who is logged in.",
    help: "By user name: who holds a live session, connected or not. `who` tells more.",
    success: "{messages}",
    client: ClientEffect::Nothing,
    run,
};

#[derive(Serialize)]
struct ActiveReply<'a> {
    status: &'static str,
    messages: Users<'a>,
}

#[derive(Serialize)]
struct Users<'a> {
    users: Vec<Active<'a>>,
}

#[derive(Serialize)]
struct Active<'a> {
    username: &'a str,
}

fn run(call: &Call<'_>) -> Answer {
    let (names, position) = call.service.sessions.active(call.now);
    let users = names.iter().map(|name| Active { username: name }).collect();
    let body = render(&ActiveReply { status: "OK", messages: Users { users } });
    Answer::Now(Reply::new(body).at(position))
}
