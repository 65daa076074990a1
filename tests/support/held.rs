//! A store whose writes become durable when the test says so, and whose receipts may resolve late.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use chat_service::{
    protocol::{Refusal, Timestamp, TokenDigest, UserName},
    store::{
        BoxFuture, Durability, Memory, MessageId, NewMessage, Outcome, Page, Position, Receipt,
        SessionRecord, Store, Stored,
    },
};
use tokio::sync::oneshot;

/// Memory behind a log that the test moves on by hand.
pub(crate) struct Held {
    memory: Memory,
    durability: Durability,
    head: AtomicU64,
    /// Appends resolve only when the test resolves them.
    late: AtomicBool,
    unresolved: Mutex<Vec<oneshot::Sender<()>>>,
}

impl Held {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Held {
            memory: Memory::new(10_000),
            durability: Durability::default(),
            head: AtomicU64::new(0),
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

    fn inbox<'a>(&'a self, user: &'a UserName, limit: usize) -> BoxFuture<'a, Result<Page, Refusal>> {
        Box::pin(async move {
            let page = self.memory.inbox(user, limit).await?;
            Ok(Page { position: self.head(), ..page })
        })
    }

    fn acknowledge(&self, user: &UserName, upto: MessageId, taken: usize, at: Timestamp) -> Position {
        self.memory.acknowledge(user, upto, taken, at);
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

    fn congestion(&self) -> Option<Position> {
        None
    }

    fn close(&self) {}

    fn durability(&self) -> &Durability {
        &self.durability
    }

    fn describe(&self) -> String {
        "held".into()
    }
}
