//! `send`: a message of the arguments or of standard input, or each line of it.

use std::{
    io::{self, BufRead, IsTerminal, Read},
    time::Duration,
};

use tokio::{
    sync::mpsc,
    time::{Instant, sleep, timeout, timeout_at},
};

use super::{
    super::{Exit, exit::Failure, explain},
    Context,
    output::Output,
    too_late,
};
use crate::{
    client::{Client, Event, WatchOptions},
    config::{SendArgs, WaitFor},
    model::MAX_MESSAGE,
    protocol::objects::{EventObject, StatusReply},
};

/// Time between two questions how far a message is: a change in a room sends no event.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// A message to send, or lines.
pub(super) struct Sending {
    to: String,
    text: Text,
    /// Name of the message, the same at each try.
    key: String,
    wait: Option<WaitFor>,
    /// Its number, when it is stored.
    sent: Option<u64>,
}

enum Text {
    One(String),
    Lines(Lines),
}

type Line = Result<String, Failure>;

impl Sending {
    pub(super) fn prepare(args: &SendArgs) -> Result<Self, Failure> {
        let SendArgs { to, text, lines, key, wait } = args;
        let text = match (text.as_slice(), lines) {
            ([_, ..], true) => {
                return Err(Failure::new(
                    Exit::Usage,
                    "--lines is for standard input, and there is a text, too",
                ));
            }
            ([], true) => Text::Lines(Lines { read: read_lines(), unsent: None, number: 0 }),
            ([], false) if io::stdin().is_terminal() => {
                let told = "there is no text\n  remedy: chat-client send TO TEXT, or - for standard input";
                return Err(Failure::new(Exit::Usage, told));
            }
            ([], false) => Text::One(read_all()?),
            ([dash], false) if dash == "-" => Text::One(read_all()?),
            (words, false) => Text::One(words.join(" ")),
        };
        if let Text::One(text) = &text {
            check(text)?;
        }
        if wait.is_some() && matches!(text, Text::Lines(..)) {
            return Err(Failure::new(Exit::Usage, "--wait is for one message, not for --lines"));
        }
        let key = key.clone().unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
        Ok(Sending { to: to.clone(), text, key, wait: *wait, sent: None })
    }

    pub(super) async fn run(&mut self, context: &mut Context<'_>, client: &Client) -> Result<Exit, Failure> {
        match &mut self.text {
            Text::One(text) => {
                let end = context.end;
                let id = if let Some(id) = self.sent {
                    id
                } else {
                    let sent = send(&mut context.output, client, (&self.to, text, Some(&self.key)));
                    within(end, sent).await.map_err(|failure| self.may_be_stored(failure))?
                };
                // After another login, it is only waited for.
                self.sent = Some(id);
                match self.wait {
                    Some(wait) => until(client, id, wait, end).await,
                    None => Ok(Exit::Done),
                }
            }
            Text::Lines(lines) => lines.send(&mut context.output, client, &self.to).await,
        }
    }

    /// Without an answer, nobody knows whether the message is stored.
    fn may_be_stored(&self, Failure { exit, told }: Failure) -> Failure {
        if !matches!(exit, Exit::Lost | Exit::TimedOut) {
            return Failure { exit, told };
        }
        let key = &self.key;
        let told = format!(
            "{told}: the message may or may not be stored\n  remedy: send it again with --key {key}, and it is stored once"
        );
        Failure { exit, told }
    }
}

/// Something that takes until then at most.
async fn within<T>(
    end: Option<Instant>,
    done: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    match end {
        None => done.await,
        Some(end) => timeout_at(end, done).await.unwrap_or_else(|_| Err(too_late())),
    }
}

/// Sends one message. Returns its number.
async fn send(
    output: &mut Output,
    client: &Client,
    (to, text, key): (&str, &str, Option<&str>),
) -> Result<u64, Failure> {
    let message = client.send(to, text);
    let sent = match key {
        Some(key) => message.key(key).await?,
        None => message.await?,
    };
    if output.is_json {
        output.json(&sent)?;
        output.flush()?;
    }
    Ok(sent.id)
}

/// Lines of standard input.
struct Lines {
    read: mpsc::Receiver<Line>,
    /// The line that was not sent, because there was no session.
    unsent: Option<String>,
    /// Number of lines that were taken.
    number: u64,
}

