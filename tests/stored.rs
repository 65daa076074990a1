//! A server with many stored messages starts as soon as an empty one, and is as small and as fast.
//!
//! `CHAT_STORED=10000000 cargo test --release stored -- --nocapture --test-threads=1` runs the long form, and prints the
//! measurements.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::TcpStream,
    path::Path,
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

use chat_service::{
    model::{MaybeReady, MessageId, NewMessage, Recipient, Timestamp, UserName},
    store::{Cursors, Messages, Options, Sqlite, Store},
};
use tokio::runtime::Runtime;

use crate::support::{
    CHEAP_HASH, SENT,
    program::{Program, chat_server},
    random::Random,
};

const USERS: u64 = 100;
const TEXT: &str =
    "a message of about a hundred bytes, as people write them, with nothing special in it at all ...";

fn user(number: u64) -> String {
    format!("u{number}")
}

/// Stores `total` messages, of which `unread` per user are not acknowledged.
fn fill(folder: &Path, total: u64, unread: u64) {
    let options = Options { inbox_limit: usize::MAX, ..Options::default() };
    let store = Sqlite::open(folder, &options).expect("a store");
    let users: Vec<_> = (0..USERS).map(|number| UserName::parse(&user(number)).expect("a name")).collect();
    let recipients: Vec<_> = users.iter().cloned().map(Recipient::User).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let mut waiting = vec![0; users.len()];
    for i in 0..total {
        let to = usize::try_from(i * 7919 % USERS).expect("small");
        let (from, to_name) = (&users[usize::try_from(i % 10).expect("small")], &users[to]);
        let recipient = &recipients[to];
        let message = NewMessage { from, to: recipient, text: TEXT, key: None, at: Timestamp(1000) };
        let MaybeReady::Ready(outcome) = store.append(message) else {
            panic!("refused");
        };
        waiting[to] += 1;
        // All but the last messages are acknowledged, a thousand at a time.
        if waiting[to] == 1000 && i + 2 * USERS * unread < total {
            let stored = outcome.peek().expect("stored");
            acknowledge(&runtime, &store, to_name, stored.id);
            waiting[to] = 0;
        }
        if store.backpressure().is_some() {
            runtime.block_on(store.log().durable(outcome)).expect("stored");
        }
    }
    for (name, waiting) in users.iter().zip(waiting) {
        if waiting > unread {
            let limit = usize::try_from(waiting - unread).expect("small");
            let page = runtime.block_on(store.inbox(name, MessageId(0), limit).into_future());
            let last = page.peek().as_ref().expect("readable").messages.last().map(|message| message.id);
            acknowledge(&runtime, &store, name, last.expect("some wait"));
        }
    }
    store.close();
}

/// Moves the user's cursor to a message.
fn acknowledge(runtime: &Runtime, store: &Sqlite, user: &UserName, upto: MessageId) {
    let from = *store.cursor(user).peek();
    let moved = store.acknowledge(user, from, upto, Timestamp(1000));
    assert!(runtime.block_on(moved.into_future()).peek().is_ok_and(|moved| moved.moved));
}

fn start(folder: &Path) -> Program {
    let users = folder.with_extension("users.toml");
    let entry = |number| {
        let name = user(number);
        format!("[users.{name}]\nname = \"{name}\"\npassword = \"{CHEAP_HASH}\"\n")
    };
    fs::write(&users, crate::support::lines((0..USERS).map(entry))).expect("written");
    let (users, data) = (users.display().to_string(), folder.display().to_string());
    let args = ["--users", &users, "--data", &data, "--inbox-limit", "1000000000", "--no-limits"];
    Program::start_by(chat_server(), &args)
}

/// Returns the sends per second of 16 connections with 16 requests in flight each.
fn rate(server: &Program, time: Duration) -> f64 {
    let (count, stop) = (AtomicU32::new(0), AtomicBool::new(false));
    let began = Instant::now();
    thread::scope(|scope| {
        for connection in 0..16 {
            let (count, stop) = (&count, &stop);
            let stream = server.connect();
            scope.spawn(move || drive(stream, connection, count, stop));
        }
        while began.elapsed() < time {
            thread::yield_now();
            thread::park_timeout(time.saturating_sub(began.elapsed()));
        }
        stop.store(true, Ordering::Relaxed);
    });
    f64::from(count.load(Ordering::Relaxed)) / began.elapsed().as_secs_f64()
}

fn drive(stream: TcpStream, connection: u64, count: &AtomicU32, stop: &AtomicBool) {
    let mut writer = stream.try_clone().expect("cloned");
    let mut reader = BufReader::new(stream);
    let mut reply = String::new();
    let mut next = |expected: &str| {
        reply.clear();
        reader.read_line(&mut reply).expect("a reply");
        assert!(reply.contains(expected), "{reply}");
        reader.read_line(&mut reply).expect("its end");
    };
    writer.write_all(format!("auth {} surabaya\n", user(connection)).as_bytes()).expect("taken");
    next("tokenid");
    let mut number = connection;
    while !stop.load(Ordering::Relaxed) {
        let line = |i: u64| format!("send {} {TEXT}\n", user((number + i * 17) % USERS));
        writer.write_all(crate::support::lines((0..16).map(line)).as_bytes()).expect("taken");
        number += 1;
        for _ in 0..16 {
            next(SENT);
        }
        count.fetch_add(16, Ordering::Relaxed);
    }
}

