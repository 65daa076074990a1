//! The store on disk: SQLite, append-only where it is written most, one writer, group commit.
//!
//! What is queued, waits in an inbox or is not indexed yet is in memory ([`state`]); one thread writes ([`writer`]);
//! readers read what is indexed, each on a connection of its own, off the runtime's threads.

mod backup;
mod check;
mod checksum;
mod folder;
mod index;
mod log_space;
mod plan;
mod postings;
mod reader;
mod retention;
mod schema;
mod state;
mod tail;
mod writer;

use std::{
    collections::BTreeSet,
    future::ready,
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use rusqlite::Connection;
use thiserror::Error;
use tokio::{sync::oneshot, task};

pub use self::{
    backup::{BackupError, backup},
    check::{Report, check},
    folder::database,
    schema::VERSION as SCHEMA_VERSION,
};
use self::{
    folder::Folder,
    plan::{HistoryPlan, InboxPlan},
    reader::{Readers, StoredRow},
    state::{Batch, NameId, Op, State},
};
use super::{
    BoxFuture, Cursor, Durability, Listener, Membership, Message, MessageId, NewMessage, Outcome, Page,
    Position, Receipt, RoomEntry, SessionRecord, Store, Stored,
};
use crate::protocol::{MAX_REPLY, Recipient, Refusal, RoomName, Timestamp, TokenDigest, UserName};

/// When so many bytes wait to be written, connections are not read until some are.
const MAX_QUEUED: usize = 8 * 1024 * 1024;

/// What an OK promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durable {
    /// It is synced to the disk: it survives a power cut.
    Fsync,
    /// The operating system has it: it survives a crash of the process, not of the machine.
    Os,
}

/// How the store is to be.
#[derive(Debug, Clone)]
pub struct Options {
    /// Messages that may wait in one inbox.
    pub inbox_limit: usize,
    /// What an OK promises.
    pub durable: Durable,
    /// So many messages (or cursors) are indexed at once; until then they are in memory.
    pub index_batch: usize,
    /// Messages (and their keys) that have left every inbox are forgotten at this age.
    pub retain: Option<Duration>,
    /// Bytes that are kept back for sessions, cursors and logouts on a full disk: a multiple of 64 KiB.
    pub reserve: usize,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            inbox_limit: 10_000,
            durable: Durable::Fsync,
            index_batch: 32 * 1024,
            retain: None,
            reserve: 8 * 1024 * 1024,
        }
    }
}

/// Why a store cannot be opened. Nothing was changed.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The folder.
    #[error("{}: {cause}\n  remedy: name a folder that can be written with --data DIR", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// The system's reason.
        cause: io::Error,
    },
    /// Another server has it.
    #[error("{}: another server uses this folder\n  remedy: end that one, or name another folder with --data DIR", path.display())]
    Locked {
        /// The folder.
        path: PathBuf,
    },
    /// It was used, and its database is not there.
    #[error("{}: the database is gone, though this folder was used\n  remedy: put a backup in its place, or name a new folder with --data DIR", path.display())]
    Gone {
        /// The database.
        path: PathBuf,
    },
    /// A database of another program.
    #[error(
        "the file is a database, but not one of chat-server\n  remedy: name another folder with --data DIR"
    )]
    Foreign,
    /// Made by a later version of this program.
    #[error(
        "the store has version {found}, and this program knows versions up to {known}\n  remedy: use the newer program that made it"
    )]
    Newer {
        /// Of the file.
        found: i64,
        /// Of this program.
        known: i64,
    },
    /// There is none.
    #[error("{}: there is no database\n  remedy: name the folder that the server uses with --data DIR", path.display())]
    Missing {
        /// Where it should be.
        path: PathBuf,
    },
    /// Made by an earlier version of this program, and not used by this one yet.
    #[error(
        "the store was made by an earlier version\n  remedy: start this version of the server on it once"
    )]
    Older,
    /// An SQLite that could lose commits.
    #[error(
        "this program is linked to SQLite {linked}, which has a bug that can lose messages\n  remedy: build it with SQLite 3.51.3 or newer"
    )]
    Sqlite {
        /// Its version.
        linked: String,
    },
    /// SQLite cannot read it.
    #[error(
        "the store cannot be read: {0}\n  remedy: nothing was changed; `chat-server check` says what is wrong; put a backup into an empty folder as chat.db, and name that folder with --data DIR"
    )]
    Damaged(#[from] rusqlite::Error),
    /// A row that cannot be.
    #[error(
        "the store is damaged: {0}\n  remedy: nothing was changed; `chat-server check` says what is wrong; put a backup into an empty folder as chat.db, and name that folder with --data DIR"
    )]
    Nonsense(String),
}