impl Lines {
    async fn send(&mut self, output: &mut Output, client: &Client, to: &str) -> Result<Exit, Failure> {
        loop {
            let line = match self.unsent.take() {
                Some(line) => line,
                None => match self.read.recv().await {
                    Some(line) => {
                        self.number += 1;
                        line.map_err(|failure| self.unsent(failure))?
                    }
                    None => return Ok(Exit::Done),
                },
            };
            if line.is_empty() {
                continue;
            }
            let sent = match check(&line) {
                Ok(()) => send(output, client, (to, &line, None)).await.map(drop),
                Err(failure) => Err(failure),
            };
            match sent {
                Ok(()) => {}
                Err(failure) if failure.exit == Exit::NotLoggedIn => {
                    self.unsent = Some(line);
                    return Err(failure);
                }
                Err(failure) => return Err(self.unsent(failure)),
            }
        }
    }

    /// The line that was taken last cannot be sent.
    fn unsent(&self, Failure { exit, told }: Failure) -> Failure {
        // Without an answer, nobody knows.
        let not_sent = if exit == Exit::Lost { "may or may not be stored" } else { "was not sent" };
        let told = format!("line {}: {told}; it {not_sent}, and those after it were not sent", self.number);
        Failure { exit, told }
    }
}

/// Refuses what the server would refuse, before it is sent.
fn check(text: &str) -> Result<(), Failure> {
    if text.is_empty() {
        return Err(Failure::new(Exit::Refused, "the text is empty"));
    }
    if text.contains('\0') {
        return Err(Failure::new(
            Exit::Refused,
            "the text has a NUL character, so it is hardly a text (bad_request)",
        ));
    }
    if text.len() > MAX_MESSAGE {
        let (got, limit) = (explain::grouped(text.len() as u64), explain::grouped(MAX_MESSAGE as u64));
        return Err(Failure::new(
            Exit::Refused,
            format!("too long: {got} of {limit} bytes (message_too_long)"),
        ));
    }
    Ok(())
}

/// All of standard input, without the line ends at its end.
fn read_all() -> Result<String, Failure> {
    let mut bytes = Vec::new();
    // What is too long is counted, up to a point.
    io::stdin().lock().take(1 << 30).read_to_end(&mut bytes).map_err(|error| cannot_read(&error))?;
    let mut text = String::from_utf8(bytes).map_err(|_| not_utf8())?;
    text.truncate(text.trim_end_matches(['\r', '\n']).len());
    Ok(text)
}

/// The lines of standard input, each as soon as it has come.
fn read_lines() -> mpsc::Receiver<Line> {
    let (lines, read) = mpsc::channel(1);
    std::thread::spawn(move || {
        let mut input = io::stdin().lock();
        loop {
            let mut line = Vec::new();
            let line = match input.read_until(b'\n', &mut line) {
                Ok(0) => break,
                Ok(_) => String::from_utf8(line).map_err(|_| not_utf8()),
                Err(error) => Err(cannot_read(&error)),
            };
            let is_last = line.is_err();
            let line = line.map(|line| line.trim_end_matches(['\r', '\n']).to_owned());
            if lines.blocking_send(line).is_err() || is_last {
                break;
            }
        }
    });
    read
}

fn cannot_read(error: &io::Error) -> Failure {
    Failure::new(Exit::Refused, format!("cannot read standard input: {error}"))
}

fn not_utf8() -> Failure {
    Failure::new(Exit::Refused, "the text is not UTF-8 (not_utf8)")
}

/// Waits until a message is so far.
async fn until(client: &Client, id: u64, wait: WaitFor, end: Option<Instant>) -> Result<Exit, Failure> {
    let arrived = async {
        // Nothing but what happens to messages is wanted: no message has a higher number.
        let mut events = client.watch(WatchOptions { after: Some(i64::MAX as u64), own: false }).await;
        loop {
            if is_so_far(&client.status(id).await?, wait) {
                return Ok(Exit::Done);
            }
            loop {
                match timeout(ASK_AGAIN, events.next()).await {
                    Ok(Some(Event::Server(EventObject::Delivered { id: of, .. }))) if of >= id => break,
                    Ok(Some(Event::Server(EventObject::Read { upto, .. }))) if upto >= id => break,
                    Ok(Some(Event::Connected)) | Err(_) => break,
                    Ok(Some(_)) => {}
                    Ok(None) => {
                        sleep(ASK_AGAIN).await;
                        break;
                    }
                }
            }
        }
    };
    let Some(end) = end else { return arrived.await };
    timeout_at(end, arrived).await.unwrap_or_else(|_| {
        let state = match wait {
            _ if !client.is_there() => "it is stored, and the server has not answered since",
            WaitFor::Acked => "it is stored, and waits in the inbox",
            WaitFor::Read => "it is stored, and nobody has read it",
        };
        Err(Failure::new(Exit::TimedOut, format!("message {id}: {state}")))
    })
}

fn is_so_far(status: &StatusReply, wait: WaitFor) -> bool {
    match wait {
        WaitFor::Acked => status.state == "acked",
        WaitFor::Read => status.read_at.is_some() || status.read.is_some_and(|read| read > 0),
    }
}
