//! The other side: a client for people and for scripts.
//!
//! It knows requests and replies by the command table alone: a command that is added there needs nothing here.

mod connection;
mod input;
mod say;
mod session;
mod tls;

use std::{
    io::{self, Write},
    process::ExitCode,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
};

use self::{
    connection::Connection,
    input::Input,
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

/// Runs the commands of standard input against the server; on a terminal, with a prompt. Meanwhile events are shown as they
/// come.
#[must_use]
pub fn run(args: &ClientArgs) -> Ended {
    let connection = match Connection::open(args) {
        Ok(connection) => connection,
        Err(error) => {
            complain(&format!("cannot reach {}:{}: {error}", args.host, args.port()));
            return Ended::Lost;
        }
    };
    let session = Session::new(connection);
    let stop = |stop: Stop| match stop {
        Stop::Commands(error) => {
            complain(&format!("cannot read the commands: {error}"));
            Ended::Refused
        }
        Stop::Server(error) => {
            complain(&format!("lost the server: {error}"));
            Ended::Lost
        }
        Stop::Goodbye => Ended::Lost,
    };
    let input = match Input::open() {
        Ok(input) => input,
        Err(error) => return stop(Stop::Commands(error)),
    };
    let screen =
        Screen { output: io::stdout().lock(), prompts: input.is_terminal(), raw: args.raw, is_seen: true };
    Talk { session, input, screen }.run().unwrap_or_else(stop)
}

/// Why not all commands were run.
enum Stop {
    /// They cannot be read.
    Commands(io::Error),
    /// The server is lost.
    Server(io::Error),
    /// The server has said why it ends this, which is shown.
    Goodbye,
}

/// How long a server may be silent that has nothing more to do than to end the connection.
const FAREWELL: Timespec = Timespec { tv_sec: 2, tv_nsec: 0 };

/// Commands in, replies and events out.
struct Talk<W> {
    session: Session,
    input: Input,
    screen: Screen<W>,
}

impl<W: Write> Talk<W> {
    fn run(mut self) -> Result<Ended, Stop> {
        let mut ended = Ended::Well;
        // A reader that has seen enough and went away is no error.
        while self.screen.is_seen {
            self.screen.prompt(&self.session.token());
            let Some(line) = self.next_line()? else {
                if self.screen.prompts {
                    self.screen.write("\n");
                }
                break;
            };
            let said = self.session.ask(&line, |event| self.screen.show(event)).map_err(Stop::Server)?;
            let Some(said) = said else {
                continue;
            };
            self.screen.show(&said);
            if said.goodbye {
                return Err(Stop::Goodbye);
            }
            if said.refused {
                ended = Ended::Refused;
            }
            if said.last {
                break;
            }
        }
        self.leave();
        Ok(ended)
    }

    /// The next line of the commands; `None` after the last one. What the server says meanwhile is shown.
    fn next_line(&mut self) -> Result<Option<Vec<u8>>, Stop> {
        loop {
            let line = self.input.take_line();
            if line.is_some() || self.input.has_ended() || !self.screen.is_seen {
                return Ok(line);
            }
            let mut both =
                [PollFd::new(&self.input, PollFlags::IN), PollFd::new(&self.session, PollFlags::IN)];
            wait(&mut both, None).map_err(Stop::Commands)?;
            let [input, server] = both.map(|one| !one.revents().is_empty());
            if input {
                self.input.receive().map_err(Stop::Commands)?;
            }
            // When nothing more is asked a server may go.
            if server && !self.input.has_ended() {
                self.hear()?;
            }
        }
    }

    /// Shows what the server says unasked.
    fn hear(&mut self) -> Result<(), Stop> {
        let received = self.session.receive();
        let mut all = Vec::new();
        while let Some(said) = self.session.hear().map_err(Stop::Server)? {
            all.push(said);
        }
        if all.is_empty() && received.is_ok() {
            return Ok(());
        }
        if self.screen.prompts {
            // What is typed so far stands after the prompt.
            self.screen.write("\n");
        }
        for said in &all {
            self.screen.show(said);
            if said.goodbye {
                return Err(Stop::Goodbye);
            }
        }
        received.map_err(Stop::Server)?;
        self.screen.prompt(&self.session.token());
        Ok(())
    }

    /// Shows what is still to come when everything was answered: a server ends the connection after that.
    fn leave(mut self) {
        // From here on nothing can go wrong any more: what was asked is done.
        let mut goes_on = self.session.finish().is_ok();
        while goes_on && self.screen.is_seen {
            let mut server = [PollFd::new(&self.session, PollFlags::IN)];
            goes_on = matches!(wait(&mut server, Some(&FAREWELL)), Ok(1..)) && self.session.receive().is_ok();
            while let Ok(Some(said)) = self.session.hear() {
                if said.goodbye {
                    return;
                }
                self.screen.show(&said);
            }
        }
    }
}

/// Waits until one of them can be read; how many can.
fn wait(those: &mut [PollFd<'_>], limit: Option<&Timespec>) -> io::Result<usize> {
    loop {
        match poll(those, limit) {
            Err(Errno::INTR) => {}
            ready => return Ok(ready?),
        }
    }
}

/// Where everything is shown.
struct Screen<W> {
    output: W,
    /// With prompts.
    prompts: bool,
    /// As the server's JSON.
    raw: bool,
    /// Nobody has closed it.
    is_seen: bool,
}

impl<W: Write> Screen<W> {
    fn prompt(&mut self, token: &str) {
        if self.prompts {
            self.write(&format!("Command {token}:"));
        }
    }

    fn show(&mut self, said: &Said) {
        self.write(&format!("{}\n", if self.raw { &said.json } else { &said.text }));
    }

    fn write(&mut self, text: &str) {
        self.is_seen &= self.output.write_all(text.as_bytes()).and_then(|()| self.output.flush()).is_ok();
    }
}

fn complain(what: &str) {
    writeln!(io::stderr(), "chat-client: {what}").ok();
}
