//! Commands about users: `showuseractive`, `who`, `whoami`.

use std::future::ready;

use super::{Call, Dialect, Handled, reply::render, wait_for_page};
use crate::{
    chat::Person,
    protocol::objects::{ActiveReply, ActiveUser, ActiveUsers, PersonObject, Status, WhoReply, WhoamiReply},
    wire::Reply,
};

pub(super) fn showuseractive(call: &Call<'_>) -> Handled {
    let (chat, now) = (call.chat.clone(), call.now.at);
    wait_for_page(call, ready(chat), move |chat| {
        let body = chat.active(now).map(|names| {
            let users = names.iter().map(|name| ActiveUser { username: name.to_string().into() }).collect();
            render(&ActiveReply { status: Status::Ok, messages: ActiveUsers { users } })
        });
        body.map(Reply::from)
    })
}

pub(super) fn who(call: &Call<'_>) -> Handled {
    let chat = call.chat.clone();
    wait_for_page(call, ready(chat), |chat| {
        let body = chat.who().map(|people| {
            let object = |Person { user, presence }: &Person| PersonObject {
                username: user.username.to_string().into(),
                name: user.name.clone().into(),
                active: presence.active,
                connected: presence.connected,
                last_seen: presence.left,
                sessions: presence.sessions,
            };
            render(&WhoReply { status: Status::Ok, users: people.iter().map(object).collect() })
        });
        body.map(Reply::from)
    })
}

pub(super) fn whoami(call: &Call<'_>) -> Handled {
    let caller = call.caller();
    let (user, users) = (caller.user(), call.chat.users().now());
    render(&WhoamiReply {
        status: Status::Ok,
        username: user.username.to_string().into(),
        name: users.display_name(&user.username).to_owned().into(),
        session: caller.session.number(),
        protocol: if call.dialect() == Dialect::One { 1 } else { 2 },
    })
    .into()
}
