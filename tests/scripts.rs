//! The recipes of `docs/scripts.md`: each block is run by `sh` against a server, as it stands.

use std::{
    fs,
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, Stdio},
};

use serde_json::Value;

use crate::{
    one_shot::{Shell, texts},
    support::program::{Program, command, run},
};

fn page() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/scripts.md")).expect("a page")
}

/// Returns the block below a heading.
fn block(heading: &str) -> String {
    let page = page();
    let (_, section) =
        page.split_once(&format!("\n## {heading}\n")).unwrap_or_else(|| panic!("no {heading:?}"));
    let section = section.split("\n## ").next().expect("a section");
    let parts: Vec<_> = section.split("```").collect();
    let [_, block, rest] = parts.as_slice() else { panic!("{heading:?} has not one block") };
    assert_eq!(rest.trim(), "", "{heading:?} ends with its block");
    block.strip_prefix("sh\n").expect("a block for sh").to_owned()
}

/// A script, which runs in a process group of its own.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It runs for ever; what it has started ends with it.
        let group = format!("-{}", self.0.id());
        Command::new("kill").args(["-s", "KILL", "--", &group]).stderr(Stdio::null()).status().ok();
        self.0.wait().ok();
    }
}

/// A server, the logins of the machines, and that of henderson as profile `h`.
struct Machine(Shell);

impl Machine {
    fn start() -> Self {
        let machine = Machine(Shell::start(&[]));
        assert_eq!(machine.run("Before you start", &[]), (String::new(), Some(0)));
        assert_eq!(
            machine.0.run(&["--profile", "h", "login", "henderson"], "surabaya\n"),
            (String::new(), Some(0))
        );
        machine
    }

    /// A script with arguments, in which `df` and `date` say what a test expects.
    fn script(&self, heading: &str, args: &[&str]) -> Command {
        let programs = Path::new(env!("CARGO_BIN_EXE_chat-client")).parent().expect("a folder");
        let stand_ins = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/scripts");
        let path = format!("{}:{}:/usr/bin:/bin", stand_ins.display(), programs.display());
        let mut script = command("sh");
        script.arg("-c").arg(block(heading)).arg("script").args(args).current_dir(self.0.home.path());
        script.env("PATH", path).env("HOME", self.0.home.path()).env("TZ", "UTC");
        script.env_remove("XDG_STATE_HOME").env_remove("XDG_CONFIG_HOME");
        script.env("CHAT_HOST", self.0.server.address.to_string());
        script
    }

    /// Runs a script. Returns its output and its exit status; it complains about nothing.
    fn run(&self, heading: &str, args: &[&str]) -> (String, Option<i32>) {
        finish(self.script(heading, args))
    }

    /// Starts a script that goes on.
    fn begin(&self, heading: &str, args: &[&str]) -> Running {
        let mut script = self.script(heading, args);
        script.process_group(0).stdin(Stdio::null()).stdout(Stdio::piped());
        Running(script.spawn().expect("it starts"))
    }

    /// Sends a message from a profile.
    fn send(&self, profile: &str, to: &str, text: &str) {
        assert_eq!(self.0.run(&["--profile", profile, "send", to, text], "").1, Some(0));
    }

    /// Waits for the next message to henderson, and takes it out of the inbox. Returns its text.
    fn next(&self) -> String {
        let (shown, code) = self.0.run(&["--profile", "h", "wait", "--timeout", "1m"], "");
        assert_eq!(code, Some(0));
        texts(&shown).join("\n")
    }

    /// Texts in the inbox of the first machine, which stay there.
    fn left(&self) -> Vec<String> {
        let (shown, _) = self.0.run(&["inbox", "--keep"], "");
        texts(&shown).into_iter().map(str::to_owned).collect()
    }

    fn stop(self) {
        self.0.server.stop();
    }
}

fn finish(script: Command) -> (String, Option<i32>) {
    let output = run(script, "");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    (String::from_utf8(output.stdout).expect("UTF-8"), output.status.code())
}

/// What a script that goes well and prints nothing returns.
fn quiet() -> (String, Option<i32>) {
    (String::new(), Some(0))
}

#[test]
fn every_recipe_has_a_test() {
    let (page, tests) = (page(), include_str!("scripts.rs"));
    let headings: Vec<_> = page.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    assert!(headings.len() > 10, "{headings:?}");
    for heading in headings {
        assert!(tests.contains(&format!("(\"{heading}\", &[")), "{heading:?} is not run");
    }
}

#[test]
fn a_backup_reports_success_and_failure() {
    let machine = Machine::start();
    fs::create_dir(machine.0.home.path().join("documents")).expect("a folder");
    assert_eq!(machine.run("A nightly backup that reports", &[]), quiet());
    let done = machine.next();
    assert!(done.starts_with("backup done, ") && done.ends_with(" bytes"), "{done}");
    fs::remove_dir(machine.0.home.path().join("documents")).expect("removed");
    assert_eq!(machine.run("A nightly backup that reports", &[]), quiet());
    let failed = machine.next();
    assert!(failed.starts_with("backup FAILED\n") && failed.contains("documents"), "{failed}");
    machine.stop();
}

