//! No acknowledged message is lost, whatever ends the server: kill -9, a power cut, a failing or full disk.
//!
//! `CHAT_CRASH_CYCLES=300 cargo test crash -- --include-ignored` runs the long forms. A plain `cargo test` ignores the tests that
//! need root, strace or `xfs_io`; `.ci/run` runs them.

mod history;
mod load;
mod planted;
mod threads;

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::Ordering,
    thread,
    time::{Duration, Instant},
};

use self::load::Run;
use crate::support::{
    SENT,
    program::{Program, chat_server, logging_to},
    random::Random,
};

/// Returns how often the server is ended: `CHAT_CRASH_CYCLES`, or else `short`.
fn cycles(short: usize) -> usize {
    std::env::var("CHAT_CRASH_CYCLES").ok().and_then(|cycles| cycles.parse().ok()).unwrap_or(short)
}

/// Starts the server on a folder that outlives it.
fn start(data: &Path) -> Program {
    start_with(data, data, &[])
}

/// Like [`start`], with more arguments, and with the users file beside another path.
fn start_with(beside: &Path, data: &Path, more: &[&str]) -> Program {
    let users = beside.with_extension("users.toml");
    fs::write(&users, load::users_toml()).expect("written");
    let mut command = chat_server();
    command.env("CHAT_LOG_LEVEL", "warn");
    let (users, data) = (users.display().to_string(), data.display().to_string());
    let args = ["--users", &users, "--data", &data, "--inbox-limit", "1000000000", "--no-limits"];
    Program::start_by(command, &[&args[..], more].concat())
}

/// Asserts that there is no fault, and that enough sends were acknowledged to find one.
fn acquit(run: &Run, verdict: &[String]) {
    let acknowledged = run.history.lock().expect("no panics").count_acknowledged();
    assert!(acknowledged > 500, "only {acknowledged} acknowledged");
    // The test harness does not capture this output.
    writeln!(std::io::stdout(), "{acknowledged} acknowledged").ok();
    assert!(
        verdict.is_empty(),
        "{} faults, among them {:#?}",
        verdict.len(),
        &verdict[..verdict.len().min(5)]
    );
}

#[test]
fn nothing_is_lost_by_kill_9() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let run = Run::new();
    let mut random = Random::new(1);
    for threads in ["1", "3"].into_iter().cycle().take(cycles(6)) {
        let server = start_with(&data, &data, &["--network-threads", threads]);
        let target = run.answered.load(Ordering::SeqCst) + 200 + random.index(1500);
        run.until_lost(server.address, || {
            run.await_answers(target, || false);
            server.signal("KILL");
        });
    }
    let server = start(&data);
    let verdict = run.finish(server.address);
    acquit(&run, &verdict);
    server.stop();
}

