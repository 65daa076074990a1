//! A store whose writes become durable when the test says so, and whose receipts may resolve late.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use chat_service::{
    model::{
        At, BoxFuture, MaybeReady, Message, MessageId, NewMessage, Page, Position, ReadMarker, Recipient,
        Refusal, RoomName, Stored, Timestamp, TokenDigest, UserName,
    },
    store::{
        Acknowledged, Change, CommitLog, ConversationEntry, Conversations, Cursors, Marked, Membership,
        Memory, Messages, Observer, People, PersonRecord, Reading, Receipt, RoomEntry, Rooms, Scope,
        SessionRecord, Sessions, Settlement, Store, TrustRecord,
    },
};
use tokio::sync::oneshot;

use super::forward::forward;

/// A store in memory with a log that the test advances.
pub(crate) struct Held {
    memory: Memory,
    log: Arc<CommitLog>,
    head: AtomicU64,
    /// Changes that are not durable yet.
    changes: Arc<Changes>,
    /// Place that must be settled before the queue has room again; 0 if it has room.
    congested: AtomicU64,
    /// Appends resolve only when the test resolves them.
    late: AtomicBool,
    unresolved: Mutex<Vec<oneshot::Sender<()>>>,
    people: Mutex<HashMap<UserName, PersonRecord>>,
}

#[derive(Default)]
struct Changes {
    observer: OnceLock<Arc<dyn Observer>>,
    held: Mutex<Vec<Change>>,
}

impl Observer for Changes {
    fn wants_messages(&self) -> bool {
        self.observer.get().is_some_and(|observer| observer.wants_messages())
    }

    fn wants_sent(&self) -> bool {
        self.observer.get().is_some_and(|observer| observer.wants_sent())
    }

    fn changed(&self, change: Change) {
        self.held.lock().expect("nothing panics while it is held").push(change);
    }
}

impl Changes {
    fn take(&self) -> Vec<Change> {
        std::mem::take(&mut *self.held.lock().expect("nothing panics while it is held"))
    }
}

impl Held {
    pub(crate) fn new() -> Arc<Self> {
        let (memory, changes) = (Memory::new(10_000), Arc::<Changes>::default());
        memory.subscribe(changes.clone());
        Arc::new(Held {
            memory,
            log: Arc::default(),
            head: AtomicU64::new(0),
            changes,
            congested: AtomicU64::new(0),
            late: AtomicBool::new(false),
            unresolved: Mutex::default(),
            people: Mutex::default(),
        })
    }

    /// Makes all writes so far durable.
    pub(crate) fn commit(&self) {
        let changes = self.changes.take();
        self.log.advance(self.writes());
        for change in changes {
            self.report(change);
        }
    }

    /// Reports a change to the observer, whether or not there was one.
    pub(crate) fn report(&self, change: Change) {
        if let Some(observer) = self.changes.observer.get() {
            observer.changed(change);
        }
    }

    /// Fails all writes that are not durable.
    pub(crate) fn fail(&self, cause: Refusal) {
        self.changes.take();
        self.log.fail(self.writes(), cause);
    }

    /// Number of writes so far.
    pub(crate) fn writes(&self) -> u64 {
        self.head.load(Ordering::Relaxed)
    }

    /// Makes the queue full until all writes so far are settled.
    pub(crate) fn congest(&self) {
        self.congested.store(self.next().last(), Ordering::Relaxed);
    }

    /// Makes later appends resolve late.
    pub(crate) fn set_late(&self) {
        self.late.store(true, Ordering::Relaxed);
    }

    /// Resolves the `index`th of the appends that have not resolved.
    pub(crate) fn resolve(&self, index: usize) {
        self.lock().remove(index).send(()).expect("somebody waits");
    }

