//! `send [token] TO TEXT`: puts a message into a user's inbox, or into a room.

use super::{Access, Answer, Call, ClientEffect, Command, Reply, rooms::refusal};
use crate::{
    protocol::{
        Dialect, MAX_KEY, MAX_MESSAGE, Recipient, Refusal, UserName,
        reply::{self, Body},
        request::{Kind, Parameter},
    },
    store::{NewMessage, Position, Stored},
};

pub(super) static COMMAND: Command = Command {
    name: "send",
    access: Access::Session,
    parameters: &[
        Parameter::word("TO", "to"),
        Parameter::rest("TEXT", "message"),
        Parameter::field_only("KEY", "key", Kind::Text),
    ],
    summary: "Put a message into a user's inbox, or a #room's. OK means that it is stored.",
    help: "TEXT is the rest of the line, at most 8,192 bytes. In the JSON form a `key` of 1 to 64 bytes makes it safe to \
           repeat: it is stored once.",
    success: "Message sent to {TO}",
    client: ClientEffect::Nothing,
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
    let refused = match recipient(call, to, from) {
        Ok(to) if text.len() <= MAX_MESSAGE => {
            return Answer::to_write(store.append(message(&to)), sent);
        }
        Ok(_) => (Refusal::MessageTooLong, Position::START),
        Err(refused) => refused,
    };
    // What was sent before under this key is answered as then, whatever has changed since.
    match Recipient::parse(to) {
        Some(to) if key.is_some() => {
            Answer::to_read(store.find_repeated(message(&to)), move |found: Option<Stored>, position| {
                found.map_or((Body::Refused(refused.0), refused.1), |stored| (sent(stored), position))
            })
        }
        _ => Answer::Now(Reply::from(refused.0).at(refused.1)),
    }
}

fn sent(stored: Stored) -> Body {
    Body::Sent(reply::Sent { id: stored.id.0, at: stored.at, duplicate: stored.duplicate })
}

/// For whom it is, if there is such a user, or the sender is in that room.
fn recipient(call: &Call<'_>, to: &str, from: &UserName) -> Result<Recipient, (Refusal, Position)> {
    if !to.starts_with('#') {
        let users = call.service.users.now();
        let user = users.get(to).ok_or((Refusal::NoSuchUser, Position::START))?;
        return Ok(Recipient::User(user.username.clone()));
    }
    // Dialect 1 has one word for every recipient that does not exist.
    let nobody = if call.dialect == Dialect::One { Refusal::NoSuchUser } else { Refusal::NoSuchRoom };
    let Some(Recipient::Room(room)) = Recipient::parse(to) else {
        return Err((nobody, Position::START));
    };
    let (membership, position) = call.service.store.membership(from, &room);
    match refusal(membership) {
        None => Ok(Recipient::Room(room)),
        Some(Refusal::NoSuchRoom) => Err((nobody, position)),
        Some(refusal) => Err((refusal, position)),
    }
}
