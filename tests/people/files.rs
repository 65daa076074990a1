//! What the file itself goes through: links, owners, several writers, a full disk.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
    process::Command,
    thread,
};

use super::{Folder, TEXT, mode, told};
use crate::support::{program::run, users_toml};

#[test]
fn a_link_stays_one() {
    let folder = Folder::new("");
    let real = folder.0.path().join("elsewhere");
    fs::create_dir(&real).expect("made");
    fs::remove_file(folder.users()).expect("removed");
    std::os::unix::fs::symlink("elsewhere/real.toml", folder.users()).expect("linked");
    for name in ["ann", "bob"] {
        folder.done(&["add", name], "correct horse\n");
    }
    assert!(fs::symlink_metadata(folder.users()).expect("there").is_symlink());
    assert_eq!(folder.names(), ["ann", "bob"]);
    assert!(real.join("real.toml").is_file() && real.join("real.toml.lock").is_file());
    assert!(!folder.0.path().join("users.toml.lock").exists());
}

#[test]
fn many_at_once_all_land() {
    let folder = Folder::new(TEXT);
    thread::scope(|scope| {
        for i in 0..8 {
            let folder = &folder;
            scope.spawn(move || folder.done(&["add", &format!("user{i}")], "correct horse\n"));
        }
    });
    assert_eq!(folder.names().len(), 3 + 8);
    assert!(folder.text().starts_with(TEXT));
}

#[test]
fn a_disk_that_is_full_leaves_the_old_file() {
    let folder = Folder::new(&users_toml());
    // A file may have one block of 512 bytes. The signal for a file that is too large is ignored, then not ignored.
    for (trap, code) in [("trap '' XFSZ; ", Some(1)), ("", None)] {
        let mut shell = Command::new("sh");
        let line = format!("{trap}ulimit -f 1; exec \"$0\" user add ann");
        shell.args(["-c", &line, env!("CARGO_BIN_EXE_chat-server")]).current_dir(folder.0.path());
        let (_, err, ended) = told(&run(shell, "correct horse\n"));
        assert_eq!(ended, code, "{err}");
        assert!(code.is_none() || err.contains("remedy: make space on that disk"), "{err}");
        assert_eq!(folder.text(), users_toml());
        assert_eq!(folder.0.path().join("users.toml.new").exists(), code.is_none());
    }
    // The file that the killed process has left is no obstacle.
    folder.done(&["add", "ann"], "correct horse\n");
    assert!(!folder.0.path().join("users.toml.new").exists());
}

#[test]
fn a_changed_file_keeps_its_mode_owner_and_group() {
    let folder = Folder::new(TEXT);
    let owner = |path: &Path| fs::metadata(path).map(|found| (found.uid(), found.gid())).expect("there");
    // Only root can give a file to another group.
    let given = std::os::unix::fs::chown(folder.users(), None, Some(1)).is_ok();
    for mode_is in [0o640, 0o600, 0o644] {
        fs::set_permissions(folder.users(), fs::Permissions::from_mode(mode_is)).expect("set");
        let before = owner(&folder.users());
        folder.done(&["passwd", "ann"], "another good one\n");
        assert_eq!((mode(&folder.users()), owner(&folder.users())), (mode_is, before));
        assert!(!given || before.1 == 1);
    }
}

#[test]
fn root_does_not_follow_a_link_in_the_folder_of_a_service() {
    let folder = Folder::new(TEXT);
    let elsewhere = tempfile::tempdir().expect("a folder");
    let other = elsewhere.path().join("roots");
    fs::write(&other, "root's own").expect("written");
    let give = |path: &Path| std::os::unix::fs::chown(path, Some(12), Some(13));
    let given = give(folder.0.path()).is_ok() && give(&folder.users()).is_ok();
    let lock = folder.0.path().join("users.toml.lock");
    for target in [&other, &elsewhere.path().join("not there")] {
        std::os::unix::fs::symlink(target, &lock).expect("linked");
        let told = folder.refused(&["passwd", "ann"], "another good one\n");
        assert!(
            told.contains("a link, or no regular file, has this name") && told.contains("remedy"),
            "{told}"
        );
        fs::remove_file(&lock).expect("removed");
        assert_eq!(fs::read_dir(elsewhere.path()).expect("a folder").count(), 1);
    }
    assert_eq!(fs::read_to_string(&other).expect("there"), "root's own");
    let before = fs::metadata(&other).expect("there");
    folder.done(&["passwd", "ann"], "another good one\n");
    assert_eq!(before.uid(), fs::metadata(&other).expect("there").uid());
    if given {
        for file in [folder.users(), lock] {
            let found = fs::metadata(&file).expect("there");
            assert_eq!((found.uid(), found.gid()), (12, 13), "{}", file.display());
        }
    }
}
