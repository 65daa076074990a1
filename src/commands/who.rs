//! `who [token]`, `whoami [token]`: who is here, and as whom one speaks.

use serde::Serialize;

use super::{Access, Answer, Call, ClientEffect, Command, Reply};
use crate::{
    protocol::{Dialect, Timestamp, reply::render},
    store::Position,
};

pub(super) static WHO: Command = Command {
    name: "who",
    access: Access::Session,
    parameters: &[],
    summary: "List everybody: logged in, connected, last seen.",
    help: "`active` is who holds a live session, `connected` who has a connection in one, or had five seconds ago. \
           `last_seen` is null for who is connected and for who never was.",
    success: "{users}",
    client: ClientEffect::Nothing,
    run: who,
};

pub(super) static WHOAMI: Command = Command {
    name: "whoami",
    access: Access::Session,
    parameters: &[],
    summary: "Tell as whom you speak.",
    help: "With the number of the session, and the dialect of this connection.",
    success: "{username} ({name}), session {session}",
    client: ClientEffect::Nothing,
    run: whoami,
};

#[derive(Serialize)]
struct WhoReply<'a> {
    status: &'static str,
    users: Vec<Person<'a>>,
}

#[derive(Serialize)]
struct Person<'a> {
    username: &'a str,
    name: &'a str,
    active: bool,
    connected: bool,
    last_seen: Option<Timestamp>,
    sessions: usize,
}

fn who(call: &Call<'_>) -> Answer {
    let service = call.service;
    let mut position = Position::START;
    let all = service.users.now();
    let mut users: Vec<_> = all.iter().collect();
    users.sort_unstable_by(|a, b| a.username.cmp(&b.username));
    let users = users
        .into_iter()
        .map(|user| {
            let (presence, told) = service.presence(&user.username);
            position = position.max(told);
            Person {
                username: &user.username,
                name: &user.name,
                active: presence.active,
                connected: presence.connected,
                last_seen: presence.left,
                sessions: presence.sessions,
            }
        })
        .collect();
    Answer::Now(Reply::new(render(&WhoReply { status: "OK", users })).at(position))
}

#[derive(Serialize)]
struct WhoamiReply<'a> {
    status: &'static str,
    username: &'a str,
    name: &'a str,
    session: u32,
    protocol: u8,
}

fn whoami(call: &Call<'_>) -> Answer {
    let session = call.session();
    let (user, users) = (session.user(), call.service.users.now());
    Answer::Now(Reply::new(render(&WhoamiReply {
        status: "OK",
        username: &user.username,
        name: users.display_name(&user.username),
        session: session.number(),
        protocol: if call.dialect == Dialect::One { 1 } else { 2 },
    })))
}
