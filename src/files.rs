//! Files on disk: created private, written as a whole, synced, and put in place so that a reader or a power cut finds
//! the old file or the new one.
//!
//! A new name in a folder survives a power cut only when the folder is synced, too. Every function that puts a file in
//! place does that. What is in a file is not known here.

use std::{
    ffi::OsString,
    fs::{self, DirBuilder, File, Metadata, OpenOptions},
    io::{self, Write},
    marker::PhantomData,
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{Gid, Mode, OFlags, Uid},
    process::{getegid, geteuid, getgroups, umask},
    thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid},
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

/// Opens a file of this program's own making to read and write it, and creates it [`PRIVATE`] if it does not exist.
///
/// # Errors
/// [`InvalidInput`](io::ErrorKind::InvalidInput) if something else has its name: a symbolic link, a file that has another name, too,
/// or no regular file. Or the system's error.
pub fn open_own(path: &Path) -> io::Result<File> {
    open_no_link(path, private().read(true))
}

/// Opens a file of this program's own making to read it.
///
/// # Errors
/// As of [`open_own`]; [`NotFound`](io::ErrorKind::NotFound) if it does not exist.
pub fn read_own(path: &Path) -> io::Result<File> {
    open_no_link(path, OpenOptions::new().read(true))
}

fn open_no_link(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    let foreign = || io::Error::new(io::ErrorKind::InvalidInput, "a link, or no regular file, has this name");
    let opened = options.custom_flags(NO_LINK.bits().cast_signed()).open(path);
    let file = opened.map_err(|error| if path.is_symlink() { foreign() } else { error })?;
    let found = file.metadata()?;
    if found.is_file() && found.nlink() == 1 { Ok(file) } else { Err(foreign()) }
}

/// Takes all rights on a regular file away from the group and from others. Does nothing if there is no such file.
///
/// # Errors
/// The system's error.
pub fn make_private(path: &Path) -> io::Result<()> {
    let file = match OpenOptions::new().read(true).custom_flags(NO_LINK.bits().cast_signed()).open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        file => file?,
    };
    let found = file.metadata()?;
    if found.is_file() && is_open_to_others(&found) {
        file.set_permissions(fs::Permissions::from_mode(found.mode() & 0o700))?;
    }
    Ok(())
}

/// Whether the group or others have any right on a file or folder.
#[must_use]
pub fn is_open_to_others(found: &Metadata) -> bool {
    found.mode() & 0o077 != 0
}

/// Flags with which no link is followed, and the other end of a named pipe is not waited for.
const NO_LINK: OFlags = OFlags::NOFOLLOW.union(OFlags::NONBLOCK);

/// Makes this process create files and folders for its user only.
pub fn keep_private() {
    umask(Mode::RWXG | Mode::RWXO);
}

/// As root, acts as the owner of a file on this thread, until it is dropped.
///
/// A service's folder is under the service's control: it may replace any name in it by a link while root writes there.
pub struct AsOwner {
    /// Groups and group of root; `None` if nothing was changed.
    before: Option<(Vec<Gid>, Gid)>,
    /// It concerns one thread.
    _thread: PhantomData<*const ()>,
}

impl AsOwner {
    /// Takes on the owner of the file or, if there is none, of its folder. Changes nothing if the process is not root's, or if file and
    /// folder do not have one owner: root's folder is under nobody else's control.
    ///
    /// # Errors
    /// The system's error, if the process may not do this.
    pub fn of(file: &Path) -> io::Result<Self> {
        let folder = fs::metadata(parent(file));
        let (Ok(folder), true) = (folder, geteuid().is_root()) else {
            return Ok(AsOwner { before: None, _thread: PhantomData });
        };
        let owner = fs::metadata(file).unwrap_or_else(|_| folder.clone());
        if owner.uid() != folder.uid() || owner.uid() == 0 {
            return Ok(AsOwner { before: None, _thread: PhantomData });
        }
        let before = (getgroups()?, getegid());
        let group = Gid::from_raw(owner.gid());
        set_thread_groups(&[group])?;
        // Dropped if a step fails: what was done is undone.
        let acting = AsOwner { before: Some(before), _thread: PhantomData };
        set_thread_res_gid(None, group, None)?;
        set_thread_res_uid(None, Uid::from_raw(owner.uid()), None)?;
        Ok(acting)
    }
}

impl Drop for AsOwner {
    fn drop(&mut self) {
        if let Some((groups, group)) = self.before.take() {
            // The saved user and group are still root's. If this failed, the thread would have fewer rights, not more.
            set_thread_res_uid(None, Uid::ROOT, None).ok();
            set_thread_res_gid(None, group, None).ok();
            set_thread_groups(&groups).ok();
        }
    }
}

