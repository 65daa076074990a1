//! `inbox [token]`: takes the messages out of the user's inbox, oldest first, grouped by sender.

use std::collections::HashMap;

use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::value::RawValue;

use super::{
    Access, Answer, Call, ClientEffect, Command, Effect, Reply,
    object::{Object, fitting},
};
use crate::{
    protocol::{
        Dialect, MAX_PAGE,
        reply::{self, Body, render},
    },
    service::Taken,
    store::{Message, MessageId},
    users::Users,
};

pub(super) static COMMAND: Command = Command {
    name: "inbox",
    access: Access::Session,
    parameters: &[],
    summary: "Take the messages out of your inbox, at most 1,000 or 1 MiB of them at once.",
    help: "They are grouped by sender, oldest first, and leave the inbox when the whole reply was written. `fetch` leaves them \
           there.",
    success: "{messages}",
    client: ClientEffect::Nothing,
    run,
};

fn run(call: &Call<'_>) -> Answer {
    let (service, dialect, origin) = (call.service.clone(), call.dialect, call.mailbox.cloned());
    let user = call.session().user().clone();
    Answer::Barrier(Box::pin(async move {
        let lease = service.lease_inbox(&user.username).await;
        let page = match service.store.inbox(&user.username, MessageId(0), MAX_PAGE).await {
            Ok(page) => page,
            Err(refusal) => return refusal.into(),
        };
        let entries = first_entries(&page.messages, dialect, &service.users.now());
        let reply = Reply::new(body(&entries)).at(page.position);
        if entries.is_empty() {
            return reply;
        }
        let mut taken = Taken::default();
        for entry in &entries {
            taken.add(entry.message);
        }
        reply.with(Effect::Deliver(lease.deliver(taken, origin)))
    }))
}

/// A message in the reply.
struct Entry<'a> {
    message: &'a Message,
    rendered: Box<RawValue>,
}

impl Entry<'_> {
    /// How many bytes it has in the reply, with the name of a sender of its own: an upper bound.
    fn len(&self) -> usize {
        self.rendered.get().len() + reply::string_len(&self.message.from) + ": [], ".len()
    }
}

const EMPTY_REPLY_LEN: usize = r#"{"status": "OK", "messages": {}}"#.len() + reply::END.len();

/// As many messages as fit into one reply, and at least one.
fn first_entries<'a>(messages: &'a [Message], dialect: Dialect, users: &Users) -> Vec<Entry<'a>> {
    let entry = |message| Entry { message, rendered: rendered(&Object::new(message, dialect, users)) };
    let mut entries: Vec<_> = messages.iter().map(entry).collect();
    entries.truncate(fitting(EMPTY_REPLY_LEN, entries.iter().map(Entry::len)));
    entries
}

fn rendered(object: &Object<'_>) -> Box<RawValue> {
    let mut json = Vec::new();
    object.write(&mut json);
    let json = String::from_utf8(json).expect("JSON is UTF-8");
    RawValue::from_string(json).expect("it was written as JSON")
}

#[derive(Serialize)]
struct InboxReply<'a> {
    status: &'static str,
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

fn body(entries: &[Entry<'_>]) -> Body {
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
    render(&InboxReply { status: "OK", messages: Grouped(groups) })
}
