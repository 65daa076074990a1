//! `watch [token]`, `unwatch [token]`: to be told of messages as they come.

use super::{Access, Answer, Call, ClientEffect, Command, Effect, Reply};
use crate::protocol::{Dialect, Refusal, reply::Body};

pub(super) static WATCH: Command = Command {
    name: "watch",
    access: Access::Session,
    parameters: &[],
    summary: "Be sent what is in your inbox, and then what comes, as events on this connection.",
    help: "Only after `hello 2`. Events have the key `event` and never `status`: `message` (the message stays in the inbox \
           until `ack`), `acked`, `delivered`, `presence`, `session_ended`. Watching twice repeats nothing.",
    success: "{message}",
    client: ClientEffect::BeginsEvents,
    run: watch,
};

pub(super) static UNWATCH: Command = Command {
    name: "unwatch",
    access: Access::Session,
    parameters: &[],
    summary: "Be sent no more events.",
    help: "The connection goes on; `watch` begins again with what is in the inbox.",
    success: "{message}",
    client: ClientEffect::EndsEvents,
    run: unwatch,
};

fn watch(call: &Call<'_>) -> Answer {
    // Who has not said hello is never sent an event.
    if call.dialect == Dialect::One {
        return Refusal::BadRequest.into();
    }
    Answer::Now(Reply::new(Body::Said("watching")).with(Effect::Watch(call.session().clone())))
}

fn unwatch(_: &Call<'_>) -> Answer {
    Answer::Now(Reply::new(Body::Said("not watching")).with(Effect::Unwatch))
}
