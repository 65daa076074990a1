//! `chat-server backup`: copies the database while a server may be using it.

use std::{
    ffi::OsString,
    fs::{self, File},
    io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use thiserror::Error;

use super::{OpenError, schema};

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
    let mut partial = OsString::from(file);
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    let failed = |cause| BackupError::File { file: file.to_owned(), cause };
    // Create the file here, readable by its owner only; SQLite accepts an empty file.
    File::options().write(true).create_new(true).mode(0o600).open(&partial).map_err(failed)?;
    let copied = connection
        .execute("VACUUM INTO ?1", [partial.to_string_lossy()])
        .map_err(|cause| BackupError::Copy { file: file.to_owned(), cause })
        .and_then(|_| publish(&partial, file).map_err(failed));
    fs::remove_file(&partial).ok();
    copied
}

/// Syncs the file `partial` and links it as `file`, which fails if another file has that name by now.
fn publish(partial: &Path, file: &Path) -> io::Result<()> {
    File::open(partial)?.sync_all()?;
    fs::hard_link(partial, file)?;
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}
