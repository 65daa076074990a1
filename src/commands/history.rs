//! `history [token] WITH [LIMIT] [BEFORE]`: reads a conversation, or what was said in a room.

use super::{
    Access, Answer, Call, ClientEffect, Command, Reply,
    fetch::limit,
    object::{self, Keep},
    rooms::refusal,
};
use crate::{
    protocol::{
        Recipient, Refusal,
        request::{Kind, Parameter},
    },
    store::{Membership, MessageId},
};

pub(super) static COMMAND: Command = Command {
    name: "history",
    access: Access::Session,
    parameters: &[
        Parameter::word("WITH", "with"),
        Parameter::optional("LIMIT", "limit", Kind::Number),
        Parameter::optional("BEFORE", "before", Kind::Number),
    ],
    summary: "Show what you and somebody wrote to each other, or what was said in a room while you were in it.",
    help: "WITH is a user or a #room. It shows the newest messages before the number BEFORE, oldest first: at most LIMIT of \
           them (50 unless you say otherwise, at most 1,000) and 1 MiB. `more` tells whether there are older ones.",
    success: "{messages}",
    client: ClientEffect::Nothing,
    run,
};

fn run(call: &Call<'_>) -> Answer {
    let limit = match limit(call.arguments.number(1)) {
        Ok(limit) => limit,
        Err(refusal) => return refusal.into(),
    };
    let before = call.arguments.number(2).map(MessageId);
    let with = call.arguments.text(0);
    let Some(recipient) = Recipient::parse(with) else {
        let refusal = if with.starts_with('#') { Refusal::NoSuchRoom } else { Refusal::NoSuchUser };
        return refusal.into();
    };
    let (service, user) = (call.service.clone(), call.session().user().clone());
    if let Some(room) = recipient.room() {
        let (membership, position) = service.store.membership(&user.username, room);
        // Who has left may read what came before.
        if let Some(refusal) = refusal(membership).filter(|_| membership != Membership::Former) {
            return Answer::Now(Reply::from(refusal).at(position));
        }
    }
    Answer::Barrier(Box::pin(async move {
        let mut page = match service.store.history(&user.username, &recipient, before, limit).await {
            Ok(page) => page,
            Err(refusal) => return refusal.into(),
        };
        // Before that the name was somebody else's.
        let others = page.messages.partition_point(|message| message.id.0 <= user.messages_after);
        page.more &= others == 0;
        page.messages.drain(..others);
        // What was written with somebody who is not there any more can still be read.
        let is_nobody = recipient.user().is_some_and(|user| service.users.get(user).is_none());
        if is_nobody && page.messages.is_empty() {
            return Reply::from(Refusal::NoSuchUser).at(page.position);
        }
        object::page(&page, Keep::Newest, &service.users.now())
    }))
}
