//! What happens at the prompt: what was typed goes to the server, and what comes is printed.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, atomic::Ordering},
    time::Duration,
};

use tokio::{
    sync::{mpsc, oneshot},
    task::JoinSet,
    time::{Instant, sleep_until, timeout},
};

use super::{
    command::{OWN, Typed},
    editor::{Keys, Names},
    marks::Marks,
    outbox::{Draft, Outbox, Sent},
    paint::{Mark, Paint},
    presence::Presence,
    printer::Printer,
};
use crate::{
    cli::{
        Exit,
        exit::Failure,
        explain,
        once::{output::Output, show},
        reach::{Identity, device},
        table::Table,
    },
    client::{Client, ClientError, Event, Events, HistoryOptions, WatchOptions},
    config::{ClientCommand, Face, Reach},
    model::Timestamp,
    protocol::{
        objects::{EventObject, MessageObject},
        spec,
    },
};

/// Time for which the next prompt waits for the answer to what was typed.
const ANSWER: Duration = Duration::from_millis(400);

/// Time for which the end waits for messages that are on their way.
const LAST_MESSAGES: Duration = Duration::from_secs(3);

/// Time between two notices that the user is typing.
const TYPING: Duration = Duration::from_secs(3);

/// Most bytes of a refused text that the next line begins with: a longer one would hide why it was refused.
const LONGEST_DRAFT: usize = 500;

/// What was typed, and where the next prompt is sent.
pub(super) struct Input {
    pub(super) typed: Typed,
    pub(super) reply: oneshot::Sender<Next>,
}

/// The next line to edit.
#[derive(Default)]
pub(super) struct Next {
    pub(super) prompt: String,
    /// What it begins with: a text that was refused.
    pub(super) draft: String,
    /// A line that is no command is a message.
    pub(super) has_recipient: bool,
}

/// A session at the prompt.
struct Login {
    client: Client,
    user: String,
    events: Events,
}

/// State of the prompt.
pub(super) struct Talk {
    reach: Reach,
    acknowledges: bool,
    identity: Identity,
    printer: Printer,
    names: Arc<Mutex<Names>>,
    keys: Arc<Keys>,
    paint: Paint,
    marks: Marks,
    presence: Presence,
    login: Option<Login>,
    recipient: Option<String>,
    /// Own messages up to this one are from before.
    known_own: u64,
    /// The conversation of which a page was shown last, and the oldest message of the page.
    page: Option<(String, u64)>,
    /// A text that was refused.
    draft: String,
    /// Own messages on their way, oldest first; and whether they were shown as such.
    on_their_way: VecDeque<(String, String, bool)>,
    typing_told: Option<Instant>,
    /// Answers that are waited for: texts to print.
    answers: JoinSet<String>,
}

/// What happens next.
enum Happened {
    Input(Input),
    Event(Option<Event>),
    Sent(Sent),
    Written(u64),
    Key,
    Answer(String),
    Presence,
    End,
}

impl Talk {
    pub(super) fn new(
        reach: &Reach,
        face: &Face,
        identity: Identity,
        printer: Printer,
        names: Arc<Mutex<Names>>,
        keys: Arc<Keys>,
    ) -> Self {
        Talk {
            reach: reach.clone(),
            acknowledges: !face.no_ack,
            identity,
            printer,
            names,
            keys,
            paint: Paint::new(),
            marks: Marks::default(),
            presence: Presence::new(),
            login: None,
            recipient: None,
            known_own: 0,
            page: None,
            draft: String::new(),
            on_their_way: VecDeque::new(),
            typing_told: None,
            answers: JoinSet::new(),
        }
    }

