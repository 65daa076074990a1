//! A user who has logged in is served in time whatever others do.

mod kinds;
mod load;

use std::{
    io::Write,
    iter::successors,
    net::Ipv4Addr,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use self::load::{Attacker, Load};
use super::{ALONE, Sender, holds_once, p99, raise_descriptor_limit, settle, short_or_long, users_file};
use crate::support::{
    SENT,
    program::{Program, chat_server, logging_to},
};

/// Address of the user who is measured; no load comes from there.
const MEASURED: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

const PONG: &str = r#"{"status": "OK", "message": "pong"}"#;

/// A request is due this often: a ping and a send in turn.
const PERIOD: Duration = Duration::from_millis(5);

/// Most that the p99 may be under one load.
const ALONE_AT_MOST: Duration = Duration::from_millis(10);

/// Most that the p99 may be under all loads at once.
const TOGETHER_AT_MOST: Duration = Duration::from_millis(50);

/// Most that the p99 may be if the server was built without optimisation, and is many times slower: there, only a stall is found.
const UNOPTIMISED_AT_MOST: Duration = Duration::from_secs(1);

/// Longest wait for a reply. A stall is a figure, too.
const PATIENCE: Duration = Duration::from_mins(1);

/// Most memory that unread watchers may take, in KiB.
const UNREAD_AT_MOST: usize = 100 * 1024;

/// Settings of the server. The loads meet its default limits, except where they could not be set up otherwise.
const SETTINGS: &[&str] = &[
    "--store",
    "memory",
    "--inbox-limit",
    "1000000",
    "--new-rooms",
    "1000",
    "--max-connections-per-user",
    "2000",
];

/// The p99 of two kinds of requests.
struct Latency {
    ping: Duration,
    send: Duration,
}

impl Latency {
    /// Measures for some time. Requests do not wait for earlier ones, and count from when they are due, so that a stall is seen by all
    /// that it holds up.
    fn of(user: &mut Sender, time: Duration) -> Self {
        let requests = [("ping\n", PONG), ("send henderson haloo\n", SENT)];
        let began = Instant::now();
        let dues = successors(Some(began), |due| Some(*due + PERIOD)).take_while(|due| *due < began + time);
        let all: Vec<_> = dues.zip(requests.into_iter().cycle()).collect();
        let mut writer = user.stream.get_ref().try_clone().expect("another handle");
        let mut times = [Vec::new(), Vec::new()];
        thread::scope(|scope| {
            scope.spawn(|| {
                for (due, (line, _)) in &all {
                    // The sleep takes real time, because the work of another process is measured.
                    thread::sleep(due.saturating_duration_since(Instant::now()));
                    writer.write_all(line.as_bytes()).expect("taken");
                }
            });
            for (number, (due, (_, reply))) in all.iter().enumerate() {
                assert_eq!(user.reply(), *reply);
                times[number % 2].push(due.elapsed());
            }
        });
        let [ping, send] = times.map(p99);
        Latency { ping, send }
    }

    fn worst(&self) -> Duration {
        self.ping.max(self.send)
    }
}

/// What was measured of one server.
struct Measured {
    at_rest: Latency,
    loaded: Latency,
    /// KiB that the server has taken more than at rest, at most.
    grown: usize,
    /// What the load has done.
    done: String,
}

impl Measured {
    /// Measures a user of `server` at rest, and then beside `attackers`. They are still at work when `meanwhile` is called.
    fn of(server: &Program, attackers: Vec<Attacker>, meanwhile: impl FnOnce(&Program)) -> Self {
        let mut user = Sender::log_in_on(server.connect_from(MEASURED), "messi", "henderson");
        user.stream.get_ref().set_read_timeout(Some(PATIENCE)).expect("set");
        settle(server);
        let at_rest =
            Latency::of(&mut user, short_or_long(Duration::from_millis(500), Duration::from_secs(10)));
        let before = server.memory_kib("VmRSS");
        let load = Load::begin(server.address, attackers);
        // The onset, when every limit still lets a burst through, is a small part of a minute. It would be most of the short form.
        Latency::of(&mut user, short_or_long(Duration::from_secs(1), 2 * PERIOD));
        let loaded = Latency::of(&mut user, short_or_long(Duration::from_secs(2), Duration::from_mins(1)));
        let grown = server.memory_kib("VmHWM").saturating_sub(before);
        meanwhile(server);
        Measured { at_rest, loaded, grown, done: load.done() }
    }

    /// Returns the figures, as an error if the p99 is too high. In the long form, it is at most `most`. The short form must hold on any
    /// machine: there, it is at most `most` more than twice that at rest.
    fn within(&self, most: Duration, what: &str) -> Result<String, String> {
        let Measured { at_rest, loaded, grown, done } = self;
        let figures = format!(
            "{what}: p99 of ping {:.2?} at rest, {:.2?} loaded; of send {:.2?}, {:.2?}; {} MiB more; {done}",
            at_rest.ping,
            loaded.ping,
            at_rest.send,
            loaded.send,
            grown / 1024
        );
        let most = if cfg!(debug_assertions) { UNOPTIMISED_AT_MOST } else { most };
        let holds = loaded.worst() <= most + short_or_long(at_rest.worst() * 2, Duration::ZERO);
        if holds { Ok(figures) } else { Err(figures) }
    }
}

/// Starts a server for each measurement, by a command that `command` returns, and verifies that one load does not harm the others.
fn withstands(what: &str, command: impl Fn() -> Command, attackers: impl Fn(&Program) -> Vec<Attacker>) {
    verify(command, |server| Measured::of(server, attackers(server), |_| {}).within(ALONE_AT_MOST, what));
}

fn verify(command: impl Fn() -> Command, measure: impl Fn(&Program) -> Result<String, String>) {
    let _alone = ALONE.blocking_lock();
    raise_descriptor_limit();
    let (_folder, users) = users_file(kinds::USERS);
    holds_once(|| {
        let server = Program::start_by(command(), &[SETTINGS, &["--users", &users]].concat());
        let measured = measure(&server);
        server.stop();
        measured
    });
}

#[test]
fn wrong_logins_beside_a_log_that_takes_nothing_slow_down_nobody() {
    for redirection in ["2>&-", "2>/dev/full", "2<>unread"] {
        withstands(
            &format!("wrong logins, {redirection}"),
            || logging_to(redirection),
            |_| kinds::wrong_logins(),
        );
    }
}

#[test]
fn requests_before_login_slow_down_nobody() {
    withstands("anonymous requests", chat_server, |_| kinds::anonymous_requests());
}

#[test]
fn right_logins_of_a_user_slow_down_nobody() {
    withstands("right logins", chat_server, |_| kinds::right_logins());
}

#[test]
fn watchers_who_read_nothing_slow_down_nobody_and_take_little_memory() {
    verify(chat_server, |server| {
        let measured = Measured::of(server, kinds::unread_watchers(server), |_| {});
        let figures = measured.within(ALONE_AT_MOST, "unread watchers");
        assert!(measured.grown < UNREAD_AT_MOST, "{figures:?}");
        figures
    });
}

#[test]
fn a_flood_in_a_room_of_a_hundred_watchers_slows_down_nobody() {
    withstands("flooded room", chat_server, kinds::room);
}

#[test]
fn silent_connections_of_an_address_leave_files_and_time_for_others() {
    let few_files = || {
        let mut shell = Command::new("sh");
        shell.args(["-c", "ulimit -n 1024; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_chat-server")]);
        shell
    };
    verify(few_files, |server| {
        let newcomer = |server: &Program| {
            let mut newcomer = Sender::log_in_on(server.connect_from(MEASURED), "henderson", "messi");
            assert_eq!(newcomer.ask("ping"), PONG);
        };
        Measured::of(server, kinds::silent_connections(), newcomer)
            .within(ALONE_AT_MOST, "silent connections")
    });
}

#[test]
fn lists_of_thirty_thousand_rooms_slow_down_nobody() {
    withstands("many rooms", chat_server, kinds::many_rooms);
}

#[test]
fn all_loads_at_once_slow_down_nobody_much() {
    verify(
        || logging_to("2<>unread"),
        |server| {
            let attackers = [
                kinds::wrong_logins(),
                kinds::anonymous_requests(),
                kinds::right_logins(),
                kinds::unread_watchers(server),
                kinds::room(server),
                kinds::silent_connections(),
                kinds::many_rooms(server),
            ];
            Measured::of(server, attackers.concat(), |_| {}).within(TOGETHER_AT_MOST, "all at once")
        },
    );
}
