//! A server to test, and a client for it.
#![allow(dead_code, reason = "each of the two binaries of tests takes a part of it")]

pub(crate) mod device;
pub(crate) mod forward;
pub(crate) mod held;
pub(crate) mod program;
pub(crate) mod random;
pub(crate) mod reordering;
pub(crate) mod restarted;
pub(crate) mod shared;
pub(crate) mod subject;
pub(crate) mod terminal;
pub(crate) mod users_file;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use chat_service::{
    chat::{self, Chat, Clock},
    model::Timestamp,
    server::{self, Limits, Server, Summary},
    store::{Memory, Store},
    users::{self, Directory, Users},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream},
    net::TcpStream,
    sync::oneshot,
    task::JoinHandle,
    time::{sleep, timeout},
};

/// The argon2id hash of "surabaya" at the lowest possible cost, so that logins take little time.
pub(crate) const CHEAP_HASH: &str =
    "$argon2id$v=19$m=8,t=1,p=1$Y29tcGFyZXNhbHQxMjM0NQ$eF2jJ9O9Osv2IfM6OWa8sOOUC76oTlDW/VstedTxG4g";

/// Longest wait for a reply or another expected result; a test that waits longer fails.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// A client that reads nothing for this long is disconnected.
pub(crate) const CUT_OFF: Duration = Duration::from_secs(10);

/// Returns the users file of most tests, in which every password is surabaya.
pub(crate) fn users_toml() -> String {
    let user = |(name, shown, country): (&str, &str, &str)| {
        format!("[users.{name}]\nname = \"{shown}\"\ncountry = \"{country}\"\npassword = \"{CHEAP_HASH}\"\n")
    };
    let people = [
        ("messi", "Lionel Messi", "Argentina"),
        ("henderson", "Jordan Henderson", "Inggris"),
        ("lineker", "Gary Lineker", "Inggris"),
    ];
    people.map(user).concat()
}

pub(crate) fn sample_users() -> Users {
    users::parse(&users_toml(), "users.toml").expect("a users file").users
}

/// The parts of a test server, to be changed before it starts.
pub(crate) struct Setup {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) limits: Limits,
    pub(crate) clock: Clock,
    pub(crate) chat_limits: chat::Limits,
    pub(crate) users: Directory,
}

impl Default for Setup {
    fn default() -> Self {
        Setup {
            store: Arc::new(Memory::new(10_000)),
            limits: Limits::default(),
            clock: Clock::default(),
            // The tests use weak hashes on purpose, and all come from one address.
            chat_limits: chat::Limits {
                renews_hashes: false,
                anonymous: None,
                logins: None,
                new_rooms: None,
                inbox_share: None,
                ..chat::Limits::default()
            },
            users: sample_users().into(),
        }
    }
}

impl Setup {
    /// Returns a server without a listener, for connections in memory.
    pub(crate) fn server(self) -> Arc<Server> {
        let clock = self.clock.beside_simulated();
        Server::new(Arc::new(Chat::new(self.users, self.store, clock, self.chat_limits)), self.limits)
    }

    /// Starts a server on a free port.
    #[expect(clippy::unused_async, reason = "it must be called in a runtime, as its callers are")]
    pub(crate) async fn start(self) -> TestServer {
        let server = self.server();
        let listener = server::bind(([127, 0, 0, 1], 0).into()).expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (stop, stopped) = oneshot::channel::<()>();
        let shutdown = async {
            stopped.await.ok();
        };
        let running = tokio::spawn(server::run(vec![listener.into()], server.clone(), shutdown));
        TestServer { address, server, stop, running }
    }
}

/// A server in this process. Every test ends with [`stop`](TestServer::stop).
pub(crate) struct TestServer {
    pub(crate) address: SocketAddr,
    pub(crate) server: Arc<Server>,
    stop: oneshot::Sender<()>,
    running: JoinHandle<Summary>,
}

impl TestServer {
    pub(crate) async fn start() -> Self {
        Setup::default().start().await
    }

    pub(crate) async fn connect(&self) -> Peer<TcpStream> {
        Peer::new(TcpStream::connect(self.address).await.expect("a connection"))
    }

    /// Returns a connection that is logged in.
    pub(crate) async fn log_in(&self, user: &str) -> Peer<TcpStream> {
        let mut peer = self.connect().await;
        peer.log_in(user).await;
        peer
    }

