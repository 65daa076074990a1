//! A store whose writes become durable when the test says so, and whose receipts may resolve late.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use chat_service::{
    protocol::{Recipient, Refusal, RoomName, Timestamp, TokenDigest, UserName},
    store::{
        BoxFuture, Cursor, Durability, Fate, Listener, Look, Membership, Memory, Message, MessageId,
        NewMessage, Outcome, Page, Position, Receipt, RoomEntry, SessionRecord, Store, Stored,
    },
};
use tokio::sync::oneshot;

use super::forward::forward;

/// Memory behind a log that the test moves on by hand.
pub(crate) struct Held {
    memory: Memory,
    durability: Arc<Durability>,
    head: AtomicU64,
    /// The position after which the queue has room again; 0 if it has.
    congested: AtomicU64,
    /// Appends resolve only when the test resolves them.
    late: AtomicBool,
    unresolved: Mutex<Vec<oneshot::Sender<()>>>,
}

impl Held {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Held {
            memory: Memory::new(10_000),
            durability: Arc::default(),
            head: AtomicU64::new(0),
            congested: AtomicU64::new(0),
            late: AtomicBool::new(false),
            unresolved: Mutex::default(),
        })
    }

    /// Everything so far is durable now.
    pub(crate) fn commit(&self) {
        self.durability.advance(self.head());
    }

    /// Everything that is not durable never will be.
    pub(crate) fn fail(&self, cause: Refusal) {
        self.durability.fail(self.head(), cause);
    }

    /// How many writes it was asked for.
    pub(crate) fn writes(&self) -> u64 {
        self.head().0
    }

    /// From now on the queue is full until everything that was asked for so far is settled.
    pub(crate) fn congest(&self) {
        self.congested.store(self.next().0, Ordering::Relaxed);
    }

    /// From now on appends resolve late.
    pub(crate) fn set_late(&self) {
        self.late.store(true, Ordering::Relaxed);
    }

    /// Resolves the `index`th of the appends that have not resolved.
    pub(crate) fn resolve(&self, index: usize) {
        self.lock().remove(index).send(()).expect("somebody waits");
    }

    /// How many appends have not resolved.
    pub(crate) fn unresolved(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<oneshot::Sender<()>>> {
        self.unresolved.lock().expect("nothing panics while it is held")
    }

    fn head(&self) -> Position {
        Position(self.head.load(Ordering::Relaxed))
    }

    fn next(&self) -> Position {
        Position(self.head.fetch_add(1, Ordering::Relaxed) + 1)
    }
}

impl Store for Held {
    fn append(&self, message: NewMessage<'_>) -> Receipt<Stored> {
        let Receipt::Known(Outcome { result, .. }) = self.memory.append(message) else {
            unreachable!("memory knows at once")
        };
        let outcome = Outcome { result, position: self.next() };
        if !self.late.load(Ordering::Relaxed) {
            return Receipt::Known(outcome);
        }
        let (resolve, resolved) = oneshot::channel();
        self.lock().push(resolve);
        Receipt::Late(Box::pin(async move {
            resolved.await.expect("the test resolves it");
            outcome
        }))
    }

    fn find_repeated(&self, message: NewMessage<'_>) -> Receipt<Option<Stored>> {
        self.memory.find_repeated(message)
    }

    fn inbox<'a>(&'a self, user: &'a UserName, after: MessageId, limit: usize) -> Look<'a, Page> {
        let Look::Found(page) = self.memory.inbox(user, after, limit) else {
            unreachable!("memory knows at once")
        };
        Look::Found(page.map(|page| Page { position: self.head(), ..page }))
    }

    fn acknowledge(&self, user: &UserName, upto: MessageId, direct: usize, at: Timestamp) -> Position {
        let _ = self.memory.acknowledge(user, upto, direct, at);
        self.next()
    }

    fn open_session(&self, _: SessionRecord) -> Position {
        self.next()
    }

    fn end_session(&self, _: &TokenDigest) -> Position {
        self.next()
    }

    fn touch_session(&self, _: &TokenDigest, _: Timestamp) {}

    fn sessions(&self) -> Vec<SessionRecord> {
        Vec::new()
    }

    fn durability(&self) -> &Arc<Durability> {
        &self.durability
    }

    fn congestion(&self) -> Option<Position> {
        let position = Position(self.congested.load(Ordering::Relaxed));
        (self.durability.fate(position) == Fate::Open).then_some(position)
    }

    // Messages are told of when they are stored in memory: what watches waits for their position by itself.
    forward!(memory: reads, rooms, subscribe, facts);
}
