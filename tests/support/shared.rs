//! Two handles on one log: a model of a store that several servers share.
//!
//! A write is a record in the log. Each handle applies all records to a view of its own, in the order of the log, some time
//! later. The receipt of a write resolves when its handle has applied the record. So every receipt is late, receipts resolve
//! in another order than the calls, and a handle may not know yet what another one has written.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use chat_service::{
    model::{
        At, BoxFuture, MaybeReady, Message, MessageId, NewMessage, Outcome, Page, Position, ReadMarker,
        Recipient, Refusal, RoomName, Stored, Timestamp, TokenDigest, UserName,
    },
    store::{
        Acknowledged, CommitLog, ConversationEntry, Conversations, Cursors, Marked, Membership, Memory,
        Messages, Observer, People, PersonRecord, Reading, Receipt, RoomEntry, Rooms, Scope, SessionRecord,
        Sessions, Store, TrustRecord,
    },
};
use tokio::{sync::oneshot, task::yield_now};

/// A write, as it is in the log.
#[derive(Debug, Clone)]
enum Record {
    Append { from: UserName, to: Recipient, text: String, key: Option<String>, at: Timestamp },
    Acknowledge { user: UserName, from: MessageId, upto: MessageId, at: Timestamp },
    Read(UserName, Recipient, ReadMarker),
    Join(UserName, RoomName),
    Leave(UserName, RoomName),
    OpenSession(SessionRecord),
    EndSession(TokenDigest),
    Person(PersonRecord),
}

/// Outcome of applying a record.
#[derive(Clone, Copy)]
enum Applied {
    Stored(Outcome<Stored>),
    Acknowledged(Outcome<Acknowledged>),
    Marked(Outcome<Marked>),
    Done(Outcome<()>),
}

/// The log that the handles share.
#[derive(Default)]
struct Log {
    records: Mutex<Vec<Record>>,
    /// Number of writes that are to fail.
    failing: AtomicUsize,
}

/// The store of one server.
pub(crate) struct Handle {
    log: Arc<Log>,
    view: Memory,
    state: Mutex<State>,
    /// A log that stays empty, because a view does not wait for a disk.
    commits: Arc<CommitLog>,
    turns: AtomicU64,
}

#[derive(Default)]
struct State {
    /// Number of records in the view.
    applied: usize,
    /// Writes of this handle that are not in the view yet, by record.
    waiting: HashMap<usize, oneshot::Sender<Applied>>,
}

/// Returns two handles on a new log.
pub(crate) fn two_handles(inbox_limit: usize) -> [Arc<Handle>; 2] {
    let log = Arc::<Log>::default();
    [0, 1].map(|seed| {
        Arc::new(Handle {
            log: log.clone(),
            view: Memory::new(inbox_limit),
            state: Mutex::default(),
            commits: Arc::default(),
            turns: AtomicU64::new(seed),
        })
    })
}

impl Handle {
    /// Makes the next writes of either handle fail, and not reach the log.
    pub(crate) fn fail_next(&self, writes: usize) {
        self.log.failing.store(writes, Ordering::SeqCst);
    }

    /// Applies all records that are in the log.
    pub(crate) fn catch_up(&self) {
        while self.apply_next() {}
    }

    /// Applies the next record. Returns whether there was one.
    fn apply_next(&self) -> bool {
        let mut state = self.state.lock().expect("no panic");
        let next = state.applied;
        let Some(record) = self.log.records.lock().expect("no panic").get(next).cloned() else {
            return false;
        };
        let applied = self.apply(&record);
        if let Some(waiting) = state.waiting.remove(&next) {
            waiting.send(applied).ok();
        }
        state.applied += 1;
        true
    }

    fn apply(&self, record: &Record) -> Applied {
        let view = &self.view;
        match record {
            Record::Append { from, to, text, key, at } => {
                let message = NewMessage { from, to, text, key: key.as_deref(), at: *at };
                Applied::Stored(ready(view.append(message)))
            }
            Record::Acknowledge { user, from, upto, at } => {
                Applied::Acknowledged(ready(view.acknowledge(user, *from, *upto, *at)))
            }
            Record::Read(user, with, marker) => Applied::Marked(ready(view.mark_read(user, with, *marker))),
            Record::Join(user, room) => Applied::Done(ready(view.join(user, room))),
            Record::Leave(user, room) => Applied::Done(ready(view.leave(user, room))),
            Record::OpenSession(session) => Applied::Done(ready(view.open_session(session.clone()))),
            Record::Person(person) => Applied::Done(ready(view.set_person(person.clone()))),
            Record::EndSession(digest) => Applied::Done(ready(view.end_session(digest))),
        }
    }