    /// Runs until there is no more input.
    pub(super) async fn run(
        mut self,
        mut inputs: mpsc::Receiver<Input>,
        mut written: mpsc::Receiver<u64>,
        begun: oneshot::Sender<Result<Next, Failure>>,
    ) -> Exit {
        let outcome = self.begin().await;
        let has_failed = outcome.is_err();
        if begun.send(outcome.map(|()| self.next())).is_err() || has_failed {
            return Exit::Lost;
        }
        let mut outbox = Outbox::start();
        loop {
            match self.happens(&mut inputs, &mut written, &mut outbox).await {
                Happened::End | Happened::Input(Input { typed: Typed::Quit, .. }) => break,
                Happened::Input(Input { typed, reply }) => {
                    self.carry_out(typed, &mut outbox).await;
                    self.wait_for_answers(&mut outbox).await;
                    let next = self.next();
                    reply.send(next).ok();
                }
                Happened::Event(event) => self.take_event(event),
                Happened::Sent(sent) => self.sent(sent),
                Happened::Written(upto) => self.written(upto),
                Happened::Key => self.key(),
                Happened::Answer(text) => self.printer.print(text),
                Happened::Presence => self.tell_presence(),
            }
        }
        self.end(&mut outbox).await
    }

    async fn happens(
        &mut self,
        inputs: &mut mpsc::Receiver<Input>,
        written: &mut mpsc::Receiver<u64>,
        outbox: &mut Outbox,
    ) -> Happened {
        let Talk { login, keys, answers, presence, .. } = self;
        let event = async {
            match login {
                Some(login) => login.events.next().await,
                None => std::future::pending().await,
            }
        };
        let due = presence.due();
        tokio::select! {
            input = inputs.recv() => input.map_or(Happened::End, Happened::Input),
            event = event => Happened::Event(event),
            sent = outbox.next() => Happened::Sent(sent),
            Some(upto) = written.recv() => Happened::Written(upto),
            () = keys.pressed.notified() => Happened::Key,
            Some(answer) = answers.join_next() => Happened::Answer(answer.unwrap_or_default()),
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => Happened::Presence,
        }
    }

    fn next(&mut self) -> Next {
        let prompt = match (&self.login, &self.recipient) {
            (Some(login), Some(recipient)) => format!("{} → {recipient}> ", login.user),
            (Some(login), None) => format!("{}> ", login.user),
            (None, _) => "> ".to_owned(),
        };
        let has_recipient = self.login.is_some() && self.recipient.is_some();
        Next { prompt, draft: std::mem::take(&mut self.draft), has_recipient }
    }

    fn note(&self, text: &str) {
        self.printer.print(self.paint.note(text));
    }

    fn problem(&self, text: &str) {
        self.printer.print(self.paint.problem(text));
    }

