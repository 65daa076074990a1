//! Commands about rooms: `join`, `leave`, `rooms`, `members`.

use std::future::ready;

use super::{Body, Call, Handled, reply::render, wait_for_page};
use crate::{
    protocol::objects::{MemberObject, MembersReply, RoomObject, RoomsReply, Status},
    store::Receipt,
};

fn confirmed(call: &Call<'_>, receipt: Receipt<()>, text: &'static str) -> Handled {
    let (rendering, chat, user) = (call.rendering, call.chat.clone(), call.caller().user().clone());
    let room = call.arguments.text(0).to_owned();
    receipt
        .map(move |outcome| rendering.reply_about((&chat, &user, &room), outcome, |()| Body::Text(text)))
        .into()
}

pub(super) fn join(call: &Call<'_>) -> Handled {
    confirmed(call, call.chat.join(&call.caller(), call.arguments.text(0)), "joined")
}

pub(super) fn leave(call: &Call<'_>) -> Handled {
    confirmed(call, call.chat.leave(&call.caller(), call.arguments.text(0)), "left")
}

pub(super) fn rooms(call: &Call<'_>) -> Handled {
    let (chat, user) = (call.chat.clone(), call.caller().user().clone());
    let (after, rendering) = (call.arguments.optional(0).map(str::to_owned), call.rendering);
    wait_for_page(call, ready((chat, user)), move |(chat, user)| {
        rendering.reply(chat.rooms(&user, after.as_deref()), |(entries, more)| {
            let rooms = entries.iter().map(|entry| RoomObject {
                room: entry.room.to_string().into(),
                members: entry.members,
                joined: entry.joined,
            });
            render(&RoomsReply { status: Status::Ok, rooms: rooms.collect(), more })
        })
    })
}

pub(super) fn members(call: &Call<'_>) -> Handled {
    let (chat, user) = (call.chat.clone(), call.caller().user().clone());
    let (room, rendering) = (call.arguments.text(0).to_owned(), call.rendering);
    wait_for_page(call, ready((chat, user)), move |(chat, user)| {
        rendering.reply_about((&chat, &user, &room), chat.members(&user, &room), |names| {
            let users = chat.users().now();
            let members = names.iter().map(|username| MemberObject {
                username: username.to_string().into(),
                name: users.display_name(username).to_owned().into(),
            });
            render(&MembersReply { status: Status::Ok, members: members.collect() })
        })
    })
}
