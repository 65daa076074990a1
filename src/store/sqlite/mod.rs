//! The store on disk: an SQLite database with one writer thread and group commit.
//!
//! The table `messages` is append-only. Its index, the [posting lists](postings), is a log-structured merge tree:
//!
//! - the **tail**, a part of the [front](super::front), is the memtable: messages that are committed or queued, but not indexed yet;
//! - a **run** ([`runs`]) is a sorted run: the posting lists of one batch of messages, written in one piece;
//! - a **merge** ([`merge`]) is a compaction: it moves all runs into the **blocks** ([`blocks`]), the largest level.
//!
//! The front and the queue of what is not written yet are in memory ([`state`]). One thread writes ([`writer`]).
//! Readers read what is indexed, each on a connection of its own, on blocking threads. `docs/store.md` describes the
//! file, the threads and what happens at a failure.

mod background;
mod backup;
mod blocks;
mod changes;
mod check;
mod checkpointer;
mod checksum;
mod cursors;
mod error;
mod folder;
mod gathered;
mod index;
mod indexing;
mod insert;
mod list;
mod marks;
mod merge;
mod name_usage;
mod options;
mod overview;
mod postings;
mod queue;
mod read_pages;
mod reader;
mod restore;
mod retention;
mod row_crc;
mod runs;
mod schema;
mod state;
mod store_impl;
mod syncer;
mod varint;
mod wal_reserve;
mod writer;

use std::{
    fs::File,
    path::Path,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Instant,
};

pub use self::{
    backup::{BackupError, backup},
    check::{Report, check},
    folder::database,
    name_usage::{NameUsage, name_usage},
    options::{Durable, OpenError, Options},
    schema::VERSION as SCHEMA_VERSION,
};
use self::{
    checkpointer::Checkpointer,
    folder::Folder,
    marks::{Marks, MarksFile},
    queue::{Batch, Queued},
    reader::{Readers, StoredRow},
    state::State,
    syncer::{Syncer, Trim, Unsynced},
    writer::Writer,
};
use super::{CommitLog, Observer, PersonRecord, SessionRecord, Store, TrustRecord, front::ops::Op};
use crate::model::{Message, MessageId, Position, Timestamp};

/// Most bytes queued for the writer; beyond it, connections are not read until the writer takes the queue.
const MAX_QUEUED: usize = 8 * 1024 * 1024;

/// Size in bytes up to which a store is verified as a whole at start, which takes a fraction of a second. Of a larger one, what is
/// read is verified.
const VERIFIED: i64 = 16 * 1024 * 1024;

/// Least limit of messages that one trim may remove from the tail.
const LEAST_TRIM: usize = 256;

/// What the writer has to do next; see [`Shared::next_batch`].
enum Next {
    /// Write these ops.
    Batch(Batch),
    /// The deadline has passed with nothing queued.
    Due,
    /// End: the store is closed and nothing is queued.
    Closed,
}

/// State shared by the callers of [`Sqlite`], the writer and the syncer.
struct Shared {
    state: Mutex<State>,
    wake_writer: Condvar,
    /// Position of the last op in a queue of more than [`MAX_QUEUED`] bytes; 0 while the queue is shorter.
    congested: AtomicU64,
    log: Arc<CommitLog>,
    folder: Folder,
    readers: Readers,
    marks: MarksFile,
    observer: OnceLock<Arc<dyn Observer>>,
    /// The database file, held open for the checkpointer's syncs; `None` if an OK does not promise a sync.
    ///
    /// It must be closed after every SQLite connection: closing any handle of a file releases all POSIX locks that the
    /// process holds on that file.
    _database: Option<Arc<File>>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while it is held")
    }

    /// Blocks until an op is queued, the store is closed, or `due` has passed.
    fn next_batch(&self, due: Instant) -> Next {
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
            let left = due.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Next::Due;
            }
            state.writer_idle = true;
            state = self.wake_writer.wait_timeout(state, left).expect("nothing panics while it is held").0;
            state.writer_idle = false;
        }
    }

    /// Converts rows of the file into messages, with names instead of numbers.
    fn messages(&self, rows: Vec<StoredRow>) -> rusqlite::Result<Vec<Message>> {
        let state = self.lock();
        rows.into_iter().map(|row| row.message(&state.front)).collect()
    }

    /// Queues an op, wakes the writer if it is idle, and returns the op's position.
    fn enqueue(&self, state: &mut State, op: Queued) -> Position {
        let (position, wake) = state.enqueue(op);
        if state.queue.bytes() > MAX_QUEUED {
            self.congested.store(position.last(), Ordering::Relaxed);
        }
        if wake {
            self.wake_writer.notify_one();
        }
        position
    }

    /// Reports a synced batch as durable, reports its changes to the observer, and trims what is indexed from the tail.
    fn complete(&self, written: Unsynced) {
        let Unsynced { batch, indexed } = written;
        self.note_marks(&batch);
        self.log.advance(batch.last());
        self.report(batch.ops.iter());
        if let Some(Trim { upto, folded }) = indexed {
            self.lock().front.is_indexed(upto, folded);
        }
        self.trim(LEAST_TRIM.max(4 * batch.ops.len()));
    }

    /// Notes that a batch is durable.
    fn note_marks(&self, batch: &Batch) {
        let message = batch.ops.iter().rev().find_map(|queued| match queued.op() {
            Some(Op::Message(row)) => Some(row.id.0),
            _ => None,
        });
        let cursors = batch.ops.iter().filter(|queued| matches!(queued.op(), Some(Op::Cursor(_)))).count();
        let others = {
            let state = self.lock();
            // Nothing else is queued or being written: all that is in memory is durable.
            let is_all = !batch.ops.is_empty() && state.next_place() == batch.last() + 1;
            is_all.then(|| (state.front.rooms.rows, state.named() as u64))
        };
        self.marks.advance(message, cursors as u64, others);
    }

    /// Removes at most `most` indexed messages from the tail. Returns whether it removed any.
    fn trim(&self, most: usize) -> bool {
        // The rows are dropped here, after the lock is released.
        let dropped = self.lock().front.trim(most);
        !dropped.is_empty()
    }

    /// Makes the store read-only and keeps `reason` for the log of the next start.
    fn break_down(&self, reason: &str) {
        self.lock().read_only = true;
        self.folder.note_failure(reason);
    }
}