/// What the writer has to do next.
enum Next {
    /// To write.
    Batch(Batch),
    /// What was due.
    Due,
    /// Nothing more, ever.
    Closed,
}

/// What the front and the writer share.
struct Shared {
    state: Mutex<State>,
    wake_writer: Condvar,
    /// The position of the last op in a queue that is too long; 0 while there is room.
    congested: AtomicU64,
    durability: Arc<Durability>,
    folder: Folder,
    readers: Readers,
    listener: OnceLock<Arc<dyn Listener>>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while it is held")
    }

    /// Waits for something to write, until `due`.
    fn next_batch(&self, due: Option<Instant>) -> Next {
        let mut state = self.lock();
        loop {
            let batch = state.take_batch();
            self.congested.store(0, Ordering::Relaxed);
            if !batch.ops.is_empty() {
                return Next::Batch(batch);
            }
            if state.closing {
                return Next::Closed;
            }
            let left = due.map(|due| due.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                return Next::Due;
            }
            state.writer_idle = true;
            state = self
                .wake_writer
                .wait_timeout(state, left.unwrap_or(Duration::MAX))
                .expect("nothing panics while it is held")
                .0;
            state.writer_idle = false;
        }
    }

    /// Rows as callers have them.
    fn messages(&self, rows: Vec<StoredRow>) -> rusqlite::Result<Vec<Message>> {
        let state = self.lock();
        rows.into_iter().map(|row| row.message(&state)).collect()
    }

    /// Queues an op. Returns its position.
    fn enqueue(&self, state: &mut State, op: Op) -> Position {
        let (position, wake) = state.enqueue(op);
        if state.queued_bytes() > MAX_QUEUED {
            self.congested.store(position.0, Ordering::Relaxed);
        }
        if wake {
            self.wake_writer.notify_one();
        }
        position
    }

    /// Tells the listener of the messages of a batch, which are durable now.
    fn announce(&self, batch: &Batch) {
        let Some(listener) = self.listener.get().filter(|listener| listener.is_listening()) else {
            return;
        };
        let messages = batch.ops.iter().filter_map(|op| match op {
            Op::Message(row) => Some(row.recipient),
            _ => None,
        });
        let recipients: BTreeSet<_> = messages.collect();
        let names: Vec<_> = {
            let state = self.lock();
            recipients.into_iter().filter_map(|id| state.name(id).cloned()).collect()
        };
        for name in &names {
            listener.stored(name);
        }
    }

    /// Nothing is stored any more.
    fn break_down(&self, reason: &str) {
        self.lock().read_only = true;
        self.folder.note_failure(reason);
    }
}

/// The store in a folder.
pub struct Sqlite {
    shared: Arc<Shared>,
    writer: Mutex<Option<JoinHandle<()>>>,
    sessions: Vec<SessionRecord>,
    durable: Durable,
    inbox_limit: usize,
    described: String,
}

impl Sqlite {
    /// Opens the store in `folder`, or makes one.
    ///
    /// # Errors
    /// If the folder is in use, or anything in it is not as this program leaves it.
    pub fn open(folder: &Path, options: &Options) -> Result<Self, OpenError> {
        let locked = Folder::open(folder, options.reserve)?;
        let connection = schema::open(&locked.database(), options.durable)?;
        locked.mark_used().map_err(|cause| OpenError::Folder { path: folder.to_owned(), cause })?;
        locked.restock();
        let restored = reader::restore(&connection, options.inbox_limit)?;
        let shared = Arc::new(Shared {
            state: Mutex::new(restored.state),
            wake_writer: Condvar::new(),
            congested: AtomicU64::new(0),
            durability: Arc::default(),
            readers: Readers::new(locked.database()),
            listener: OnceLock::new(),
            folder: locked,
        });
        let writer = writer::Writer::new(shared.clone(), connection, restored.committed, options)?;
        let thread = thread::Builder::new().name("store-writer".into()).spawn(move || writer.run());
        let thread = thread.map_err(|cause| OpenError::Folder { path: folder.to_owned(), cause })?;
        let promise = match options.durable {
            Durable::Fsync => "every OK is synced to disk",
            Durable::Os => "NOT synced: an OK survives a crash of the server, not of the machine",
        };
        Ok(Sqlite {
            shared,
            writer: Mutex::new(Some(thread)),
            sessions: restored.sessions,
            durable: options.durable,
            inbox_limit: options.inbox_limit,
            described: format!("sqlite in {} ({promise})", folder.display()),
        })
    }

