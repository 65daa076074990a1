//! The server program while its files change, and files that it cannot open.

use std::{
    fs,
    io::Write,
    net::TcpStream,
    os::unix::fs::{MetadataExt, chown, symlink},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use crate::support::{
    SOON,
    program::{Program, chat_server, read_reply, run},
};

/// A users file, a server that uses it, and a client that is logged in.
struct Setting {
    folder: tempfile::TempDir,
    server: Program,
    messi: TcpStream,
}

impl Setting {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let users = folder.path().join("users.toml");
        fs::write(&users, include_str!("../users.toml")).expect("written");
        // Tests that wait for a change send many requests, so the server runs without limits.
        let server = Program::start(&["--users", users.to_str().expect("UTF-8"), "--no-limits"]);
        let mut messi = server.connect();
        messi.write_all(b"auth messi surabaya\n").expect("taken");
        assert!(read_reply(&mut messi).contains("tokenid"));
        Setting { folder, server, messi }
    }

    fn users(&self) -> PathBuf {
        self.folder.path().join("users.toml")
    }

    fn ask(&mut self, line: &str) -> String {
        self.messi.write_all(format!("{line}\n").as_bytes()).expect("taken");
        read_reply(&mut self.messi)
    }

    /// Repeats a request until its reply changes; returns how long that took.
    fn changes(&mut self, line: &str) -> Duration {
        let (began, first) = (Instant::now(), self.ask(line));
        while self.ask(line) == first {
            assert!(began.elapsed() < SOON, "still {first}");
            std::thread::yield_now();
        }
        began.elapsed()
    }

    fn add(&self, name: &str) {
        let mut command = chat_server();
        command.args(["user", "add", name, "--users"]).arg(self.users());
        let added = run(command, "correct horse battery\n");
        assert!(added.status.success(), "{added:?}");
    }
}

#[test]
fn a_change_of_the_users_file_is_taken_over_within_a_second() {
    let mut setting = Setting::new();
    // Other tests may keep the machine busy, so it is enough if one of three changes is in time.
    let took = ["kane", "saka", "rice"].map(|name| {
        let line = format!("send {name} hi");
        assert!(setting.ask(&line).contains("User Tidak Ditemukan"));
        setting.add(name);
        setting.changes(&line)
    });
    assert!(took.iter().any(|took| *took < Duration::from_secs(1)), "{took:?}");
    let mut removed = chat_server();
    removed.args(["user", "remove", "messi", "--users"]).arg(setting.users());
    assert!(run(removed, "").status.success());
    setting.changes("send kane hi");
    assert!(setting.ask("inbox").contains("not authorized"));
    let Setting { server, .. } = setting;
    let log = server.stop();
    assert!(log.contains("users file read again added=\"kane\" removed=\"\" passwords=\"\""), "{log}");
    assert!(log.contains("users file read again added=\"\" removed=\"messi\" passwords=\"\""), "{log}");
}

#[test]
fn a_broken_file_is_reported_and_the_old_users_stay() {
    let mut setting = Setting::new();
    let whole = fs::read_to_string(setting.users()).expect("read");
    fs::write(setting.users(), "[users.messi]\nname = \"M\"\npassword = \"canary\n").expect("written");
    setting.server.signal("HUP");
    // The next change of the file is made after the reload.
    setting.server.wait_for_log("users file cannot be used: the old users stay");
    assert!(setting.ask("send henderson still here").contains("Message Sent"));
    fs::write(setting.users(), whole).expect("written");
    setting.add("kane");
    setting.changes("send kane hi");
    let log = setting.server.stop();
    assert!(log.contains("users.toml:3: "), "{log}");
    assert!(!log.contains("canary"), "{log}");
}

/// Makes `link` a link to `target` by a rename, as an editor replaces a file.
fn point(link: &Path, target: &Path) {
    let fresh = link.with_extension("fresh");
    symlink(target, &fresh).expect("a link");
    fs::rename(fresh, link).expect("renamed");
}

#[test]
fn the_server_opens_nothing_outside_its_folders() {
    let mut setting = Setting::new();
    if !setting.server.banner.contains("confined: to ") {
        // This kernel has no Landlock, and the server says so at its start.
        assert!(setting.server.banner.contains("confined: no: "), "{}", setting.server.banner);
        return;
    }
    let elsewhere = tempfile::tempdir().expect("a folder");
    let other = elsewhere.path().join("users.toml");
    fs::copy(setting.users(), &other).expect("copied");
    let inside = setting.folder.path().join("real.toml");
    fs::rename(setting.users(), &inside).expect("renamed");
    point(&setting.users(), &other);
    setting.server.wait_for_log("Permission denied");
    // A link to a file inside the folder is allowed.
    point(&setting.users(), &inside);
    setting.add("kane");
    setting.changes("send kane hi");
    setting.server.stop();
}

