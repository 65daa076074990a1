//! `inbox`, `listen` and `wait`: messages are shown, and then acknowledged.

use std::{
    io::{self, Write},
    process::{Command, ExitStatus, Stdio},
    time::Duration,
};

use tokio::time::{Instant, sleep_until, timeout_at};

use super::{
    super::{Exit, complain, exit::Failure},
    Context, show,
};
use crate::{
    client::{Client, ClientError, Event, WatchOptions},
    config::{ListenArgs, Take},
    protocol::objects::{EventObject, MessageObject},
};

/// Messages on a page of `inbox`.
const PAGE: u64 = 1000;

/// Time before a command that has failed is run again.
const RETRY: Duration = Duration::from_secs(1);

/// Messages that are taken.
pub(super) struct Receiving {
    take: Take,
    /// How many are left to take.
    left: Option<usize>,
    exec: Option<String>,
    retries: u32,
    /// The last message that was shown.
    shown: Option<u64>,
    /// The last message that was taken out of the inbox.
    acknowledged: Option<u64>,
}

impl Receiving {
    pub(super) fn inbox(take: Take) -> Self {
        Receiving { take, left: None, exec: None, retries: 0, shown: None, acknowledged: None }
    }

    pub(super) fn listen(args: &ListenArgs) -> Self {
        let ListenArgs { take, count, exec, retries } = args;
        Receiving { left: *count, exec: exec.clone(), retries: *retries, ..Receiving::inbox(*take) }
    }

    pub(super) fn wait(args: &ListenArgs) -> Self {
        let receiving = Receiving::listen(args);
        Receiving { left: receiving.left.or(Some(1)), ..receiving }
    }

    /// Shows what waits, a page after the other, and acknowledges each page when it was written.
    pub(super) async fn take_inbox(
        &mut self,
        context: &mut Context<'_>,
        client: &Client,
        fail_empty: bool,
    ) -> Result<Exit, Failure> {
        if self.take.keep {
            return self.show_inbox(context, client, fail_empty).await;
        }
        loop {
            let page = client.fetch(Some(PAGE)).await?;
            for message in &page.messages {
                let written = show::message(&mut context.output, message);
                if written.is_err() {
                    self.acknowledge(client).await?;
                }
                written?;
                self.shown = Some(message.id);
            }
            context.output.flush()?;
            self.acknowledge(client).await?;
            if !page.more {
                break;
            }
        }
        Ok(if fail_empty && self.shown.is_none() { Exit::Nothing } else { Exit::Done })
    }

    /// Shows what waits, and leaves it.
    async fn show_inbox(
        &mut self,
        context: &mut Context<'_>,
        client: &Client,
        fail_empty: bool,
    ) -> Result<Exit, Failure> {
        let page = client.fetch(Some(PAGE)).await?;
        for message in &page.messages {
            show::message(&mut context.output, message)?;
        }
        context.output.flush()?;
        if page.more {
            complain(&format!("these are the oldest {}; more wait behind them", page.messages.len()));
        }
        Ok(if fail_empty && page.messages.is_empty() { Exit::Nothing } else { Exit::Done })
    }

