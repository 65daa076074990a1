//! Commands about messages: `send`, `inbox`, `fetch`, `ack`, `history`, `status`.

use std::collections::HashMap;

use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::value::RawValue;

use super::{
    Body, Call, Dialect, Handled, Rendering,
    object::{self, Keep, Object, fitting, raw},
    reply::render,
    wait, wait_for_page, wait_with_memory,
};
use crate::{
    chat::{Acked, Chat, DeliveryState, History, MessageStatus, ReadState, Send, TakenPage},
    model::{At, BoxFuture, MaybeReady, Message, MessageId, Outcome, Refusal, Stored},
    protocol::{
        json,
        objects::{AckReply, Status, StatusReply},
    },
    users::{User, Users},
    wire::Reply,
};

pub(super) fn send(call: &Call<'_>) -> Handled {
    let (to, text, key) = (call.arguments.text(0), call.arguments.text(1), call.arguments.optional(2));
    let caller = call.caller();
    match call.chat.send(&caller, Send { to, text, key }) {
        MaybeReady::Ready(outcome) => sent(call.rendering, call.chat, caller.user(), to, outcome).into(),
        MaybeReady::Late(outcome) => {
            let (rendering, chat, user) = (call.rendering, call.chat.clone(), caller.user().clone());
            let to = to.to_owned();
            let reply = async move { sent(rendering, &chat, &user, &to, outcome.await) };
            MaybeReady::Late(Box::pin(reply) as BoxFuture<'static, _>).into()
        }
    }
}

fn sent(
    rendering: Rendering,
    chat: &Chat,
    user: &User,
    to: &str,
    outcome: Outcome<Stored>,
) -> At<Reply<Body>> {
    let one = rendering.dialect == Dialect::One;
    match outcome.peek() {
        // Dialect 1 has one text for every recipient that does not exist.
        Err(Refusal::NoSuchRoom) if one => outcome.map(|_| Body::Refused(Refusal::NoSuchUser).into()),
        _ => rendering.reply_about((chat, user, to), outcome, Body::Sent),
    }
}

pub(super) fn fetch(call: &Call<'_>) -> Handled {
    let (chat, user) = (call.chat.clone(), call.caller().user().clone());
    let (limit, rendering) = (call.arguments.number(0), call.rendering);
    let read = async move { (chat.fetch(&user, limit).await, chat.users().now()) };
    wait_for_page(call, read, move |(page, users)| {
        rendering.reply(page, |page| object::page(&page, Keep::Oldest, &users))
    })
}

pub(super) fn history(call: &Call<'_>) -> Handled {
    let (chat, user) = (call.chat.clone(), call.caller().user().clone());
    let (with, rendering) = (call.arguments.text(0).to_owned(), call.rendering);
    let (limit, before) = (call.arguments.number(1), call.arguments.number(2).map(MessageId));
    let read = async move {
        let page = chat.history(&user, History { with: &with, limit, before }).await;
        (chat, user, with, page)
    };
    wait_for_page(call, read, move |(chat, user, with, page)| {
        let (about, users) = ((&*chat, &*user, &*with), chat.users().now());
        rendering.reply_about(about, page, |page| object::page(&page, Keep::Newest, &users))
    })
}

pub(super) fn ack(call: &Call<'_>) -> Handled {
    let (chat, user) = (call.chat.clone(), call.caller().user().clone());
    let (id, origin) = (MessageId(call.arguments.number(0).unwrap_or(0)), call.notifier.cloned());
    let rendering = call.rendering;
    wait(async move {
        let acked = chat.acknowledge(&user, id, origin).await;
        rendering.reply(acked, |Acked { count, upto }| {
            render(&AckReply { status: Status::Ok, acked: count, upto: upto.0 })
        })
    })
}

pub(super) fn status(call: &Call<'_>) -> Handled {
    let (chat, user) = (call.chat.clone(), call.caller().user().clone());
    let (id, rendering) = (MessageId(call.arguments.number(0).unwrap_or(0)), call.rendering);
    wait(async move {
        let status = chat.status(&user, id).await;
        rendering.reply(status, |status| render(&status_object(&status, rendering.dialect)))
    })
}

fn status_object(status: &MessageStatus, dialect: Dialect) -> StatusReply {
    let (read_at, read) = match status.read {
        _ if dialect == Dialect::One => (None, None),
        ReadState::At(at) => (at, None),
        ReadState::By(count) => (None, Some(count)),
    };
    let object = |state: &'static str| StatusReply {
        status: Status::Ok,
        id: status.id.0,
        state: state.into(),
        at: status.at,
        acked_at: None,
        recipients: None,
        acked: None,
        read_at,
        read,
    };
    match status.state {
        DeliveryState::Stored => object("stored"),
        DeliveryState::Acknowledged(acked_at) => StatusReply { acked_at, ..object("acked") },
        DeliveryState::Room { recipients, acknowledged } => {
            let state = if acknowledged == recipients { "acked" } else { "stored" };
            StatusReply { recipients: Some(recipients), acked: Some(acknowledged), ..object(state) }
        }
    }
}

