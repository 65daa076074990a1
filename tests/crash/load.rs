//! Clients that send and read while the server is killed, and record what they see.

use std::{
    collections::BTreeMap,
    io::{self, BufRead, BufReader, Write},
    net::{SocketAddr, TcpStream},
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

use super::history::{History, text};
use crate::support::{SENT, SOON};

const SENDERS: usize = 12;
const READERS: usize = 6;

/// Returns the users file for all clients.
pub(crate) fn users_toml() -> String {
    let names = (0..SENDERS).map(|i| format!("sender{i}")).chain((0..READERS).map(|i| format!("reader{i}")));
    let hash = crate::support::CHEAP_HASH;
    crate::support::lines(
        names.map(|name| format!("[users.{name}]\nname = \"{name}\"\npassword = \"{hash}\"\n")),
    )
}

/// State shared by all clients of a run.
pub(crate) struct Run {
    pub(crate) history: Mutex<History>,
    /// Number of replies to sends since the run began.
    pub(crate) answered: AtomicUsize,
    /// The power is cut: acknowledgements from now on do not count.
    pub(crate) cut: AtomicBool,
    /// No client sends new messages.
    pub(crate) enough: AtomicBool,
    senders: Vec<Mutex<Sender>>,
    readers: Vec<Mutex<Reader>>,
    /// Inboxes are read while the server runs, not only at the end.
    read_meanwhile: bool,
}

struct Sender {
    name: String,
    token: Option<String>,
    next: u64,
    /// Sends whose outcome is not known, oldest first.
    unknown: Vec<Send>,
}

#[derive(Clone)]
struct Send {
    to: String,
    text: String,
    key: String,
}

struct Reader {
    name: String,
    token: Option<String>,
    manner: Manner,
    /// The read marker of each conversation that a reply has confirmed.
    read: BTreeMap<String, u64>,
}

/// How an inbox is read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// `inbox`.
    Taking,
    /// `fetch`, then `ack`.
    Fetching,
    /// `watch`, then `ack` for its events.
    Watching,
}

/// A connection that uses the line protocol.
struct Line {
    stream: BufReader<TcpStream>,
    /// Messages from events that came before a reply.
    early: Vec<Shown>,
}

/// A message as dialect 2 shows it.
struct Shown {
    id: u64,
    from: String,
    text: String,
}

impl Shown {
    fn parse(message: &serde_json::Value) -> Option<Self> {
        Some(Shown {
            id: message["id"].as_u64()?,
            from: message["from"].as_str()?.to_owned(),
            text: message["msg"].as_str()?.to_owned(),
        })
    }
}

impl Line {
    fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(SOON))?;
        Ok(Line { stream: BufReader::new(stream), early: Vec::new() })
    }

    fn send(&mut self, lines: &str) -> io::Result<()> {
        self.stream.get_mut().write_all(lines.as_bytes())
    }

    fn reply(&mut self) -> io::Result<String> {
        let (mut reply, mut end) = (String::new(), String::new());
        self.stream.read_line(&mut reply)?;
        self.stream.read_line(&mut end)?;
        if end != "\r\n" {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(reply.trim_end().to_owned())
    }

    /// Returns the next reply; keeps the messages of events before it.
    fn reply_between_events(&mut self) -> io::Result<String> {
        loop {
            let reply = self.reply()?;
            let value: serde_json::Value = serde_json::from_str(&reply).expect("JSON");
            match value["event"].as_str() {
                None => return Ok(reply),
                Some("message") => self.early.extend(Shown::parse(&value)),
                Some("closing") => return Err(io::ErrorKind::UnexpectedEof.into()),
                Some(_) => {}
            }
        }
    }

    /// Returns the messages of events that have arrived; waits for at least one.
    fn events(&mut self) -> io::Result<Vec<Shown>> {
        while self.early.is_empty() || !self.stream.buffer().is_empty() {
            let value: serde_json::Value = serde_json::from_str(&self.reply()?).expect("JSON");
            match value["event"].as_str() {
                Some("message") => self.early.extend(Shown::parse(&value)),
                Some("closing") => return Err(io::ErrorKind::UnexpectedEof.into()),
                _ => {}
            }
        }
        Ok(std::mem::take(&mut self.early))
    }

    /// Returns a page of the inbox, or the reply if it cannot be read.
    fn fetch(&mut self, token: &str) -> io::Result<Result<Vec<Shown>, String>> {
        self.send(&format!("fetch {token} 70\n"))?;
        let reply = self.reply()?;
        let value: serde_json::Value = serde_json::from_str(&reply).expect("JSON");
        let messages = value["messages"].as_array();
        Ok(messages.map(|messages| messages.iter().filter_map(Shown::parse).collect()).ok_or(reply))
    }

    /// Logs in and returns the token, whose session must survive every crash; `None` if the login is refused.
    fn log_in(&mut self, name: &str) -> io::Result<Option<String>> {
        self.send(&format!("auth {name} surabaya\n"))?;
        let reply = self.reply()?;
        Ok(reply.split("\"tokenid\": \"").nth(1).map(|rest| rest[..36].to_owned()))
    }
}

