//! The store on disk: SQLite, append-only where it is written most, one writer, group commit.
//!
//! What is queued, waits in an inbox or is not indexed yet is in memory ([`state`]); one thread writes ([`writer`]);
//! readers read what is indexed, each on a connection of its own, off the runtime's threads.

mod background;
mod backup;
mod blocks;
mod check;
mod checkpointer;
mod checksum;
mod error;
mod folder;
mod gathered;
mod index;
mod indexing;
mod insert;
mod keyed;
mod list;
mod merge;
mod name_usage;
mod ops;
mod options;
mod plan;
mod postings;
mod queue;
mod reader;
mod restore;
mod retention;
mod runs;
mod schema;
mod state;
mod store_impl;
mod syncer;
mod tail;
mod varint;
mod wal_reserve;
mod writer;

use std::{
    collections::BTreeSet,
    fs::File,
    path::Path,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
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
    ops::{Batch, Op},
    reader::{Readers, StoredRow},
    state::State,
    syncer::{Syncer, Trim, Unsynced},
    writer::Writer,
};
use super::{Durability, Listener, Message, Position, SessionRecord, Store};

/// When so many bytes wait to be written, connections are not read until some are.
const MAX_QUEUED: usize = 8 * 1024 * 1024;

/// The tail lets go of at least so many messages at once, if they are in the index.
const LEAST_TRIM: usize = 256;

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
    /// The database, to sync it; nothing, where an OK does not promise a sync. Closed after every connection to it: to close
    /// any of a file's handles ends all locks that this process has on it.
    _database: Option<Arc<File>>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while it is held")
    }

    /// Waits for something to write, until `due`.
    fn next_batch(&self, due: Option<Instant>) -> Next {
        let mut state = self.lock();
        loop {
            let batch = state.queue.take();
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
        if state.queue.bytes() > MAX_QUEUED {
            self.congested.store(position.0, Ordering::Relaxed);
        }
        if wake {
            self.wake_writer.notify_one();
        }
        position
    }

    /// What was written is synced: that is told, and the tail lets go of some of what is in the index.
    fn complete(&self, written: Unsynced) {
        let Unsynced { batch, indexed } = written;
        self.durability.advance(batch.last());
        self.announce(&batch);
        if let Some(Trim { upto, folded }) = indexed {
            self.lock().is_indexed(upto, folded);
        }
        self.trim(LEAST_TRIM.max(4 * batch.ops.len()));
    }

    /// The tail lets go of what is in the index, at most so much. Returns whether it had any.
    fn trim(&self, most: usize) -> bool {
        // Dropped without the lock.
        let dropped = self.lock().trim(most);
        !dropped.is_empty()
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
        let mut connection = schema::open(&locked.database(), options.durable)?;
        locked.mark_used().map_err(|cause| OpenError::Folder { path: folder.to_owned(), cause })?;
        locked.restock();
        let restored = restore::restore(&connection, options)?;
        let system = |cause| OpenError::Folder { path: folder.to_owned(), cause };
        let syncs = options.durable == Durable::Fsync;
        let file = syncs.then(|| File::options().write(true).open(locked.database()).map(Arc::new));
        let file = file.transpose().map_err(system)?;
        let shared = Arc::new(Shared {
            state: Mutex::new(restored.state),
            wake_writer: Condvar::new(),
            congested: AtomicU64::new(0),
            durability: Arc::default(),
            readers: Readers::new(locked.database()),
            listener: OnceLock::new(),
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
