//! The client, for people and for scripts.
//!
//! It knows requests and replies only from the table of commands, so a new command needs no change here.

mod connection;
mod input;
mod say;
mod session;
mod tls;
mod trust;

use std::{
    io::{self, ErrorKind::UnexpectedEof, IsTerminal, Write},
    process::ExitCode,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    termios::{QueueSelector, tcflush},
};

use self::{
    connection::Connection,
    input::Input,
    session::{ServerObject, Session},
    trust::TrustError,
};
use crate::config::ClientArgs;

/// Result of a run of the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Everything went well.
    Well,
    /// The server refused something.
    Refused,
    /// A server that is known by its certificate was called without TLS.
    Misused,
    /// The server could not be reached, or was lost.
    Lost,
}

impl From<Ended> for ExitCode {
    fn from(ended: Ended) -> Self {
        ExitCode::from(match ended {
            Ended::Well => 0,
            Ended::Refused => 1,
            Ended::Misused => 2,
            Ended::Lost => 3,
        })
    }
}

/// Runs the commands of standard input, with a prompt on a terminal, and shows events as they come.
#[must_use]
pub fn run(args: &ClientArgs) -> Ended {
    let connection = match Connection::open(args) {
        Ok(connection) => connection,
        Err(error) => {
            complain(&format!("cannot reach {}:{}: {error}", args.host, args.port()));
            return if matches!(error, TrustError::Plaintext) { Ended::Misused } else { Ended::Lost };
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
        Stop::Output(error) => {
            complain(&format!("cannot write: {error}"));
            Ended::Refused
        }
        Stop::Goodbye => Ended::Lost,
    };
    let input = match Input::open() {
        Ok(input) => input,
        Err(error) => return stop(Stop::Commands(error)),
    };
    let prompt = if input.is_terminal() { Prompt::Due } else { Prompt::Never };
    let output = io::stdout().lock();
    let form = match (args.raw, output.is_terminal()) {
        (false, _) => Form::Text,
        (true, false) => Form::Json,
        (true, true) => Form::VisibleJson,
    };
    let screen = Screen { output, prompt, form, failed: None };
    let farewell = Timespec { tv_sec: args.farewell.into(), tv_nsec: 0 };
    let mut talk = Interaction { session, input, screen, farewell };
    let ended = talk.run().unwrap_or_else(stop);
    if prompt != Prompt::Never && ended == Ended::Lost {
        // Drops what was being typed: it was for the server, and the shell would read it.
        tcflush(&talk.input, QueueSelector::IFlush).ok();
    }
    ended
}

/// Why the client stops before the end of its input.
enum Stop {
    /// The commands cannot be read.
    Commands(io::Error),
    /// The output cannot be written.
    Output(io::Error),
    /// The connection is lost.
    Server(io::Error),
    /// The server has closed the connection, and its reason was shown.
    Goodbye,
}

/// The client's loop.
struct Interaction<W> {
    session: Session,
    input: Input,
    screen: Screen<W>,
    /// Most silence of a server that only has to close the connection.
    farewell: Timespec,
}

impl<W: Write> Interaction<W> {
    fn run(&mut self) -> Result<Ended, Stop> {
        let ended = self.run_all()?;
        match self.screen.failed.take() {
            // A program that has read enough of the output and went away is no error.
            Some(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Stop::Output(error)),
            _ => Ok(ended),
        }
    }

    fn run_all(&mut self) -> Result<Ended, Stop> {
        let mut ended = Ended::Well;
        while self.screen.failed.is_none() {
            // Events that came right after the last reply.
            self.tell()?;
            self.screen.prompt(&self.session.token());
            let Some(line) = self.next_line()? else {
                self.screen.leave_prompt();
                if self.session.watches() {
                    self.drain()?;
                }
                break;
            };
            self.screen.end_prompt();
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
        Ok(ended)
    }

    /// The next command; `None` after the last one. Events that come meanwhile are shown.
    fn next_line(&mut self) -> Result<Option<Vec<u8>>, Stop> {
        loop {
            let line = self.input.take_line();
            if line.is_some() || self.input.has_ended() || self.screen.failed.is_some() {
                return Ok(line);
            }
            let mut both =
                [PollFd::new(&self.input, PollFlags::IN), PollFd::new(&self.session, PollFlags::IN)];
            wait(&mut both, None).map_err(Stop::Commands)?;
            let [input, server] = both.map(|one| !one.revents().is_empty());
            if input {
                self.input.receive().map_err(Stop::Commands)?;
            }
            // After the last command the server may close the connection.
            if server && !self.input.has_ended() {
                self.poll_event()?;
            }
        }
    }

    /// Waits for an event, and shows it.
    fn poll_event(&mut self) -> Result<(), Stop> {
        let received = self.session.receive();
        let any = self.tell()?;
        if let Err(error) = received {
            self.screen.leave_prompt();
            return Err(Stop::Server(error));
        }
        if any {
            self.screen.prompt(&self.session.token());
        }
        Ok(())
    }

    /// Shows the events that have come. Returns whether there were any.
    fn tell(&mut self) -> Result<bool, Stop> {
        let mut any = false;
        while let Some(said) = self.session.poll_event().map_err(Stop::Server)? {
            self.screen.leave_prompt();
            self.screen.show(&said);
            any = true;
            if said.goodbye {
                return Err(Stop::Goodbye);
            }
        }
        Ok(any)
    }

    /// Shows what comes after the last command, until the server closes the connection.
    fn drain(&mut self) -> Result<(), Stop> {
        self.session.finish().map_err(Stop::Server)?;
        while self.screen.failed.is_none() {
            let mut server = [PollFd::new(&self.session, PollFlags::IN)];
            if wait(&mut server, Some(&self.farewell)).map_err(Stop::Server)? == 0 {
                return Err(Stop::Server(io::ErrorKind::TimedOut.into()));
            }
            let received = self.session.receive();
            self.tell()?;
            match received {
                Err(error) if error.kind() == UnexpectedEof && self.session.is_between_objects() => break,
                received => received.map_err(Stop::Server)?,
            }
        }
        Ok(())
    }
}

/// Waits until one of the files can be read. Returns how many can; 0 after `limit`.
fn wait(those: &mut [PollFd<'_>], limit: Option<&Timespec>) -> io::Result<usize> {
    loop {
        match poll(those, limit) {
            Err(Errno::INTR) => {}
            ready => return Ok(ready?),
        }
    }
}

/// State of the prompt.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Prompt {
    /// There is none, because the input is not a terminal.
    Never,
    /// The next command may be asked for.
    Due,
    /// It is on the last line, with what is typed so far.
    Shown,
}

/// How replies and events are shown.
#[derive(Clone, Copy)]
enum Form {
    /// A line for people.
    Text,
    /// The server's JSON.
    Json,
    /// The same for a terminal, because a false server may send what acts on one.
    VisibleJson,
}

/// The output.
struct Screen<W> {
    output: W,
    prompt: Prompt,
    form: Form,
    /// Why nothing more can be written.
    failed: Option<io::Error>,
}

impl<W: Write> Screen<W> {
    fn prompt(&mut self, token: &str) {
        if self.prompt != Prompt::Never {
            self.write(&format!("Command {token}:"));
            self.prompt = Prompt::Shown;
        }
    }

    /// Notes that the line after the prompt is complete.
    fn end_prompt(&mut self) {
        if self.prompt == Prompt::Shown {
            self.prompt = Prompt::Due;
        }
    }

    /// Starts a new line after the prompt.
    fn leave_prompt(&mut self) {
        if self.prompt == Prompt::Shown {
            self.write("\n");
            self.prompt = Prompt::Due;
        }
    }

    fn show(&mut self, said: &ServerObject) {
        let shown = match self.form {
            Form::Text => said.text.as_str().into(),
            Form::Json => said.json.as_str().into(),
            Form::VisibleJson => say::visible(&said.json),
        };
        self.write(&format!("{shown}\n"));
    }

    fn write(&mut self, text: &str) {
        if self.failed.is_none() {
            self.failed = self.output.write_all(text.as_bytes()).and_then(|()| self.output.flush()).err();
        }
    }
}

fn complain(what: &str) {
    writeln!(io::stderr(), "chat-client: {what}").ok();
}