impl Run {
    pub(crate) fn new() -> Self {
        let sender =
            |i| Mutex::new(Sender { name: format!("sender{i}"), token: None, next: 0, unknown: Vec::new() });
        let reader = |i: usize| {
            let manner = [Manner::Taking, Manner::Fetching, Manner::Watching][i % 3];
            Mutex::new(Reader { name: format!("reader{i}"), token: None, manner, read: BTreeMap::new() })
        };
        Run {
            history: Mutex::default(),
            answered: AtomicUsize::new(0),
            cut: AtomicBool::new(false),
            enough: AtomicBool::new(false),
            senders: (0..SENDERS).map(sender).collect(),
            readers: (0..READERS).map(reader).collect(),
            read_meanwhile: true,
        }
    }

    /// A run in which inboxes are read only in [`Run::finish`].
    pub(crate) fn read_at_the_end() -> Self {
        Run { read_meanwhile: false, ..Run::new() }
    }

    fn history(&self) -> std::sync::MutexGuard<'_, History> {
        self.history.lock().expect("no panics")
    }

    /// Returns a connection and the token of the user's only session; `None` if the login failed or the power was cut.
    fn join(
        &self,
        name: &str,
        token: &mut Option<String>,
        address: SocketAddr,
    ) -> io::Result<Option<(Line, String)>> {
        let mut line = Line::open(address)?;
        if token.is_none() {
            *token = line.log_in(name)?.filter(|_| !self.cut.load(Ordering::SeqCst));
        }
        Ok(token.clone().map(|token| (line, token)))
    }

    /// Opens the session of each client.
    pub(crate) fn log_in(&self, address: SocketAddr) {
        let join = |name: &str, token: &mut Option<String>| {
            let joined = self.join(name, token, address).expect("the server is well");
            assert!(joined.is_some(), "{name} gets a token");
        };
        for sender in &self.senders {
            let Sender { name, token, .. } = &mut *sender.lock().expect("no panics");
            join(name, token);
        }
        for reader in &self.readers {
            let Reader { name, token, .. } = &mut *reader.lock().expect("no panics");
            join(name, token);
        }
    }

    /// Runs all clients until the server is gone; `end` runs meanwhile and decides when that is.
    pub(crate) fn until_lost(&self, address: SocketAddr, end: impl FnOnce()) {
        self.cut.store(false, Ordering::SeqCst);
        self.enough.store(false, Ordering::SeqCst);
        thread::scope(|scope| {
            for sender in &self.senders {
                scope.spawn(|| sender.lock().expect("no panics").go(self, address).ok());
            }
            for reader in self.readers.iter().filter(|_| self.read_meanwhile) {
                scope.spawn(|| reader.lock().expect("no panics").go(self, address).ok());
            }
            end();
        });
    }

    /// Waits until `count` sends were answered, or the server is lost.
    pub(crate) fn await_answers(&self, count: usize, lost: impl Fn() -> bool) {
        while self.answered.load(Ordering::SeqCst) < count && !lost() {
            thread::yield_now();
        }
    }

    /// Repeats the sends whose outcome is unknown, and drains every inbox; returns all faults.
    pub(crate) fn finish(&self, address: SocketAddr) -> Vec<String> {
        self.cut.store(false, Ordering::SeqCst);
        self.enough.store(true, Ordering::SeqCst);
        for sender in &self.senders {
            sender.lock().expect("no panics").go(self, address).expect("the server is well");
        }
        for reader in &self.readers {
            reader.lock().expect("no panics").go(self, address).expect("the server is well");
        }
        self.history().verdict()
    }
}

