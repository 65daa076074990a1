//! `status [token] ID`: what became of a message.

use serde::Serialize;

use super::{Access, Answer, Call, ClientEffect, Command, Reply};
use crate::{
    protocol::{Recipient, Refusal, Timestamp, reply::render, request::Parameter},
    service::Service,
    store::{Message, MessageId},
    users::User,
};

pub(super) static COMMAND: Command = Command {
    name: "status",
    access: Access::Session,
    parameters: &[Parameter::number("ID", "id")],
    summary: "Tell whether a message that you sent or received has left its recipient's inbox.",
    help: "`state` is `stored` as long as it waits, then `acked`, with the time. Of a message to a room it tells how many \
           recipients there are and how many of them have taken it out; `acked` when all have.",
    success: "{state}",
    client: ClientEffect::Nothing,
    run,
};

#[derive(Serialize)]
struct StatusReply {
    status: &'static str,
    id: u64,
    state: &'static str,
    at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    acked_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    recipients: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    acked: Option<usize>,
}

fn run(call: &Call<'_>) -> Answer {
    let (service, user) = (call.service.clone(), call.session().user().clone());
    let id = MessageId(call.arguments.number(0).unwrap_or(0));
    Answer::Barrier(Box::pin(async move { status(&service, &user, id).await.unwrap_or_else(Reply::from) }))
}

async fn status(service: &Service, user: &User, id: MessageId) -> Result<Reply, Refusal> {
    let store = &service.store;
    let (found, position) = store.message(id).await?;
    let Some(message) = found else {
        return Ok(Reply::from(Refusal::NoSuchMessage).at(position));
    };
    let (part, told) = service.part_in(user, &message);
    let position = position.max(told);
    if part.is_none() {
        return Ok(Reply::from(Refusal::NoSuchMessage).at(position));
    }
    let (reply, told) = match &message.to {
        Recipient::User(to) => {
            let cursor = store.cursor(to);
            let acked_at = if cursor.upto >= id { store.acknowledged_at(to, id).await? } else { None };
            let state = if cursor.upto >= id { "acked" } else { "stored" };
            (StatusReply { state, acked_at, ..reply(&message) }, cursor.position)
        }
        Recipient::Room(room) => {
            let (mut members, mut told) = store.members(room, Some(id));
            members.retain(|member| *member != message.from);
            let cursors = members.iter().map(|member| store.cursor(member));
            let passed = cursors.filter(|cursor| cursor.upto >= id).inspect(|cursor: &_| {
                told = told.max(cursor.position);
            });
            let acked = passed.count();
            let state = if acked == members.len() { "acked" } else { "stored" };
            let counts =
                StatusReply { state, recipients: Some(members.len()), acked: Some(acked), ..reply(&message) };
            (counts, told)
        }
    };
    Ok(Reply::new(render(&reply)).at(position.max(told)))
}

fn reply(message: &Message) -> StatusReply {
    StatusReply {
        status: "OK",
        id: message.id.0,
        state: "stored",
        at: message.at,
        acked_at: None,
        recipients: None,
        acked: None,
    }
}
