//! Bringing the log into the file: most of it beside the writer, in passes, the rest by the writer.
//!
//! The log begins anew only when all of it is in the file and synced there, with nothing written meanwhile. So that this
//! takes the writer little time, each pass brings in a part that is written and synced soon. Two connections that do this
//! need an SQLite without the WAL-reset bug: [`schema`](super::schema) sees to that.

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

/// The log is to begin anew when it has so many bytes.
const CHECKPOINT: u64 = 16 * 1024 * 1024;

/// A pass begins when it has so many more than the last one brought in. The writer brings in no more than that itself.
const PASS: u64 = 1024 * 1024;

/// When so many bytes have been written since the log was to begin anew, the writer does nothing else before it does.
const BEHIND: u64 = 3 * CHECKPOINT;

/// The log is brought into the file when it has so many bytes, on a disk that is full.
const CHECKPOINT_WHEN_FULL: u64 = 256 * 1024;

/// What stands before each page in the log.
const FRAME_HEADER: u64 = 24;

/// Brings into the file what is in the log.
pub(super) type Passes = Background<(), rusqlite::Result<()>>;

/// Starts the thread that makes passes, with a connection of its own. `file` is the database, if it is to be synced.
pub(super) fn passes(connection: Connection, file: Option<Arc<File>>) -> io::Result<Passes> {
    Background::start("store-checkpointer", move |()| {
        checkpoint(&connection, "PASSIVE")?;
        // SQLite syncs only when it has brought in all of the log, and that would take long then.
        let synced = file.as_ref().map_or(Ok(()), |file| file.sync_data());
        synced.map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))
    })
}

/// Keeps the log short, and its file long enough.
pub(super) struct Checkpointer {
    /// The pages in the log.
    pages: Arc<AtomicI32>,
    /// The bytes that a page takes in it.
    frame: u64,
    space: WalReserve,
    passes: Passes,
    /// So long the log was when the last pass began.
    upto: u64,
    /// So long it is when it is to begin anew.
    due: u64,
}

impl Checkpointer {
    /// Over the log at `log` of the connection that writes.
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

    /// To be called after commits by the writer, with its connection.
    pub(super) fn keep_short(&mut self, writer: &Connection) -> rusqlite::Result<()> {
        let bytes = self.bytes();
        self.space.provide(bytes);
        if bytes < self.upto {
            // It has begun anew.
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
            // A reader may keep part of the log from being brought in.
            let is_whole = checkpoint(writer, "PASSIVE")?;
            self.due = if is_whole { CHECKPOINT } else { bytes + CHECKPOINT };
            self.upto = bytes;
        } else if left >= PASS {
            self.upto = bytes;
            self.passes.begin(());
        }
        Ok(())
    }

    /// The same on a disk that is full: the log itself may be what takes the space.
    pub(super) fn keep_short_when_full(&mut self, writer: &Connection) -> rusqlite::Result<()> {
        if self.bytes() >= CHECKPOINT_WHEN_FULL {
            self.empty(writer)?;
        }
        Ok(())
    }

    /// Brings all of the log into the file and makes its own file short.
    pub(super) fn empty(&mut self, writer: &Connection) -> rusqlite::Result<()> {
        self.passes.finish().transpose()?;
        self.pages.store(0, Ordering::Relaxed);
        (self.upto, self.due) = (0, CHECKPOINT);
        checkpoint(writer, "TRUNCATE")?;
        self.space.reset();
        Ok(())
    }

    /// How long the log is.
    fn bytes(&self) -> u64 {
        u64::from(self.pages.load(Ordering::Relaxed).unsigned_abs()) * self.frame
    }
}

/// Returns whether all of the log is in the file.
fn checkpoint(connection: &Connection, mode: &str) -> rusqlite::Result<bool> {
    connection.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |row| {
        let (busy, log, done): (bool, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        Ok(!busy && log == done)
    })
}
