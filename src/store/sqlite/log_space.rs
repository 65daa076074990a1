//! Room in the write-ahead log.

use std::{
    fs::OpenOptions,
    io::{self, Seek, SeekFrom, Write},
    path::PathBuf,
};

/// Keeps the log's file longer than the log.
///
/// A sync of bytes that were written over older ones has no change of the file's length to put into the file system's
/// journal: it takes half the time. SQLite reads a log up to the first frame that is not of its series, and zeros
/// are none.
pub(super) struct LogSpace {
    path: PathBuf,
    bytes: u64,
}

impl LogSpace {
    /// The file grows by this much at a time.
    const STEP: u64 = 4 * 1024 * 1024;

    /// A page in the log: a header and the page.
    const FRAME: u64 = 24 + 4096;

    pub(super) fn new(path: PathBuf) -> Self {
        LogSpace { path, bytes: 0 }
    }

    /// The file was made short.
    pub(super) fn reset(&mut self) {
        self.bytes = 0;
    }

    /// Sees to it that the log has room for more than its `pages`, up to `most_pages`. Where there is no space, it goes without.
    pub(super) fn provide(&mut self, pages: i32, most_pages: i32) {
        let used = u64::from(pages.unsigned_abs()) * Self::FRAME;
        if used + Self::STEP / 4 < self.bytes || used > u64::from(most_pages.unsigned_abs()) * Self::FRAME {
            return;
        }
        self.bytes = self.extend().unwrap_or(used + Self::STEP);
    }

    fn extend(&self) -> io::Result<u64> {
        let mut file = OpenOptions::new().write(true).open(&self.path)?;
        let end = file.seek(SeekFrom::End(0))?;
        // Written, not allocated: the first write into allocated space is a change for the journal again.
        if let Err(error) = file.write_all(&vec![0; 4 << 20]).and_then(|()| file.sync_data()) {
            file.set_len(end)?;
            return Err(error);
        }
        Ok(end + Self::STEP)
    }
}