#[test]
fn much_that_is_stored_costs_neither_time_nor_memory() {
    let long = std::env::var("CHAT_STORED").ok().and_then(|total| total.parse().ok());
    let total: u64 = long.unwrap_or(100_000);
    let (unread, rounds, time) =
        if long.is_some() { (1000, 5, Duration::from_secs(3)) } else { (100, 1, Duration::from_millis(300)) };
    let folder = tempfile::tempdir().expect("a folder");
    let (full, empty) = (folder.path().join("full"), folder.path().join("empty"));
    fill(&full, total, unread);

    // One server is empty. The other one is full, and is started again after a kill under load.
    let blank = start(&empty);
    let nothing = blank.memory_kib("VmRSS");
    let server = start(&full);
    let rss = server.memory_kib("VmRSS");
    rate(&server, time);
    server.signal("KILL");
    server.wait();
    let began = Instant::now();
    let server = start(&full);
    let answer = server.talk("auth u0 surabaya\n");
    let first = began.elapsed();
    assert!(answer.contains("tokenid"), "{answer}");
    let killed = server.memory_kib("VmRSS");
    let mut ratios = Vec::new();
    for _ in 0..rounds {
        ratios.push(rate(&server, time) / rate(&blank, time));
    }
    ratios.sort_by(f64::total_cmp);
    let ratio = ratios[ratios.len() / 2];
    let busy = server.memory_kib("VmRSS");
    // The test harness does not capture this output.
    writeln!(
        std::io::stdout(),
        "{total} stored, {} unread: first reply {first:?} after a kill; RSS {nothing} KiB empty, {rss} KiB after a \
         start, {killed} KiB after a start after a kill, {busy} KiB under load; sends {ratio:.2} of empty ({ratios:.2?})",
        unread * USERS
    )
    .ok();
    assert!(first < Duration::from_secs(1), "{first:?}");
    assert!(rss.max(killed) < nothing + 64 * 1024, "{rss} and {killed} KiB, {nothing} empty");
    assert!(long.is_none() || ratio > 0.9, "{ratio}");
}

/// Stores `total` messages between two users.
fn converse(folder: &Path, total: u64) {
    let options = Options { inbox_limit: usize::MAX, ..Options::default() };
    let store = Sqlite::open(folder, &options).expect("a store");
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let name = |number| UserName::parse(&user(number)).expect("a name");
    let people = [name(0), name(1)];
    let others = [Recipient::User(name(1)), Recipient::User(name(0))];
    for i in 0..total {
        let who = usize::from(i % 3 == 0);
        let message =
            NewMessage { from: &people[who], to: &others[who], text: TEXT, key: None, at: Timestamp(1000) };
        let MaybeReady::Ready(outcome) = store.append(message) else {
            panic!("late");
        };
        if store.backpressure().is_some() {
            runtime.block_on(store.log().durable(outcome)).expect("stored");
        }
    }
    store.close();
}

#[test]
fn a_page_of_history_costs_the_same_however_much_there_is() {
    let long = std::env::var_os("CHAT_STORED").is_some();
    let total: u64 = if long { 1_000_000 } else { 100_000 };
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    converse(&data, total);
    let server = start(&data);
    let mut stream = BufReader::new(server.connect());
    let ask = |stream: &mut BufReader<TcpStream>, line: String| {
        stream.get_mut().write_all(line.as_bytes()).expect("taken");
        let (mut reply, mut end) = (String::new(), String::new());
        stream.read_line(&mut reply).and_then(|_| stream.read_line(&mut end)).expect("a reply");
        reply
    };
    let mut times = Vec::new();
    ask(&mut stream, "auth u0 surabaya\n".to_owned());
    let mut random = Random::new(1);
    for round in 0..500 {
        // The first round reads the newest page, the second the oldest, and each other round a random one.
        let before = [total + 1, 51, 51 + random.below(total - 50)][round.min(2)];
        let began = Instant::now();
        let reply = ask(&mut stream, format!("history u1 50 {before}\n"));
        times.push(began.elapsed());
        assert_eq!(reply.matches("\"id\": ").count(), 50, "before {before}");
        assert!(reply.contains(&format!("\"id\": {}, ", before - 1)), "before {before}");
    }
    times.sort_unstable();
    writeln!(
        std::io::stdout(),
        "{total} in one conversation: a page of 50 takes {:?} in the middle, {:?} at p99, {:?} at most",
        times[times.len() / 2],
        times[times.len() * 99 / 100],
        times[times.len() - 1]
    )
    .ok();
    assert!(!long || times[times.len() * 99 / 100] <= Duration::from_millis(5), "{times:?}");
}