    /// Stops the server, and fails if a connection has panicked or did not end.
    pub(crate) async fn stop(self) {
        self.stop.send(()).expect("the server runs");
        let summary = timeout(SOON, self.running).await.expect("it stops").expect("it does not panic");
        assert_eq!(summary, Summary { dropped: 0, panicked: 0 });
        assert_eq!(self.server.connections(), 0);
    }
}

/// Connects to `server` in memory; returns the client's end, and the task that serves the connection.
pub(crate) fn duplex(server: &Arc<Server>, buffer: usize) -> (Peer<DuplexStream>, JoinHandle<()>) {
    let (ours, theirs) = tokio::io::duplex(buffer);
    let from = std::net::IpAddr::from([127, 0, 0, 1]);
    (Peer::new(ours), tokio::spawn(server::serve(theirs, from, server.clone())))
}

/// The client's end of a connection.
pub(crate) struct Peer<S> {
    pub(crate) stream: S,
    input: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Peer<S> {
    pub(crate) fn new(stream: S) -> Self {
        Peer { stream, input: Vec::new() }
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        timeout(SOON, self.stream.write_all(bytes.as_ref())).await.expect("taken soon").expect("taken");
    }

    /// Returns the next reply, without its end.
    pub(crate) async fn reply(&mut self) -> String {
        self.try_reply().await.expect("a reply, not the end of the connection")
    }

    /// Returns the next reply; `None` at the end of the connection.
    pub(crate) async fn try_reply(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.input.windows(4).position(|four| four == b"\r\n\r\n") {
                let reply = self.input.drain(..end + 4).take(end).collect();
                return Some(String::from_utf8(reply).expect("UTF-8"));
            }
            let read = timeout(SOON, self.stream.read_buf(&mut self.input)).await.expect("a reply soon");
            if !matches!(read, Ok(1..)) {
                assert_eq!(String::from_utf8_lossy(&self.input), "", "a reply that was cut");
                return None;
            }
        }
    }

    /// Whether the server sends nothing for a second.
    pub(crate) async fn stalled(&mut self) -> bool {
        let read = timeout(Duration::from_secs(1), self.stream.read_buf(&mut self.input)).await;
        read.is_err()
    }

    /// Sends a line and returns its reply.
    pub(crate) async fn ask(&mut self, line: impl AsRef<str>) -> String {
        self.send(format!("{}\n", line.as_ref())).await;
        self.reply().await
    }

    /// Logs in and returns the token.
    pub(crate) async fn log_in(&mut self, user: &str) -> String {
        let reply = self.ask(format!("auth {user} surabaya")).await;
        let token = reply
            .strip_prefix("{\"status\": \"OK\", \"tokenid\": \"")
            .and_then(|rest| rest.strip_suffix("\"}"));
        token.unwrap_or_else(|| panic!("{user} is not logged in: {reply}")).to_owned()
    }

    /// Returns all texts that `inbox` gives, in one reply after the other.
    pub(crate) async fn drain_inbox(&mut self) -> Vec<String> {
        let mut all = Vec::new();
        loop {
            let texts = texts(&self.ask("inbox").await);
            if texts.is_empty() {
                return all;
            }
            all.extend(texts);
        }
    }
}

/// Waits until the server has nothing left to do. The clock must be paused: it advances only then.
pub(crate) async fn settle() {
    sleep(Duration::from_millis(1)).await;
}

/// Asserts that nothing comes until the server has nothing left to do.
pub(crate) async fn quiet<S: AsyncRead + AsyncWrite + Unpin>(peer: &mut Peer<S>) {
    tokio::select! {
        biased;
        reply = peer.reply() => panic!("too early: {reply}"),
        () = settle() => {}
    }
}

/// Returns a clock that shows 2026-05-28T20:26:40.000Z until a test advances it.
pub(crate) fn fixed_clock() -> Clock {
    Clock::fixed(Timestamp(1_780_000_000_000))
}

/// Joins lines into one text.
pub(crate) fn lines(lines: impl Iterator<Item = String>) -> String {
    lines.collect()
}

pub(crate) const SENT: &str = r#"{"status": "OK", "message": "Message Sent"}"#;

/// Returns the texts in an `inbox` reply, sender by sender.
pub(crate) fn texts(reply: &str) -> Vec<String> {
    let reply: serde_json::Value = serde_json::from_str(reply).expect("JSON");
    assert_eq!(reply["status"], "OK", "{reply}");
    let senders = reply["messages"].as_object().expect("an object").values();
    let messages = senders.flat_map(|messages| messages.as_array().expect("an array"));
    messages.map(|message| message["msg"].as_str().expect("a string").to_owned()).collect()
}