    /// Puts a record into the log. The receipt resolves when this handle has applied it, some turns later.
    fn write<T: Send + 'static>(
        self: &Arc<Self>,
        record: Record,
        outcome: impl FnOnce(Applied) -> Option<Outcome<T>> + Send + 'static,
    ) -> Receipt<T> {
        let less = |failing: usize| failing.checked_sub(1);
        if self.log.failing.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less).is_ok() {
            return MaybeReady::Late(Box::pin(async {
                yield_now().await;
                At::refused(Refusal::Storage)
            }));
        }
        let (resolve, mut resolved) = oneshot::channel();
        {
            let mut state = self.state.lock().expect("no panic");
            let mut records = self.log.records.lock().expect("no panic");
            state.waiting.insert(records.len(), resolve);
            records.push(record);
        }
        let (handle, turns) = (self.clone(), self.turns.fetch_add(7, Ordering::Relaxed) % 5);
        MaybeReady::Late(Box::pin(async move {
            for _ in 0..turns {
                yield_now().await;
            }
            let applied = loop {
                match resolved.try_recv() {
                    Ok(applied) => break applied,
                    Err(_) => assert!(handle.apply_next(), "the record is in the log"),
                }
                yield_now().await;
            };
            outcome(applied).expect("the outcome of this kind of record")
        }))
    }
}

fn ready<T>(receipt: Receipt<T>) -> Outcome<T> {
    match receipt {
        MaybeReady::Ready(outcome) => outcome,
        MaybeReady::Late(_) => unreachable!("memory knows at once"),
    }
}

fn done(applied: Applied) -> Option<Outcome<()>> {
    if let Applied::Done(outcome) = applied { Some(outcome) } else { None }
}

/// A store over one or both handles. Each call uses the next handle, as clients of different servers do.
pub(crate) struct Shared {
    handles: Vec<Arc<Handle>>,
    next: AtomicUsize,
}

impl Shared {
    pub(crate) fn new(handles: impl IntoIterator<Item = Arc<Handle>>) -> Arc<Self> {
        Arc::new(Shared { handles: handles.into_iter().collect(), next: AtomicUsize::new(0) })
    }

    fn handle(&self) -> &Arc<Handle> {
        &self.handles[self.next.fetch_add(1, Ordering::Relaxed) % self.handles.len()]
    }

    /// Returns the view of the next handle. With two handles, both first apply all records, because a caller must find its writes
    /// on the other one.
    fn view(&self) -> &Memory {
        if self.handles.len() > 1 {
            for handle in &self.handles {
                handle.catch_up();
            }
        }
        &self.handle().view
    }
}

impl Messages for Shared {
    fn append(&self, message: NewMessage<'_>) -> Receipt<Stored> {
        let NewMessage { from, to, text, key, at } = message;
        let (text, key) = (text.to_owned(), key.map(str::to_owned));
        let record = Record::Append { from: from.clone(), to: to.clone(), text, key, at };
        self.handle().write(
            record,
            |applied| if let Applied::Stored(outcome) = applied { Some(outcome) } else { None },
        )
    }

    fn find_by_key(&self, message: NewMessage<'_>) -> Receipt<Option<Stored>> {
        self.view().find_by_key(message)
    }

    fn inbox<'a>(&'a self, user: &'a UserName, after: MessageId, limit: usize) -> Reading<'a, Page> {
        self.view().inbox(user, after, limit)
    }

    fn feed<'a>(
        &'a self,
        user: &'a UserName,
        after: MessageId,
        limit: usize,
        scope: Scope,
    ) -> Reading<'a, Page> {
        self.view().feed(user, after, limit, scope)
    }

    fn history<'a>(
        &'a self,
        user: &'a UserName,
        with: &'a Recipient,
        before: Option<MessageId>,
        limit: usize,
    ) -> Reading<'a, Page> {
        self.view().history(user, with, before, limit)
    }

    fn message(&self, id: MessageId) -> Reading<'_, Option<Message>> {
        self.view().message(id)
    }

    fn contacts<'a>(&'a self, user: &'a UserName) -> BoxFuture<'a, Vec<UserName>> {
        self.view().contacts(user)
    }

    fn inbox_limit(&self) -> usize {
        self.view().inbox_limit()
    }
}

