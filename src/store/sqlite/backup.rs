//! `chat-server backup`: copies the database while a server may be using it.

use std::{
    fs, io,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use rusqlite::{
    Connection,
    types::{ToSqlOutput, ValueRef},
};
use thiserror::Error;

use super::{OpenError, schema};
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

/// Copies the database at `path` into a new `file`, in one read transaction, so a server may be using it.
///
/// Everything that was acknowledged before the call is in the copy. The copy is synced when this returns. A server
/// opens it in a folder of its own, under the name `chat.db`.
///
/// # Errors
/// [`BackupError`] if `file` exists, or if something cannot be read or written; no part of a copy is left then.
pub fn backup(path: &Path, file: &Path) -> Result<(), BackupError> {
    if file.symlink_metadata().is_ok() {
        return Err(BackupError::Exists { file: file.to_owned() });
    }
    let connection = schema::open_to_inspect(path)?;
    // SQLite counts `VACUUM INTO` as a change.
    connection.pragma_update(None, "query_only", false).map_err(OpenError::from)?;
    let partial = files::with_suffix(file, ".partial");
    let failed = |cause| BackupError::File { file: file.to_owned(), cause };
    // Made here, so that nobody else can read it; SQLite fills an empty file.
    files::create_new(&partial, files::PRIVATE).map_err(failed)?;
    let copied = copy_into(&connection, &partial)
        .map_err(|cause| BackupError::Copy { file: file.to_owned(), cause })
        .and_then(|_| files::publish_new(&partial, file).map_err(failed));
    fs::remove_file(&partial).ok();
    copied
}

/// The path is passed as bytes, which need not be UTF-8, and is absolute, so that SQLite does not take it for a URI.
fn copy_into(connection: &Connection, file: &Path) -> rusqlite::Result<usize> {
    let file = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    let path = ToSqlOutput::Borrowed(ValueRef::Text(file.as_os_str().as_bytes()));
    connection.execute("VACUUM INTO ?1", [path])
}