fn tool(name: &str, args: &[&str]) {
    let output = Command::new(name).args(args).output().unwrap_or_else(|error| panic!("{name}: {error}"));
    assert!(output.status.success(), "{name} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A mounted file system, unmounted when dropped.
struct Mounted {
    at: PathBuf,
    image: Option<PathBuf>,
    _folder: tempfile::TempDir,
}

impl Mounted {
    fn new(image_mib: Option<u64>, options: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let at = folder.path().join("mount");
        fs::create_dir(&at).expect("made");
        let image = image_mib.map(|mib| {
            let image = folder.path().join("image");
            fs::File::create(&image).and_then(|file| file.set_len(mib << 20)).expect("made");
            tool("mkfs.ext4", &["-q", "-F", &image.display().to_string()]);
            image
        });
        let mounted = Mounted { at, image, _folder: folder };
        mounted.mount(options);
        mounted
    }

    fn path(&self) -> String {
        self.at.display().to_string()
    }

    fn mount(&self, options: &[&str]) {
        let at = self.path();
        match &self.image {
            Some(image) => tool("mount", &["-o", "loop", &image.display().to_string(), &at]),
            None => tool("mount", &[options, &[at.as_str()]].concat()),
        }
    }

    /// Cuts the power: data that was not synced is lost.
    fn cut_power(&self) {
        tool("xfs_io", &["-x", "-c", "shutdown", &self.path()]);
    }

    /// Syncs everything that was written.
    fn sync(&self) {
        tool("xfs_io", &["-x", "-c", "syncfs", &self.path()]);
    }

    fn unmount(&self) {
        tool("umount", &[&self.path()]);
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        Command::new("umount").arg("-l").arg(&self.at).output().ok();
    }
}

/// Cuts the power when `more` sends are answered, and mounts what is left.
fn cut_power_under_load(run: &Run, disk: &Mounted, server: Program, more: u64) {
    let target = run.answered.load(Ordering::SeqCst) + usize::try_from(more).expect("small");
    run.until_lost(server.address, || {
        run.await_answers(target, || false);
        run.cut.store(true, Ordering::SeqCst);
        disk.cut_power();
        server.signal("KILL");
    });
    drop(server);
    disk.unmount();
    disk.mount(&[]);
}

fn start_on(disk: &Mounted, data: &Path, durability: &str) -> Program {
    start_with(&disk.at, data, &["--durability", durability])
}

#[test]
#[ignore = "needs root, e2fsprogs and xfsprogs: .ci/run runs it"]
fn nothing_is_lost_by_a_power_cut() {
    let disk = Mounted::new(Some(512), &[]);
    let data = disk.at.join("data");
    let run = Run::new();
    let mut random = Random::new(2);
    for _ in 0..cycles(4) {
        cut_power_under_load(&run, &disk, start_on(&disk, &data, "fsync"), 100 + random.below(1500));
    }
    let server = start_on(&disk, &data, "fsync");
    let verdict = run.finish(server.address);
    server.stop();
    acquit(&run, &verdict);
}

#[test]
#[ignore = "needs root, e2fsprogs and xfsprogs: .ci/run runs it"]
fn without_sync_a_power_cut_loses_messages_and_is_convicted() {
    let disk = Mounted::new(Some(512), &[]);
    let data = disk.at.join("data");
    // Inboxes are read after the cut, because a message that was read before it is not lost.
    let run = Run::read_at_the_end();
    let server = start_on(&disk, &data, "os");
    run.log_in(server.address);
    // The store and all sessions survive the cut, so only messages can be missing.
    disk.sync();
    cut_power_under_load(&run, &disk, server, 1000);
    let server = start_on(&disk, &data, "os");
    let verdict = run.finish(server.address);
    server.stop();
    assert!(!verdict.is_empty(), "the checker sees nothing");
    assert!(verdict.iter().all(|word| word.starts_with("lost")), "{verdict:#?}");
}

/// Returns a command that runs the server under strace, with a fault at one of its system calls.
fn inject(fault: &str) -> Command {
    let mut command = Command::new("strace");
    command.args([
        "-f",
        "-qq",
        "-o",
        "/dev/null",
        "-e",
        "trace=pwrite64,fdatasync",
        "-e",
        fault,
        env!("CARGO_BIN_EXE_chat-server"),
    ]);
    command
}

#[test]
#[ignore = "needs strace: .ci/run runs it"]
fn nothing_is_lost_by_death_at_any_write_or_sync() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let run = Run::new();
    // The first calls create the store, so it is created once without a fault.
    start(&data).stop();
    let calls = ["pwrite64", "fdatasync"];
    let (mut random, mut died) = (Random::new(3), 0);
    let times = cycles(12);
    for cycle in 0..times {
        // The fault hits a call of the first commits, or of later ones with an index batch.
        let at = 1 + random.below(if cycle % 4 == 0 { 6 } else { 120 });
        let fault = format!("inject={}:signal=KILL:when={at}", calls.join(","));
        let Some(server) = Program::try_start(start_args(inject(&fault), &data)) else {
            died += 1;
            continue;
        };
        let target = run.answered.load(Ordering::SeqCst) + 6000;
        let address = server.address;
        run.until_lost(address, || {
            run.await_answers(target, || server.is_gone());
            died += usize::from(server.is_gone());
            server.kill_child();
        });
    }
    let server = start(&data);
    let verdict = run.finish(server.address);
    acquit(&run, &verdict);
    assert!(died * 2 > times, "only {died} of {times} faults met a call");
    server.stop();
}

fn start_args(mut command: Command, data: &Path) -> Command {
    let users = data.with_extension("users.toml");
    fs::write(&users, load::users_toml()).expect("written");
    command.env("CHAT_LOG_LEVEL", "off").env("CHAT_USERS", users).env("CHAT_DATA", data);
    command.env("CHAT_INBOX_LIMIT", "1000000000").env("CHAT_PORT", "0");
    // A renewed hash would be undone by the next start, and end the sessions.
    command.env("CHAT_NO_LIMITS", "true");
    command
}

#[test]
#[ignore = "needs strace: .ci/run runs it"]
fn a_failed_sync_acknowledges_nothing_and_reads_go_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    start(&data).stop();
    for at in [2, 5, 11] {
        let fault = format!("inject=fdatasync:error=EIO:when={at}+");
        let Some(server) = Program::try_start(start_args(inject(&fault), &data)) else {
            continue;
        };
        let mut answers = String::new();
        for i in 0..20 {
            answers +=
                &server.talk(format!("auth reader0 surabaya\nsend reader0 {at}-{i}\nsend reader0 b\n"));
        }
        // If no request depends on the sync that fails first, only later requests are refused.
        let uncertain = answers.find("may or may not be stored");
        let broken = uncertain.or_else(|| answers.find("storage has failed")).expect("a sync failed");
        assert!(!answers[broken..].contains(SENT), "an OK after the failure: {answers}");
        assert!(answers[broken..].contains("storage has failed, nothing can be stored"), "{answers}");
        let reads = server.talk("auth reader0 surabaya\ninbox\nshowuseractive\n");
        assert!(reads.contains("\"messages\": {"), "reads go on: {reads}");
        server.kill_child();
        let mut command = chat_server();
        command.env("CHAT_LOG_LEVEL", "warn");
        let again = Program::start_by(
            start_args(command, &data),
            &[
                "--users",
                &data.with_extension("users.toml").display().to_string(),
                "--data",
                &data.display().to_string(),
            ],
        );
        assert!(again.talk("auth reader0 surabaya\nsend reader0 well\n").contains(SENT));
        drop(again);
    }
}

