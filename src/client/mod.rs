//! The other side: a client for people and for scripts.
//!
//! It knows requests and replies by the command table alone: a command that is added there needs nothing here.

mod connection;
mod say;
mod session;
mod tls;

use std::{
    io::{self, BufRead, IsTerminal, Write},
    process::ExitCode,
};

use self::{
    connection::Connection,
    session::{Said, Session},
};
use crate::config::ClientArgs;

/// How a run of the client ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Everything went well.
    Well,
    /// The server refused something.
    Refused,
    /// The server could not be reached, or was lost.
    Lost,
}

impl From<Ended> for ExitCode {
    fn from(ended: Ended) -> Self {
        // 2 is wrong usage.
        ExitCode::from(match ended {
            Ended::Well => 0,
            Ended::Refused => 1,
            Ended::Lost => 3,
        })
    }
}

/// Runs the commands of standard input against the server; on a terminal, with a prompt.
#[must_use]
pub fn run(args: &ClientArgs) -> Ended {
    let connection = match Connection::open(args) {
        Ok(connection) => connection,
        Err(error) => {
            complain(&format!("cannot reach {}:{}: {error}", args.host, args.port()));
            return Ended::Lost;
        }
    };
    let prompt = io::stdin().is_terminal();
    run_lines(Session::new(connection), io::stdin().lock(), &mut io::stdout().lock(), prompt, args.raw)
}

fn run_lines(
    mut session: Session,
    mut input: impl BufRead,
    output: &mut impl Write,
    prompt: bool,
    raw: bool,
) -> Ended {
    let mut ended = Ended::Well;
    let mut line = Vec::new();
    loop {
        // A reader that has seen enough and went away is no error.
        if prompt && write!(output, "Command {}:", session.token()).and_then(|()| output.flush()).is_err() {
            return ended;
        }
        line.clear();
        match input.read_until(b'\n', &mut line) {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) => {
                complain(&format!("cannot read the commands: {error}"));
                return Ended::Refused;
            }
        }
        let said = match session.ask(&line) {
            Ok(None) => continue,
            Ok(Some(said)) => said,
            Err(error) => {
                complain(&format!("lost the server: {error}"));
                return Ended::Lost;
            }
        };
        let shown = if raw { &said.reply } else { &said.text };
        let all = said.events.iter().chain([shown]).map(|line| format!("{line}\n"));
        if write!(output, "{}", all.collect::<String>()).and_then(|()| output.flush()).is_err() {
            return ended;
        }
        match said {
            Said { goodbye: true, .. } => return Ended::Lost,
            Said { refused: true, .. } => ended = Ended::Refused,
            Said { .. } => {}
        }
    }
    if prompt {
        writeln!(output).ok();
    }
    ended
}

fn complain(what: &str) {
    writeln!(io::stderr(), "chat-client: {what}").ok();
}
