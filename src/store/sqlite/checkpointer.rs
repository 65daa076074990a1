//! Bringing the log into the file: most of it beside the writer, the rest by the writer.
//!
//! The log begins anew only when all of it is in the file, with nothing written meanwhile. Two connections that do this
//! need an SQLite without the WAL-reset bug: [`schema`](super::schema) sees to that.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicI32, Ordering},
    },
};

use rusqlite::Connection;

use super::{beside::Beside, log_space::LogSpace};

/// The log is brought into the file when it has so many bytes.
const CHECKPOINT: u64 = 16 * 1024 * 1024;

/// So much the writer brings in itself.
const REST: u64 = CHECKPOINT / 4;

/// When so many bytes have been written since a checkpoint was due, the writer does nothing else before it is done.
const BEHIND: u64 = 3 * CHECKPOINT;

/// The log is brought into the file when it has so many bytes, on a disk that is full.
const CHECKPOINT_WHEN_FULL: u64 = 256 * 1024;

/// What stands before each page in the log.
const FRAME_HEADER: u64 = 24;

/// Keeps the log short, and its file long enough.
pub(super) struct Checkpointer {
    /// The pages in the log.
    pages: Arc<AtomicI32>,
    /// The bytes that a page takes in it.
    frame: u64,
    space: LogSpace,
    beside: Beside<(), rusqlite::Result<bool>>,
    /// So long the log was when the checkpoint under way began.
    upto: u64,
    /// So long it is when one is due.
    due: u64,
}

impl Checkpointer {
    /// Over the log at `log` of both connections to one file; `writer` is the one that writes.
    pub(super) fn new(writer: &mut Connection, other: Connection, log: PathBuf) -> rusqlite::Result<Self> {
        let pages = Arc::new(AtomicI32::new(0));
        let counted = pages.clone();
        writer.wal_hook(Some(move |_: &mut rusqlite::hooks::Wal, n| {
            counted.store(n, Ordering::Relaxed);
            Ok(())
        }))?;
        let page: u32 = writer.pragma_query_value(None, "page_size", |row| row.get(0))?;
        let beside = Beside::start("store-checkpointer", move |()| checkpoint(&other, "PASSIVE"));
        Ok(Checkpointer {
            pages,
            frame: FRAME_HEADER + u64::from(page),
            space: LogSpace::new(log, 2 * CHECKPOINT),
            beside: beside.map_err(|cause| rusqlite::Error::ToSqlConversionFailure(cause.into()))?,
            upto: 0,
            due: CHECKPOINT,
        })
    }

    /// To be called after commits by the writer, with its connection.
    pub(super) fn keep_short(&mut self, writer: &Connection) -> rusqlite::Result<()> {
        let bytes = self.bytes();
        self.space.provide(bytes);
        if !self.beside.is_under_way() {
            if bytes >= self.due {
                self.begin(bytes);
            }
            return Ok(());
        }
        let is_behind = bytes >= self.due + BEHIND;
        let done = if is_behind { self.beside.finish() } else { self.beside.try_finish() };
        let Some(done) = done else {
            return Ok(());
        };
        done?;
        if bytes.saturating_sub(self.upto) > REST && !is_behind {
            self.begin(bytes);
            return Ok(());
        }
        // A reader may keep part of the log from being brought in.
        let whole = checkpoint(writer, "PASSIVE")?;
        self.due = if whole { CHECKPOINT } else { bytes + CHECKPOINT };
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
        self.beside.finish().transpose()?;
        self.pages.store(0, Ordering::Relaxed);
        self.due = CHECKPOINT;
        checkpoint(writer, "TRUNCATE")?;
        self.space.reset();
        Ok(())
    }

    fn begin(&mut self, bytes: u64) {
        self.upto = bytes;
        self.beside.begin(());
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
