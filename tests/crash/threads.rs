//! A server whose user may have no more threads.

use std::{
    ffi::OsStr,
    fs::{self, Permissions},
    os::unix::fs::{PermissionsExt, chown},
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use rustix::process::{Resource, getrlimit};

use crate::support::{
    SENT, SOON,
    program::{Program, command, run},
};

/// A user without a name and without processes. The limit does not hold for root.
const USER: u32 = 64_123;

/// A folder of that user with the program and a users file.
struct Setting(tempfile::TempDir);

impl Setting {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let setting = Setting(folder);
        fs::copy(env!("CARGO_BIN_EXE_chat-server"), setting.path("chat-server")).expect("copied");
        fs::write(setting.path("users.toml"), include_str!("../../users.toml")).expect("written");
        fs::set_permissions(setting.path("users.toml"), Permissions::from_mode(0o600)).expect("set");
        for path in [setting.0.path(), &setting.path("users.toml")] {
            chown(path, Some(USER), Some(USER)).expect("as root");
        }
        setting
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A command of that user, with at most this number of threads: of its own, or those of a process.
    fn limited(most: Option<u64>, arguments: &[&OsStr]) -> Command {
        let limit = getrlimit(Resource::Nproc);
        let most = most.or(limit.current).map_or("unlimited".to_owned(), |most| most.to_string());
        let mut limited = command("setpriv");
        limited.args([format!("--reuid={USER}"), format!("--regid={USER}"), "--clear-groups".to_owned()]);
        // Only the soft limit, so that it can be lifted again.
        limited.arg("prlimit").arg(format!("--nproc={most}:")).args(arguments);
        limited
    }

    /// The server, run by that user.
    fn server(&self, most: Option<u64>) -> Command {
        Self::limited(most, &[self.path("chat-server").as_os_str()])
    }

    /// Limits the threads of a running server.
    fn limit(server: &Program, most: Option<u64>) {
        let id = server.id().to_string();
        let status = Self::limited(most, &["--pid".as_ref(), id.as_ref()]).status();
        assert!(status.expect("util-linux").success());
    }
}

/// Uses everything that has a thread: passwords, the users file, and the file of the store.
fn use_all(server: &Program, users: &Path, new: &str, passwords: [&str; 2]) {
    let [old, password] = passwords;
    let answers = server.talk(format!("auth messi {old}\nsend lineker hi\npasswd {old} {password}\n"));
    assert!(
        answers.contains("tokenid") && answers.contains(SENT) && answers.ends_with("\"OK\"}\r\n\r\n"),
        "{answers}"
    );
    let keyed = "{\"command\": \"send\", \"to\": \"lineker\", \"message\": \"a\", \"key\": \"k\"}\n";
    let answers = server.talk(format!("auth henderson surabaya\n{keyed}who\nhistory lineker\n"));
    assert!(answers.matches("\"OK\"").count() == 4, "{answers}");
    let text = fs::read_to_string(users).expect("read");
    let text = format!("{text}[users.{new}]\nname = \"N\"\npassword = \"in clear text\"\n");
    fs::write(users, text).expect("written");
    let began = Instant::now();
    while !server.talk(format!("auth lineker surabaya\nsend {new} hi\n")).contains(SENT) {
        assert!(began.elapsed() < SOON, "the users file is not read again");
    }
}

#[test]
#[ignore = "needs root: .ci/run runs it"]
fn a_server_that_gets_no_more_threads_does_everything() {
    for network_threads in ["1", "2"] {
        let setting = Setting::new();
        let (users, data) = (setting.path("users.toml"), setting.path("data"));
        let args = ["--users", users.to_str().expect("UTF-8"), "--data", data.to_str().expect("UTF-8")];
        let more = ["--no-limits", "--network-threads", network_threads];
        let server = Program::start_by(setting.server(None), &[&args[..], &more].concat());
        Setting::limit(&server, Some(1));
        use_all(&server, &users, "kane", ["surabaya", "correct-horse-battery"]);
        Setting::limit(&server, None);
        use_all(&server, &users, "saka", ["correct-horse-battery", "staple-horse-battery"]);
        server.stop();
    }
}

#[test]
#[ignore = "needs root: .ci/run runs it"]
fn a_server_without_enough_threads_does_not_start_and_says_why() {
    let setting = Setting::new();
    for most in 1..=12 {
        let mut command = setting.server(Some(most));
        command.args(["--port", "0", "--users"]).arg(setting.path("users.toml"));
        let output = run(command, "");
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert!(
            told.contains("gives no more threads: ") && told.contains("remedy: allow this user more"),
            "{told}"
        );
    }
}