    /// Prints messages as they come, or has a command take them.
    pub(super) async fn run(&mut self, context: &mut Context<'_>, client: &Client) -> Result<Exit, Failure> {
        let end = context.end;
        let mut events = client.watch(WatchOptions { after: self.shown, own: false }).await;
        loop {
            // As many as have come are acknowledged at once.
            let next = if let Some(event) = events.try_next() {
                Some(event)
            } else {
                context.output.flush()?;
                self.acknowledge_if_there(client).await?;
                match end {
                    None => events.next().await,
                    Some(end) => match timeout_at(end, events.next()).await {
                        Ok(event) => event,
                        Err(_) => return self.timed_out(client),
                    },
                }
            };
            let message = match next {
                Some(Event::Server(EventObject::Message(message))) => message,
                Some(Event::Server(EventObject::SessionEnded)) => return Err(ended("the session has ended")),
                Some(Event::Refused(refused)) => {
                    let again = refused
                        .retry_after
                        .map(|seconds| Instant::now() + Duration::from_secs(seconds.into()));
                    let Some(again) = again.filter(|again| end.is_none_or(|end| *again < end)) else {
                        return Err(ClientError::Refused(refused).into());
                    };
                    sleep_until(again).await;
                    events = client.watch(WatchOptions { after: self.shown, own: false }).await;
                    continue;
                }
                Some(Event::Disconnected(reason)) => {
                    complain(&format!("lost the server: {reason}; trying again"));
                    continue;
                }
                Some(_) => continue,
                None => return Err(Failure::new(Exit::Lost, "lost the server")),
            };
            if self.shown.is_some_and(|shown| message.id <= shown) {
                continue;
            }
            if let Err(failure) = self.show(context, &message) {
                // What was written before stays written.
                self.acknowledge(client).await?;
                return Err(failure);
            }
            self.shown = Some(message.id);
            if let Some(left) = &mut self.left {
                *left -= 1;
            }
            if self.left == Some(0) {
                context.output.flush()?;
                self.acknowledge(client).await?;
                return Ok(Exit::Done);
            }
            if self.exec.is_some() {
                self.acknowledge_if_there(client).await?;
            }
        }
    }

    /// Without a number of messages, the end of the time is what was asked for. While the server is away, nobody knows whether
    /// messages have come.
    fn timed_out(&self, client: &Client) -> Result<Exit, Failure> {
        if !client.is_there() {
            return Err(Failure::new(Exit::Lost, format!("{} has not answered", client.server())));
        }
        Ok(if self.left.is_some() { Exit::TimedOut } else { Exit::Done })
    }

    /// Prints a message, or has a command take it.
    fn show(&self, context: &mut Context<'_>, message: &MessageObject) -> Result<(), Failure> {
        let Some(command) = &self.exec else { return show::message(&mut context.output, message) };
        for tries_left in (0..=self.retries).rev() {
            let failed = match execute(command, message) {
                Ok(status) if status.success() => return Ok(()),
                Ok(status) => describe(status),
                Err(error) => error.to_string(),
            };
            complain(&format!("message {}: {command}: {failed}", message.id));
            if tries_left > 0 {
                std::thread::sleep(RETRY);
            }
        }
        let told = format!("message {} and those after it stay in the inbox", message.id);
        Err(Failure::new(Exit::ExecFailed, told))
    }

    /// Takes what was shown out of the inbox, unless the server is away: then the next acknowledgement takes it, too.
    async fn acknowledge_if_there(&mut self, client: &Client) -> Result<(), Failure> {
        match self.acknowledge(client).await {
            Err(Failure { exit: Exit::Lost, .. }) => Ok(()),
            acknowledged => acknowledged,
        }
    }

    /// Takes what was shown out of the inbox.
    async fn acknowledge(&mut self, client: &Client) -> Result<(), Failure> {
        if let Some(shown) = self.shown
            && !self.take.keep
            && self.acknowledged < self.shown
        {
            match client.ack(shown).await {
                // Somebody else has removed it, as with its room.
                Err(error) if error.code() == Some("no_such_message") => {}
                acknowledged => drop(acknowledged?),
            }
            self.acknowledged = self.shown;
        }
        Ok(())
    }
}

/// Runs a command for a message, and waits for its end.
fn execute(command: &str, message: &MessageObject) -> io::Result<ExitStatus> {
    let mut running = Command::new("sh")
        .args(["-c", command])
        .env("CHAT_FROM", &*message.from)
        .env("CHAT_TO", &*message.to)
        .env("CHAT_ID", message.id.to_string())
        .env("CHAT_AT", message.at.to_string())
        .stdin(Stdio::piped())
        .spawn()?;
    if let Some(mut input) = running.stdin.take() {
        // Programs that read lines, as `read` does, take only those with an end. A command that does not read the text may succeed all
        // the same.
        input.write_all(format!("{}\n", message.msg).as_bytes()).ok();
    }
    running.wait()
}

/// How a command has failed.
fn describe(status: ExitStatus) -> String {
    match status.code() {
        Some(code) => format!("exit status {code}"),
        None => status.to_string(),
    }
}

fn ended(told: &str) -> Failure {
    Failure::new(Exit::NotLoggedIn, told)
}
