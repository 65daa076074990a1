//! The settings of a store, and the errors of opening one.

use std::{io, path::PathBuf, time::Duration};

use thiserror::Error;

use crate::config::defaults;

/// What an OK promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durable {
    /// The data is synced to the disk: it survives a power cut.
    Fsync,
    /// The operating system has the data: it survives a crash of the process, but not of the machine.
    Os,
}

/// Settings of a store.
#[derive(Debug, Clone)]
pub struct Options {
    /// Most messages to a user in that user's inbox; those to rooms are not counted.
    pub inbox_limit: usize,
    /// What an OK promises.
    pub durable: Durable,
    /// Number of messages, or of cursor steps, that make a batch of the index. Until then they are in memory.
    pub index_batch: usize,
    /// Number of rows of the index that are written with a commit, or more if the commit is large.
    pub index_step: usize,
    /// Number of runs, one for each batch, at which they are merged. Each run adds to the cost of reading a list.
    pub index_runs: usize,
    /// Age at which messages that are in no inbox are removed, with their keys; `None` keeps them for ever.
    pub retain: Option<Duration>,
    /// Size in bytes of the space that is reserved for sessions, cursors and logouts on a full disk; a multiple of 64 KiB.
    pub reserve: usize,
    /// Longest wait for another program that holds the database.
    pub busy_wait: Duration,
    /// Whether a database is opened that has less than was stored before.
    pub accept_loss: bool,
    /// Whether the clock is believed at start, however far it is ahead of the last time that the store has seen.
    pub trust_clock: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            inbox_limit: defaults::INBOX_LIMIT,
            durable: Durable::Fsync,
            index_batch: 32 * 1024,
            index_step: 128,
            index_runs: 64,
            retain: None,
            reserve: 8 * 1024 * 1024,
            busy_wait: super::schema::BUSY_WAIT,
            accept_loss: false,
            trust_clock: false,
        }
    }
}

/// Why a store cannot be opened. No stored data was changed.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The folder, or something else of the system, cannot be used.
    #[error(
        "the data folder {} cannot be used: {cause}\n  remedy: name a folder that the server can write with --data DIR",
        path.display()
    )]
    Folder {
        /// The folder.
        path: PathBuf,
        /// The system's reason.
        cause: io::Error,
    },
    /// Another server holds the folder's lock.
    #[error(
        "the data folder {} cannot be opened: another server uses this folder\n  remedy: stop that server, or name another folder with --data DIR",
        path.display()
    )]
    Locked {
        /// The folder.
        path: PathBuf,
    },
    /// The folder was used before and has no database.
    #[error(
        "{} cannot be opened: the database is gone, though this folder was used before\n  remedy: put a backup in its place, or name a new folder with --data DIR",
        path.display()
    )]
    Gone {
        /// The database.
        path: PathBuf,
    },
    /// The write-ahead log beside the database is another one's.
    #[error(
        "{} cannot be used: this write-ahead log belongs to another database than the one beside it\n  remedy: to go on with that \
         database, move the files chat.db-wal and chat.db-shm away; or put it into an empty folder as chat.db, and name that with --data DIR",
        path.display()
    )]
    ForeignLog {
        /// The log.
        path: PathBuf,
    },
    /// The database has less than was stored.
    #[error(
        "{} has lost something: {lack}\n  remedy: put the latest backup into an empty folder as chat.db, and name that with --data DIR; \
         or go on without what is lost: start once with --accept-loss",
        path.display()
    )]
    Lost {
        /// The database.
        path: PathBuf,
        /// What is missing.
        lack: String,
    },
    /// The file is a database of another program.
    #[error(
        "the store cannot be opened: its file is a database, but not one of chat-server\n  remedy: name another folder with --data DIR"
    )]
    Foreign,
    /// The file has tables, views, indexes or triggers that this program has not made, or lacks some.
    #[error(
        "the store cannot be opened: the {what} in it is missing, or is not what chat-server has made; nothing was changed\n  \
         remedy: take out what another program has put in, or put a backup into an empty folder as chat.db and name that folder with --data DIR"
    )]
    Strange {
        /// What it is about.
        what: String,
    },
    /// A later version of this program has written the file.
    #[error(
        "the store cannot be opened: its file has version {found}, and this program knows versions up to {known}\n  remedy: use the newer version of chat-server that wrote it"
    )]
    Newer {
        /// Version of the file.
        found: i64,
        /// Latest version that this program knows.
        known: i64,
    },
    /// There is no database.
    #[error(
        "{} cannot be read: there is no database\n  remedy: name the folder that the server uses with --data DIR",
        path.display()
    )]
    Missing {
        /// Where it should be.
        path: PathBuf,
    },
    /// An earlier version of this program has written the file, and no server of this version has migrated it.
    #[error(
        "the store cannot be read: an earlier version of chat-server wrote it\n  remedy: start this version of the server on it once, which converts it"
    )]
    Older,
    /// The program is linked to an SQLite with the WAL-reset bug.
    #[error(
        "the store cannot be opened: this program is linked to SQLite {linked}, which has a bug that can lose messages\n  remedy: build it with SQLite 3.51.3 or newer"
    )]
    Sqlite {
        /// Version of that SQLite.
        linked: String,
    },
    /// SQLite cannot read the file.
    #[error(
        "the store cannot be read: {0}; nothing was changed\n  remedy: run chat-server check to see what is wrong, or put a backup into an empty folder as chat.db and name that folder with --data DIR"
    )]
    Damaged(#[from] rusqlite::Error),
    /// A table has a row that this program would not have written.
    #[error(
        "the store cannot be opened: it is damaged: {0}; nothing was changed\n  remedy: run chat-server check to see what is wrong, or put a backup into an empty folder as chat.db and name that folder with --data DIR"
    )]
    Corrupt(String),
}