#[test]
fn a_full_disk_is_told_once() {
    let machine = Machine::start();
    for _ in 0..2 {
        assert_eq!(machine.run("A full disk, told once a day", &[]), quiet());
    }
    assert_eq!(machine.0.waiting(), ["/var is more than 90 % full"]);
    machine.stop();
}

#[test]
fn a_watchdog_tells_of_a_heartbeat_that_does_not_come() {
    let machine = Machine::start();
    machine.send("default", "lineker", "heartbeat");
    assert_eq!(machine.run("A watchdog", &["1m"]), quiet());
    assert!(machine.0.waiting().is_empty());
    assert_eq!(machine.run("A watchdog", &["1s"]), quiet());
    assert_eq!(machine.0.waiting(), ["no heartbeat for 1s"]);
    machine.stop();
}

#[test]
fn a_dead_mans_switch_tells_of_a_job_that_has_not_run() {
    let machine = Machine::start();
    machine.send("default", "lineker", "done");
    assert_eq!(machine.run("A dead man's switch", &[]), quiet());
    assert!(machine.0.waiting().is_empty());
    assert_eq!(machine.run("A dead man's switch", &[]), quiet());
    assert_eq!(machine.0.waiting(), ["the job has not succeeded today"]);
    machine.stop();
}

#[test]
fn a_bot_obeys_the_person_on_duty_and_nobody_else() {
    let machine = Machine::start();
    let bot = machine.begin("A bot that runs commands", &[]);
    machine.send("h", "messi", "deploy 2.1");
    assert_eq!(machine.next(), "deployed 2.1");
    machine.send("watchdog", "messi", "deploy 6.6");
    machine.send("h", "messi", "hello");
    machine.send("h", "messi", "deploy 2.2");
    assert_eq!(machine.next(), "deployed 2.2");
    drop(bot);
    machine.stop();
}

#[test]
fn the_output_of_a_job_is_one_message() {
    let machine = Machine::start();
    assert_eq!(machine.run("The output of a job", &[]), quiet());
    let [report] = machine.0.waiting().try_into().expect("one message");
    assert!(report.starts_with("2026-11-28\nFilesystem ") && report.ends_with(" 97% /var"), "{report}");
    machine.stop();
}

#[test]
fn the_errors_of_a_service_come_into_a_room() {
    let machine = Machine::start();
    assert_eq!(machine.0.run(&["--profile", "h", "join", "#logs"], ""), quiet());
    let log = machine.0.home.path().join("service.log");
    fs::write(&log, "INFO started\nERROR no memory\nINFO stopped\nERROR no disk\n").expect("written");
    let tail = machine.begin("The errors of a service, in a room", &[]);
    assert_eq!([machine.next(), machine.next()], ["ERROR no memory", "ERROR no disk"]);
    drop(tail);
    machine.stop();
}

#[test]
fn the_inbox_is_appended_to_a_file() {
    let machine = Machine::start();
    for text in ["one", "two\nlines"] {
        machine.send("h", "messi", text);
        assert_eq!(machine.run("The inbox as a file", &[]), quiet());
        assert_eq!(machine.left(), [""; 0]);
    }
    let kept = fs::read_to_string(machine.0.home.path().join("messages.jsonl")).expect("kept");
    let kept: Vec<Value> = kept.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let [one, two] = kept.as_slice() else { panic!("{kept:?}") };
    assert_eq!([&one["msg"], &two["msg"]], ["one", "two\nlines"]);
    assert_eq!(one["from"], "henderson");
    machine.stop();
}

#[test]
fn a_machine_does_what_it_is_answered() {
    let machine = Machine::start();
    for (from, answer, output) in [("h", "yes", "rebooting\n"), ("h", "no", ""), ("watchdog", "yes", "")] {
        machine.send("h", "messi", "yes");
        let asking = machine.script("A question, and its answer", &[]);
        let asked = std::thread::spawn(move || finish(asking));
        assert_eq!(machine.next(), "reboot now? Answer yes or no.");
        machine.send(from, "messi", answer);
        assert_eq!(asked.join().expect("it ends"), (output.to_owned(), Some(0)), "{from}: {answer}");
    }
    machine.stop();
}

#[test]
fn a_profile_remembers_its_server() {
    let (machine, other) = (Machine::start(), Program::start(&[]));
    let mut script = machine.script("Several servers", &[]);
    script.env_remove("CHAT_HOST").env("OFFICE", machine.0.server.address.to_string());
    script.env("LAB", other.address.to_string());
    assert_eq!(finish(script), quiet());
    assert_eq!(machine.0.waiting(), ["the patches are installed"]);
    let there = other.talk("auth henderson surabaya\ninbox\n");
    assert!(there.contains("the patches are installed"), "{there}");
    other.stop();
    machine.stop();
}

#[test]
fn a_container_needs_a_token_and_no_home() {
    let machine = Machine::start();
    assert_eq!(machine.run("A token for a container", &[]), quiet());
    assert_eq!(machine.0.waiting(), ["built in a container"]);
    machine.stop();
}

#[test]
fn a_session_that_has_ended_is_renewed_with_the_password_of_a_file() {
    let machine = Machine::start();
    machine.0.server.talk("auth messi surabaya\nlogout all\n");
    assert_eq!(machine.run("A password in a file", &[]), quiet());
    assert_eq!(machine.0.waiting(), ["good morning"]);
    machine.stop();
}
