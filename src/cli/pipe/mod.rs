//! Plain lines: in a pipe, and on a terminal as the first client showed them.
//!
//! It knows requests and replies only from the table of commands, so a new command needs no change here.

mod input;
mod say;
mod session;

use std::{
    io::{self, ErrorKind::UnexpectedEof, IsTerminal, Write},
    time::Duration,
};

use rustix::termios::{QueueSelector, tcflush};
use tokio::time::timeout;

use self::{
    input::{Input, Line},
    session::{ServerObject, Session},
};
use super::{Exit, complain, explain, stdout::Stdout, visible};
use crate::{
    client::{Options, RawClient},
    config::Face,
};

/// Runs the commands of standard input, with a prompt on a terminal, and shows events as they come.
pub(super) async fn run(options: &Options, face: &Face) -> Exit {
    let client = match RawClient::connect(options).await {
        Ok(client) => client,
        Err(error) => {
            complain(&error.to_string());
            return Exit::Lost;
        }
    };
    let session = Session::new(client, face.raw);
    let stop = |stop: Stop| match stop {
        Stop::Commands(error) => {
            complain(&format!("cannot read the commands: {error}"));
            Exit::Refused
        }
        Stop::Server(error) => {
            complain(&format!("lost the server: {error}"));
            Exit::Lost
        }
        Stop::Output(error) => {
            complain(&format!("cannot write: {error}"));
            Exit::Refused
        }
        Stop::Goodbye => Exit::Lost,
    };
    let input = match Input::open() {
        Ok(input) => input,
        Err(error) => return stop(Stop::Commands(error)),
    };
    let prompt = if input.is_terminal() { Prompt::Due } else { Prompt::Never };
    let output = Stdout::open();
    let form = match (face.raw, io::stdout().is_terminal()) {
        (false, _) => Form::Text,
        (true, false) => Form::Json,
        (true, true) => Form::VisibleJson,
    };
    let screen = Screen { output, prompt, form, failed: None };
    let farewell = Duration::from_secs(face.farewell.into());
    let mut talk = Interaction { session, input, screen, farewell, line: 0 };
    let ended = talk.run().await.unwrap_or_else(stop);
    if prompt != Prompt::Never && ended == Exit::Lost {
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
    farewell: Duration,
    /// Number of the last line that was taken, from 1.
    line: u64,
}

impl<W: Write> Interaction<W> {
    async fn run(&mut self) -> Result<Exit, Stop> {
        let ended = self.run_all().await?;
        match self.screen.failed.take() {
            // A program that has read enough of the output and went away is no error.
            Some(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Stop::Output(error)),
            _ => Ok(ended),
        }
    }

    async fn run_all(&mut self) -> Result<Exit, Stop> {
        let mut ended = Exit::Done;
        while self.screen.failed.is_none() {
            // Events that came right after the last reply.
            self.tell()?;
            self.screen.prompt(&self.session.token());
            let Some(line) = self.next_line().await? else {
                self.screen.leave_prompt();
                if self.session.watches() {
                    self.drain().await?;
                }
                break;
            };
            self.screen.end_prompt();
            self.line += 1;
            if line.is_cut {
                complain(
                    "this line may be cut: a terminal takes 4,095 bytes. Nothing was sent\n  \
                     remedy: leave --classic out, or use a pipe",
                );
                ended = Exit::Refused;
                continue;
            }
            let screen = &mut self.screen;
            let said =
                self.session.ask(&line.text, |event| screen.show(event)).await.map_err(Stop::Server)?;
            let Some(said) = said else {
                continue;
            };
            self.screen.show(&said);
            if said.goodbye {
                return Err(Stop::Goodbye);
            }
            if said.refused {
                ended = Exit::Refused;
                self.explain(&line.text, &said);
            } else if self.screen.failed.is_none()
                && let Some(refused) = self.acknowledge(&said).await?
            {
                ended = Exit::Refused;
                self.screen.show(&refused);
            }
            if said.last {
                break;
            }
        }
        Ok(ended)
    }

    /// Takes messages that were shown out of the inbox.
    async fn acknowledge(&mut self, shown: &ServerObject) -> Result<Option<ServerObject>, Stop> {
        let screen = &mut self.screen;
        self.session.acknowledge(shown, |event| screen.show(event)).await.map_err(Stop::Server)
    }

    /// Says in a pipe what is wrong with a line, because the reply may have a few words only.
    fn explain(&self, line: &[u8], said: &ServerObject) {
        if self.screen.prompt == Prompt::Never {
            let why = explain::line(line).or_else(|| explain::reply(&said.json));
            complain(&format!("line {}: {}", self.line, visible(&why.unwrap_or_else(|| said.text.clone()))));
        }
    }

    /// The next command; `None` after the last one. Events that come meanwhile are shown.
    async fn next_line(&mut self) -> Result<Option<Line>, Stop> {
        loop {
            let line = self.input.take_line();
            if line.is_some() || self.input.has_ended() || self.screen.failed.is_some() {
                return Ok(line);
            }
            tokio::select! {
                read = self.input.receive() => read.map_err(Stop::Commands)?,
                received = self.session.receive() => self.show_events(received)?,
            }
        }
    }

    /// Shows the events that have come.
    fn show_events(&mut self, received: io::Result<()>) -> Result<(), Stop> {
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
    async fn drain(&mut self) -> Result<(), Stop> {
        self.session.finish().await.map_err(Stop::Server)?;
        while self.screen.failed.is_none() {
            let received = timeout(self.farewell, self.session.receive()).await;
            self.tell()?;
            match received {
                Err(_) => return Err(Stop::Server(io::ErrorKind::TimedOut.into())),
                Ok(Err(error)) if error.kind() == UnexpectedEof && self.session.is_between_objects() => break,
                Ok(received) => received.map_err(Stop::Server)?,
            }
        }
        Ok(())
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
            Form::VisibleJson => visible(&said.json),
        };
        self.write(&format!("{shown}\n"));
    }

    fn write(&mut self, text: &str) {
        if self.failed.is_none() {
            self.failed = self.output.write_all(text.as_bytes()).and_then(|()| self.output.flush()).err();
        }
    }
}
