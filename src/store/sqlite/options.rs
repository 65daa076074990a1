//! How a store is to be, and why it may not be opened.

use std::{io, path::PathBuf, time::Duration};

use thiserror::Error;

/// What an OK promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durable {
    /// It is synced to the disk: it survives a power cut.
    Fsync,
    /// The operating system has it: it survives a crash of the process, not of the machine.
    Os,
}

/// How the store is to be.
#[derive(Debug, Clone)]
pub struct Options {
    /// Messages that may wait in one inbox.
    pub inbox_limit: usize,
    /// What an OK promises.
    pub durable: Durable,
    /// So many messages (or cursors) are indexed at once; until then they are in memory.
    pub index_batch: usize,
    /// So many rows of the index are written with a commit, or more if the commit is large.
    pub index_step: usize,
    /// So many batches are merged at once: each makes the search for a list longer.
    pub index_runs: usize,
    /// Messages (and their keys) that have left every inbox are forgotten at this age.
    pub retain: Option<Duration>,
    /// Bytes that are kept back for sessions, cursors and logouts on a full disk: a multiple of 64 KiB.
    pub reserve: usize,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            inbox_limit: 10_000,
            durable: Durable::Fsync,
            index_batch: 32 * 1024,
            index_step: 128,
            index_runs: 64,
            retain: None,
            reserve: 8 * 1024 * 1024,
        }
    }
}

/// Why a store cannot be opened. Nothing was changed.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The folder.
    #[error("{}: {cause}\n  remedy: name a folder that can be written with --data DIR", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// The system's reason.
        cause: io::Error,
    },
    /// Another server has it.
    #[error("{}: another server uses this folder\n  remedy: end that one, or name another folder with --data DIR", path.display())]
    Locked {
        /// The folder.
        path: PathBuf,
    },
    /// It was used, and its database is not there.
    #[error("{}: the database is gone, though this folder was used\n  remedy: put a backup in its place, or name a new folder with --data DIR", path.display())]
    Gone {
        /// The database.
        path: PathBuf,
    },
    /// A database of another program.
    #[error(
        "the file is a database, but not one of chat-server\n  remedy: name another folder with --data DIR"
    )]
    Foreign,
    /// Made by a later version of this program.
    #[error(
        "the store has version {found}, and this program knows versions up to {known}\n  remedy: use the newer program that made it"
    )]
    Newer {
        /// Of the file.
        found: i64,
        /// Of this program.
        known: i64,
    },
    /// There is none.
    #[error("{}: there is no database\n  remedy: name the folder that the server uses with --data DIR", path.display())]
    Missing {
        /// Where it should be.
        path: PathBuf,
    },
    /// Made by an earlier version of this program, and not used by this one yet.
    #[error(
        "the store was made by an earlier version\n  remedy: start this version of the server on it once"
    )]
    Older,
    /// An SQLite that could lose commits.
    #[error(
        "this program is linked to SQLite {linked}, which has a bug that can lose messages\n  remedy: build it with SQLite 3.51.3 or newer"
    )]
    Sqlite {
        /// Its version.
        linked: String,
    },
    /// SQLite cannot read it.
    #[error(
        "the store cannot be read: {0}\n  remedy: nothing was changed; `chat-server check` says what is wrong; put a backup into an empty folder as chat.db, and name that folder with --data DIR"
    )]
    Damaged(#[from] rusqlite::Error),
    /// A row that cannot be.
    #[error(
        "the store is damaged: {0}\n  remedy: nothing was changed; `chat-server check` says what is wrong; put a backup into an empty folder as chat.db, and name that folder with --data DIR"
    )]
    Corrupt(String),
}
