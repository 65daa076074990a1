//! Servers with a fault planted in them: a checker that does not convict these proves nothing.

use std::{
    io::{BufRead, BufReader, Write},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use chat_service::{
    protocol::{Recipient, Refusal, RoomName, Timestamp, TokenDigest, UserName},
    server::{self, Server},
    service::{Clock, Limits, Service},
    store::{
        BoxFuture, Cursor, Durability, Listener, Look, Membership, Message, MessageId, NewMessage, Options,
        Outcome, Page, Position, Receipt, RoomEntry, SessionRecord, Sqlite, Store, Stored,
    },
    users,
};

use super::load::{self, Run};
use crate::support::forward::forward;

/// What is wrong with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// Replies leave before their commit.
    Early,
    /// Two messages of an inbox change places.
    Swapped,
    /// A message in fifty is acknowledged and not stored.
    Dropped,
}

/// The store on disk, and what is wrong with it.
struct Planted {
    store: Sqlite,
    fault: Fault,
    /// Nothing is ever waited for here.
    durability: Arc<Durability>,
    appended: AtomicU64,
}

impl Planted {
    fn position(&self, position: Position) -> Position {
        if self.fault == Fault::Early { Position::START } else { position }
    }
}

impl Store for Planted {
    fn append(&self, message: NewMessage<'_>) -> Receipt<Stored> {
        let number = self.appended.fetch_add(1, Ordering::Relaxed);
        if self.fault == Fault::Dropped && number % 50 == 7 {
            let stored = Stored { id: MessageId(number), at: message.at, duplicate: false };
            return Receipt::Known(Outcome { result: Ok(stored), position: Position::START });
        }
        let early = self.fault == Fault::Early;
        match self.store.append(message) {
            Receipt::Late(outcome) if early => {
                Receipt::Late(Box::pin(async move { Outcome { position: Position::START, ..outcome.await } }))
            }
            receipt => receipt,
        }
    }

    fn inbox<'a>(&'a self, user: &'a UserName, after: MessageId, limit: usize) -> Look<'a, Page> {
        Look::Reading(Box::pin(async move {
            let mut page = self.store.inbox(user, after, limit).await?;
            page.position = self.position(page.position);
            if self.fault == Fault::Swapped
                && let Some(at) = page.messages.windows(2).position(|pair| pair[0].from == pair[1].from)
            {
                page.messages.swap(at, at + 1);
            }
            Ok(page)
        }))
    }

    fn acknowledge(&self, user: &UserName, upto: MessageId, taken: usize, at: Timestamp) -> Position {
        self.position(self.store.acknowledge(user, upto, taken, at))
    }

    fn open_session(&self, session: SessionRecord) -> Position {
        self.position(self.store.open_session(session))
    }

    fn touch_session(&self, digest: &TokenDigest, used: Timestamp) {
        self.store.touch_session(digest, used);
    }

    fn end_session(&self, digest: &TokenDigest) -> Position {
        self.position(self.store.end_session(digest))
    }

    fn sessions(&self) -> Vec<SessionRecord> {
        self.store.sessions()
    }

    fn durability(&self) -> &Arc<Durability> {
        if self.fault == Fault::Early { &self.durability } else { self.store.durability() }
    }

    forward!(store: find_repeated, reads, rooms, subscribe, congestion, facts);
}

const FAULT: &str = "CHAT_TEST_PLANTED_FAULT";
const DATA: &str = "CHAT_TEST_PLANTED_DATA";

/// What [`Faulty`] runs in a process of its own.
#[test]
#[ignore = "serves until it is killed, when the tests below run it"]
fn serve_with_a_planted_fault() {
    let (Ok(fault), Some(data)) = (std::env::var(FAULT), std::env::var_os(DATA)) else {
        return;
    };
    let fault = [Fault::Early, Fault::Swapped, Fault::Dropped]
        .into_iter()
        .find(|known| format!("{known:?}") == fault)
        .expect("a fault");
    let options = Options { inbox_limit: usize::MAX, ..Options::default() };
    let store = Sqlite::open(Path::new(&data), &options).expect("a store");
    let planted = Planted { store, fault, durability: Arc::default(), appended: AtomicU64::new(0) };
    let users = users::parse(&load::users_toml(), "users.toml").expect("users").users;
    let service = Service::new(users, Arc::new(planted), Clock::default(), Limits::NONE);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        writeln!(std::io::stdout(), "\nserves on {address}").expect("told");
        server::run(listener, Server::new(Arc::new(service), server::Limits::NONE), std::future::pending())
            .await;
    });
}

/// A server with a fault, killed when dropped.
struct Faulty {
    child: Child,
    address: SocketAddr,
}

impl Faulty {
    fn start(fault: Fault, data: &Path) -> Self {
        let mut child = Command::new(std::env::current_exe().expect("this program"))
            .args(["--ignored", "--exact", "--nocapture", "crash::planted::serve_with_a_planted_fault"])
            .env(FAULT, format!("{fault:?}"))
            .env(DATA, data)
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let mut addresses =
            lines.map_while(Result::ok).filter_map(|line| line.strip_prefix("serves on ")?.parse().ok());
        let address = addresses.next().expect("it serves");
        Faulty { child, address }
    }
}

impl Drop for Faulty {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

#[test]
fn planted_faults_are_convicted() {
    for (fault, expected) in [
        // Of an acknowledgement that is lost, the messages come again.
        (Fault::Early, &["lost", "duplicated"][..]),
        (Fault::Swapped, &["reordered"]),
        (Fault::Dropped, &["lost"]),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let run = Run::new();
        for _ in 0..6 {
            let mut server = Faulty::start(fault, folder.path());
            let target = run.answered.load(Ordering::SeqCst) + 400;
            run.until_lost(server.address, || {
                run.await_answers(target, || false);
                server.child.kill().expect("killed");
            });
        }
        let server = Faulty::start(fault, folder.path());
        let verdict = run.finish(server.address);
        let convicts = |word: &String| expected.iter().any(|expected| word.starts_with(expected));
        let first = &verdict[..verdict.len().min(3)];
        assert!(verdict.iter().any(convicts), "{fault:?}: {first:?}");
    }
}
