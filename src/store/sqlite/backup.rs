//! `chat-server backup`: copies the database while a server may be using it.

use std::{
    fs::{self, File, TryLockError},
    io,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use rusqlite::{
    Connection,
    types::{ToSqlOutput, ValueRef},
};
use thiserror::Error;

use super::{OpenError, check, schema};
use crate::files;

/// Why no backup was made.
#[derive(Debug, Error)]
pub enum BackupError {
    /// The database cannot be read.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// The file exists; no file is overwritten.
    #[error(
        "the backup cannot be written to {}: this file exists\n  remedy: name a file that does not exist",
        file.display()
    )]
    Exists {
        /// Path as it was given.
        file: PathBuf,
    },
    /// The file cannot be created or synced.
    #[error(
        "the backup cannot be written to {}: {cause}\n  remedy: name a file in a folder that can be written and has space",
        file.display()
    )]
    File {
        /// Path as it was given.
        file: PathBuf,
        /// Error of the operating system.
        cause: io::Error,
    },
    /// The copy is damaged, because the database is. It was removed.
    #[error(
        "the database is damaged, so there is no backup {}: {problems} problems, the first is: {first}\n  \
         remedy: keep the earlier backups; `chat-server check` lists all problems",
        file.display()
    )]
    Damaged {
        /// Path as it was given.
        file: PathBuf,
        /// Number of problems.
        problems: u64,
        /// The first of them.
        first: String,
    },
    /// SQLite cannot copy the database into the file.
    #[error(
        "the database cannot be copied to {}: {cause}\n  remedy: make space there for a copy of the whole database",
        file.display()
    )]
    Copy {
        /// Path as it was given.
        file: PathBuf,
        /// Error of SQLite.
        cause: rusqlite::Error,
    },
}

/// Copies the database at `path` into a new `file`, in one read transaction, so a server may be using it. Returns the number of
/// messages in the copy.
///
/// Everything that was acknowledged before the call is in the copy. The copy is read and [checked](check), and synced when this
/// returns. A server opens it in a folder of its own, under the name `chat.db`.
///
/// # Errors
/// [`BackupError`] if `file` exists, if something cannot be read or written, or if the copy is not sound; no part of a copy is
/// left then.
pub fn backup(path: &Path, file: &Path) -> Result<u64, BackupError> {
    if file.symlink_metadata().is_ok() {
        return Err(BackupError::Exists { file: file.to_owned() });
    }
    let connection = schema::open_to_inspect(path)?;
    // SQLite counts `VACUUM INTO` as a change.
    connection.pragma_update(None, "query_only", false).map_err(OpenError::from)?;
    let partial = files::with_suffix(file, ".partial");
    let failed = |cause| BackupError::File { file: file.to_owned(), cause };
    let lock = own_partial(&partial).map_err(failed)?;
    let copied = copy_into(&connection, &partial)
        .map_err(|cause| BackupError::Copy { file: file.to_owned(), cause })
        .and_then(|_| {
            number_anew(&partial).map_err(|cause| BackupError::Copy { file: file.to_owned(), cause })
        })
        .and_then(|()| verify(&partial, file))
        .and_then(|messages| files::publish_new(&partial, file).map_err(failed).map(|()| messages));
    fs::remove_file(&partial).ok();
    // SQLite may have had the file open, and would lose its own locks if this handle were closed meanwhile.
    drop(lock);
    copied
}

/// Creates the file to copy into, empty and private, and locks it. One that a killed backup has left is used again.
fn own_partial(partial: &Path) -> io::Result<File> {
    let file = files::open_own(partial)?;
    file.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => io::Error::other("another backup to this file is under way"),
        TryLockError::Error(error) => error,
    })?;
    // SQLite fills an empty file.
    file.set_len(0)?;
    Ok(file)
}

/// Gives a copy a number of its own: the write-ahead log of the database does not belong to it.
fn number_anew(partial: &Path) -> rusqlite::Result<()> {
    let connection = Connection::open(partial)?;
    let tables = "SELECT count(*) FROM sqlite_schema WHERE name = 'file'";
    // A file of an older version has no number.
    if connection.query_row(tables, [], |row| row.get(0))? {
        connection.execute("UPDATE file SET id = randomblob(16)", [])?;
    }
    Ok(())
}

/// Reads all of a copy. Returns the number of its messages.
fn verify(partial: &Path, file: &Path) -> Result<u64, BackupError> {
    let report = match check(partial) {
        // A file of an older version is as good as it was. Its tables cannot be compared by this program.
        Err(OpenError::Older) => return Ok(count_messages(partial)?),
        report => report?,
    };
    match report.problems.first() {
        None => Ok(report.messages),
        Some(first) => Err(BackupError::Damaged {
            file: file.to_owned(),
            problems: report.problems.len() as u64 + report.more_problems,
            first: first.clone(),
        }),
    }
}

fn count_messages(path: &Path) -> Result<u64, OpenError> {
    let connection = schema::open_to_inspect(path)?;
    let count: i64 = connection.query_row("SELECT count(*) FROM messages", [], |row| row.get(0))?;
    Ok(count.cast_unsigned())
}

/// The path is passed as bytes, which need not be UTF-8, and is absolute, so that SQLite does not take it for a URI.
fn copy_into(connection: &Connection, file: &Path) -> rusqlite::Result<usize> {
    let file = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    let path = ToSqlOutput::Borrowed(ValueRef::Text(file.as_os_str().as_bytes()));
    connection.execute("VACUUM INTO ?1", [path])
}
