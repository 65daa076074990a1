//! `sessions [token]`: where the user is logged in.

use std::sync::Arc;

use serde::Serialize;

use super::{Access, Answer, Call, ClientEffect, Command, Reply};
use crate::protocol::{Timestamp, reply::render};

pub(super) static COMMAND: Command = Command {
    name: "sessions",
    access: Access::Session,
    parameters: &[],
    summary: "List where you are logged in.",
    help: "Each session has a number, for `logout`. It ends when it is not used for 30 days, and after 90 days in any case.",
    success: "{sessions}",
    client: ClientEffect::Nothing,
    run,
};

#[derive(Serialize)]
struct SessionsReply {
    status: &'static str,
    sessions: Vec<Entry>,
}

#[derive(Serialize)]
struct Entry {
    session: u32,
    created: Timestamp,
    last_used: Timestamp,
    expires: Timestamp,
    connections: usize,
    current: bool,
}

fn run(call: &Call<'_>) -> Answer {
    let own = call.session();
    let (sessions, position) = call.service.sessions.of_user(&own.user().username, call.now);
    let sessions = sessions
        .iter()
        .map(|session| {
            let entry = session.entry();
            Entry {
                session: entry.number,
                created: entry.created,
                last_used: entry.used,
                expires: entry.expires,
                connections: entry.connections,
                current: Arc::ptr_eq(session, own),
            }
        })
        .collect();
    Answer::Now(Reply::new(render(&SessionsReply { status: "OK", sessions })).at(position))
}
