//! Commands about sessions: `auth`, `logout`, `sessions`, `passwd`.

use super::{Body, Call, Completed, Dialect, Handled, Then, reply::render, wait};
use crate::{
    chat::Which,
    model::{At, Refusal, Secret},
    protocol::objects::{AuthReply, SessionObject, SessionsReply, Status},
    wire::Answer,
};

pub(super) fn auth(call: &Call<'_>) -> Handled {
    let name = call.arguments.text(0).to_owned();
    let password = Secret::new(call.arguments.text(1).to_owned());
    let (chat, from, shown) = (call.chat.clone(), call.from, call.shown.cloned());
    let rendering = call.rendering;
    let answer = Answer::Wait(Box::pin(async move {
        let mut then = None;
        let login = chat.log_in(&name, password, from, shown.as_ref()).await;
        let reply = rendering.reply(login, |login| {
            then = Some(Box::new(Then::Bind(login.session, login.seat)));
            render(&AuthReply { status: Status::Ok, tokenid: login.token.reveal() })
        });
        Completed { reply, then }
    }));
    Handled { answer, then: None }
}

pub(super) fn logout(call: &Call<'_>) -> Handled {
    let all = call.arguments.optional(0).is_some() || call.arguments.flag(1);
    let which = match (call.arguments.number(0), all) {
        (Some(_), true) => return call.refused(Refusal::BadRequest),
        (None, true) => Which::All,
        (None, false) => Which::Own,
        (Some(number), false) => Which::Number(number),
    };
    let (ended, rendering) = (call.chat.log_out(&call.caller(), which), call.rendering);
    wait(async move {
        let outcome = ended.await.map(|outcome| match outcome {
            // In dialect 1, `logout` is one of the first five commands, whose replies do not change.
            Err(Refusal::NoSuchSession) if rendering.dialect == Dialect::One => Err(Refusal::BadRequest),
            outcome => outcome,
        });
        rendering.reply(outcome, |()| Body::Done)
    })
}

pub(super) fn sessions(call: &Call<'_>) -> Handled {
    let own = call.chat.own_sessions(&call.caller());
    let shows_place = call.dialect() == Dialect::Two;
    let body = own.map(|own| {
        let object = |(entry, current): &(crate::chat::SessionEntry, bool)| SessionObject {
            device: entry.device.as_deref().filter(|_| shows_place).map(|device| device.to_owned().into()),
            address: entry.address.filter(|_| shows_place),
            session: entry.number,
            created: entry.created,
            last_used: entry.used,
            expires: entry.expires,
            connections: entry.connections,
            current: *current,
        };
        render(&SessionsReply { status: Status::Ok, sessions: own.iter().map(object).collect() })
    });
    body.into()
}

pub(super) fn passwd(call: &Call<'_>) -> Handled {
    let secret = |at| Secret::new(call.arguments.text(at).to_owned());
    let changed = call.chat.change_password(&call.caller(), secret(0), secret(1));
    let rendering = call.rendering;
    wait(async move { rendering.reply(At::start(changed.await), |()| Body::Done) })
}
