//! The data folder: its lock, its markers, and the reserve of disk space.

use std::{
    fs::{self, File, TryLockError},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use super::OpenError;
use crate::files;

/// How long to wait for another server's lock: a server that is just ending keeps it for a moment.
const LOCK_WAIT: Duration = Duration::from_millis(500);

/// Time between attempts to create the reserve.
const RESTOCK: Duration = Duration::from_secs(1);

/// A locked data folder.
pub(super) struct Folder {
    path: PathBuf,
    /// Size of the reserve in bytes: space for sessions, cursors and logouts on a full disk.
    reserve: usize,
    /// Held open for its lock.
    _lock: File,
    stocked: AtomicBool,
    tried: Mutex<Option<Instant>>,
    warned: AtomicBool,
}

impl Folder {
    /// Creates the folder if there is none, and locks it. Logs why the last run failed, if it did.
    ///
    /// # Errors
    /// [`OpenError::Locked`] if another process holds the lock; [`OpenError::Gone`] if the folder was used and has no
    /// database; [`OpenError::Folder`] for other failures.
    pub(super) fn open(path: &Path, reserve: usize) -> Result<Self, OpenError> {
        let failed = |cause| OpenError::Folder { path: path.to_owned(), cause };
        files::create_private_folder(path).map_err(failed)?;
        let lock = files::open_own(&path.join("lock")).map_err(failed)?;
        let began = Instant::now();
        while let Err(error) = lock.try_lock() {
            match error {
                // A server that is just ending has closed everything else in the folder already.
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
        folder.keep_private();
        folder.log_last_failure();
        Ok(folder)
    }

    /// Takes the rights of others on the files away, and warns if others can enter the folder.
    fn keep_private(&self) {
        for name in ["chat.db", "chat.db-wal", "chat.db-shm", "lock", "used", "reserve", "failure", "marks"] {
            let path = self.path.join(name);
            if let Err(error) = files::make_private(&path) {
                tracing::warn!(file = %path.display(), %error, "others may read this file; remedy: chmod 600");
            }
        }
        let open_to_others = fs::metadata(&self.path).is_ok_and(|folder| files::is_open_to_others(&folder));
        if open_to_others {
            tracing::warn!(folder = %self.path.display(), "others can list the data folder; remedy: chmod 700");
        }
    }

    /// Path of the database.
    pub(super) fn database(&self) -> PathBuf {
        database(&self.path)
    }

    /// Path of the database's write-ahead log.
    pub(super) fn log(&self) -> PathBuf {
        self.path.join("chat.db-wal")
    }

    /// Refuses a folder that was used and has no database: a new, empty one would hide that everything was lost.
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

    /// Marks the folder as used. To be called after the database was created and synced.
    pub(super) fn mark_used(&self) -> io::Result<()> {
        let marker = self.path.join("used");
        if !marker.exists() {
            files::open_own(&marker)?.sync_all()?;
            files::sync_folder(&self.path)?;
        }
        Ok(())
    }

    /// Keeps the reason of a failure for the log of the next start. Errors are ignored: the disk has just failed.
    pub(super) fn note_failure(&self, reason: &str) {
        let note = files::open_own(&self.path.join("failure"));
        note.and_then(|mut note| note.write_all(reason.as_bytes())).ok();
    }

    fn log_last_failure(&self) {
        let note = self.path.join("failure");
        if let Ok(reason) = fs::read_to_string(&note) {
            tracing::warn!(reason, "the storage failed in the last run: check the disk");
            fs::remove_file(note).ok();
        }
    }

    /// Creates the reserve if there is none, at most once in [`RESTOCK`].
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

    /// Whether the reserve exists. Without it messages are refused, to leave space for sessions, cursors and logouts.
    pub(super) fn has_reserve(&self) -> bool {
        self.stocked.load(Ordering::Relaxed)
    }

    fn fill(&self, path: &Path) -> io::Result<()> {
        let mut file = files::open_own(path)?;
        // Written, not just allocated: every file system then has the space.
        let chunk = vec![0xa5; 64 * 1024];
        for _ in 0..self.reserve / chunk.len() {
            file.write_all(&chunk)?;
        }
        file.sync_all()
    }

    /// Removes the reserve, to free its space. Returns whether there was one.
    pub(super) fn release_reserve(&self) -> bool {
        self.stocked.store(false, Ordering::Relaxed);
        let released = fs::remove_file(self.path.join("reserve")).is_ok();
        if released {
            tracing::warn!("the reserved disk space is released, for sessions and cursors");
        }
        released
    }

    /// Logs, once in the life of the process, that new sessions are not stored.
    pub(super) fn warn_of_short_sessions(&self) {
        if !self.warned.swap(true, Ordering::Relaxed) {
            tracing::warn!("the disk has no space for sessions: new ones end with this process");
        }
    }
}

/// Path of the database in a data folder.
#[must_use]
pub fn database(folder: &Path) -> PathBuf {
    folder.join("chat.db")
}