impl Cursors for Shared {
    fn acknowledge(
        &self,
        user: &UserName,
        from: MessageId,
        upto: MessageId,
        at: Timestamp,
    ) -> Receipt<Acknowledged> {
        self.handle().write(Record::Acknowledge { user: user.clone(), from, upto, at }, |applied| {
            if let Applied::Acknowledged(outcome) = applied { Some(outcome) } else { None }
        })
    }

    fn cursor(&self, user: &UserName) -> At<MessageId> {
        self.view().cursor(user)
    }

    fn acknowledged_at<'a>(&'a self, user: &'a UserName, id: MessageId) -> Reading<'a, Option<Timestamp>> {
        self.view().acknowledged_at(user, id)
    }
}

impl Conversations for Shared {
    fn mark_read(&self, user: &UserName, with: &Recipient, marker: ReadMarker) -> Receipt<Marked> {
        self.handle().write(Record::Read(user.clone(), with.clone(), marker), |applied| {
            if let Applied::Marked(outcome) = applied { Some(outcome) } else { None }
        })
    }

    fn read_marker(&self, user: &UserName, with: &Recipient) -> At<Option<ReadMarker>> {
        self.view().read_marker(user, with)
    }

    fn conversations<'a>(&'a self, user: &'a UserName, limit: usize) -> Reading<'a, Vec<ConversationEntry>> {
        self.view().conversations(user, limit)
    }
}

impl Rooms for Shared {
    fn join(&self, user: &UserName, room: &RoomName) -> Receipt<()> {
        self.handle().write(Record::Join(user.clone(), room.clone()), done)
    }

    fn leave(&self, user: &UserName, room: &RoomName) -> Receipt<()> {
        self.handle().write(Record::Leave(user.clone(), room.clone()), done)
    }

    fn membership(&self, user: &UserName, room: &RoomName) -> At<Membership> {
        self.view().membership(user, room)
    }

    fn count_rooms(&self, user: &UserName) -> usize {
        self.view().count_rooms(user)
    }

    fn joined(&self, user: &UserName) -> At<Vec<RoomName>> {
        self.view().joined(user)
    }

    fn rooms(&self, user: &UserName, after: Option<&RoomName>, limit: usize) -> At<Vec<RoomEntry>> {
        self.view().rooms(user, after, limit)
    }

    fn members(&self, room: &RoomName, at: Option<MessageId>) -> At<Vec<UserName>> {
        self.view().members(room, at)
    }
}

impl Sessions for Shared {
    fn open_session(&self, session: SessionRecord) -> Receipt<()> {
        self.handle().write(Record::OpenSession(session), done)
    }

    fn touch_session(&self, _: &TokenDigest, _: Timestamp) {}

    fn label_session(&self, _: &TokenDigest, _: &str) {}

    fn end_session(&self, digest: &TokenDigest) -> Receipt<()> {
        self.handle().write(Record::EndSession(*digest), done)
    }

    fn sessions(&self) -> Vec<SessionRecord> {
        Vec::new()
    }
}

impl People for Shared {
    fn people(&self) -> Vec<PersonRecord> {
        self.view().people()
    }

    fn set_person(&self, person: PersonRecord) -> Receipt<()> {
        self.handle().write(Record::Person(person), done)
    }

    fn trusted(&self) -> Vec<TrustRecord> {
        self.view().trusted()
    }

    fn trust(&self, record: TrustRecord) {
        self.view().trust(record);
    }

    fn last_message(&self) -> MessageId {
        self.view().last_message()
    }
}

impl Store for Shared {
    fn subscribe(&self, observer: Arc<dyn Observer>) {
        // Each handle reports all changes, so one of them is enough.
        self.handles[0].view.subscribe(observer);
    }

    fn log(&self) -> &Arc<CommitLog> {
        &self.handles[0].commits
    }

    fn backpressure(&self) -> Option<Position> {
        None
    }

    fn durability_level(&self) -> &'static str {
        "none"
    }

    fn describe(&self) -> String {
        "two handles on one log".into()
    }

    fn close(&self) {}
}
