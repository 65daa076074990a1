//! Servers with a planted fault: a checker that does not convict these proves nothing.

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
    chat::{Chat, Clock, Limits},
    model::{
        At, BoxFuture, MaybeReady, Message, MessageId, NewMessage, Outcome, Page, Position, ReadMarker,
        Recipient, RoomName, Stored, Timestamp, TokenDigest, UserName,
    },
    server::{self, Server},
    store::{
        Acknowledged, CommitLog, ConversationEntry, Conversations, Cursors, Marked, Membership, Messages,
        Observer, Options, People, PersonRecord, Reading, Receipt, RoomEntry, Scope, SessionRecord, Sessions,
        Sqlite, Store, TrustRecord,
    },
    users,
};

use super::load::{self, Run};
use crate::support::forward::forward;

/// The planted fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// Replies leave before their commit.
    Early,
    /// Two messages of a sender change places in each page of an inbox.
    Swapped,
    /// One message in fifty is acknowledged and not stored.
    Dropped,
}

/// The store on disk with a planted fault.
struct Planted {
    store: Sqlite,
    fault: Fault,
    /// The log for [`Fault::Early`], in which nothing is ever waited for.
    log: Arc<CommitLog>,
    appended: AtomicU64,
}

impl Planted {
    /// Returns the outcome of the store, which depends on nothing if replies leave early.
    fn outcome<T>(fault: Fault, outcome: Outcome<T>) -> Outcome<T> {
        if fault == Fault::Early { At::start(outcome.open_at_gate().0) } else { outcome }
    }

    fn receipt<T: Send + 'static>(&self, receipt: Receipt<T>) -> Receipt<T> {
        let fault = self.fault;
        receipt.map(move |outcome| Self::outcome(fault, outcome))
    }
}

impl Messages for Planted {
    fn append(&self, message: NewMessage<'_>) -> Receipt<Stored> {
        let number = self.appended.fetch_add(1, Ordering::Relaxed);
        if self.fault == Fault::Dropped && number % 50 == 7 {
            let stored = Stored { id: MessageId(number), at: message.at, duplicate: false };
            return MaybeReady::Ready(At::start(Ok(stored)));
        }
        self.receipt(self.store.append(message))
    }

    fn inbox<'a>(&'a self, user: &'a UserName, after: MessageId, limit: usize) -> Reading<'a, Page> {
        self.store.inbox(user, after, limit).map(|page| {
            Self::outcome(self.fault, page).map_ok(|mut page| {
                if self.fault == Fault::Swapped
                    && let Some(at) = page.messages.windows(2).position(|pair| pair[0].from == pair[1].from)
                {
                    page.messages.swap(at, at + 1);
                }
                page
            })
        })
    }

    fn feed<'a>(
        &'a self,
        user: &'a UserName,
        after: MessageId,
        limit: usize,
        scope: Scope,
    ) -> Reading<'a, Page> {
        self.store.feed(user, after, limit, scope)
    }

    fn message(&self, id: MessageId) -> Reading<'_, Option<Message>> {
        self.store.message(id).map(|message| Self::outcome(self.fault, message))
    }

    forward!(@ store reads);
}

impl Conversations for Planted {
    fn mark_read(&self, user: &UserName, with: &Recipient, marker: ReadMarker) -> Receipt<Marked> {
        self.receipt(self.store.mark_read(user, with, marker))
    }

    fn read_marker(&self, user: &UserName, with: &Recipient) -> At<Option<ReadMarker>> {
        self.store.read_marker(user, with)
    }

    fn conversations<'a>(&'a self, user: &'a UserName, limit: usize) -> Reading<'a, Vec<ConversationEntry>> {
        self.store.conversations(user, limit).map(|found| Self::outcome(self.fault, found))
    }
}

impl Cursors for Planted {
    fn acknowledge(
        &self,
        user: &UserName,
        from: MessageId,
        upto: MessageId,
        at: Timestamp,
    ) -> Receipt<Acknowledged> {
        self.receipt(self.store.acknowledge(user, from, upto, at))
    }

    fn cursor(&self, user: &UserName) -> At<MessageId> {
        self.store.cursor(user)
    }

    fn acknowledged_at<'a>(&'a self, user: &'a UserName, id: MessageId) -> Reading<'a, Option<Timestamp>> {
        self.store.acknowledged_at(user, id)
    }
}

impl Sessions for Planted {
    fn open_session(&self, session: SessionRecord) -> Receipt<()> {
        self.receipt(self.store.open_session(session))
    }

    fn touch_session(&self, digest: &TokenDigest, used: Timestamp) {
        self.store.touch_session(digest, used);
    }

    fn label_session(&self, digest: &TokenDigest, device: &str) {
        self.store.label_session(digest, device);
    }

    fn end_session(&self, digest: &TokenDigest) -> Receipt<()> {
        self.receipt(self.store.end_session(digest))
    }

    fn sessions(&self) -> Vec<SessionRecord> {
        self.store.sessions()
    }
}

impl People for Planted {
    fn people(&self) -> Vec<PersonRecord> {
        self.store.people()
    }

    fn set_person(&self, person: PersonRecord) -> Receipt<()> {
        self.receipt(self.store.set_person(person))
    }

    fn trusted(&self) -> Vec<TrustRecord> {
        self.store.trusted()
    }

    fn trust(&self, record: TrustRecord) {
        self.store.trust(record);
    }

    fn last_message(&self) -> MessageId {
        self.store.last_message()
    }
}

impl Store for Planted {
    fn subscribe(&self, observer: Arc<dyn Observer>) {
        self.store.subscribe(observer);
    }

    fn log(&self) -> &Arc<CommitLog> {
        if self.fault == Fault::Early { &self.log } else { self.store.log() }
    }

    fn backpressure(&self) -> Option<Position> {
        self.store.backpressure()
    }

    forward!(@ store facts);
}

forward!(Planted, store: Rooms);

const FAULT: &str = "CHAT_TEST_PLANTED_FAULT";
const DATA: &str = "CHAT_TEST_PLANTED_DATA";

/// The server that [`Faulty`] runs in a process of its own.
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
    let planted = Planted { store, fault, log: Arc::default(), appended: AtomicU64::new(0) };
    let users = users::parse(&load::users_toml(), "users.toml").expect("users").users;
    let chat = Chat::new(users, Arc::new(planted), Clock::default(), Limits::NONE);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        writeln!(std::io::stdout(), "\nserves on {address}").expect("told");
        server::run(
            vec![listener.into()],
            Server::new(Arc::new(chat), server::Limits::NONE),
            std::future::pending(),
        )
        .await;
    });
}

/// A server process with a planted fault, killed when dropped.
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
        // When an acknowledgement is lost, its messages come again.
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
