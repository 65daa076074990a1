//! The data folder: who may use it, and the space that is kept back in it.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use super::OpenError;

/// How long a server that holds the folder is waited for.
const LOCK_WAIT: Duration = Duration::from_millis(500);

/// A reserve that could not be made is tried again after this time.
const RESTOCK: Duration = Duration::from_secs(1);

/// A locked data folder.
pub(super) struct Folder {
    path: PathBuf,
    /// Bytes of space for sessions, cursors and logouts when there is no other.
    reserve: usize,
    /// Locked as long as it is open; says that the folder has been used.
    _lock: File,
    stocked: AtomicBool,
    tried: Mutex<Option<Instant>>,
    warned: AtomicBool,
}

impl Folder {
    /// Makes the folder if there is none, and locks it.
    pub(super) fn open(path: &Path, reserve: usize) -> Result<Self, OpenError> {
        let failed = |cause| OpenError::Folder { path: path.to_owned(), cause };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
        let lock = private_file().open(path.join("lock")).map_err(failed)?;
        let began = Instant::now();
        while let Err(error) = lock.try_lock() {
            match error {
                // One that is just ending has let go of everything else already.
                TryLockError::WouldBlock if began.elapsed() < LOCK_WAIT => thread::sleep(LOCK_WAIT / 50),
                TryLockError::WouldBlock => return Err(OpenError::Locked { path: path.to_owned() }),
                TryLockError::Error(cause) => return Err(failed(cause)),
            }
        }
        let folder = Folder {
            path: path.to_owned(),
            reserve,
            _lock: lock,
            stocked: AtomicBool::new(false),
            tried: Mutex::new(None),
            warned: AtomicBool::new(false),
        };
        folder.expect_database()?;
        folder.log_last_failure();
        Ok(folder)
    }

    /// The database.
    pub(super) fn database(&self) -> PathBuf {
        database(&self.path)
    }

    /// The database's write-ahead log.
    pub(super) fn log(&self) -> PathBuf {
        self.path.join("chat.db-wal")
    }

    /// A folder that was used has a database: without it, everything in it would seem never to have been.
    fn expect_database(&self) -> Result<(), OpenError> {
        let marker = self.path.join("used");
        let database = self.database();
        let empty = fs::metadata(&database).map_or(true, |file| file.len() == 0);
        let log = fs::metadata(self.log()).is_ok_and(|file| file.len() > 0);
        if empty && (marker.exists() || (log && !database.exists())) {
            return Err(OpenError::Gone { path: database });
        }
        Ok(())
    }

    /// From now on the folder is one that was used. (After the database was made and synced.)
    pub(super) fn mark_used(&self) -> io::Result<()> {
        let marker = self.path.join("used");
        if !marker.exists() {
            private_file().open(&marker)?.sync_all()?;
            File::open(&self.path)?.sync_all()?;
        }
        Ok(())
    }

    /// Keeps the reason of a failure for the next start, as far as the disk still takes anything.
    pub(super) fn note_failure(&self, reason: &str) {
        fs::write(self.path.join("failure"), reason).ok();
    }

    fn log_last_failure(&self) {
        let note = self.path.join("failure");
        if let Ok(reason) = fs::read_to_string(&note) {
            tracing::warn!(reason, "the storage failed in the last run; check the disk");
            fs::remove_file(note).ok();
        }
    }

    /// Makes the reserve, if there is none and it was not tried just now.
    pub(super) fn restock(&self) {
        if self.stocked.load(Ordering::Relaxed) {
            return;
        }
        let mut tried = self.tried.lock().expect("nothing panics while it is held");
        if tried.is_some_and(|at| at.elapsed() < RESTOCK) {
            return;
        }
        *tried = Some(Instant::now());
        let path = self.path.join("reserve");
        let whole = fs::metadata(&path).is_ok_and(|file| file.len() == self.reserve as u64);
        let made = whole || self.fill(&path).is_ok();
        if !made {
            fs::remove_file(&path).ok();
        }
        self.stocked.store(made, Ordering::Relaxed);
    }

    /// Whether the reserve is there. Without it, messages are refused: what space there is, is for other things.
    pub(super) fn has_reserve(&self) -> bool {
        self.stocked.load(Ordering::Relaxed)
    }

    fn fill(&self, path: &Path) -> io::Result<()> {
        let mut file = private_file().open(path)?;
        // Written, not just allocated: every file system then has the space.
        let chunk = vec![0xa5; 64 * 1024];
        for _ in 0..self.reserve / chunk.len() {
            file.write_all(&chunk)?;
        }
        file.sync_all()
    }

    /// Gives the reserve up. Returns whether there was one.
    pub(super) fn release_reserve(&self) -> bool {
        self.stocked.store(false, Ordering::Relaxed);
        let released = fs::remove_file(self.path.join("reserve")).is_ok();
        if released {
            tracing::warn!("the reserve is released, for sessions and cursors");
        }
        released
    }

    /// Says once that sessions end with the process.
    pub(super) fn warn_of_short_sessions(&self) {
        if !self.warned.swap(true, Ordering::Relaxed) {
            tracing::warn!("no space for sessions: new ones last as long as this process");
        }
    }
}

/// Where the database is in a data folder.
#[must_use]
pub fn database(folder: &Path) -> PathBuf {
    folder.join("chat.db")
}

/// A file that only its owner reads.
fn private_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).write(true).mode(0o600);
    options
}
