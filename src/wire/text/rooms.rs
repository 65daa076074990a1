//! Commands about rooms: `join`, `leave`, `rooms`, `members`.

use super::{
    Body, Call, Handled,
    reply::{render, reply},
};
use crate::{
    protocol::objects::{MemberObject, MembersReply, RoomObject, RoomsReply, Status},
    store::Receipt,
};

fn confirmed(receipt: Receipt<()>, text: &'static str) -> Handled {
    receipt.map(move |outcome| reply(outcome, |()| Body::Text(text))).into()
}

pub(super) fn join(call: &Call<'_>) -> Handled {
    confirmed(call.chat.join(&call.caller(), call.arguments.text(0)), "joined")
}

pub(super) fn leave(call: &Call<'_>) -> Handled {
    confirmed(call.chat.leave(&call.caller(), call.arguments.text(0)), "left")
}

pub(super) fn rooms(call: &Call<'_>) -> Handled {
    let found = call.chat.rooms(&call.caller(), call.arguments.optional(0));
    reply(found, |(entries, more)| {
        let rooms = entries.iter().map(|entry| RoomObject {
            room: (&*entry.room).into(),
            members: entry.members,
            joined: entry.joined,
        });
        render(&RoomsReply { status: Status::Ok, rooms: rooms.collect(), more })
    })
    .into()
}

pub(super) fn members(call: &Call<'_>) -> Handled {
    let members = call.chat.members(&call.caller(), call.arguments.text(0));
    reply(members, |names| {
        let users = call.chat.users().now();
        let members = names.iter().map(|username| MemberObject {
            username: (&**username).into(),
            name: users.display_name(username).into(),
        });
        render(&MembersReply { status: Status::Ok, members: members.collect() })
    })
    .into()
}