#[test]
#[ignore = "needs strace: .ci/run runs it"]
fn a_failed_sync_fails_all_that_was_written_while_it_was_under_way() {
    const CLIENTS: usize = 8;
    const SENDS: usize = 900;
    let folder = tempfile::tempdir().expect("a folder");
    let mut uncertain = 0;
    for at in [1, 2, 4, 6, 9, 12] {
        let data = folder.path().join(at.to_string());
        start(&data).stop();
        // Only one sync fails; those after it would succeed.
        let fault = format!("inject=fdatasync:error=EIO:when={at}");
        let server = Program::try_start(start_args(inject(&fault), &data)).expect("it starts");
        let answers: Vec<String> = thread::scope(|scope| {
            let client = |client: usize| {
                let text = |i| format!("send reader{} {client}-{i}\n", client % 2);
                let lines = crate::support::lines((0..SENDS).map(text));
                server.talk(format!("auth sender{client} surabaya\n{lines}"))
            };
            let clients: Vec<_> = (0..CLIENTS).map(|i| scope.spawn(move || client(i))).collect();
            clients.into_iter().map(|client| client.join().expect("it is answered")).collect()
        });
        server.kill_child();
        let again = start(&data);
        for (client, answers) in answers.iter().enumerate() {
            let replies: Vec<_> = answers.split_terminator("\r\n\r\n").skip(1).collect();
            assert_eq!(replies.len(), SENDS, "each is answered");
            let stored = replies.iter().take_while(|reply| **reply == SENT).count();
            assert!(!replies[stored..].contains(&SENT), "an OK after the failure");
            let inbox =
                again.talk(format!("auth reader{} surabaya\nhistory sender{client} 1000\n", client % 2));
            for i in 0..stored {
                assert!(
                    inbox.contains(&format!("\"msg\": \"{client}-{i}\"")),
                    "at sync {at}: {client}-{i} is lost"
                );
            }
        }
        // For some values of `at`, no request depends on the sync that fails.
        uncertain += answers.iter().filter(|answers| answers.contains("may or may not be stored")).count();
        again.stop();
    }
    assert!(uncertain > 0, "no sync of a message failed");
}

