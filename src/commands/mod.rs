//! The commands: a file each, with its row of the table and its function.
//!
//! What a row declares (access, parameters) is checked here, once for all, before the function runs. Help, usage,
//! the client and the documentation read the same table.

mod answer;
mod auth;
mod inbox;
mod logout;
mod send;
mod showuseractive;
mod speaker;

use std::{net::IpAddr, sync::Arc};

pub use answer::{Answer, Effect, Reply};
pub use speaker::Speaker;

use crate::{
    protocol::{
        Timestamp,
        request::{Arguments, Form, Parameter},
    },
    service::{Service, Session},
};

/// Every command, in the order in which help lists them.
pub static COMMANDS: [&Command; 5] =
    [&auth::COMMAND, &send::COMMAND, &inbox::COMMAND, &showuseractive::COMMAND, &logout::COMMAND];

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
    /// What the client says when it succeeded: `{USER}` stands for a parameter, `{messages}` for a field of the reply.
    pub success: &'static str,
    /// What its success means for the token that a client holds.
    pub token: TokenEffect,
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

/// What a command's success means for the token that a client holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenEffect {
    /// Nothing.
    Keeps,
    /// The reply has a new one.
    Gives,
    /// It is worth nothing any more.
    Ends,
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
        let words = self.parameters.iter().filter(|p| p.form != Form::FieldOnly).map(|p| p.name);
        let parts: Vec<_> = [self.name].into_iter().chain(token).chain(words).collect();
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
    arguments: Arguments<'a>,
}

impl<'a> Call<'a> {
    /// The session of a command that needs one.
    fn session(&self) -> &'a Arc<Session> {
        self.session.expect("a row with Access::Session is not called without one")
    }
}
