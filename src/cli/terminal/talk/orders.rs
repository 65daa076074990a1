//! What was typed is carried out.

use tokio::time::timeout;

use super::{ANSWER, Answer, Talk};
use crate::{
    cli::{
        exit::Failure,
        once::{output::Output, show},
        terminal::{command::Typed, help, outbox::Outbox, resize::columns},
    },
    client::{Client, ClientError, HistoryOptions},
    config::{ClientCommand, SessionChoice},
};

impl Talk {
    pub(super) async fn carry_out(&mut self, typed: Typed, outbox: &mut Outbox) {
        if !matches!(typed, Typed::History { .. }) {
            self.page = None;
        }
        match typed {
            Typed::Nothing | Typed::Quit => {}
            Typed::Wrong(why) => self.problem(&why),
            Typed::Help(topic) => self.help(topic.as_deref()),
            Typed::Auth { user, password } => {
                let password = password.unwrap_or_default();
                if let Err(Failure { told, .. }) = self.authenticate(&user, &password).await {
                    self.problem(&told);
                }
            }
            Typed::Presence(choice) => {
                self.presence.is_shown = choice.unwrap_or(self.presence.is_shown);
                let is = if self.presence.is_shown { "shown" } else { "not shown" };
                self.note(&format!("who comes and goes is {is}"));
            }
            Typed::Text(text) => match self.recipient.clone() {
                Some(to) => self.send(&to, text, outbox),
                None => self.problem("to whom? /to USER or /to #ROOM says so"),
            },
            Typed::Send { to, text } => self.send(&to, text, outbox),
            Typed::To(None) => match &self.recipient {
                Some(recipient) => self.note(&format!("what you type goes to {recipient}")),
                None => self.note("nobody is set: /to USER or /to #ROOM"),
            },
            Typed::To(Some(to)) => self.set_recipient(&to).await,
            other => self.ask(other).await,
        }
    }

    /// Asks the server, and prints the answer when it comes.
    async fn ask(&mut self, typed: Typed) {
        let Some(client) = self.client() else { return };
        match typed {
            Typed::Ping => self.answer(async move { client.ping().await.map(|()| "pong\n".to_owned()) }),
            Typed::Passwd(passwords) => {
                let (old, new) = passwords.unwrap_or_default();
                let note = self.paint.note("your password is changed; your other sessions have ended");
                self.answer(async move { client.passwd(&old, &new).await.map(|()| note) });
            }
            Typed::History { with, limit, before } => self.history(client, with, limit, before).await,
            Typed::Logout => self.log_out(&client).await,
            Typed::Ask(ClientCommand::Logout { session: Some(choice) }) => {
                let note = self.paint.note("logged out");
                self.answer(async move {
                    let ended = match choice {
                        SessionChoice::Number(number) => client.logout(Some(number)).await,
                        SessionChoice::All => client.logout_all().await,
                    };
                    ended.map(|()| note)
                });
            }
            Typed::Ask(command) => {
                if let ClientCommand::Join { room } = &command {
                    let mut names = self.lock_names();
                    if !names.rooms.contains(room) {
                        names.rooms.push(room.clone());
                    }
                }
                let (done, paint) = (self.paint.note(&done(&command)), self.paint.clone());
                self.answers.spawn(async move {
                    let mut output = Output::text();
                    match show::ask(&mut output, &client, &command).await {
                        Ok(_) => {
                            let text = output.into_text();
                            let left = match command {
                                ClientCommand::Leave { room } => Some(room),
                                _ => None,
                            };
                            Answer { text: if text.is_empty() { done } else { text }, left }
                        }
                        Err(Failure { told, .. }) => Answer { text: paint.problem(&told), left: None },
                    }
                });
            }
            _ => {}
        }
    }

    fn client(&self) -> Option<Client> {
        let client = self.login.as_ref().map(|login| login.client.clone());
        if client.is_none() {
            self.problem("not logged in: auth USER logs in");
        }
        client
    }

    fn answer(&mut self, asked: impl Future<Output = Result<String, ClientError>> + Send + 'static) {
        let paint = self.paint.clone();
        self.answers.spawn(async move {
            let text = asked.await.unwrap_or_else(|error| paint.problem(&worded(&error)));
            Answer { text, left: None }
        });
    }

    async fn log_out(&mut self, client: &Client) {
        match client.logout(None).await {
            Err(error) if error.code() != Some("not_authorized") => self.problem(&worded(&error)),
            _ => {
                self.identity.profile.forget().ok();
                self.login = None;
                self.recipient = None;
                self.note("logged out, also for commands in a shell");
            }
        }
    }

    async fn set_recipient(&mut self, to: &str) {
        let Some(client) = self.client() else { return };
        // It must exist, and the user must be in the room; this is not known while the server is away.
        match timeout(ANSWER, client.history(to, HistoryOptions { limit: Some(1), before: None })).await {
            Ok(Err(error @ ClientError::Refused(_))) => self.problem(&worded(&error)),
            _ => self.recipient = Some(to.to_owned()),
        }
    }

    async fn history(
        &mut self,
        client: Client,
        with: Option<String>,
        limit: Option<u64>,
        before: Option<u64>,
    ) {
        let Some(with) = with.or_else(|| self.recipient.clone()) else {
            self.problem("usage: history WITH [LIMIT] [BEFORE]");
            return;
        };
        // The same again is the page before.
        let earlier = self.page.take().filter(|(of, _)| *of == with).map(|(_, oldest)| oldest);
        let page = HistoryOptions { limit: limit.or(Some(20)), before: before.or(earlier) };
        match client.history(&with, page).await {
            Ok(page) => {
                let mut paint = self.paint.clone();
                paint.begin();
                let mut shown: String = page.messages.iter().map(|message| paint.message(message)).collect();
                if page.messages.is_empty() {
                    shown = self.paint.note("there is nothing earlier");
                } else if page.more {
                    shown += &self.paint.note("history again shows what was before");
                }
                self.printer.print(shown);
                self.page = page.messages.first().map(|oldest| (with, oldest.id));
            }
            Err(error) => self.problem(&worded(&error)),
        }
    }

    fn help(&self, topic: Option<&str>) {
        let shown = match topic {
            None => help::all(columns()),
            Some(topic) => help::of(topic, columns()).unwrap_or_else(|unknown| self.paint.problem(&unknown)),
        };
        self.printer.print(shown);
    }
}

/// What went wrong, in words.
pub(super) fn worded(error: &ClientError) -> String {
    Failure::from(error.clone()).told
}

/// What is said when a command has succeeded that prints nothing.
fn done(command: &ClientCommand) -> String {
    match command {
        ClientCommand::Join { room } => format!("you are in {room}: /to {room} to write there"),
        ClientCommand::Leave { room } => format!("you have left {room}"),
        ClientCommand::Read { with, .. } => format!("read: {with}"),
        _ => "done".to_owned(),
    }
}