pub(super) fn inbox(call: &Call<'_>) -> Handled {
    let (chat, user) = (call.chat.clone(), call.caller().user().clone());
    let (dialect, origin) = (call.dialect(), call.notifier.cloned());
    wait_with_memory(call, async move {
        let users = chat.users().all();
        let mut body = Body::Done;
        let taken = chat.take_inbox(&user, origin, |messages| {
            let entries = first_entries(messages, dialect, &users);
            body = grouped(&entries);
            entries.len()
        });
        let taken = taken.await;
        taken.map(|taken| match taken {
            Ok(TakenPage { delivery, .. }) => Reply { body, delivery, memory: None },
            Err(refusal) => Body::Refused(refusal).into(),
        })
    })
}

/// A message in the reply to `inbox`.
struct Entry<'a> {
    message: &'a Message,
    rendered: Box<RawValue>,
}

impl Entry<'_> {
    /// Length in the reply if the message is the only one of its sender, in bytes: an upper bound.
    fn len(&self) -> usize {
        self.rendered.get().len() + json::string_len(&self.message.from) + ": [], ".len()
    }
}

const EMPTY_REPLY_LEN: usize = r#"{"status": "OK", "messages": {}}"#.len() + json::END.len();

/// As many messages as fit into one reply, and at least one.
fn first_entries<'a>(messages: &'a [Message], dialect: Dialect, users: &Users) -> Vec<Entry<'a>> {
    let entry =
        |message| Entry { message, rendered: raw(|json| Object::new(message, dialect, users).write(json)) };
    fitting(EMPTY_REPLY_LEN, messages.iter().map(entry), Entry::len)
}

#[derive(Serialize)]
struct InboxReply<'a> {
    status: Status,
    messages: Grouped<'a>,
}

impl Serialize for Entry<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.rendered.serialize(serializer)
    }
}

/// Messages by sender, senders in the order of their first message.
struct Grouped<'a>(Vec<(&'a str, Vec<&'a Entry<'a>>)>);

impl Serialize for Grouped<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (sender, entries) in &self.0 {
            map.serialize_entry(sender, entries)?;
        }
        map.end()
    }
}

fn grouped(entries: &[Entry<'_>]) -> Body {
    let mut groups: Vec<(&str, Vec<&Entry<'_>>)> = Vec::new();
    let mut place: HashMap<&str, usize> = HashMap::new();
    for entry in entries {
        let sender: &str = &entry.message.from;
        let at = *place.entry(sender).or_insert_with(|| {
            groups.push((sender, Vec::new()));
            groups.len() - 1
        });
        groups[at].1.push(entry);
    }
    render(&InboxReply { status: Status::Ok, messages: Grouped(groups) })
}
