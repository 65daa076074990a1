//! How a run of the client ends.

use std::process::ExitCode;

use crate::client::ClientError;

/// How a run of the client has ended; each is an exit status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Everything was done.
    Done = 0,
    /// The server has refused something, or a file cannot be read or written.
    Refused = 1,
    /// It was asked for something that makes no sense.
    Usage = 2,
    /// The server cannot be reached, is not trusted, or was lost.
    Lost = 3,
    /// There is no session.
    NotLoggedIn = 4,
    /// What was waited for has not come in time.
    TimedOut = 5,
    /// There is nothing.
    Nothing = 6,
    /// A command that was to take a message has failed.
    ExecFailed = 7,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}

/// Why a command cannot go on.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) exit: Exit,
    /// What is said on standard error.
    pub(super) told: String,
}

impl Failure {
    pub(super) fn new(exit: Exit, told: impl Into<String>) -> Self {
        Failure { exit, told: told.into() }
    }
}

/// The exit status of an error.
pub(super) fn of(error: &ClientError) -> Exit {
    match error {
        ClientError::Refused(refusal) => match refusal.code.as_deref() {
            Some("not_authorized") => Exit::NotLoggedIn,
            _ => Exit::Refused,
        },
        ClientError::TooLong { .. } => Exit::Refused,
        ClientError::Unreachable { .. }
        | ClientError::Untrusted { .. }
        | ClientError::Lost(_)
        | ClientError::TimedOut(_)
        | ClientError::Protocol(_) => Exit::Lost,
    }
}
