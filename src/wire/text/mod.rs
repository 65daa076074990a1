//! The line protocol: a table of commands, each with a function that parses its arguments, calls a use case of
//! [`chat`](crate::chat) and renders the outcome.
//!
//! **Invariant:** no rule of the product stands here; dialects are known here and nowhere else.

mod connection;
mod conversations;
mod events;
mod messages;
mod object;
mod peer;
mod people;
mod reply;
mod rooms;
mod sessions;

use std::sync::Arc;

pub use peer::{Completed, Peer};
pub use reply::{Body, Dialect, Hint};

use self::reply::Rendering;
use crate::{
    chat::{Caller, Chat, Notifier, PAGE_MEMORY, Seat, Session, Source, Start},
    model::{At, MaybeReady, Moment, Refusal},
    protocol::{
        request::Arguments,
        spec::{self, Spec},
    },
    wire::{Answer, Reply},
};

/// A command, and the function that carries it out.
struct Command {
    spec: &'static Spec,
    run: fn(&Call<'_>) -> Handled,
}

/// Every command. A test holds the order to that of the [`spec`] table.
static COMMANDS: [Command; spec::SPECS.len()] = [
    Command { spec: &spec::AUTH, run: sessions::auth },
    Command { spec: &spec::SEND, run: messages::send },
    Command { spec: &spec::INBOX, run: messages::inbox },
    Command { spec: &spec::SHOWUSERACTIVE, run: people::showuseractive },
    Command { spec: &spec::LOGOUT, run: sessions::logout },
    Command { spec: &spec::HELLO, run: connection::hello },
    Command { spec: &spec::FETCH, run: messages::fetch },
    Command { spec: &spec::ACK, run: messages::ack },
    Command { spec: &spec::HISTORY, run: messages::history },
    Command { spec: &spec::STATUS, run: messages::status },
    Command { spec: &spec::CONVERSATIONS, run: conversations::conversations },
    Command { spec: &spec::READ, run: conversations::read },
    Command { spec: &spec::TYPING, run: conversations::typing },
    Command { spec: &spec::WATCH, run: connection::watch },
    Command { spec: &spec::UNWATCH, run: connection::unwatch },
    Command { spec: &spec::JOIN, run: rooms::join },
    Command { spec: &spec::LEAVE, run: rooms::leave },
    Command { spec: &spec::ROOMS, run: rooms::rooms },
    Command { spec: &spec::MEMBERS, run: rooms::members },
    Command { spec: &spec::WHO, run: people::who },
    Command { spec: &spec::WHOAMI, run: people::whoami },
    Command { spec: &spec::SESSIONS, run: sessions::sessions },
    Command { spec: &spec::PASSWD, run: sessions::passwd },
    Command { spec: &spec::HELP, run: connection::help },
    Command { spec: &spec::PING, run: connection::ping },
    Command { spec: &spec::QUIT, run: connection::quit },
];

/// The place of `send`, which most requests are.
const SEND: usize = 1;

fn find(name: &str) -> Option<&'static Command> {
    // A comparison with a constant is cheaper than a search.
    if name == "send" {
        return Some(&COMMANDS[SEND]);
    }
    COMMANDS.iter().find(|command| command.spec.name == name)
}

/// What a command's function is called with.
struct Call<'a> {
    chat: &'a Arc<Chat>,
    from: Source,
    now: Moment,
    session: Option<&'a Arc<Session>>,
    /// A session that was shown on the connection, if the command needs none; it may have ended.
    shown: Option<&'a Arc<Session>>,
    /// How the outcome is rendered.
    rendering: Rendering,
    /// Notifications of the connection, if it takes any.
    notifier: Option<&'a Arc<Notifier>>,
    arguments: Arguments<'a>,
}

impl<'a> Call<'a> {
    /// The caller of a command that needs a session.
    fn caller(&self) -> Caller<'a> {
        let session = self.session.expect("a command with Access::Session is not run without one");
        Caller { session, notifier: self.notifier, from: self.from, now: self.now }
    }

    fn dialect(&self) -> Dialect {
        self.rendering.dialect
    }

    /// The answer if the request is refused before anything is done.
    fn refused(&self, refusal: Refusal) -> Handled {
        self.rendering.refused(refusal).into()
    }
}

/// What a command's function returns.
struct Handled {
    answer: Answer<Peer>,
    /// Boxed, because few requests have one.
    then: Option<Box<Then>>,
}

/// What a request changes in its connection.
enum Then {
    /// The connection's own session is this one from now on.
    Bind(Arc<Session>, Option<Seat>),
    /// The connection speaks dialect 2 from the next reply on; what the client calls the device.
    Hello(Option<Box<str>>),
    /// Events are streamed from now on.
    Watch(Start),
    /// Events are no longer streamed.
    Unwatch,
    /// The peer has nothing more to say.
    Quit,
}

impl Handled {
    fn then(self, then: Then) -> Self {
        Handled { then: Some(Box::new(then)), ..self }
    }
}

impl From<MaybeReady<'static, At<Reply<Body>>>> for Handled {
    fn from(reply: MaybeReady<'static, At<Reply<Body>>>) -> Self {
        Handled { answer: Answer::Reply(reply), then: None }
    }
}

impl From<At<Reply<Body>>> for Handled {
    fn from(reply: At<Reply<Body>>) -> Self {
        MaybeReady::Ready(reply).into()
    }
}

impl From<At<Body>> for Handled {
    fn from(body: At<Body>) -> Self {
        body.map(Reply::from).into()
    }
}

impl From<Body> for Handled {
    fn from(body: Body) -> Self {
        At::start(body).into()
    }
}

/// A request for which later ones wait.
fn wait(reply: impl Future<Output = At<Reply<Body>>> + Send + 'static) -> Handled {
    let completed = async move { Completed { reply: reply.await, then: None } };
    Handled { answer: Answer::Wait(Box::pin(completed)), then: None }
}

/// A request whose reply can be a large one, and for which later ones wait. The reply is made when there is memory for it.
fn wait_with_memory(
    call: &Call<'_>,
    reply: impl Future<Output = At<Reply<Body>>> + Send + 'static,
) -> Handled {
    let (chat, session) = (call.chat.clone(), call.caller().session.clone());
    wait(async move {
        let memory = chat.reserve(&session, PAGE_MEMORY).await.map(Box::new);
        reply.await.map(|reply| Reply { memory, ..reply })
    })
}

/// The same, if what is shown is read first, and `reply` only renders it: when it is the turn of this reply.
fn wait_for_page<T: Send + 'static>(
    call: &Call<'_>,
    read: impl Future<Output = T> + Send + 'static,
    reply: impl FnOnce(T) -> At<Reply<Body>> + Send + 'static,
) -> Handled {
    let chat = call.chat.clone();
    wait_with_memory(call, async move {
        let read = read.await;
        chat.in_turn(|| reply(read)).await
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_its_function() {
        for (command, spec) in COMMANDS.iter().zip(spec::SPECS) {
            assert!(
                std::ptr::eq(command.spec, spec),
                "{} stands where {} should",
                command.spec.name,
                spec.name
            );
            assert!(find(spec.name).is_some_and(|found| std::ptr::eq(found, command)), "{}", spec.name);
        }
    }
}