    /// Number of appends that have not resolved.
    pub(crate) fn unresolved(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<oneshot::Sender<()>>> {
        self.unresolved.lock().expect("nothing panics while it is held")
    }

    fn head(&self) -> Position {
        Position::at(self.writes())
    }

    fn next(&self) -> Position {
        Position::at(self.head.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// Returns the receipt of a write in memory, at the next place.
    fn write<T: Send + 'static>(&self, receipt: Receipt<T>) -> Receipt<T> {
        let position = self.next();
        receipt.map(move |outcome| outcome.after(position))
    }
}

impl Messages for Held {
    fn append(&self, message: NewMessage<'_>) -> Receipt<Stored> {
        let receipt = self.write(self.memory.append(message));
        if !self.late.load(Ordering::Relaxed) {
            return receipt;
        }
        let (resolve, resolved) = oneshot::channel();
        self.lock().push(resolve);
        MaybeReady::Late(Box::pin(async move {
            resolved.await.expect("the test resolves it");
            receipt.await
        }))
    }

    fn inbox<'a>(&'a self, user: &'a UserName, after: MessageId, limit: usize) -> Reading<'a, Page> {
        let head = self.head();
        self.memory.inbox(user, after, limit).map(move |page| page.after(head))
    }

    fn feed<'a>(
        &'a self,
        user: &'a UserName,
        after: MessageId,
        limit: usize,
        scope: Scope,
    ) -> Reading<'a, Page> {
        let head = self.head();
        self.memory.feed(user, after, limit, scope).map(move |page| page.after(head))
    }

    forward!(@ memory message);
    forward!(@ memory reads);
}

impl Cursors for Held {
    fn acknowledge(
        &self,
        user: &UserName,
        from: MessageId,
        upto: MessageId,
        at: Timestamp,
    ) -> Receipt<Acknowledged> {
        self.write(self.memory.acknowledge(user, from, upto, at))
    }

    fn cursor(&self, user: &UserName) -> At<MessageId> {
        self.memory.cursor(user)
    }

    fn acknowledged_at<'a>(&'a self, user: &'a UserName, id: MessageId) -> Reading<'a, Option<Timestamp>> {
        self.memory.acknowledged_at(user, id)
    }
}

impl Conversations for Held {
    fn mark_read(&self, user: &UserName, with: &Recipient, marker: ReadMarker) -> Receipt<Marked> {
        self.write(self.memory.mark_read(user, with, marker))
    }

    forward!(@ memory conversation_reads);
}

impl Sessions for Held {
    fn open_session(&self, session: SessionRecord) -> Receipt<()> {
        self.write(self.memory.open_session(session))
    }

    fn label_session(&self, _: &TokenDigest, _: &str) {}

    fn end_session(&self, digest: &TokenDigest) -> Receipt<()> {
        self.write(self.memory.end_session(digest))
    }

    fn touch_session(&self, _: &TokenDigest, _: Timestamp) {}

    fn sessions(&self) -> Vec<SessionRecord> {
        Vec::new()
    }
}

impl People for Held {
    fn people(&self) -> Vec<PersonRecord> {
        self.people.lock().expect("nothing panics while it is held").values().cloned().collect()
    }

    fn set_person(&self, person: PersonRecord) -> Receipt<()> {
        let (user, noted) = (person.user.clone(), person.clone());
        self.people.lock().expect("nothing panics while it is held").insert(user, noted);
        self.write(self.memory.set_person(person))
    }

    fn trusted(&self) -> Vec<TrustRecord> {
        self.memory.trusted()
    }

    fn trust(&self, record: TrustRecord) {
        self.memory.trust(record);
    }

    fn last_message(&self) -> MessageId {
        self.memory.last_message()
    }
}

impl Store for Held {
    fn subscribe(&self, observer: Arc<dyn Observer>) {
        self.changes.observer.set(observer).ok();
    }

    fn log(&self) -> &Arc<CommitLog> {
        &self.log
    }

    fn backpressure(&self) -> Option<Position> {
        let position = Position::at(self.congested.load(Ordering::Relaxed));
        (self.log.settlement(position) == Settlement::Open).then_some(position)
    }

    forward!(@ memory facts);
}

impl Rooms for Held {
    fn join(&self, user: &UserName, room: &RoomName) -> Receipt<()> {
        self.write(self.memory.join(user, room))
    }

    fn leave(&self, user: &UserName, room: &RoomName) -> Receipt<()> {
        self.write(self.memory.leave(user, room))
    }

    forward!(@ memory room_reads);
}
