//! Room in the write-ahead log.

use std::{
    fs::{self, OpenOptions},
    io::{self, Seek, SeekFrom, Write},
    path::PathBuf,
};

/// Keeps the log's file longer than the log.
///
/// A sync of bytes that were written over older ones has no change of the file's length to put into the file system's
/// journal: it takes half the time. SQLite reads a log up to the first frame that is not of its series, and zeros
/// are none.
pub(super) struct WalReserve {
    path: PathBuf,
    /// The file has room for so many.
    bytes: u64,
    /// The log is hardly ever longer.
    most: u64,
}

impl WalReserve {
    /// The file grows by this much at a time: a millisecond, in which nothing is written.
    const STEP: usize = 1024 * 1024;

    pub(super) fn new(path: PathBuf, most: u64) -> Self {
        // A server that was killed leaves its room behind.
        let bytes = fs::metadata(&path).map_or(0, |file| file.len());
        WalReserve { path, bytes, most }
    }

    /// The file was made short.
    pub(super) fn reset(&mut self) {
        self.bytes = 0;
    }

    /// Sees to it that the log has room for more than the `used` bytes that it has. Where there is no space, it goes
    /// without.
    pub(super) fn provide(&mut self, used: u64) {
        if used + Self::STEP as u64 / 4 < self.bytes || used > self.most {
            return;
        }
        self.bytes = self.extend().unwrap_or(used + Self::STEP as u64);
    }

    fn extend(&self) -> io::Result<u64> {
        let mut file = OpenOptions::new().write(true).open(&self.path)?;
        let end = file.seek(SeekFrom::End(0))?;
        // Written, not allocated: the first write into allocated space is a change for the journal again. It is synced with the
        // next commit.
        if let Err(error) = file.write_all(&vec![0; Self::STEP]) {
            file.set_len(end)?;
            return Err(error);
        }
        Ok(end + Self::STEP as u64)
    }
}
