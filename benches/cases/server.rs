//! A service over the store in memory, and a connection to it without a socket.

use std::{
    net::{IpAddr, Ipv4Addr},
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use chat_service::{
    commands::{Answer, Speaker},
    protocol::UserName,
    service::{Clock, Limits, Rate, Service},
    store::Memory,
    users::{Password, PasswordHash, User, Users},
};
use tokio::runtime::Builder;

/// argon2id of "surabaya" at the lowest cost that there is.
const CHEAP_HASH: &str =
    "$argon2id$v=19$m=8,t=1,p=1$Y29tcGFyZXNhbHQxMjM0NQ$eF2jJ9O9Osv2IfM6OWa8sOOUC76oTlDW/VstedTxG4g";

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Somebody's lines and the replies to them.
pub(super) struct Connection {
    service: Arc<Service>,
    speaker: Speaker,
    token: String,
    reply: Vec<u8>,
}

impl Connection {
    /// The first to a service of its own.
    pub(super) fn of(user: &str) -> Self {
        Self::to(service(), user)
    }

    /// Somebody else's to the same service.
    pub(super) fn another(&self, user: &str) -> Self {
        Self::to(self.service.clone(), user)
    }

    fn to(service: Arc<Service>, user: &str) -> Self {
        let token = log_in(&service, user);
        let speaker = Speaker::new(service.clone(), HERE);
        Connection { service, speaker, token, reply: Vec::new() }
    }

    /// What proves the session.
    pub(super) fn token(&self) -> &str {
        &self.token
    }

    /// The reply to a line, which must not wait for anything.
    pub(super) fn ask(&mut self, line: &str) -> &[u8] {
        let body = match self.speaker.dispatch(line.as_bytes(), self.service.now()).expect("not blank") {
            Answer::Now(reply) => reply.body,
            Answer::Later(reply) => now(reply).0,
            Answer::Barrier(reply) => now(reply).body,
        };
        self.reply.clear();
        body.write(self.speaker.dialect(), &mut self.reply);
        &self.reply
    }
}

/// What a future of the store in memory resolves to.
fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("nothing in memory waits"),
    }
}

/// A service with limits that are counted but never reached.
fn service() -> Arc<Service> {
    let user = |name: &str| User {
        username: UserName::parse(name).expect("a name"),
        name: name.to_uppercase(),
        country: String::new(),
        password: Password::Hashed(PasswordHash::parse(CHEAP_HASH).expect("a hash")),
        messages_after: 0,
    };
    let users: Users = ["messi", "henderson", "lineker"].into_iter().map(user).collect();
    let requests = Some(Rate { per_second: 1_000_000_000, burst: 1_000_000_000 });
    let limits = Limits { requests, renews_hashes: false, ..Limits::default() };
    let store = Arc::new(Memory::new(usize::MAX));
    Arc::new(Service::new(users, store, Clock::default(), limits))
}

/// The token of a new session.
fn log_in(service: &Arc<Service>, user: &str) -> String {
    let mut speaker = Speaker::new(service.clone(), HERE);
    let Some(Answer::Barrier(reply)) =
        speaker.dispatch(format!("auth {user} surabaya").as_bytes(), service.now())
    else {
        panic!("a login waits for its hash");
    };
    let runtime = Builder::new_current_thread().build().expect("a runtime");
    let mut out = Vec::new();
    runtime.block_on(reply).body.write(speaker.dialect(), &mut out);
    let reply: serde_json::Value = serde_json::from_slice(&out).expect("JSON");
    reply["tokenid"].as_str().expect("a token").to_owned()
}