/// The store in a data folder. Dropping it writes everything that is queued and ends its threads.
pub struct Sqlite {
    shared: Arc<Shared>,
    writer: Mutex<Option<JoinHandle<()>>>,
    sessions: Vec<SessionRecord>,
    people: Vec<PersonRecord>,
    trusted: Vec<TrustRecord>,
    /// The last time that the store has seen before it was opened; `None` if there is none, or if it does not matter.
    seen: Option<Timestamp>,
    durable: Durable,
    inbox_limit: usize,
    described: String,
}

impl Sqlite {
    /// Opens the store in `folder`; creates the folder and the database if there are none.
    ///
    /// # Errors
    /// [`OpenError`] if another server uses the folder, if it cannot be read or written, or if its contents are not what
    /// this program would have left there.
    pub fn open(folder: &Path, options: &Options) -> Result<Self, OpenError> {
        let locked = Folder::open(folder, options.reserve)?;
        let marks = Marks::read(folder);
        if let Some(marks) = &marks {
            marks::refuse_foreign_log(&locked.database(), &locked.log(), marks)?;
        }
        let mut connection = schema::open(&locked.database(), options.durable)?;
        connection.busy_timeout(options.busy_wait)?;
        locked.mark_used().map_err(|cause| OpenError::Folder { path: folder.to_owned(), cause })?;
        locked.restock();
        let mut restored = restore::restore(&connection, options)?;
        let size = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size";
        if connection.query_row(size, [], |row| row.get::<_, i64>(0))? <= VERIFIED {
            check::verify_lists(&mut connection)?;
        }
        let found = restored.marks(options);
        if let Some(marks) = &marks {
            marks.verify(&found, &locked.database(), options)?;
            restored.front.skip_past(MessageId(marks.assigned));
        }
        let seen = marks.map(|marks| marks.seen).filter(|_| !options.trust_clock);
        let assigned = restored.front.last_message().0;
        let marks = MarksFile::open(folder, Marks { assigned, ..found }, seen);
        let system = |cause| OpenError::Folder { path: folder.to_owned(), cause };
        let syncs = options.durable == Durable::Fsync;
        let file = syncs.then(|| File::options().write(true).open(locked.database()).map(Arc::new));
        let file = file.transpose().map_err(system)?;
        let shared = Arc::new(Shared {
            log: restored.log,
            state: Mutex::new(State::new(restored.front)),
            wake_writer: Condvar::new(),
            congested: AtomicU64::new(0),
            readers: Readers::new(locked.database()),
            marks,
            observer: OnceLock::new(),
            folder: locked,
            _database: file.clone(),
        });
        let syncer = Syncer::new(shared.clone(), &shared.folder.log(), syncs).map_err(system)?;
        let other = schema::open_beside(&shared.folder.database(), options.durable)?;
        let passes = checkpointer::passes(other, file).map_err(system)?;
        let checkpointer = Checkpointer::new(&mut connection, passes, shared.folder.log())?;
        let writer = Writer::new(shared.clone(), connection, syncer, checkpointer, restored.index, options);
        let thread = thread::Builder::new().name("store-writer".into()).spawn(move || writer.run());
        let thread = thread.map_err(system)?;
        let promise = match options.durable {
            Durable::Fsync => "every OK is synced to disk",
            Durable::Os => "NOT synced: an OK survives a crash of the server, not of the machine",
        };
        Ok(Sqlite {
            shared,
            writer: Mutex::new(Some(thread)),
            sessions: restored.sessions,
            people: restored.people,
            trusted: restored.trusted,
            seen,
            durable: options.durable,
            inbox_limit: options.inbox_limit,
            described: format!("sqlite in {} ({promise})", folder.display()),
        })
    }
}

impl Drop for Sqlite {
    fn drop(&mut self) {
        self.close();
    }
}
