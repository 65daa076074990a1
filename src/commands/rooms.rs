//! `join`, `leave`, `rooms`, `members`: who is in which room.

use serde::Serialize;

use super::{Access, Answer, Call, ClientEffect, Command, Reply};
use crate::{
    protocol::{
        Refusal, RoomName,
        reply::{Body, render},
        request::Parameter,
    },
    store::{Membership, Position},
};

/// The most rooms that a user is in.
const MAX_ROOMS: usize = 1000;

pub(super) static JOIN: Command = Command {
    name: "join",
    access: Access::Session,
    parameters: &[Parameter::word("#ROOM", "room")],
    summary: "Be in a room: what others send to it comes into your inbox. The first to join makes it.",
    help: "A room's name is # and 1 to 32 of a-z, 0-9, '.', '_' and '-'. Anybody may join. Joining twice is as good as once. \
           You can be in 1,000 rooms.",
    success: "{message} {#ROOM}",
    client: ClientEffect::Nothing,
    run: join,
};

pub(super) static LEAVE: Command = Command {
    name: "leave",
    access: Access::Session,
    parameters: &[Parameter::word("#ROOM", "room")],
    summary: "Be in a room no longer.",
    help: "What came while you were in it stays in your inbox and your history.",
    success: "{message} {#ROOM}",
    client: ClientEffect::Nothing,
    run: leave,
};

pub(super) static ROOMS: Command = Command {
    name: "rooms",
    access: Access::Session,
    parameters: &[],
    summary: "List all rooms.",
    help: "With how many are in each, and whether you are.",
    success: "{rooms}",
    client: ClientEffect::Nothing,
    run: rooms,
};

pub(super) static MEMBERS: Command = Command {
    name: "members",
    access: Access::Session,
    parameters: &[Parameter::word("#ROOM", "room")],
    summary: "List who is in a room that you are in.",
    help: "By user name.",
    success: "{members}",
    client: ClientEffect::Nothing,
    run: members,
};

/// The room that was named. What cannot be a room's name is a bad request when one is to be made, else no room.
fn room(call: &Call<'_>, otherwise: Refusal) -> Result<RoomName, Answer> {
    RoomName::parse(call.arguments.text(0)).ok_or_else(|| otherwise.into())
}

fn join(call: &Call<'_>) -> Answer {
    let room = match room(call, Refusal::BadRequest) {
        Ok(room) => room,
        Err(answer) => return answer,
    };
    let (store, user) = (&call.service.store, &call.session().user().username);
    let (membership, position) = store.membership(user, &room);
    if membership != Membership::Current && store.count_rooms(user) >= MAX_ROOMS {
        return Answer::Now(Reply::from(Refusal::TooManyRooms).at(position));
    }
    Answer::Now(Reply::new(Body::Said("joined")).at(store.join(user, &room)))
}

fn leave(call: &Call<'_>) -> Answer {
    let (room, position) = match member_room(call) {
        Ok(found) => found,
        Err(answer) => return answer,
    };
    let user = &call.session().user().username;
    let left = call.service.store.leave(user, &room);
    // Those who are told of messages in it are its members of now: what came a moment ago is looked for once more.
    call.service.look_again(user);
    Answer::Now(Reply::new(Body::Said("left")).at(position.max(left)))
}

/// Why somebody may not do what is for those who are in a room.
pub(super) fn refusal(membership: Membership) -> Option<Refusal> {
    match membership {
        Membership::Current => None,
        Membership::NoRoom => Some(Refusal::NoSuchRoom),
        Membership::Never | Membership::Former => Some(Refusal::NotAMember),
    }
}

/// The room that was named, in which the caller is.
fn member_room(call: &Call<'_>) -> Result<(RoomName, Position), Answer> {
    let room = room(call, Refusal::NoSuchRoom)?;
    let (membership, position) = call.service.store.membership(&call.session().user().username, &room);
    match refusal(membership) {
        None => Ok((room, position)),
        Some(refusal) => Err(Answer::Now(Reply::from(refusal).at(position))),
    }
}

#[derive(Serialize)]
struct RoomsReply<'a> {
    status: &'static str,
    rooms: Vec<Listed<'a>>,
}

#[derive(Serialize)]
struct Listed<'a> {
    room: &'a str,
    members: usize,
    joined: bool,
}

fn rooms(call: &Call<'_>) -> Answer {
    let (entries, position) = call.service.store.rooms(&call.session().user().username);
    let rooms = entries
        .iter()
        .map(|entry| Listed { room: &entry.room, members: entry.members, joined: entry.joined })
        .collect();
    Answer::Now(Reply::new(render(&RoomsReply { status: "OK", rooms })).at(position))
}

#[derive(Serialize)]
struct MembersReply<'a> {
    status: &'static str,
    members: Vec<Member<'a>>,
}

#[derive(Serialize)]
struct Member<'a> {
    username: &'a str,
    name: &'a str,
}

fn members(call: &Call<'_>) -> Answer {
    let (room, _) = match member_room(call) {
        Ok(found) => found,
        Err(answer) => return answer,
    };
    let (names, position) = call.service.store.members(&room, None);
    let users = call.service.users.now();
    let members =
        names.iter().map(|username| Member { username, name: users.display_name(username) }).collect();
    Answer::Now(Reply::new(render(&MembersReply { status: "OK", members })).at(position))
}