/// Creates an empty file with this mode, whatever the process's umask is.
///
/// # Errors
/// [`AlreadyExists`](io::ErrorKind::AlreadyExists) if the file exists, or the system's error.
pub fn create_new(path: &Path, mode: u32) -> io::Result<File> {
    let file = OpenOptions::new().write(true).create_new(true).mode(mode & PRIVATE).open(path)?;
    file.set_permissions(fs::Permissions::from_mode(mode))?;
    Ok(file)
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

/// Replaces the file at `target` at once and for good; the new file has the owner, group and mode of the old one. Creates it
/// [`PRIVATE`] if it does not exist.
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

/// Writes and syncs a new file with the owner, group and mode of `old`.
fn write_private(path: &Path, bytes: &[u8], old: Option<&Metadata>) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(cause) if cause.kind() != io::ErrorKind::NotFound => return Err(cause),
        _ => {}
    }
    let mut file = create_new(path, PRIVATE)?;
    if let Some(old) = old {
        take_owner(&file, old)?;
        file.set_permissions(fs::Permissions::from_mode(old.mode() & 0o777))?;
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
    fn a_new_file_is_private_and_a_replaced_one_keeps_its_mode() {
        let folder = tempfile::tempdir().expect("a folder");
        let target = folder.path().join("users.toml");
        replace(&target, b"one").expect("created");
        assert_eq!((text(&target).as_str(), mode(&target)), ("one", 0o600));
        fs::set_permissions(&target, fs::Permissions::from_mode(0o644)).expect("set");
        // What a crash has left, longer than the new content and readable by all.
        fs::write(with_suffix(&target, ".new"), "left behind").expect("written");
        replace(&target, b"two").expect("replaced");
        assert_eq!((text(&target).as_str(), mode(&target)), ("two", 0o644));
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
        assert_eq!(mode(&from), 0o600);
        publish_new(&from, &to).expect("published");
        assert_eq!(text(&to), "new");
        let error = publish_new(&from, &to).expect_err("taken");
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        let error = create_new(&to, PRIVATE).expect_err("taken");
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
    }

    #[test]
    fn a_file_of_our_own_is_no_link() {
        let folder = tempfile::tempdir().expect("a folder");
        let (own, other) = (folder.path().join("lock"), folder.path().join("other"));
        open_own(&own).expect("created");
        open_own(&own).expect("opened again");
        std::os::unix::fs::symlink(&other, folder.path().join("dangling")).expect("linked");
        fs::write(&other, "other").expect("written");
        std::os::unix::fs::symlink(&other, folder.path().join("symlink")).expect("linked");
        fs::hard_link(&other, folder.path().join("second name")).expect("linked");
        fs::create_dir(folder.path().join("folder")).expect("made");
        for name in ["dangling", "symlink", "second name"] {
            for open in [open_own, read_own] {
                let error = open(&folder.path().join(name)).expect_err(name);
                assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{name}: {error}");
            }
        }
        open_own(&folder.path().join("folder")).expect_err("a folder");
        assert_eq!(text(&other), "other");
    }

    #[test]
    fn root_acts_as_the_owner_of_file_and_folder() {
        if !geteuid().is_root() {
            return;
        }
        let give =
            |path: &Path, owner| std::os::unix::fs::chown(path, Some(owner), Some(owner + 1)).expect("given");
        let folder = tempfile::tempdir().expect("a folder");
        let target = folder.path().join("users.toml");
        let acts_as = || {
            let _acting = AsOwner::of(&target).expect("allowed");
            (geteuid().as_raw(), getegid().as_raw())
        };
        assert_eq!(acts_as(), (0, 0), "root's folder");
        give(folder.path(), 12);
        assert_eq!(acts_as(), (12, 13), "the file is not there yet");
        fs::write(&target, "").expect("written");
        assert_eq!(acts_as(), (0, 0), "root's file");
        give(&target, 12);
        assert_eq!(acts_as(), (12, 13));
        assert_eq!((geteuid().as_raw(), getegid().as_raw()), (0, 0), "root again");
        let acting = AsOwner::of(&target).expect("allowed");
        replace(&target, b"new").expect("replaced");
        drop(acting);
        let owner = fs::metadata(&target).expect("there");
        assert_eq!((owner.uid(), owner.gid()), (12, 13));
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
        assert_eq!((text(&file).as_str(), mode(&file)), ("kept", 0o600));
    }
}
