//! Files on disk: created private, written as a whole, synced, and put in place so that a reader or a power cut finds
//! the old file or the new one.
//!
//! A new name in a folder survives a power cut only when the folder is synced, too. Every function that puts a file in
//! place does that. What is in a file is not known here.

use std::{
    ffi::OsString,
    fs::{self, DirBuilder, File, Metadata, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, fchown},
    path::{Path, PathBuf},
};

use thiserror::Error;

/// The mode of a file that only its owner reads and writes.
pub const PRIVATE: u32 = 0o600;

/// Why a file was not replaced.
#[derive(Debug, Error)]
#[error("{}: cannot {doing}: {cause}", path.display())]
pub struct ReplaceError {
    /// The file that the failed step was about.
    pub path: PathBuf,
    /// The failed step, as a verb with its object.
    pub doing: &'static str,
    /// The system's error.
    pub cause: io::Error,
}

/// The folder that a file is in: `.` if the path names none.
#[must_use]
pub fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The path with a suffix after its last component.
#[must_use]
pub fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

/// Options that open a file for writing and create it [`PRIVATE`] if it does not exist. Existing content stays.
#[must_use]
pub fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).write(true).mode(PRIVATE);
    options
}

/// Creates an empty file with this mode.
///
/// # Errors
/// [`AlreadyExists`](io::ErrorKind::AlreadyExists) if the file exists, or the system's error.
pub fn create_new(path: &Path, mode: u32) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(mode).open(path)
}

/// Creates a folder that only its owner can enter, and the missing folders above it.
///
/// # Errors
/// The system's error.
pub fn create_private_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Writes a file's content and syncs it.
///
/// # Errors
/// The system's error.
pub fn write_synced(file: &mut File, bytes: &[u8]) -> io::Result<()> {
    file.write_all(bytes)?;
    file.sync_all()
}

/// Syncs a folder, so that the names in it survive a power cut.
///
/// # Errors
/// The system's error.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Syncs the file at `from`, and gives it the additional name `to` for good.
///
/// # Errors
/// [`AlreadyExists`](io::ErrorKind::AlreadyExists) if `to` exists, or the system's error.
pub fn publish_new(from: &Path, to: &Path) -> io::Result<()> {
    File::open(from)?.sync_all()?;
    fs::hard_link(from, to)?;
    sync_folder(parent(to))
}

/// Gives a file the owner and the group of another one.
///
/// # Errors
/// The system's error, if they differ and the process may not change them.
pub fn take_owner(file: &File, from: &Metadata) -> io::Result<()> {
    let has = file.metadata()?;
    if (has.uid(), has.gid()) == (from.uid(), from.gid()) {
        return Ok(());
    }
    fchown(file, Some(from.uid()), Some(from.gid()))
}

/// Replaces the file at `target`, or creates it, at once and for good: [`PRIVATE`], with the owner of the old file.
///
/// The new content is written beside it as `target.new`. A file of that name, which a crash may have left, is removed
/// first. Callers take turns: there is only one such name.
///
/// # Errors
/// The step that failed. The old file is unchanged, unless only the last sync failed.
pub fn replace(target: &Path, bytes: &[u8]) -> Result<(), ReplaceError> {
    let failed = |path: &Path, doing| {
        let path = path.to_owned();
        move |cause| ReplaceError { path, doing, cause }
    };
    let old = fs::metadata(target).ok();
    if old.as_ref().is_some_and(|old| !old.is_file()) {
        let cause = io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file");
        return Err(failed(target, "replace it")(cause));
    }
    let fresh = with_suffix(target, ".new");
    let replaced = write_private(&fresh, bytes, old.as_ref())
        .map_err(failed(&fresh, "write it"))
        .and_then(|()| fs::rename(&fresh, target).map_err(failed(target, "replace it")));
    if replaced.is_err() {
        fs::remove_file(&fresh).ok();
        return replaced;
    }
    let folder = parent(target);
    sync_folder(folder).map_err(failed(folder, "sync it"))
}

