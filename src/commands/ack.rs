//! `ack [token] ID`: takes messages out of the inbox, up to one.

use std::sync::Arc;

use serde::Serialize;

use super::{Access, Answer, Call, ClientEffect, Command, Reply};
use crate::{
    protocol::{MAX_PAGE, Refusal, reply::render, request::Parameter},
    service::{Mailbox, Part, Service, Taken},
    store::{MessageId, Position},
    users::User,
};

pub(super) static COMMAND: Command = Command {
    name: "ack",
    access: Access::Session,
    parameters: &[Parameter::number("ID", "id")],
    summary: "Take the messages up to that number out of your inbox.",
    help: "ID is the number of a message in your inbox: it and all older ones leave it, those to rooms too. `acked` tells how \
           many they were; 0 if they had left it before.",
    success: "{acked} messages taken out of the inbox",
    client: ClientEffect::Nothing,
    run,
};

#[derive(Serialize)]
struct AckReply {
    status: &'static str,
    acked: usize,
    upto: u64,
}

fn run(call: &Call<'_>) -> Answer {
    let (service, user) = (call.service.clone(), call.session().user().clone());
    let Some(id) = call.arguments.number(0).filter(|id| *id > 0).map(MessageId) else {
        return Refusal::NoSuchMessage.into();
    };
    let origin = call.mailbox.cloned();
    Answer::Barrier(Box::pin(async move {
        acknowledge(&service, &user, id, origin).await.unwrap_or_else(Reply::from)
    }))
}

async fn acknowledge(
    service: &Arc<Service>,
    user: &User,
    id: MessageId,
    origin: Option<Arc<Mailbox>>,
) -> Result<Reply, Refusal> {
    let lease = service.lease_inbox(&user.username).await;
    let (mut taken, mut count, mut after, mut position) =
        (Taken::default(), 0, MessageId(0), Position::START);
    loop {
        let page = service.store.inbox(&user.username, after, MAX_PAGE).await?;
        position = position.max(page.position);
        for message in page.messages.iter().take_while(|message| message.id <= id) {
            taken.add(message);
            count += 1;
            after = message.id;
        }
        let reached = page.messages.last().is_none_or(|last| last.id >= id);
        if reached || !page.more {
            break;
        }
    }
    if after != id {
        return was_acknowledged(service, user, id, position).await;
    }
    let moved = lease.take(taken, origin.as_ref());
    let body = render(&AckReply { status: "OK", acked: count, upto: id.0 });
    Ok(Reply::new(body).at(position.max(moved)))
}

/// The answer for a message that is not in the inbox: it may have left it before.
async fn was_acknowledged(
    service: &Service,
    user: &User,
    id: MessageId,
    position: Position,
) -> Result<Reply, Refusal> {
    let cursor = service.store.cursor(&user.username);
    let position = position.max(cursor.position);
    let refused = Reply::from(Refusal::NoSuchMessage).at(position);
    if id > cursor.upto {
        return Ok(refused);
    }
    let (Some(message), stored) = service.store.message(id).await? else {
        return Ok(refused);
    };
    let (part, told) = service.part_in(user, &message);
    let position = position.max(told);
    if part != Some(Part::Recipient) {
        return Ok(Reply::from(Refusal::NoSuchMessage).at(position));
    }
    let body = render(&AckReply { status: "OK", acked: 0, upto: cursor.upto.0 });
    Ok(Reply::new(body).at(position.max(stored)))
}