/// The value that all threads of the server have.
fn of_all_threads(server: &Program, field: &str) -> String {
    let mut all = server.status(field);
    all.dedup();
    assert!(all.len() == 1, "{field}: {all:?}");
    all.remove(0)
}

#[test]
fn the_server_has_no_capabilities_and_filters_its_system_calls() {
    let mut setting = Setting::new();
    let banner = setting.server.banner.clone();
    for field in ["CapInh", "CapPrm", "CapEff", "CapAmb", "CapBnd"] {
        // An ordinary user may not change what started programs could get.
        if field != "CapBnd" || rustix::process::geteuid().is_root() {
            assert_eq!(of_all_threads(&setting.server, field), "0".repeat(16), "{field}");
        }
    }
    assert!(banner.contains("; no capabilities; system calls "), "{banner}");
    if banner.contains("system calls filtered") {
        assert_eq!(of_all_threads(&setting.server, "Seccomp"), "2");
        assert_eq!(of_all_threads(&setting.server, "NoNewPrivs"), "1");
    }
    // It still changes its files, and takes signals.
    setting.ask("passwd surabaya another good one");
    assert!(setting.server.talk("auth messi another good one\n").contains("tokenid"));
    setting.server.stop();
}

#[test]
fn a_server_of_root_changes_passwords_in_the_file_of_another_user_and_says_what_that_takes() {
    let folder = tempfile::tempdir().expect("a folder");
    let users = folder.path().join("users.toml");
    fs::write(&users, include_str!("../users.toml")).expect("written");
    let give = |path: &Path| chown(path, Some(12), Some(13));
    if give(folder.path()).and_then(|()| give(&users)).is_err() {
        // Only root can give files away.
        return;
    }
    let server = Program::start(&["--users", users.to_str().expect("UTF-8")]);
    let because = format!(
        "; only capabilities for files, because {} belongs to another user or group; ",
        folder.path().display()
    );
    assert!(server.banner.contains(&because), "{}", server.banner);
    server.talk("auth messi surabaya\npasswd surabaya another good one\n");
    assert!(server.talk("auth messi another good one\n").contains("tokenid"));
    let found = fs::metadata(&users).expect("there");
    assert_eq!((found.uid(), found.gid()), (12, 13));
    let log = server.stop();
    assert!(log.contains("the server runs as root") && log.contains("remedy: "), "{log}");
}

#[test]
fn a_file_of_the_same_size_and_time_is_noticed() {
    let mut setting = Setting::new();
    setting.add("kane");
    setting.changes("send kane hi");
    let before = fs::metadata(setting.users()).expect("there");
    // The same length, and the time of the old file, as an archive or `cp -p` restores it.
    let text = fs::read_to_string(setting.users()).expect("read").replace("users.kane", "users.saka");
    let fresh = setting.users().with_extension("fresh");
    fs::write(&fresh, text).expect("written");
    let file = fs::File::options().write(true).open(&fresh).expect("opened");
    file.set_modified(before.modified().expect("a time")).expect("set");
    fs::rename(&fresh, setting.users()).expect("renamed");
    setting.changes("send saka hi");
    assert!(setting.ask("send kane hi").contains("User Tidak Ditemukan"));
    setting.server.stop();
}

#[test]
fn a_file_that_is_empty_for_a_moment_changes_nothing() {
    let mut setting = Setting::new();
    let whole = fs::read_to_string(setting.users()).expect("read");
    fs::write(setting.users(), "\n").expect("written");
    setting.server.signal("HUP");
    setting.server.wait_for_log("the file is empty");
    assert!(setting.ask("send henderson still here").contains("Message Sent"));
    fs::write(setting.users(), whole).expect("written");
    setting.server.wait_for_log("the users file is good again");
    assert!(setting.ask("send henderson still here").contains("Message Sent"));
    let log = setting.server.stop();
    assert!(!log.contains("removed=3"), "{log}");
    assert!(log.lines().all(|line| !line.trim_start().starts_with("remedy")), "one line each: {log}");
}
