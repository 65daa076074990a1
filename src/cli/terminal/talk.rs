//! What happens at the prompt: what was typed goes to the server, and what comes is printed.

mod login;
mod orders;
mod sending;

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, atomic::Ordering},
    time::Duration,
};

use tokio::{
    sync::{Notify, mpsc, oneshot},
    task::JoinSet,
    time::{Instant, sleep_until, timeout},
};

use super::{
    command::Typed,
    editor::{Keys, Names},
    marks::Marks,
    outbox::{Outbox, Sent},
    paint::{Mark, Paint},
    presence::Presence,
    printer::Printer,
    resize::Resizing,
};
use crate::{
    cli::{Exit, exit::Failure, reach::Identity},
    client::{Client, Event, Events},
    config::{ClientCommand, Face, Reach},
    model::Timestamp,
    protocol::objects::{EventObject, MessageObject},
};

/// Time for which the next prompt waits for the answer to what was typed.
const ANSWER: Duration = Duration::from_millis(400);

/// Time between two notices that the user is typing.
const TYPING: Duration = Duration::from_secs(3);

/// What was typed, and where the next prompt is sent.
pub(super) struct Input {
    pub(super) typed: Typed,
    /// There is a recipient and no slash: it could have been a message.
    pub(super) is_bare: bool,
    pub(super) reply: oneshot::Sender<Next>,
}

/// The next line to edit.
#[derive(Default)]
pub(super) struct Next {
    pub(super) prompt: String,
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
    resizing: Resizing,
    login: Option<Login>,
    recipient: Option<String>,
    /// Own messages up to this one are from before.
    known_own: u64,
    /// The conversation of which a page was shown last, and the oldest message of the page.
    page: Option<(String, u64)>,
    /// Own messages on their way, oldest first; and whether they were shown as such.
    on_their_way: VecDeque<(String, String, bool)>,
    typing_told: Option<Instant>,
    /// Answers that are waited for.
    answers: JoinSet<Answer>,
    /// It was said how a line that could be a command becomes a message.
    is_hint_given: bool,
}

/// The answer to a command.
#[derive(Default)]
struct Answer {
    /// What is printed.
    text: String,
    /// The room that the user has left.
    left: Option<String>,
}

/// What happens next.
enum Happened {
    Input(Input),
    Event(Option<Event>),
    Sent(Sent),
    Written(u64),
    Key,
    Answer(Answer),
    Presence,
    /// The window is wider, and this many lines above the draft may be gone.
    Resized(usize),
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
            resizing: Resizing::begin(),
            login: None,
            recipient: None,
            known_own: 0,
            page: None,
            on_their_way: VecDeque::new(),
            typing_told: None,
            answers: JoinSet::new(),
            is_hint_given: false,
        }
    }

    /// Runs until there is no more input.
    pub(super) async fn run(
        mut self,
        mut inputs: mpsc::Receiver<Input>,
        mut written: mpsc::Receiver<u64>,
        begun: oneshot::Sender<Result<Next, Failure>>,
        interrupted: Arc<Notify>,
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
                Happened::Input(Input { typed, is_bare, reply }) => {
                    if is_bare {
                        self.hint(&typed);
                    }
                    self.carry_out(typed, &mut outbox).await;
                    self.wait_for_answers(&mut outbox).await;
                    let next = self.next();
                    reply.send(next).ok();
                }
                Happened::Event(event) => self.take_event(event),
                Happened::Sent(sent) => self.sent(sent),
                Happened::Written(upto) => self.written(upto),
                Happened::Key => self.key(),
                Happened::Answer(answer) => self.answered(answer),
                Happened::Presence => self.tell_presence(),
                Happened::Resized(gone) => {
                    let note = self.paint.note("the window is wider, so the last lines once more:");
                    self.printer.print_again(gone, note);
                }
            }
        }
        self.end(&mut outbox, &interrupted).await
    }

    async fn happens(
        &mut self,
        inputs: &mut mpsc::Receiver<Input>,
        written: &mut mpsc::Receiver<u64>,
        outbox: &mut Outbox,
    ) -> Happened {
        let prompt = self.next().prompt;
        let Talk { login, keys, answers, presence, resizing, .. } = self;
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
            gone = resizing.gone(|columns| keys.rows(&prompt, columns)) => Happened::Resized(gone),
            Some(answer) = answers.join_next() => Happened::Answer(answer.unwrap_or_default()),
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => Happened::Presence,
        }
    }

    fn next(&self) -> Next {
        let prompt = match (&self.login, &self.recipient) {
            (Some(login), Some(recipient)) => format!("{} → {recipient}> ", login.user),
            (Some(login), None) => format!("{}> ", login.user),
            (None, _) => "> ".to_owned(),
        };
        let has_recipient = self.login.is_some() && self.recipient.is_some();
        Next { prompt, has_recipient }
    }

    fn note(&self, text: &str) {
        self.printer.print(self.paint.note(text));
    }

    fn problem(&self, text: &str) {
        self.printer.print(self.paint.problem(text));
    }

    fn lock_names(&self) -> std::sync::MutexGuard<'_, Names> {
        self.names.lock().expect("nothing panics while it is held")
    }

    /// Says once that a line which could have been a message was a command.
    fn hint(&mut self, typed: &Typed) {
        let is_surprise = match typed {
            Typed::Ask(ClientCommand::Who | ClientCommand::Rooms | ClientCommand::Sessions) => false,
            Typed::History { with, .. } => with.is_some(),
            Typed::To(Some(_)) | Typed::Send { .. } | Typed::Ping | Typed::Ask(_) => true,
            _ => false,
        };
        if is_surprise && !std::mem::replace(&mut self.is_hint_given, true) {
            self.note("taken as a command; with a space before it, such a line is a message");
        }
    }

    fn answered(&mut self, Answer { text, left }: Answer) {
        if left.is_some() && left == self.recipient {
            self.recipient = None;
        }
        self.printer.print(text);
    }

    /// Prints answers that come at once before the next prompt. Others come when they come.
    async fn wait_for_answers(&mut self, outbox: &mut Outbox) {
        let all = async {
            self.finish_sending(outbox).await;
            while let Some(answer) = self.answers.join_next().await {
                self.answered(answer.unwrap_or_default());
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
}

/// Now, as the server would say it.
fn now() -> Timestamp {
    Timestamp(jiff::Timestamp::now().as_millisecond())
}
