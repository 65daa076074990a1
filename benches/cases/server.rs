//! A chat over the store in memory, and a connection to it without a socket.

use std::{
    net::{IpAddr, Ipv4Addr},
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use chat_service::{
    chat::{Chat, Clock, Limits, Rate, Source},
    model::{MaybeReady, UserName},
    store::Memory,
    users::{Password, PasswordHash, User, Users},
    wire::{Answer, Dispatcher, Language, text::Peer},
};
use tokio::runtime::Builder;

/// argon2id of "surabaya" at the lowest cost that there is.
const CHEAP_HASH: &str =
    "$argon2id$v=19$m=8,t=1,p=1$Y29tcGFyZXNhbHQxMjM0NQ$eF2jJ9O9Osv2IfM6OWa8sOOUC76oTlDW/VstedTxG4g";

const HERE: Source = Source { address: IpAddr::V4(Ipv4Addr::LOCALHOST), connection: 1 };

/// Somebody's lines and the replies to them.
pub(super) struct Connection {
    chat: Arc<Chat>,
    peer: Peer,
    token: String,
    reply: Vec<u8>,
}

impl Connection {
    /// The first connection to a server of its own.
    pub(super) fn of(user: &str) -> Self {
        Self::to(chat(), user)
    }

    /// Another connection to the same server.
    pub(super) fn another(&self, user: &str) -> Self {
        Self::to(self.chat.clone(), user)
    }

    fn to(chat: Arc<Chat>, user: &str) -> Self {
        let token = log_in(&chat, user);
        let peer = Peer::new(chat.clone(), HERE);
        Connection { chat, peer, token, reply: Vec::new() }
    }

    /// What proves the session.
    pub(super) fn token(&self) -> &str {
        &self.token
    }

    /// The reply to a line, which must not wait for anything.
    pub(super) fn ask(&mut self, line: &str) -> &[u8] {
        let reply = match self.peer.dispatch(line.as_bytes(), self.chat.moment()).expect("not blank") {
            Answer::Reply(MaybeReady::Ready(reply)) => reply,
            Answer::Reply(MaybeReady::Late(reply)) => now(reply),
            Answer::Wait(completed) => self.peer.complete(now(completed)),
            Answer::Close(_) => panic!("no case speaks HTTP"),
        };
        self.reply.clear();
        self.peer.language().write(reply.open_at_gate().0.body, &mut self.reply);
        &self.reply
    }
}

/// What a future of the store in memory resolves to.
fn now<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let mut poll = || future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    // A large reply lets others who are ready go first, once.
    match poll() {
        Poll::Ready(value) => value,
        Poll::Pending => match poll() {
            Poll::Ready(value) => value,
            Poll::Pending => panic!("nothing in memory waits"),
        },
    }
}

/// A chat with limits that are counted but never reached.
fn chat() -> Arc<Chat> {
    let user = |name: &str| User {
        username: UserName::parse(name).expect("a name"),
        name: name.to_uppercase(),
        country: String::new(),
        password: Password::Hashed(PasswordHash::parse(CHEAP_HASH).expect("a hash")),
        messages_after: 0,
        decision: None,
    };
    let users: Users = ["messi", "henderson", "lineker"].into_iter().map(user).collect();
    let requests = Some(Rate { per_second: 1_000_000_000, burst: 1_000_000_000 });
    let inbox_share = Some(1_000_000);
    let limits = Limits { requests, inbox_share, renews_hashes: false, ..Limits::default() };
    let store = Arc::new(Memory::new(usize::MAX));
    Arc::new(Chat::new(users, store, Clock::default(), limits))
}

/// The token of a new session.
fn log_in(chat: &Arc<Chat>, user: &str) -> String {
    let mut peer = Peer::new(chat.clone(), HERE);
    let login = format!("auth {user} surabaya");
    let Some(Answer::Wait(completed)) = peer.dispatch(login.as_bytes(), chat.moment()) else {
        panic!("a login waits for its hash");
    };
    let runtime = Builder::new_current_thread().build().expect("a runtime");
    let completed = runtime.block_on(completed);
    let mut out = Vec::new();
    let reply = peer.complete(completed).open_at_gate().0;
    peer.language().write(reply.body, &mut out);
    let reply: serde_json::Value = serde_json::from_slice(&out).expect("JSON");
    reply["tokenid"].as_str().expect("a token").to_owned()
}
