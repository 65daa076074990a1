//! Expensive requests of some users do not slow down other users.

use std::{
    collections::HashSet,
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use super::{ALONE, Sender, holds_once, raise_descriptor_limit, settle, short_or_long, unhurt, users_file};
use crate::support::{
    CUT_OFF, lines,
    program::{Program, read_reply},
};

/// Longest wait for a login: the last of a thousand waits for all the others.
const LOGINS_TAKE: Duration = Duration::from_mins(5);

/// Number of users in a crowd: one user has a share of the queue only.
const CROWD: usize = 20;

/// Logs in on `count` connections at once; every login must succeed.
fn log_in_at_once(server: &Program, count: usize) {
    let mut streams: Vec<_> = (0..count).map(|_| server.connect()).collect();
    for (number, stream) in streams.iter_mut().enumerate() {
        let line = format!("auth u{} surabaya\nquit\n", number % CROWD);
        stream.write_all(line.as_bytes()).expect("taken");
    }
    for mut stream in streams {
        stream.set_read_timeout(Some(LOGINS_TAKE)).expect("set");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        assert!(answer.contains("tokenid"), "{answer}");
    }
}

#[test]
fn a_crowd_that_logs_in_at_once_does_not_slow_down_who_sends() {
    let _alone = ALONE.blocking_lock();
    raise_descriptor_limit();
    let (_folder, users) = users_file(CROWD);
    let server = Program::start(&[
        "--users",
        &users,
        "--login-burst",
        "100000",
        "--max-connections-per-address",
        "2000",
        "--inbox-limit",
        "1000000",
        "--request-rate",
        "1000000",
    ]);
    let mut sender = Sender::log_in(&server, "messi", "henderson");
    let count = short_or_long(60, 1_000);
    holds_once(|| {
        unhurt(&server, &mut sender, 2.0, |sender| {
            thread::scope(|scope| {
                let crowd = scope.spawn(|| log_in_at_once(&server, count));
                let times = sender.send_while(|| !crowd.is_finished());
                crowd.join().expect("all are let in");
                times
            })
        })
    });
    server.stop();
}

/// Bytes of requests from each client that does not read.
const QUESTIONS: usize = 64 * 1024;

/// Connects and requests a login, without waiting for the replies.
fn come(server: &Program, kind: usize) -> TcpStream {
    let mut stream = server.connect();
    stream.set_read_timeout(Some(LOGINS_TAKE)).expect("set");
    let user = if kind % 4 == 1 || kind % 4 == 2 { "lineker" } else { "henderson" };
    stream.write_all(format!("hello 2\nauth {user} surabaya\n").as_bytes()).expect("taken");
    stream
}

/// Requests more than the buffers of a connection hold, and reads nothing.
fn stall(stream: &mut TcpStream, kind: usize) {
    let asked = match kind % 4 {
        0 => "inbox\n".repeat(QUESTIONS / 6),
        1 => "history henderson\n".repeat(QUESTIONS / 18),
        2 => "help\n".repeat(QUESTIONS / 5),
        _ => "watch\n".to_owned(),
    };
    // The server stops reading before it has all requests; the rest is not sent.
    stream.set_nonblocking(true).expect("set");
    match stream.write(asked.as_bytes()) {
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::WouldBlock => {}
        Err(error) => panic!("{error}"),
    }
}

/// Collects the texts of all messages in a reply.
fn texts(value: &Value, found: &mut HashSet<String>) {
    match value {
        Value::Object(fields) => {
            if let Some(text) = fields.get("msg").and_then(Value::as_str) {
                found.insert(text.to_owned());
            }
            fields.values().for_each(|value| texts(value, found));
        }
        Value::Array(values) => values.iter().for_each(|value| texts(value, found)),
        _ => {}
    }
}

#[test]
fn those_who_read_nothing_do_not_slow_down_who_sends_and_nothing_is_lost() {
    let _alone = ALONE.blocking_lock();
    let server =
        Program::start(&["--inbox-limit", "1000000", "--request-rate", "1000000", "--login-burst", "100000"]);
    // These messages wait before the clients come. One reply to `inbox` has all of them, and is larger than the system's buffers:
    // a client that does not read it has taken nothing out of the inbox.
    let waiting: Vec<_> = (0..1_000).map(|number| format!("waits {number} {}", "x".repeat(950))).collect();
    let sends = lines(waiting.iter().map(|text| format!("send henderson {text}\n")));
    server.talk(format!("auth lineker surabaya\n{sends}"));
    let mut sender = Sender::log_in(&server, "messi", "henderson");
    holds_once(|| {
        let mut stalled = Vec::new();
        unhurt(&server, &mut sender, 1.2, |sender| {
            stalled = (0..100).map(|kind| come(&server, kind)).collect();
            for stream in &mut stalled {
                assert!(read_reply(stream).contains("\"protocol\": 2"));
                assert!(read_reply(stream).contains("tokenid"));
            }
            let began = Instant::now();
            stalled.iter_mut().enumerate().for_each(|(kind, stream)| stall(stream, kind));
            settle(&server);
            if began.elapsed() >= CUT_OFF {
                // The server worked for them until it disconnected them: no result is worse, and nothing is left to measure.
                return vec![Duration::MAX];
            }
            // The long form lasts longer than the ten seconds after which these clients are disconnected.
            sender.send_for(short_or_long(Duration::from_millis(700), Duration::from_secs(15)))
        })
    });
    let rest = server.talk("auth henderson surabaya\n".to_owned() + &"inbox\n".repeat(2_000));
    let mut found = HashSet::new();
    for reply in rest.split_terminator("\r\n\r\n") {
        texts(&serde_json::from_str(reply).expect("JSON"), &mut found);
    }
    let sent = (0..sender.sent).map(Sender::text).chain(waiting);
    let lost: Vec<_> = sent.filter(|text| !found.contains(text)).collect();
    assert!(lost.is_empty(), "{} of {} lost: {:?}", lost.len(), found.len() + lost.len(), lost.first());
    server.stop();
}
