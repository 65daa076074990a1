//! The commands: a file each, with its row of the table and its function.
//!
//! What a row declares (access, parameters) is checked here, once for all, before the function runs. Help, usage,
//! the client and the documentation read the same table.

mod ack;
mod answer;
mod auth;
mod feed;
mod fetch;
mod hello;
mod help;
mod history;
mod inbox;
mod logout;
mod object;
mod passwd;
mod ping;
mod rooms;
mod send;
mod sessions;
mod showuseractive;
mod speaker;
mod status;
mod watch;
mod who;

use std::{net::IpAddr, sync::Arc};

pub use answer::{Answer, Effect, LateReply, Reply};
pub use speaker::Speaker;

use crate::{
    protocol::{
        Dialect, Timestamp,
        request::{Arguments, Form, Parameter},
    },
    service::{Mailbox, Service, Session},
};

/// How many messages a page has, unless it was asked for another number.
const DEFAULT_PAGE: usize = 50;

/// Every command, in the order in which help lists them.
pub static COMMANDS: [&Command; 23] = [
    &auth::COMMAND,
    &send::COMMAND,
    &inbox::COMMAND,
    &showuseractive::COMMAND,
    &logout::COMMAND,
    &hello::COMMAND,
    &fetch::COMMAND,
    &ack::COMMAND,
    &history::COMMAND,
    &status::COMMAND,
    &watch::WATCH,
    &watch::UNWATCH,
    &rooms::JOIN,
    &rooms::LEAVE,
    &rooms::ROOMS,
    &rooms::MEMBERS,
    &who::WHO,
    &who::WHOAMI,
    &sessions::COMMAND,
    &passwd::COMMAND,
    &help::COMMAND,
    &ping::PING,
    &ping::QUIT,
];

/// One row of the table.
pub struct Command {
    /// The first word of a request.
    pub name: &'static str,
    /// Who may use it.
    pub access: Access,
    /// What it takes, in order.
    pub parameters: &'static [Parameter],
    /// One line of help.
    pub summary: &'static str,
    /// What else there is to know.
    pub help: &'static str,
    /// What the client says when it succeeded: `{USER}` stands for a parameter, `{messages}` for a field of the reply.
    pub success: &'static str,
    /// What its success means for a client.
    pub client: ClientEffect,
    run: fn(&Call<'_>) -> Answer,
}

/// Who may use a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Anybody.
    Anyone,
    /// Who has a live session: the connection's own, or that of a token given as the first word.
    Session,
}

/// What a command's success means for a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientEffect {
    /// Nothing.
    Nothing,
    /// The reply has a new token.
    GivesToken,
    /// The token is worth nothing any more.
    EndsToken,
    /// The server ends the connection; the token stays good.
    EndsConnection,
    /// Events come from now on.
    BeginsEvents,
    /// No more events come.
    EndsEvents,
}

/// The command of that name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Command> {
    COMMANDS.into_iter().find(|command| command.name == name)
}

impl Command {
    /// How it is written: `send [token] USER TEXT`.
    #[must_use]
    pub fn usage(&self) -> String {
        let token = (self.access == Access::Session).then_some("[token]");
        let words = self.parameters.iter().filter_map(|parameter| match parameter.form {
            Form::Word | Form::Rest => Some(parameter.name.to_owned()),
            Form::Optional => Some(format!("[{}]", parameter.name)),
            Form::FieldOnly => None,
        });
        let head = [self.name].into_iter().chain(token).map(str::to_owned);
        let parts: Vec<_> = head.chain(words).collect();
        parts.join(" ")
    }
}

/// What a command's function is called with.
struct Call<'a> {
    service: &'a Arc<Service>,
    /// Where the connection comes from.
    from: IpAddr,
    now: Timestamp,
    session: Option<&'a Arc<Session>>,
    dialect: Dialect,
    /// The connection's, if it has one.
    mailbox: Option<&'a Arc<Mailbox>>,
    arguments: Arguments<'a>,
}

impl<'a> Call<'a> {
    /// The session of a command that needs one.
    fn session(&self) -> &'a Arc<Session> {
        self.session.expect("a row with Access::Session is not called without one")
    }
}