    /// Reads the file off the runtime's threads.
    async fn read<T: Send + 'static>(
        &self,
        what: &'static str,
        read: impl FnOnce(&Connection, &Shared) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Refusal> {
        let shared = self.shared.clone();
        let done =
            task::spawn_blocking(move || shared.readers.read(|connection| read(connection, &shared))).await;
        match done {
            Ok(Ok(found)) => Ok(found),
            Ok(Err(error)) => {
                tracing::error!(%error, "{what} cannot be read");
                Err(Refusal::Internal)
            }
            Err(_) => Err(Refusal::Internal),
        }
    }

    /// Reads what a message's key names, off the runtime's threads.
    fn read_key<T: Send + 'static>(
        &self,
        message: &NewMessage<'_>,
        answer: impl FnOnce(Option<Outcome<Stored>>) -> Outcome<T> + Send + 'static,
    ) -> Receipt<T> {
        let shared = self.shared.clone();
        let (from, to) = (message.from.clone(), message.to.clone());
        let (text, key): (String, String) = (message.text.into(), message.key.unwrap_or_default().into());
        Receipt::Late(Box::pin(async move {
            let read = task::spawn_blocking(move || {
                let (sender, recipient) = {
                    let state = shared.lock();
                    (state.name_id(&from), state.name_id(&to))
                };
                let Some(sender) = sender else {
                    return Ok(None);
                };
                let known = shared.readers.read(|connection| reader::find_key(connection, sender, &key))?;
                Ok::<_, rusqlite::Error>(known.map(|known| known.outcome(recipient, &text)))
            });
            match read.await {
                Ok(Ok(known)) => answer(known),
                _ => Outcome { result: Err(Refusal::Internal), position: Position::START },
            }
        }))
    }
}

impl Store for Sqlite {
    fn append(&self, message: NewMessage<'_>) -> Receipt<Stored> {
        // Allocated before the lock is taken.
        let text = message.text.into();
        let mut state = self.shared.lock();
        if let Some(repeated) = state.repeated(&message) {
            return Receipt::Known(repeated);
        }
        let refused = if state.read_only {
            Some(Outcome { result: Err(Refusal::ReadOnly), position: Position::START })
        } else {
            let full = Outcome { result: Err(Refusal::InboxFull), position: state.head() };
            state.is_full(message.to).then_some(full)
        };
        if let Some(refused) = refused {
            drop(state);
            return match message.key {
                None => Receipt::Known(refused),
                // What was stored before is answered as then.
                Some(_) => self.read_key(&message, move |known| known.unwrap_or(refused)),
            };
        }
        let row = state.admit(&message, text);
        let stored = Stored { id: row.id, at: row.at, duplicate: false };
        if message.key.is_none() {
            let position = self.shared.enqueue(&mut state, Op::Message(row));
            return Receipt::Known(Outcome { result: Ok(stored), position });
        }
        let (resolve, resolved) = oneshot::channel();
        let position = self.shared.enqueue(&mut state, Op::Keyed(row, resolve));
        Receipt::Late(Box::pin(async move {
            // Dropped without an answer, it was not stored; why is told by the failure of its position.
            resolved.await.unwrap_or(Outcome { result: Err(Refusal::Internal), position })
        }))
    }

