//! `fetch [token] [LIMIT]`: reads the inbox and leaves it as it is.

use super::{
    Access, Answer, Call, ClientEffect, Command, DEFAULT_PAGE,
    object::{self, Keep},
};
use crate::{
    protocol::{
        MAX_PAGE, Refusal,
        request::{Kind, Parameter},
    },
    store::MessageId,
};

pub(super) static COMMAND: Command = Command {
    name: "fetch",
    access: Access::Session,
    parameters: &[Parameter::optional("LIMIT", "limit", Kind::Number)],
    summary: "Show the oldest messages of your inbox, and leave them there.",
    help: "LIMIT is 50 unless you say otherwise, and at most 1,000; a reply has at most 1 MiB. `more` tells whether there \
           are more. `ack` takes them out.",
    success: "{messages}",
    client: ClientEffect::Nothing,
    run,
};

/// The number of messages that was asked for.
pub(super) fn limit(given: Option<u64>) -> Result<usize, Refusal> {
    match given.map(usize::try_from) {
        None => Ok(DEFAULT_PAGE),
        Some(Ok(0)) => Err(Refusal::BadRequest),
        Some(limit) => Ok(limit.unwrap_or(MAX_PAGE).min(MAX_PAGE)),
    }
}

fn run(call: &Call<'_>) -> Answer {
    let limit = match limit(call.arguments.number(0)) {
        Ok(limit) => limit,
        Err(refusal) => return refusal.into(),
    };
    let (service, user) = (call.service.clone(), call.session().user().clone());
    Answer::Barrier(Box::pin(async move {
        match service.store.inbox(&user.username, MessageId(0), limit).await {
            Ok(page) => object::page(&page, Keep::Oldest, &service.users.now()),
            Err(refusal) => refusal.into(),
        }
    }))
}