#[test]
#[ignore = "needs root: .ci/run runs it"]
fn a_log_on_the_same_full_disk_holds_up_nothing() {
    let disk = Mounted::new(None, &["-t", "tmpfs", "-o", "size=28M", "none"]);
    let data = disk.at.join("data");
    let users = disk.at.join("users.toml");
    fs::write(&users, load::users_toml()).expect("written");
    let (users, data) = (users.display().to_string(), data.display().to_string());
    let args = ["--users", &users, "--data", &data, "--no-limits", "--log-level", "trace"];
    let server = Program::start_by(logging_to(&format!("2>>{}/log", disk.path())), &args);
    let ballast = disk.at.join("ballast");
    fill(&ballast);
    let text = "x".repeat(8000);
    let mut refused = 0;
    for _ in 0..40 {
        let sends = format!("send reader1 {text}\n").repeat(40);
        let answers = server.talk(format!("auth sender0 surabaya\n{sends}"));
        assert!(answers.contains("tokenid"), "logging in goes on: {answers}");
        refused += answers.matches("not stored, storage is full").count();
    }
    assert!(refused > 0, "the disk is not full");
    fs::remove_file(&ballast).expect("removed");
    let (began, mut answer) = (Instant::now(), String::new());
    while !answer.contains(SENT) {
        assert!(began.elapsed() < Duration::from_secs(5), "{answer}");
        answer = server.talk("auth sender0 surabaya\nsend reader0 after\n");
    }
    server.stop();
}

/// Fills a disk with a file.
fn fill(ballast: &Path) {
    let mut chunk = 1 << 20;
    let mut file = fs::File::create(ballast).expect("made");
    while chunk > 0 {
        if file.write_all(&vec![1; chunk]).is_err() {
            chunk /= 2;
        }
    }
}

#[test]
#[ignore = "needs root: .ci/run runs it"]
fn a_full_disk_refuses_messages_and_nothing_else_and_recovers() {
    let disk = Mounted::new(None, &["-t", "tmpfs", "-o", "size=28M", "none"]);
    let data = disk.at.join("data");
    let server = start_on(&disk, &data, "fsync");
    // Another program fills the disk.
    let ballast = disk.at.join("ballast");
    let repeated = "{\"command\": \"send\", \"to\": \"reader2\", \"message\": \"a\", \"key\": \"old\"}\n";
    let first = server.talk(format!("auth sender0 surabaya\nsend reader0 before\n{repeated}"));
    assert_eq!(first.matches(SENT).count(), 2, "{first}");
    fill(&ballast);
    let text = "x".repeat(8000);
    let mut refused = 0;
    for _ in 0..40 {
        let answers =
            server.talk(format!("auth sender0 surabaya\n{}", format!("send reader1 {text}\n").repeat(40)));
        assert!(answers.contains("tokenid"), "logging in goes on: {answers}");
        refused += answers.matches("not stored, storage is full").count();
    }
    assert!(refused > 0, "the disk is not full");
    let keyed =
        "{\"command\": \"send\", \"to\": \"reader1\", \"message\": \"a\", \"key\": \"k\"}\n".repeat(3);
    let answers = server.talk(format!("auth sender0 surabaya\n{keyed}"));
    assert_eq!(answers.matches("not stored, storage is full").count(), 3, "{answers}");
    let answers = server.talk(format!("auth sender0 surabaya\n{repeated}"));
    assert!(answers.contains(SENT), "what is stored is answered as then: {answers}");
    let answers = server.talk("auth reader0 surabaya\ninbox\nlogout\n");
    assert!(
        answers.contains("\"msg\": \"before\"") && answers.ends_with("{\"status\": \"OK\"}\r\n\r\n"),
        "{answers}"
    );
    let read = server.talk("auth reader0 surabaya\ninbox\n");
    assert!(read.contains("\"messages\": {}"), "the cursor has moved: {read}");
    fs::remove_file(&ballast).expect("removed");
    let (began, mut answer) = (Instant::now(), String::new());
    while !answer.contains(SENT) {
        if began.elapsed() >= Duration::from_secs(5) {
            let listed = Command::new("sh")
                .args(["-c", &format!("ls -la {0} {0}/data; df {0}", disk.path())])
                .output();
            server.signal("TERM");
            panic!("{answer}\n{}\n{}", String::from_utf8_lossy(&listed.expect("ls").stdout), server.wait().1);
        }
        answer = server.talk("auth sender0 surabaya\nsend reader0 after\n");
    }
    server.signal("KILL");
    drop(server);
    let server = start_on(&disk, &data, "fsync");
    let after = server.talk("auth reader0 surabaya\ninbox\n");
    assert!(after.contains("\"msg\": \"after\"") && !after.contains("before"), "{after}");
    server.stop();
}
