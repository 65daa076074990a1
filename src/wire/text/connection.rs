//! Commands about the connection: `hello`, `watch`, `unwatch`, `help`, `ping`, `quit`.

use super::{Body, Call, Dialect, Handled, Hint, Then, reply::render};
use crate::{
    chat::Start,
    model::{MAX_LINE, MAX_MESSAGE, MessageId, Refusal, most_similar},
    protocol::{
        objects::{CommandObject, HelloReply, HelpReply, LimitsObject, Status, TopicReply},
        spec::{self, SPECS},
    },
};

/// The reply to a command that does not exist.
pub(super) fn unknown_command(name: &str, dialect: Dialect) -> Body {
    // Dialect 1 has no hints.
    let similar = || most_similar(name, SPECS.iter().map(|spec| spec.name));
    match (dialect == Dialect::Two).then(similar).flatten() {
        Some(similar) => Body::Hinted(Refusal::UnknownCommand, Box::new(Hint::DidYouMean(similar.into()))),
        None => Body::Refused(Refusal::UnknownCommand),
    }
}

/// Longest name of a device, in bytes.
const MAX_DEVICE: usize = 32;

/// Whether a device may be called so: by printable ASCII characters, which no terminal takes for anything else.
fn is_label(device: &str) -> bool {
    device.len() <= MAX_DEVICE && device.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

pub(super) fn hello(call: &Call<'_>) -> Handled {
    let device = call.arguments.optional(1);
    if call.arguments.number(0) != Some(2) || device.is_some_and(|device| !is_label(device)) {
        return call.refused(Refusal::BadRequest);
    }
    let limits = LimitsObject { line: MAX_LINE, message: MAX_MESSAGE, inbox: call.chat.inbox_limit() };
    let body = render(&HelloReply {
        status: Status::Ok,
        protocol: 2,
        server: concat!("chat-service/", env!("CARGO_PKG_VERSION")).into(),
        durability: call.chat.durability_level().into(),
        limits,
        commands: SPECS.iter().map(|spec| spec.name.into()).collect(),
    });
    Handled::from(body).then(Then::Hello(device.map(Into::into)))
}

pub(super) fn watch(call: &Call<'_>) -> Handled {
    // A connection that has not said hello is never sent an event.
    match call.dialect() {
        Dialect::One => call.refused(Refusal::BadRequest),
        Dialect::Two => {
            let (after, shows_own) = (call.arguments.number(0).map(MessageId), call.arguments.flag(1));
            Handled::from(Body::Text("watching")).then(Then::Watch(Start { after, shows_own }))
        }
    }
}

pub(super) fn unwatch(_: &Call<'_>) -> Handled {
    Handled::from(Body::Text("not watching")).then(Then::Unwatch)
}

pub(super) fn help(call: &Call<'_>) -> Handled {
    let Some(topic) = call.arguments.optional(0) else {
        let command = |spec: &&spec::Spec| CommandObject {
            name: spec.name.into(),
            usage: spec.usage().into(),
            summary: spec.summary.into(),
        };
        return render(&HelpReply { status: Status::Ok, commands: SPECS.iter().map(command).collect() })
            .into();
    };
    match spec::find(topic) {
        None => unknown_command(topic, call.dialect()).into(),
        Some(spec) => render(&TopicReply {
            status: Status::Ok,
            name: spec.name.into(),
            usage: spec.usage().into(),
            help: format!("{} {}", spec.summary, spec.help).into(),
        })
        .into(),
    }
}

pub(super) fn ping(_: &Call<'_>) -> Handled {
    Body::Text("pong").into()
}

pub(super) fn quit(_: &Call<'_>) -> Handled {
    Handled::from(Body::Text("bye")).then(Then::Quit)
}
