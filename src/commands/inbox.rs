//! `inbox [token]`: takes the messages out of the user's inbox, oldest first, grouped by sender.

use std::collections::HashMap;

use serde::{Serialize, Serializer, ser::SerializeMap};

use super::{Access, Answer, Call, Command, Effect, Reply, TokenEffect};
use crate::{
    protocol::{
        MAX_PAGE, MAX_REPLY,
        reply::{self, Body, render},
    },
    service::Service,
    store::Message,
};

pub(super) static COMMAND: Command = Command {
    name: "inbox",
    access: Access::Session,
    parameters: &[],
    summary: "Take the messages out of your inbox, at most 1,000 or 1 MiB of them at once.",
    success: "{messages}",
    token: TokenEffect::Keeps,
    run,
};

fn run(call: &Call<'_>) -> Answer {
    let service = call.service.clone();
    let user = call.session().user().clone();
    Answer::Barrier(Box::pin(async move {
        let lease = service.lease_inbox(&user.username).await;
        let page = match service.store.inbox(&user.username, MAX_PAGE).await {
            Ok(page) => page,
            Err(refusal) => return refusal.into(),
        };
        let entries = first_entries(&page.messages, &service);
        let reply = Reply::new(body(&entries)).at(page.position);
        match entries.last() {
            None => reply,
            Some(last) => reply.with(Effect::Deliver(lease.deliver(last.message.id, entries.len()))),
        }
    }))
}

/// A message as dialect 1 shows it.
#[derive(Serialize)]
struct Entry<'a> {
    msg_from: &'a str,
    msg_to: &'a str,
    msg: &'a str,
    #[serde(skip)]
    message: &'a Message,
}

impl<'a> Entry<'a> {
    fn new(message: &'a Message, service: &'a Service) -> Self {
        Entry {
            msg_from: service.display_name(&message.from),
            msg_to: service.display_name(&message.to),
            msg: &message.text,
            message,
        }
    }

    /// How many bytes it has in the reply, with the name of a sender of its own: an upper bound.
    fn len(&self) -> usize {
        let punctuation = r#"{"msg_from": , "msg_to": , "msg": }, : [], "#.len();
        let values = [self.msg_from, self.msg_to, self.msg, &self.message.from];
        punctuation + values.map(reply::string_len).iter().sum::<usize>()
    }
}

const EMPTY_REPLY_LEN: usize = r#"{"status": "OK", "messages": {}}"#.len() + reply::END.len();

/// As many messages as fit into one reply, and at least one.
fn first_entries<'a>(messages: &'a [Message], service: &'a Service) -> Vec<Entry<'a>> {
    let mut room = MAX_REPLY - EMPTY_REPLY_LEN;
    let mut entries = Vec::with_capacity(messages.len());
    for message in messages {
        let entry = Entry::new(message, service);
        let len = entry.len();
        if len > room && !entries.is_empty() {
            break;
        }
        room = room.saturating_sub(len);
        entries.push(entry);
    }
    entries
}

#[derive(Serialize)]
struct InboxReply<'a> {
    status: &'static str,
    messages: Grouped<'a>,
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