    fn find_repeated(&self, message: NewMessage<'_>) -> Receipt<Option<Stored>> {
        let some = |outcome: Outcome<Stored>| Outcome {
            result: outcome.result.map(Some),
            position: outcome.position,
        };
        let none = Outcome { result: Ok(None), position: Position::START };
        if message.key.is_none() {
            return Receipt::Known(none);
        }
        let repeated = self.shared.lock().repeated(&message);
        match repeated {
            Some(repeated) => Receipt::Known(some(repeated)),
            None => self.read_key(&message, move |known| known.map_or(none, some)),
        }
    }

    fn inbox<'a>(
        &'a self,
        user: &'a UserName,
        after: MessageId,
        limit: usize,
    ) -> BoxFuture<'a, Result<Page, Refusal>> {
        let plan = self.shared.lock().plan_inbox(user, after, limit, MAX_REPLY);
        let InboxPlan { user: id, sources, indexed, tail, more, position } = plan;
        if sources.is_empty() {
            return Box::pin(ready(Ok(Page { messages: tail, more, position })));
        }
        Box::pin(async move {
            let user = id.unwrap_or(NameId(u32::MAX));
            let found = self.read("an inbox", move |connection, shared| {
                let found = reader::inbox(connection, user, &sources, indexed, limit)?;
                Ok((shared.messages(found.rows)?, found.more))
            });
            let (mut messages, cut) = found.await?;
            // A page that was cut short ends before the tail begins.
            if cut {
                return Ok(Page { messages, more: true, position });
            }
            let room = limit - messages.len();
            let more = more || tail.len() > room;
            messages.extend(tail.into_iter().take(room));
            Ok(Page { messages, more, position })
        })
    }

    fn history<'a>(
        &'a self,
        user: &'a UserName,
        with: &'a Recipient,
        before: Option<MessageId>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Page, Refusal>> {
        let plan = self.shared.lock().plan_history(user, with, before, limit, MAX_REPLY);
        let HistoryPlan { list, stays, before, tail: mut newest, position } = plan;
        Box::pin(async move {
            let mut more = newest.len() > limit;
            newest.truncate(limit);
            let bytes: usize = newest.iter().map(|message| message.text.len()).sum();
            if let Some(list) = list.filter(|_| !more) {
                let room = limit - newest.len();
                let found = self.read("a conversation", move |connection, shared| {
                    let stays = stays.as_deref();
                    let found = reader::history(connection, list, stays, before, room, bytes)?;
                    Ok((shared.messages(found.rows)?, found.more))
                });
                let (older, cut) = found.await?;
                newest.extend(older);
                more = cut;
            }
            newest.reverse();
            Ok(Page { messages: newest, more, position })
        })
    }

    fn message(&self, id: MessageId) -> BoxFuture<'_, Result<(Option<Message>, Position), Refusal>> {
        let (found, indexed) = {
            let state = self.shared.lock();
            let found = match state.tail.find(id) {
                tail::Found::Row(row) => state.message(row).map(|message| (message, row.position)),
                tail::Found::Nothing | tail::Found::Pending => None,
            };
            (found, id <= state.tail.indexed())
        };
        Box::pin(async move {
            match found {
                Some((message, position)) => Ok((Some(message), position)),
                None if indexed => {
                    let read = self.read("a message", move |connection, shared| {
                        shared.messages(reader::message(connection, id)?.into_iter().collect())
                    });
                    Ok((read.await?.pop(), Position::START))
                }
                None => Ok((None, Position::START)),
            }
        })
    }

    fn acknowledge(&self, user: &UserName, upto: MessageId, direct: usize, at: Timestamp) -> Position {
        let mut state = self.shared.lock();
        match state.move_cursor(user, upto, direct as u64, at) {
            Some(op) => self.shared.enqueue(&mut state, op),
            None => Position::START,
        }
    }

    fn cursor(&self, user: &UserName) -> Cursor {
        let state = self.shared.lock();
        let cursor = state.name_id(user).map(|id| state.inbox(id).cursor);
        cursor.map_or(Cursor { upto: MessageId(0), position: Position::START }, |cursor| Cursor {
            upto: cursor.upto,
            position: cursor.position,
        })
    }

    fn acknowledged_at<'a>(
        &'a self,
        user: &'a UserName,
        id: MessageId,
    ) -> BoxFuture<'a, Result<Option<Timestamp>, Refusal>> {
        Box::pin(async move {
            // Memory first: what leaves it is in the index by then, where earlier places are, too.
            let (user, lately) = {
                let state = self.shared.lock();
                let user = state.name_id(user).filter(|user| state.inbox(*user).cursor.upto >= id);
                let Some(user) = user else {
                    return Ok(None);
                };
                (user, state.passed_at(user, id))
            };
            let indexed = self.read("a cursor", move |connection, _| reader::passed_at(connection, user, id));
            Ok(indexed.await?.or(lately))
        })
    }

    fn join(&self, user: &UserName, room: &RoomName) -> Position {
        let mut state = self.shared.lock();
        match state.join(user, room) {
            Some(op) => self.shared.enqueue(&mut state, op),
            None => state.rooms.position,
        }
    }

    fn leave(&self, user: &UserName, room: &RoomName) -> Position {
        let mut state = self.shared.lock();
        match state.leave(user, room) {
            Some(op) => self.shared.enqueue(&mut state, op),
            None => state.rooms.position,
        }
    }

    fn membership(&self, user: &UserName, room: &RoomName) -> (Membership, Position) {
        let state = self.shared.lock();
        (state.rooms.membership(user, room), state.rooms.position)
    }

    fn count_rooms(&self, user: &UserName) -> usize {
        self.shared.lock().rooms.count(user)
    }

    fn rooms(&self, user: &UserName) -> (Vec<RoomEntry>, Position) {
        let state = self.shared.lock();
        (state.rooms.list(user), state.rooms.position)
    }

    fn members(&self, room: &RoomName, at: Option<MessageId>) -> (Vec<UserName>, Position) {
        let state = self.shared.lock();
        let members = match at {
            None => state.rooms.members(room),
            Some(id) => state.rooms.members_at(room, id),
        };
        (members, state.rooms.position)
    }

    fn acquaintances<'a>(&'a self, user: &'a UserName) -> BoxFuture<'a, Vec<UserName>> {
        Box::pin(async move {
            let Some(id) = self.shared.lock().name_id(user) else {
                return Vec::new();
            };
            // The tail first: what leaves it is in the index by then.
            let mut partners = self.shared.lock().partners_lately(id);
            let read = self.read("partners", move |connection, _| reader::partners(connection, id));
            partners.extend(read.await.unwrap_or_default());
            let state = self.shared.lock();
            let mut all = state.rooms.companions(user);
            all.extend(partners.into_iter().filter_map(|id| state.user(id).cloned()));
            all.remove(user);
            all.into_iter().collect()
        })
    }

    fn subscribe(&self, listener: Arc<dyn Listener>) {
        self.shared.listener.set(listener).ok();
    }

    fn promise(&self) -> &'static str {
        match self.durable {
            Durable::Fsync => "fsync",
            Durable::Os => "os",
        }
    }

    fn inbox_limit(&self) -> usize {
        self.inbox_limit
    }

    fn open_session(&self, session: SessionRecord) -> Position {
        let mut state = self.shared.lock();
        let user = state.intern_user(&session.user);
        self.shared.enqueue(&mut state, Op::OpenSession(user, session))
    }

    fn touch_session(&self, digest: &TokenDigest, used: Timestamp) {
        let mut state = self.shared.lock();
        self.shared.enqueue(&mut state, Op::TouchSession(*digest, used));
    }

    fn end_session(&self, digest: &TokenDigest) -> Position {
        let mut state = self.shared.lock();
        self.shared.enqueue(&mut state, Op::EndSession(*digest))
    }

    fn sessions(&self) -> Vec<SessionRecord> {
        self.sessions.clone()
    }

    fn durability(&self) -> &Arc<Durability> {
        &self.shared.durability
    }

    fn congestion(&self) -> Option<Position> {
        let position = self.shared.congested.load(Ordering::Relaxed);
        (position > 0).then_some(Position(position))
    }

    fn describe(&self) -> String {
        self.described.clone()
    }

    fn close(&self) {
        self.shared.lock().closing = true;
        self.shared.wake_writer.notify_one();
        let writer = self.writer.lock().expect("nothing panics while it is held").take();
        if let Some(writer) = writer
            && writer.join().is_err()
        {
            tracing::error!("the store's writer panicked");
        }
    }
}

impl Drop for Sqlite {
    fn drop(&mut self) {
        self.close();
    }
}
