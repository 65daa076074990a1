//! A client cannot take the server down, and cannot learn a secret from its log, its files or its timing.
//!
//! Each test runs the server program under abuse. `CHAT_TEST_LONG=1` selects the long form, as large as `docs/testing.md` says.
//! Times are compared with those of the same server at rest, in the same run. Other work on the machine makes them longer, so
//! this is a binary of its own, and its tests run one after the other.

mod crowds;
mod floods;
mod loads;
mod neighbours;
mod secrets;
#[path = "../support/mod.rs"]
mod support;
mod timing;

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

use chat_service::{model::Secret, users};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tempfile::TempDir;
use tokio::sync::Mutex;

use crate::support::{CHEAP_HASH, SENT, SOON, lines, program::Program, users_toml};

/// Each test holds this lock while it runs.
static ALONE: Mutex<()> = Mutex::const_new(());

/// Returns the figure of the short form or that of the long form.
pub(crate) fn short_or_long<T>(short: T, long: T) -> T {
    if std::env::var_os("CHAT_TEST_LONG").is_some() { long } else { short }
}

/// Raises the limit of open files to the maximum, for this process and the servers that it starts.
fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).expect("up to the maximum");
}

/// Prints the figures; `--nocapture` shows them.
#[expect(clippy::print_stdout, reason = "figures for whoever runs it")]
fn report(figures: &str) {
    println!("{figures}");
}

/// Passes if one of three measurements holds. Other programs can make a time longer, but never shorter: one good measurement
/// shows what the server can do, and a server that is too slow fails all three.
fn holds_once(mut measure: impl FnMut() -> Result<String, String>) {
    let mut failed = Vec::new();
    for _ in 0..3 {
        match measure() {
            Ok(figures) => return report(&figures),
            Err(figures) => failed.push(figures),
        }
    }
    panic!("{failed:#?}");
}

/// Writes a users file with the sample users and `count` more: u0, u1 and so on. Returns its folder and its path. The hashes have the
/// cost of real ones: 19 MiB each.
fn users_file(count: usize) -> (TempDir, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("users.toml");
    let hash = users::hash(&Secret::new("surabaya".into()));
    let crowd =
        lines((0..count).map(|u| format!("[users.u{u}]\nname = \"U\"\npassword = \"{CHEAP_HASH}\"\n")));
    std::fs::write(&path, (users_toml() + &crowd).replace(CHEAP_HASH, hash.as_str())).expect("written");
    let path = path.to_str().expect("UTF-8").to_owned();
    (folder, path)
}

/// A client that is logged in and sends one message after the other.
struct Sender {
    stream: BufReader<TcpStream>,
    to: &'static str,
    /// Number of acknowledged messages; their texts are `text(0)` and so on.
    sent: usize,
}

impl Sender {
    fn log_in(server: &Program, user: &str, to: &'static str) -> Self {
        Self::log_in_on(server.connect(), user, to)
    }

    fn log_in_on(stream: TcpStream, user: &str, to: &'static str) -> Self {
        stream.set_nodelay(true).expect("set");
        let mut sender = Sender { stream: BufReader::new(stream), to, sent: 0 };
        let reply = sender.ask(&format!("auth {user} surabaya"));
        assert!(reply.contains("tokenid"), "{reply}");
        sender
    }

    fn text(number: usize) -> String {
        format!("number {number}.")
    }

    fn ask(&mut self, line: &str) -> String {
        self.stream.get_mut().write_all(format!("{line}\n").as_bytes()).expect("taken");
        self.reply()
    }

    fn reply(&mut self) -> String {
        let mut reply = String::new();
        while !reply.ends_with("\r\n\r\n") {
            assert_ne!(self.stream.read_line(&mut reply).expect("a reply"), 0, "the server hung up");
        }
        reply.truncate(reply.len() - 4);
        reply
    }

    /// Sends as long as `goes_on` returns `true`; returns how long each send took.
    fn send_while(&mut self, mut goes_on: impl FnMut() -> bool) -> Vec<Duration> {
        let mut times = Vec::new();
        while goes_on() {
            let line = format!("send {} {}", self.to, Self::text(self.sent));
            let began = Instant::now();
            assert_eq!(self.ask(&line), SENT);
            times.push(began.elapsed());
            self.sent += 1;
        }
        times
    }

    fn send_for(&mut self, time: Duration) -> Vec<Duration> {
        let began = Instant::now();
        self.send_while(|| began.elapsed() < time)
    }
}

/// Returns the time within which 99 of 100 were done.
fn p99(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[(times.len() * 99 / 100).min(times.len() - 1)]
}

fn median<T: Ord + Copy>(mut figures: Vec<T>) -> T {
    figures.sort_unstable();
    figures[figures.len() / 2]
}

/// Waits until the server is idle: it has done all that it can for its clients, also for those that are gone.
fn settle(server: &Program) {
    let began = Instant::now();
    let mut worked = server.cpu_time();
    loop {
        thread::park_timeout(Duration::from_millis(100));
        let now = server.cpu_time();
        if now.saturating_sub(worked) <= Duration::from_millis(20) {
            return;
        }
        assert!(began.elapsed() < SOON, "it works for ever for those who ask nothing more");
        worked = now;
    }
}

/// Number of measurements at rest, which take turns with as many under attack.
const ROUNDS: usize = 3;

/// Verifies that sends under attack take at most `ratio` times as long as at rest, or at most 5 ms longer, which no user
/// notices. Compares the medians of the p99 of each round.
fn unhurt(
    server: &Program,
    sender: &mut Sender,
    ratio: f64,
    mut attacked: impl FnMut(&mut Sender) -> Vec<Duration>,
) -> Result<String, String> {
    let (mut at_rest, mut under_attack) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        settle(server);
        at_rest.push(p99(sender.send_for(Duration::from_millis(500))));
        under_attack.push(p99(attacked(sender)));
    }
    let (rest, attack) = (median(at_rest), median(under_attack));
    let figures = format!("p99 of a send: {rest:?} at rest, {attack:?} under attack");
    let holds = attack <= rest.mul_f64(ratio) || attack <= rest + Duration::from_millis(5);
    if holds { Ok(figures) } else { Err(figures) }
}
