//! Some connections to one server, in memory: whatever they say, each line has one reply, nobody is shown what is not
//! theirs, and nothing reaches anybody's terminal but text.

use std::{cell::RefCell, sync::Arc, time::Duration};

use chat_service::{
    chat::{self, Chat, Clock, ReplyMemory},
    model::{MAX_LINE, Secret, UserName},
    server::{Limits, Server, serve},
    store::Memory,
    users::{Password, User, Users},
};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
    runtime::{Builder, Runtime},
    task::JoinHandle,
    time::{advance, timeout},
};

use crate::model::{Asked, Model, USERS};

/// More than all replies of a session together: no connection waits for its peer to read.
const BUFFER: usize = 16 << 20;

/// What has not come by then is not coming; time is simulated.
const SOON: Duration = Duration::from_secs(5);

/// After this, who has left is seen to have left.
const LATER: Duration = Duration::from_secs(6);

/// The most requests of a session.
const MOST: usize = 200;

thread_local! {
    static RUNTIME: RefCell<Runtime> = RefCell::new(
        Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime")
    );
}

/// Each line of the input is what somebody does: bits 0 and 1 of its first byte say on which connection, which is that of
/// one user at first; with bits 2 to 4 all set, time passes before. The rest is sent, with bytes 1 to 4 replaced by the
/// tokens of the four users.
///
/// # Panics
/// If anything does not hold.
pub fn check(input: &[u8]) {
    RUNTIME.with_borrow(|runtime| runtime.block_on(run(input)));
}

async fn run(input: &[u8]) {
    let server = server();
    let mut model = Model::default();
    let mut peers: Vec<_> = (0..USERS.len()).map(|number| Peer::connect(&server, number)).collect();
    let mut tokens = Vec::new();
    for (user, peer) in USERS.iter().zip(&mut peers) {
        let reply = peer.ask(format!("auth {user} {user}").as_bytes(), &mut model).await.expect("a reply");
        tokens.push(reply["tokenid"].as_str().expect("a token").to_owned());
    }
    for action in input.split(|byte| *byte == b'\n').take(MOST) {
        let Some((first, template)) = action.split_first() else {
            continue;
        };
        if first & 0b1_1100 == 0b1_1100 {
            advance(LATER).await;
        }
        let mut line = Vec::new();
        for byte in template {
            match tokens.get(usize::from(*byte).wrapping_sub(1)) {
                Some(token) => line.extend_from_slice(token.as_bytes()),
                None => line.push(*byte),
            }
        }
        let is_guess = Asked::parse(without_cr(&line)).is_some_and(|asked| asked.is_guess());
        if line.len() <= MAX_LINE && !is_guess {
            peers[usize::from(first & 0b11)].ask(&line, &mut model).await;
        }
    }
    for peer in peers {
        peer.end(&mut model).await;
    }
    assert_eq!(server.connections(), 0);
    drop(server);
    // What the server does later ends, too, before the next session.
    advance(LATER).await;
    tokio::task::yield_now().await;
}

fn server() -> Arc<Server> {
    let user = |name: &&str| User {
        username: UserName::parse(name).expect("a name"),
        name: name.to_uppercase(),
        country: String::new(),
        password: Password::Plain(Secret::new((*name).to_owned())),
        messages_after: 0,
        decision: None,
    };
    let users: Users = USERS.iter().map(user).collect();
    let store = Arc::new(Memory::new(10_000));
    // So little that replies wait for each other: nobody may wait for ever.
    let reply_memory = Some(ReplyMemory { all: 4, per_user: 4 });
    let limits = chat::Limits { reply_memory, ..chat::Limits::NONE };
    let chat = Chat::new(users, store, Clock::default().beside_simulated(), limits);
    // Time passes by leaps here: no deadline is meant.
    Server::new(Arc::new(chat), Limits::NONE)
}

/// The other end of a connection.
struct Peer {
    number: usize,
    stream: DuplexStream,
    input: Vec<u8>,
    serving: JoinHandle<()>,
    /// It has said that it goes.
    has_quit: bool,
}

impl Peer {
    fn connect(server: &Arc<Server>, number: usize) -> Self {
        let (stream, theirs) = tokio::io::duplex(BUFFER);
        let serving = tokio::spawn(serve(theirs, [127, 0, 0, 1].into(), server.clone()));
        Peer { number, stream, input: Vec::new(), serving, has_quit: false }
    }

    /// Sends a line; its reply, unless the line is blank.
    async fn ask(&mut self, line: &[u8], model: &mut Model) -> Option<Value> {
        if self.has_quit {
            return None;
        }
        self.stream.write_all(&[line, b"\n"].concat()).await.expect("there is room");
        let line = without_cr(line);
        if line.iter().all(|byte| matches!(byte, b' ' | b'\t')) {
            return None;
        }
        let asked = Asked::parse(line);
        let reply = loop {
            let value = self.next().await.expect("a reply, not the end");
            if value["status"].is_string() {
                break value;
            }
            model.told(self.number, &value);
        };
        model.replied(self.number, asked.as_ref(), &reply);
        self.has_quit = asked.is_some_and(|asked| asked.command == "quit");
        Some(reply)
    }

    /// The next reply or event; `None` at the end.
    async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.input.windows(4).position(|four| four == b"\r\n\r\n") {
                let object: Vec<u8> = self.input.drain(..end + 4).take(end).collect();
                return Some(readable(object));
            }
            let read = timeout(SOON, self.stream.read_buf(&mut self.input)).await.expect("a reply soon");
            if read.expect("memory does not fail") == 0 {
                assert!(self.input.is_empty(), "a reply was cut");
                return None;
            }
        }
    }

    /// Says no more; nothing but events may still come.
    async fn end(mut self, model: &mut Model) {
        self.stream.shutdown().await.expect("memory does not fail");
        while let Some(value) = self.next().await {
            assert!(value["status"].is_null(), "one reply too many: {value}");
            model.told(self.number, &value);
        }
        self.serving.await.expect("no panic");
    }
}

/// A reply or event, in which nothing is hidden from who reads it on a terminal.
fn readable(object: Vec<u8>) -> Value {
    let text = String::from_utf8(object).expect("UTF-8");
    let directs = |c: char| matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    assert!(!text.chars().any(|c| c.is_control() || directs(c)), "{text:?}");
    let value: Value = serde_json::from_str(&text).expect("JSON");
    assert!(value["status"].is_string() != value["event"].is_string(), "{value}");
    value
}

fn without_cr(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}