/// Writes and syncs a new private file with the owner of `old`.
fn write_private(path: &Path, bytes: &[u8], old: Option<&Metadata>) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(cause) if cause.kind() != io::ErrorKind::NotFound => return Err(cause),
        _ => {}
    }
    let mut file = create_new(path, PRIVATE)?;
    if let Some(old) = old {
        take_owner(&file, old)?;
    }
    write_synced(&mut file, bytes)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).expect("there").permissions().mode() & 0o777
    }

    fn text(path: &Path) -> String {
        fs::read_to_string(path).expect("UTF-8")
    }

    #[test]
    fn a_path_without_a_folder_is_in_the_current_one() {
        assert_eq!(parent(Path::new("users.toml")), Path::new("."));
        assert_eq!(parent(Path::new("a/users.toml")), Path::new("a"));
        assert_eq!(parent(Path::new("/users.toml")), Path::new("/"));
    }

    #[test]
    fn a_replaced_file_is_private_and_whole() {
        let folder = tempfile::tempdir().expect("a folder");
        let target = folder.path().join("users.toml");
        replace(&target, b"one").expect("created");
        assert_eq!((text(&target).as_str(), mode(&target)), ("one", PRIVATE));
        fs::set_permissions(&target, fs::Permissions::from_mode(0o644)).expect("set");
        // What a crash has left, longer than the new content and readable by all.
        fs::write(with_suffix(&target, ".new"), "left behind").expect("written");
        replace(&target, b"two").expect("replaced");
        assert_eq!((text(&target).as_str(), mode(&target)), ("two", PRIVATE));
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1, "nothing else is left");
    }

    #[test]
    fn a_replaced_file_keeps_its_owner() {
        let folder = tempfile::tempdir().expect("a folder");
        let target = folder.path().join("users.toml");
        fs::write(&target, "one").expect("written");
        // Only root can give a file away.
        if std::os::unix::fs::chown(&target, Some(12), Some(34)).is_ok() {
            replace(&target, b"two").expect("replaced");
            let owner = fs::metadata(&target).expect("there");
            assert_eq!((owner.uid(), owner.gid()), (12, 34));
        }
    }

    #[test]
    fn a_failed_write_leaves_the_old_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let target = folder.path().join("users.toml");
        fs::write(&target, "old").expect("written");
        let fresh = with_suffix(&target, ".new");
        fs::create_dir(&fresh).expect("made");
        let error = replace(&target, b"new").expect_err("the name is taken by a folder");
        assert_eq!((error.path.as_path(), error.doing), (fresh.as_path(), "write it"));
        assert_eq!(text(&target), "old");
        let error = replace(folder.path(), b"new").expect_err("a folder is no file");
        assert_eq!(error.cause.kind(), io::ErrorKind::InvalidInput);
    }

    #[test]
    fn a_new_file_takes_nobodys_place() {
        let folder = tempfile::tempdir().expect("a folder");
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        write_synced(&mut create_new(&from, PRIVATE).expect("created"), b"new").expect("written");
        assert_eq!(mode(&from), PRIVATE);
        publish_new(&from, &to).expect("published");
        assert_eq!(text(&to), "new");
        let error = publish_new(&from, &to).expect_err("taken");
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        let error = create_new(&to, PRIVATE).expect_err("taken");
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
    }

    #[test]
    fn a_private_folder_and_file_are_for_their_owner_only() {
        let folder = tempfile::tempdir().expect("a folder");
        let inner = folder.path().join("a/b");
        create_private_folder(&inner).expect("created");
        assert_eq!((mode(&inner), mode(parent(&inner))), (0o700, 0o700));
        let file = inner.join("file");
        private().open(&file).expect("created").write_all(b"kept").expect("written");
        private().open(&file).expect("opened again");
        assert_eq!((text(&file).as_str(), mode(&file)), ("kept", PRIVATE));
    }
}
