//! Space that is written in advance at the end of the write-ahead log's file.

use std::{
    fs::{self, OpenOptions},
    io::{self, Seek, SeekFrom, Write},
    path::PathBuf,
};

/// Keeps the log's file longer than the log, by appending zeros.
///
/// A sync of bytes that overwrite older ones takes half the time: the file's length has not changed, so the file system
/// has nothing to put into its journal.
///
/// This writes to a file of SQLite's behind its back. It is safe for these reasons:
/// - SQLite reads a log only up to the first frame that does not belong to its series. Zeros never do: a valid frame has a
///   page number above 0.
/// - Zeros are appended at the end of the file, by the only thread that writes to the log, between two commits.
/// - No lock is lost. Closing a handle of a file releases all POSIX locks that the process holds on that file, but SQLite
///   locks the database and its `-shm` file, and never the `-wal` file.
pub(super) struct WalReserve {
    path: PathBuf,
    /// Length of the file in bytes, as far as it is known.
    bytes: u64,
    /// Length in bytes beyond which the file is not extended; the log is hardly ever longer.
    most: u64,
}

impl WalReserve {
    /// How many bytes the file grows at a time. That takes about a millisecond, in which no commit is written.
    const STEP: usize = 1024 * 1024;

    pub(super) fn new(path: PathBuf, most: u64) -> Self {
        // A server that was killed leaves its zeros behind.
        let bytes = fs::metadata(&path).map_or(0, |file| file.len());
        WalReserve { path, bytes, most }
    }

    /// Records that the file was truncated.
    pub(super) fn reset(&mut self) {
        self.bytes = 0;
    }

    /// Extends the file when the `used` bytes of the log come near its end.
    ///
    /// If the disk has no space, it does nothing, and tries again when the log has grown further.
    pub(super) fn provide(&mut self, used: u64) {
        if used + Self::STEP as u64 / 4 < self.bytes || used > self.most {
            return;
        }
        self.bytes = self.extend().unwrap_or(used + Self::STEP as u64);
    }

    fn extend(&self) -> io::Result<u64> {
        let mut file = OpenOptions::new().write(true).open(&self.path)?;
        let end = file.seek(SeekFrom::End(0))?;
        // Write zeros instead of allocating: the first write into allocated space would again be a change for the
        // journal. The next commit syncs them.
        if let Err(error) = file.write_all(&vec![0; Self::STEP]) {
            file.set_len(end)?;
            return Err(error);
        }
        Ok(end + Self::STEP as u64)
    }
}