    /// Takes up the session of an earlier login. Without one, it is seen whether the server is there.
    async fn begin(&mut self) -> Result<(), Failure> {
        let mut options = self.identity.target.options(&self.reach, true)?;
        options.token = self.identity.token;
        options.device = Some(device(&self.reach));
        let client = Client::connect(options).await?;
        // From now on, the editor has the terminal.
        self.identity.target.may_ask.store(false, Ordering::Relaxed);
        if self.identity.token.is_none() {
            self.note(&format!("{} is there: auth USER logs in, help lists the commands", client.server()));
            return Ok(());
        }
        match client.whoami().await {
            Ok(who) => self.log_in(client, &who.username).await,
            Err(error) if error.code() == Some("not_authorized") => {
                self.note("your session has ended: auth USER logs in");
            }
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// Opens a session, and keeps it for later runs.
    async fn authenticate(&mut self, user: &str, password: &str) -> Result<(), Failure> {
        let mut options = self.identity.target.options(&self.reach, true)?;
        options.device = Some(device(&self.reach));
        let client = Client::connect(options).await?;
        let token = client.auth(user, password).await?;
        let kept = self.identity.profile.save(&self.identity.target.login(&self.reach, user, &token));
        self.log_in(client, user).await;
        if let Err(Failure { told, .. }) = kept {
            self.problem(&format!("this login is not kept: {told}"));
        }
        Ok(())
    }

    async fn log_in(&mut self, client: Client, user: &str) {
        self.paint.set_me(user);
        self.note(&format!("you are {user} at {}", client.server()));
        if let Ok(who) = client.who().await {
            for person in &who.users {
                self.presence.know(&person.username, person.connected);
            }
            let users = who.users.into_iter().map(|person| person.username.into_owned()).collect();
            self.lock_names().users = users;
        }
        if let Ok(rooms) = show::all_rooms(&client).await {
            self.lock_names().rooms = rooms.into_iter().map(|room| room.room.into_owned()).collect();
        }
        let conversations = client.conversations(Some(1000)).await.map(|reply| reply.conversations);
        let last = conversations.unwrap_or_default().into_iter().filter_map(|conversation| conversation.last);
        self.known_own = last.map(|message| message.id).max().unwrap_or(0);
        let events = client.watch(WatchOptions { after: None, own: true }).await;
        self.login = Some(Login { client, user: user.to_owned(), events });
    }

    fn lock_names(&self) -> std::sync::MutexGuard<'_, Names> {
        self.names.lock().expect("nothing panics while it is held")
    }

    /// Prints answers that come at once before the next prompt. Others come when they come.
    async fn wait_for_answers(&mut self, outbox: &mut Outbox) {
        let all = async {
            while outbox.waiting() > 0 {
                let sent = outbox.next().await;
                self.sent(sent);
            }
            while let Some(answer) = self.answers.join_next().await {
                self.printer.print(answer.unwrap_or_default());
            }
        };
        if timeout(ANSWER, all).await.is_err() {
            for (to, text, is_shown) in &mut self.on_their_way {
                if !std::mem::replace(is_shown, true) {
                    self.printer.print(self.paint.own(now(), to, text, Mark::Waiting));
                }
            }
        }
    }

    async fn carry_out(&mut self, typed: Typed, outbox: &mut Outbox) {
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
                        crate::config::SessionChoice::Number(number) => client.logout(Some(number)).await,
                        crate::config::SessionChoice::All => client.logout_all().await,
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
                let (done, problem) = (self.paint.note(&done(&command)), self.paint.clone());
                self.answers.spawn(async move {
                    let mut output = Output::text();
                    match show::ask(&mut output, &client, &command).await {
                        Ok(_) => {
                            let text = output.into_text();
                            if text.is_empty() { done } else { text }
                        }
                        Err(Failure { told, .. }) => problem.problem(&told),
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
        self.answers.spawn(async move { asked.await.unwrap_or_else(|error| paint.problem(&worded(&error))) });
    }

    async fn log_out(&mut self, client: &Client) {
        match client.logout(None).await {
            Err(error) if error.code() != Some("not_authorized") => self.problem(&worded(&error)),
            _ => {
                self.identity.profile.forget().ok();
                self.login = None;
                self.recipient = None;
                self.note("logged out");
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

    fn send(&mut self, to: &str, text: String, outbox: &mut Outbox) {
        let Some(client) = self.client() else {
            self.draft = text;
            return;
        };
        let on_its_way = (to.to_owned(), text.clone(), false);
        match outbox.put(Draft { client, to: to.to_owned(), text }) {
            Ok(()) => self.on_their_way.push_back(on_its_way),
            Err(draft) => {
                self.problem("too many messages wait for the server: this one was not sent");
                self.draft = draft.text;
            }
        }
    }

    /// Shows what became of a message.
    fn sent(&mut self, Sent { to, text, outcome }: Sent) {
        let was_shown = self.on_their_way.pop_front().is_some_and(|(_, _, is_shown)| is_shown);
        match outcome {
            Ok(sent) => {
                self.marks.sent(sent.id, &to, &text);
                let line = if was_shown {
                    self.paint.now_stored(&text)
                } else {
                    self.paint.own(sent.at, &to, &text, Mark::Stored)
                };
                self.printer.print(line);
            }
            Err(error) if text.len() > LONGEST_DRAFT => {
                self.problem(&format!("not sent to {to}: {}; Up brings it back", worded(&error)));
            }
            Err(error) => {
                self.problem(&format!("not sent to {to}: {}: {text}", worded(&error)));
                if self.draft.is_empty() {
                    self.draft = text;
                }
            }
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
        let topic = topic.map(|topic| topic.trim_start_matches('/'));
        let mut shown = String::new();
        match topic.map(|topic| (topic, spec::find(topic))) {
            None => {
                let mut table = Table::new(["COMMAND", ""]);
                for (usage, summary) in OWN {
                    table.add([usage.to_owned(), summary.to_owned()]);
                }
                for spec in spec::SPECS {
                    table.add([spec.usage().replace(" [token]", ""), spec.summary.to_owned()]);
                }
                for line in table.lines() {
                    shown += &line;
                    shown.push('\n');
                }
            }
            Some((_, Some(spec))) => {
                let usage = spec.usage().replace(" [token]", "");
                shown = format!("{usage}\n{} {}\n", spec.summary, spec.help);
            }
            Some((topic, None)) => shown = self.paint.problem(&explain::unknown_command(topic)),
        }
        self.printer.print(shown);
    }

    fn take_event(&mut self, event: Option<Event>) {
        match event {
            Some(Event::Server(event)) => self.take_server_event(event),
            Some(Event::Disconnected(reason)) => {
                self.note(&format!("lost the server: {reason}. Trying again; what you type is kept"));
            }
            Some(Event::Connected) => self.note("the server is back"),
            Some(Event::Refused(_)) | None => self.session_ended(),
        }
    }

    fn session_ended(&mut self) {
        if self.login.take().is_some() {
            self.note("your session has ended: auth USER logs in");
        }
    }

    fn take_server_event(&mut self, event: EventObject) {
        let Some(login) = &self.login else { return };
        match event {
            EventObject::Message(message) => self.show(&message),
            EventObject::Read { with, upto, by } if by != login.user => {
                if let Some(text) = self.marks.was_read(&with, &by, upto) {
                    self.printer.print(self.paint.was_read(&by, &text));
                }
            }
            EventObject::Presence { username, connected, .. } if username != login.user => {
                self.presence.change(&username, connected, Instant::now());
                let mut names = self.lock_names();
                if !names.users.iter().any(|user| *user == username) {
                    names.users.push(username.into_owned());
                }
            }
            EventObject::SessionEnded => self.session_ended(),
            _ => {}
        }
    }

    fn show(&mut self, message: &MessageObject) {
        let Some(login) = &self.login else { return };
        // Nothing takes own messages out of the inbox: those from before would be shown at each start.
        if message.from == login.user && message.id <= self.known_own && message.to != login.user {
            return;
        }
        self.marks.shown(&login.user, message);
        let line = self.paint.message(message);
        self.printer.print_message(line, message.id);
    }

    /// What was written to the terminal leaves the inbox.
    fn written(&mut self, upto: u64) {
        self.marks.written(upto);
        let Some(login) = self.login.as_ref().filter(|_| self.acknowledges) else { return };
        let client = login.client.clone();
        // If it fails, the messages come again.
        tokio::spawn(async move { client.ack(upto).await.ok() });
    }

    /// A key says that somebody is there: what was shown of the conversation is read.
    fn key(&mut self) {
        let (Some(login), Some(recipient)) = (&self.login, &self.recipient) else { return };
        if let Some(id) = self.marks.seen(recipient) {
            let (client, with) = (login.client.clone(), recipient.clone());
            tokio::spawn(async move { client.read(&with, id).await.ok() });
        }
        let is_told = self.typing_told.is_some_and(|at| at.elapsed() < TYPING);
        if !is_told && self.keys.writes.load(Ordering::Relaxed) {
            self.typing_told = Some(Instant::now());
            let (client, to) = (login.client.clone(), recipient.clone());
            tokio::spawn(async move { client.typing(&to).await.ok() });
        }
    }

    fn tell_presence(&mut self) {
        for (user, is_there) in self.presence.take_due(Instant::now()) {
            self.note(&format!("{user} {}", if is_there { "is here" } else { "has gone" }));
        }
    }

    /// Waits for messages that are on their way.
    async fn end(&mut self, outbox: &mut Outbox) -> Exit {
        let all = async {
            while outbox.waiting() > 0 {
                let sent = outbox.next().await;
                self.sent(sent);
            }
        };
        timeout(LAST_MESSAGES, all).await.ok();
        if outbox.waiting() == 0 {
            return Exit::Done;
        }
        crate::cli::complain(&format!("{} messages were not sent: the server is away", outbox.waiting()));
        Exit::Lost
    }
}

/// What went wrong, in words.
fn worded(error: &ClientError) -> String {
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

/// Now, as the server would say it.
fn now() -> Timestamp {
    Timestamp(jiff::Timestamp::now().as_millisecond())
}
