//! A copy of everything, while the server runs.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use thiserror::Error;

use super::{OpenError, schema};
use crate::files;

/// Why there is no backup.
#[derive(Debug, Error)]
pub enum BackupError {
    /// The database.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// Nothing is overwritten.
    #[error("{}: this file exists\n  remedy: name one that does not", file.display())]
    Exists {
        /// As it was given.
        file: PathBuf,
    },
    /// The file.
    #[error("{}: {cause}\n  remedy: name a file in a folder that can be written and has space", file.display())]
    File {
        /// As it was given.
        file: PathBuf,
        /// The system's reason.
        cause: io::Error,
    },
    /// SQLite could not write it.
    #[error("{}: {cause}\n  remedy: see to it that there is space for a copy of the whole database", file.display())]
    Copy {
        /// As it was given.
        file: PathBuf,
        /// SQLite's reason.
        cause: rusqlite::Error,
    },
}

/// Copies the database at `path` into a new `file`, in one read transaction: a server may be using it.
///
/// Everything that was acknowledged before this was called is in the copy. It is synced when this returns. Put into
/// an empty folder as `chat.db`, it is what a server opens.
///
/// # Errors
/// If `file` exists, or something cannot be read or written; then nothing of a copy is left.
pub fn backup(path: &Path, file: &Path) -> Result<(), BackupError> {
    if file.symlink_metadata().is_ok() {
        return Err(BackupError::Exists { file: file.to_owned() });
    }
    let connection = schema::open_to_inspect(path)?;
    // SQLite takes the copy for a change.
    connection.pragma_update(None, "query_only", false).map_err(OpenError::from)?;
    let partial = files::with_suffix(file, ".partial");
    let failed = |cause| BackupError::File { file: file.to_owned(), cause };
    // Made here, so that nobody else can read it; SQLite fills an empty file.
    files::create_new(&partial, files::PRIVATE).map_err(failed)?;
    let copied = connection
        .execute("VACUUM INTO ?1", [partial.to_string_lossy()])
        .map_err(|cause| BackupError::Copy { file: file.to_owned(), cause })
        .and_then(|_| files::publish_new(&partial, file).map_err(failed));
    fs::remove_file(&partial).ok();
    copied
}
