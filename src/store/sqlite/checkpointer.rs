//! Checkpoints: copying the write-ahead log (WAL) into the database, in passes on a background thread.
//!
//! SQLite restarts the log from its beginning only when all of it is in the database and synced, with nothing written
//! meanwhile. The writer does that last part itself. To keep it short, a background pass has copied and synced each part
//! of the log soon after it was written. Checkpoints on a second connection need an SQLite without the WAL-reset bug;
//! [`schema`](super::schema) refuses an older one.

use std::{
    fs::File,
    io,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicI32, Ordering},
    },
};

use rusqlite::Connection;

use super::{background::Background, wal_reserve::WalReserve};

/// Size of the log, in bytes, at which it should restart from its beginning.
const CHECKPOINT: u64 = 16 * 1024 * 1024;

/// Size of the part of the log, in bytes, for which a pass is started. The writer copies no more than that itself, unless it
/// is [`BEHIND`].
const PASS: u64 = 1024 * 1024;

/// How far, in bytes, the log may grow beyond the size at which it should restart. After that the writer finishes the
/// checkpoint before it writes more.
const BEHIND: u64 = 3 * CHECKPOINT;

/// Size of the log, in bytes, at which it is checkpointed and truncated while the disk is full.
const CHECKPOINT_WHEN_FULL: u64 = 256 * 1024;

/// Size of the header before each page in the log, in bytes.
const FRAME_HEADER: u64 = 24;

/// The thread that makes passes.
pub(super) type Passes = Background<(), rusqlite::Result<()>>;

/// Starts the thread that makes passes on `connection`. `file` is the database file, if an OK promises a sync.
pub(super) fn passes(connection: Connection, file: Option<Arc<File>>) -> io::Result<Passes> {
    Background::start("store-checkpointer", move |()| {
        checkpoint(&connection, "PASSIVE")?;
        // SQLite syncs the database only when all of the log is in it; all of it at once would take long.
        let synced = file.as_ref().map_or(Ok(()), |file| file.sync_data());
        synced.map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))
    })
}

/// Keeps the log short, and its file long enough for the next commits.
pub(super) struct Checkpointer {
    /// Number of pages in the log, as of the last commit.
    pages: Arc<AtomicI32>,
    /// Size of a page with its header in the log, in bytes.
    frame: u64,
    space: WalReserve,
    passes: Passes,
    /// Size of the log, in bytes, when the last pass began: that much is in the database when the pass is done.
    upto: u64,
    /// Size of the log, in bytes, at which it should restart.
    due: u64,
}

impl Checkpointer {
    /// Returns a checkpointer for the log file at `log`, which the connection `writer` appends to.
    pub(super) fn new(writer: &mut Connection, passes: Passes, log: PathBuf) -> rusqlite::Result<Self> {
        let pages = Arc::new(AtomicI32::new(0));
        let counted = pages.clone();
        writer.wal_hook(Some(move |_: &mut rusqlite::hooks::Wal, n| {
            counted.store(n, Ordering::Relaxed);
            Ok(())
        }))?;
        let page: u32 = writer.pragma_query_value(None, "page_size", |row| row.get(0))?;
        Ok(Checkpointer {
            pages,
            frame: FRAME_HEADER + u64::from(page),
            space: WalReserve::new(log, 2 * CHECKPOINT),
            passes,
            upto: 0,
            due: CHECKPOINT,
        })
    }

    /// Starts a pass or restarts the log if either is due. To be called by the writer after each commit.
    pub(super) fn keep_short(&mut self, writer: &Connection) -> rusqlite::Result<()> {
        let bytes = self.bytes();
        self.space.provide(bytes);
        if bytes < self.upto {
            // The log has restarted.
            self.upto = 0;
        }
        let is_behind = bytes >= self.due + BEHIND;
        let done = if is_behind { self.passes.finish() } else { self.passes.try_finish() };
        done.transpose()?;
        if self.passes.is_under_way() {
            return Ok(());
        }
        let left = bytes - self.upto;
        if bytes >= self.due && (left <= PASS || is_behind) {
            // A reader with an old snapshot may keep the end of the log from being copied; try again later then.
            let is_whole = checkpoint(writer, "PASSIVE")?;
            self.due = if is_whole { CHECKPOINT } else { bytes + CHECKPOINT };
            self.upto = bytes;
        } else if left >= PASS {
            self.upto = bytes;
            self.passes.begin(());
        }
        Ok(())
    }

    /// Replaces [`keep_short`](Self::keep_short) while the disk is full: the log's own file may take the space.
    pub(super) fn keep_short_when_full(&mut self, writer: &Connection) -> rusqlite::Result<()> {
        if self.bytes() >= CHECKPOINT_WHEN_FULL {
            self.empty(writer)?;
        }
        Ok(())
    }

    /// Copies all of the log into the database and truncates the log's file.
    pub(super) fn empty(&mut self, writer: &Connection) -> rusqlite::Result<()> {
        self.passes.finish().transpose()?;
        self.pages.store(0, Ordering::Relaxed);
        (self.upto, self.due) = (0, CHECKPOINT);
        checkpoint(writer, "TRUNCATE")?;
        self.space.reset();
        Ok(())
    }

    /// Size of the log in bytes, without its file header.
    fn bytes(&self) -> u64 {
        u64::from(self.pages.load(Ordering::Relaxed).unsigned_abs()) * self.frame
    }
}

/// Runs a checkpoint. Returns whether all of the log is in the database.
fn checkpoint(connection: &Connection, mode: &str) -> rusqlite::Result<bool> {
    connection.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |row| {
        let (busy, log, done): (bool, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        Ok(!busy && log == done)
    })
}