impl Sender {
    /// Sends until the server is gone, or until enough was sent and everything is answered.
    fn go(&mut self, run: &Run, address: SocketAddr) -> io::Result<()> {
        let Some((mut line, token)) = run.join(&self.name, &mut self.token, address)? else {
            return Ok(());
        };
        loop {
            let mut batch = std::mem::take(&mut self.unknown);
            let fresh = if run.enough.load(Ordering::SeqCst) { 0 } else { 1 + self.next % 40 };
            if batch.is_empty() && fresh == 0 {
                return Ok(());
            }
            for _ in 0..fresh {
                batch.push(self.invent(run));
            }
            let request = |send: &Send| {
                let Send { to, text, key } = send;
                format!(
                    "{{\"command\": \"send\", \"token\": \"{token}\", \"to\": \"{to}\", \"message\": \"{text}\", \"key\": \"{key}\"}}\n"
                )
            };
            let lines = crate::support::lines(batch.iter().map(request));
            self.unknown.clone_from(&batch);
            line.send(&lines)?;
            for send in batch {
                let reply = line.reply()?;
                if run.cut.load(Ordering::SeqCst) {
                    return Ok(());
                }
                self.learn(run, &send, &reply);
                run.answered.fetch_add(1, Ordering::SeqCst);
            }
            // Sends whose outcome is unknown are repeated when the server is back.
            if run.enough.load(Ordering::SeqCst) && !self.unknown.is_empty() {
                return Ok(());
            }
        }
    }

    fn invent(&mut self, run: &Run) -> Send {
        let (number, to) = (self.next, format!("reader{}", self.next % READERS as u64));
        self.next += 1;
        let send = Send { text: text(&self.name, number, &to), to, key: format!("k{number}") };
        run.history().invoked(&send.text);
        send
    }

    fn learn(&mut self, run: &Run, send: &Send, reply: &str) {
        let mut history = run.history();
        if reply == SENT {
            history.acknowledged(&send.text);
        } else if reply.contains("may or may not be stored") {
            return;
        } else if reply.contains("storage is full") || reply.contains("nothing can be stored") {
            history.refused(&send.text);
        } else {
            history.convict(format!("{} was told {reply}", self.name));
        }
        drop(history);
        self.unknown.retain(|unknown| unknown.key != send.key);
    }
}

/// Whether the disk is the reason of a refusal.
fn is_of_disk(refusal: &serde_json::Value) -> bool {
    ["storage", "uncertain", "read_only"].iter().any(|code| refusal["code"] == *code)
}

impl Reader {
    /// Reads until the server is gone, or until enough was sent and the inbox is empty.
    fn go(&mut self, run: &Run, address: SocketAddr) -> io::Result<()> {
        let Some((line, token)) = run.join(&self.name, &mut self.token, address)? else {
            return Ok(());
        };
        if self.manner == Manner::Taking {
            self.take(run, line, &token)
        } else {
            self.acknowledge(run, line, &token)
        }
    }

    /// Reads in dialect 2, where messages leave the inbox by `ack`.
    fn acknowledge(&mut self, run: &Run, mut line: Line, token: &str) -> io::Result<()> {
        let mut shown: Vec<String> = Vec::new();
        let ended = self.show_and_acknowledge(run, &mut line, token, &mut shown);
        // No reply has confirmed that the cursor has moved past these.
        run.history().may_repeat(shown);
        ended
    }

