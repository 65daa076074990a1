//! Commands about conversations: `conversations`, `read`, `typing`.

use serde::Serialize;
use serde_json::value::RawValue;

use super::{
    Body, Call, Dialect, Handled,
    object::{Object, fitting, raw},
    reply::render,
    wait, wait_for_page,
};
use crate::{
    model::MessageId,
    protocol::{
        json,
        objects::{ReadReply, Status},
    },
    store::ConversationEntry,
    users::Users,
};

/// As [`ConversationsReply`](crate::protocol::objects::ConversationsReply), with objects that are rendered already.
#[derive(Serialize)]
struct Reply<'a> {
    status: Status,
    conversations: &'a [Box<RawValue>],
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    more: bool,
}

/// Length of the reply without its conversations, in bytes.
const FRAME: usize = r#"{"status": "OK", "conversations": [], "more": true}"#.len() + json::END.len();

/// As [`ConversationObject`](crate::protocol::objects::ConversationObject), with a message that is rendered already.
#[derive(Serialize)]
struct Conversation<'a> {
    with: &'a str,
    last: Option<Box<RawValue>>,
    unread: usize,
    read_upto: u64,
}

fn object(entry: &ConversationEntry, users: &Users) -> Box<RawValue> {
    let last = entry.last.as_ref().map(|last| raw(|json| Object::new(last, Dialect::Two, users).write(json)));
    let ConversationEntry { with, unread, read_upto, .. } = entry;
    let object = Conversation { with, last, unread: *unread, read_upto: read_upto.0 };
    raw(|json| json::write_json(&object, json))
}

pub(super) fn conversations(call: &Call<'_>) -> Handled {
    let (chat, user) = (call.chat.clone(), call.caller().user().clone());
    let (limit, rendering) = (call.arguments.number(0), call.rendering);
    let read = async move { (chat.conversations(&user, limit).await, chat.users().now()) };
    wait_for_page(call, read, move |(found, users)| {
        rendering.reply(found, |(entries, more)| {
            let objects = entries.iter().map(|entry| object(entry, &users));
            let kept = fitting(FRAME, objects, |object| object.get().len() + ", ".len());
            let more = more || kept.len() < entries.len();
            render(&Reply { status: Status::Ok, conversations: &kept, more })
        })
    })
}

pub(super) fn read(call: &Call<'_>) -> Handled {
    let (chat, user) = (call.chat.clone(), call.caller().user().clone());
    let (with, id) = (call.arguments.text(0).to_owned(), MessageId(call.arguments.number(1).unwrap_or(0)));
    let (rendering, origin) = (call.rendering, call.notifier.cloned());
    wait(async move {
        let marked = chat.mark_read(&user, &with, id, origin).await;
        rendering.reply_about((&chat, &user, &with), marked, |marker| {
            render(&ReadReply { status: Status::Ok, upto: marker.upto.0 })
        })
    })
}

pub(super) fn typing(call: &Call<'_>) -> Handled {
    let (caller, to) = (call.caller(), call.arguments.text(0));
    let told = call.chat.typing(&caller, to);
    call.rendering.reply_about((call.chat, caller.user(), to), told, |()| Body::Done).into()
}