    fn show_and_acknowledge(
        &mut self,
        run: &Run,
        line: &mut Line,
        token: &str,
        shown: &mut Vec<String>,
    ) -> io::Result<()> {
        let watches = self.manner == Manner::Watching && !run.enough.load(Ordering::SeqCst);
        line.send(&format!("hello 2\nwhoami {token}\n"))?;
        line.reply()?;
        // A token that has ended, or is somebody else's, would hide everything.
        let reply = line.reply()?;
        if !reply.contains(&format!("\"username\": \"{}\"", self.name)) && !run.cut.load(Ordering::SeqCst) {
            run.history().convict(format!("{} was told {reply}", self.name));
        }
        self.verify_markers(run, line, token)?;
        if watches {
            line.send(&format!("watch {token}\n"))?;
            line.reply()?;
        }
        loop {
            let messages = if watches { Ok(line.events()?) } else { line.fetch(token)? };
            let messages = match messages {
                Ok(messages) => messages,
                Err(reply) => {
                    // After a power cut, the disk cannot be read.
                    if !run.cut.load(Ordering::SeqCst) && run.enough.load(Ordering::SeqCst) {
                        run.history().convict(format!("{} was told {reply}", self.name));
                    }
                    return Ok(());
                }
            };
            let Some(last) = messages.last() else {
                if run.enough.load(Ordering::SeqCst) {
                    return Ok(());
                }
                thread::yield_now();
                continue;
            };
            for message in &messages {
                run.history().delivered(&self.name, &message.from, std::slice::from_ref(&message.text));
                shown.push(message.text.clone());
            }
            line.send(&format!("ack {token} {}\n", last.id))?;
            let reply = line.reply_between_events()?;
            if run.cut.load(Ordering::SeqCst) {
                return Ok(());
            }
            let reply: serde_json::Value = serde_json::from_str(&reply).expect("JSON");
            if reply["acked"] == messages.len() {
                shown.clear();
                self.mark_read(run, line, token, last)?;
                continue;
            }
            if !is_of_disk(&reply) {
                run.history().convict(format!("{}: ack of {} messages: {reply}", self.name, messages.len()));
            }
            // Messages that cannot be acknowledged would come again, perhaps for ever.
            return Ok(());
        }
    }

    /// Moves the read marker of a message's conversation there.
    fn mark_read(&mut self, run: &Run, line: &mut Line, token: &str, last: &Shown) -> io::Result<()> {
        line.send(&format!("read {token} {} {}\n", last.from, last.id))?;
        let reply: serde_json::Value = serde_json::from_str(&line.reply_between_events()?).expect("JSON");
        if run.cut.load(Ordering::SeqCst) {
            return Ok(());
        }
        if reply["upto"] == last.id {
            self.read.insert(last.from.clone(), last.id);
        } else if !is_of_disk(&reply) {
            run.history().convict(format!("{}: read up to {}: {reply}", self.name, last.id));
        }
        Ok(())
    }

    /// Convicts the server if a marker is not where a reply has said.
    fn verify_markers(&self, run: &Run, line: &mut Line, token: &str) -> io::Result<()> {
        line.send(&format!("conversations {token} 1000\n"))?;
        let reply: serde_json::Value = serde_json::from_str(&line.reply()?).expect("JSON");
        let Some(all) = reply["conversations"].as_array() else {
            if run.enough.load(Ordering::SeqCst) {
                run.history().convict(format!("{} was told {reply}", self.name));
            }
            return Ok(());
        };
        for (with, upto) in &self.read {
            let shown = all.iter().find(|shown| shown["with"] == **with);
            // A move that was not confirmed may have been stored.
            if shown.and_then(|shown| shown["read_upto"].as_u64()).is_none_or(|shown| shown < *upto) {
                run.history().convict(format!("{} has read {upto} of {with}: {shown:?}", self.name));
            }
        }
        Ok(())
    }

    fn take(&self, run: &Run, mut line: Line, token: &str) -> io::Result<()> {
        let mut latest: Vec<String> = Vec::new();
        let lost = loop {
            let reply = line.send(&format!("inbox {token}\n")).and_then(|()| line.reply());
            let reply = match reply {
                Ok(reply) => reply,
                Err(error) => break Err(error),
            };
            let value: serde_json::Value = serde_json::from_str(&reply).expect("JSON");
            let mut history = run.history();
            let Some(senders) = value["messages"].as_object() else {
                // After a power cut, the disk cannot be read either.
                if !reply.contains("storage") && !run.cut.load(Ordering::SeqCst) {
                    history.convict(format!("{} was told {reply}", self.name));
                }
                break Ok(());
            };
            // This reply shows that the one before it has moved the cursor durably, unless the power was cut.
            let confirmed = !run.cut.load(Ordering::SeqCst);
            if !confirmed {
                history.may_repeat(latest.drain(..));
            }
            latest.clear();
            for (sender, messages) in senders {
                let messages = messages.as_array().expect("an array");
                let texts: Vec<_> = messages
                    .iter()
                    .map(|message| message["msg"].as_str().expect("a text").to_owned())
                    .collect();
                history.delivered(&self.name, sender, &texts);
                latest.extend(texts);
            }
            drop(history);
            if latest.is_empty() {
                if run.enough.load(Ordering::SeqCst) {
                    return Ok(());
                }
                thread::yield_now();
            }
        };
        run.history().may_repeat(latest);
        lost
    }
}
