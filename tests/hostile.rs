//! A hostile or broken client gets a clear error or a clean close, costs little memory, and does not affect other clients.

use std::{
    io::{ErrorKind, Write},
    time::Duration,
};

use chat_service::chat::Limit;
use tokio::{io::AsyncReadExt, time::Instant};

use crate::support::{
    CUT_OFF, SENT, SOON, Setup, TestServer, duplex,
    program::{Program, read_reply},
    random::Random,
};

const TOO_LONG: &str = "{\"status\": \"ERROR\", \"message\": \"line too long\"}\r\n\r\n";

/// Limits that the tests reach on purpose, and those of the client that is looked after meanwhile.
const UNLIMITED: &[&str] =
    &["--anonymous-rate", "1000000", "--anonymous-burst", "1000000000", "--login-burst", "1000000"];

/// Asserts that another client is still served.
fn others_are_unhurt(server: &Program) {
    let answers = server.talk("auth messi surabaya\nsend messi haloo\ninbox\nlogout\n");
    assert!(answers.contains(SENT) && answers.contains("haloo"), "{answers}");
}

#[test]
fn a_line_of_four_mebibytes_is_refused_and_the_refusal_arrives() {
    let server = Program::start(&[]);
    others_are_unhurt(&server);
    let before = server.memory_kib("VmHWM");
    // The whole line is sent before anything is read, because a reset would lose the reply.
    assert_eq!(server.talk(vec![b'x'; 4 << 20]), TOO_LONG);
    assert_eq!(
        server.talk(format!("haloo\n{}\ninbox\n", "x".repeat(4 << 20))).matches("\r\n\r\n").count(),
        2
    );
    others_are_unhurt(&server);
    let grown = server.memory_kib("VmHWM").saturating_sub(before);
    assert!(grown <= 1024, "{grown} KiB");
    server.stop();
}

#[test]
fn hanging_up_in_mid_line_harms_nobody() {
    let server = Program::start(&[]);
    for part in ["", "a", "auth messi", "auth messi surabaya\nsend messi half a mess"] {
        let mut stream = server.connect();
        stream.write_all(part.as_bytes()).expect("taken");
    }
    others_are_unhurt(&server);
    server.stop();
}

#[test]
fn a_thousand_silent_connections_cost_little() {
    let server = Program::start(&["--max-connections-per-address", "2000"]);
    others_are_unhurt(&server);
    let before = server.memory_kib("VmRSS");
    let silent: Vec<_> = (0..1000).map(|_| server.connect()).collect();
    // Connections are accepted in order, so a client that is served now was accepted after them.
    others_are_unhurt(&server);
    let grown = server.memory_kib("VmRSS").saturating_sub(before);
    assert!(grown <= 4000, "{grown} KiB");
    drop(silent);
    others_are_unhurt(&server);
    server.stop();
}

#[test]
fn who_sends_and_never_reads_is_not_read_any_more() {
    let server = Program::start(UNLIMITED);
    others_are_unhurt(&server);
    let before = server.memory_kib("VmRSS");
    let mut flood = server.connect();
    flood.set_nonblocking(true).expect("set");
    let lines = "showuseractive\n".repeat(4096);
    let (began, mut blocked) = (std::time::Instant::now(), 0);
    // The server has stopped reading when it takes nothing for a while, or when it disconnects the client for that.
    while blocked < 100 {
        match flood.write(lines.as_bytes()) {
            Ok(_) => blocked = 0,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                blocked += 1;
                others_are_unhurt(&server);
            }
            Err(error) => {
                assert!(began.elapsed() >= CUT_OFF, "{error}");
                break;
            }
        }
        assert!(began.elapsed() < SOON, "it reads for ever");
    }
    let grown = server.memory_kib("VmRSS").saturating_sub(before);
    assert!(grown <= 4096, "{grown} KiB");
    drop(flood);
    others_are_unhurt(&server);
    server.stop();
}

#[test]
fn what_is_not_text_is_refused_and_the_connection_goes_on() {
    let server = Program::start(&[]);
    let answers = server.talk(b"auth \xff\xfe x\n\0\0\0\nauth messi surabaya\n");
    let answers: Vec<_> = answers.split("\r\n\r\n").collect();
    assert_eq!(answers[0], r#"{"status": "ERROR", "message": "not UTF-8"}"#);
    assert_eq!(answers[1], r#"{"status": "ERROR", "message": "Protocol Tidak Benar"}"#);
    assert!(answers[2].starts_with(r#"{"status": "OK", "tokenid": "#), "{answers:?}");
    server.stop();
}

#[test]
fn random_bytes_are_answered_or_the_connection_is_closed() {
    let server = Program::start(&[]);
    let mut random = Random::new(1);
    for _ in 0..20 {
        let bytes: Vec<u8> = (0..20_000).map(|_| random.byte()).collect();
        let is_blank = |line: &[u8]| line.iter().all(|byte| b" \t".contains(byte));
        let lines = bytes.split(|b| *b == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        let lines = lines.filter(|line| !is_blank(line)).count();
        assert_eq!(server.talk(&bytes).matches("\r\n\r\n").count(), lines);
    }
    others_are_unhurt(&server);
    server.stop();
}

#[tokio::test(start_paused = true)]
async fn who_takes_nothing_for_ten_seconds_is_cut_off_with_a_word() {
    let server = Setup::default().server();
    let (mut peer, serving) = duplex(&server, 4096);
    peer.log_in("messi").await;
    let began = Instant::now();
    peer.send("showuseractive\n".repeat(200)).await;
    let mut rest = String::new();
    tokio::time::sleep(Duration::from_millis(10_001)).await;
    peer.stream.read_to_string(&mut rest).await.expect("a clean end");
    serving.await.expect("no panic");
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    let words: Vec<_> = rest.split_terminator("\r\n\r\n").collect();
    assert_eq!(words.last(), Some(&r#"{"status": "ERROR", "message": "reading too slowly"}"#));
    assert!(words.len() < 200, "{}", words.len());
    assert_eq!(server.chat().counts().of(Limit::SlowConsumer), 1);
    let whole = r#"{"status": "OK", "messages": {"users": [{"username": "messi"}]}}"#;
    assert!(words[..words.len() - 1].iter().all(|word| *word == whole), "no reply is cut in half");
}

#[tokio::test(start_paused = true)]
async fn who_takes_a_little_now_and_then_is_cut_off_after_thirty_seconds() {
    let server = Setup::default().server();
    let (mut peer, serving) = duplex(&server, 512);
    peer.log_in("messi").await;
    let (began, mut taken) = (Instant::now(), 0);
    let sending = tokio::spawn(async move {
        peer.send("showuseractive\n".repeat(1000)).await;
        let mut chunk = [0; 512];
        // The client reads half a kibibyte a second.
        while let Ok(n @ 1..) = peer.stream.read(&mut chunk).await {
            taken += n;
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        taken
    });
    serving.await.expect("no panic");
    let after = began.elapsed();
    assert!((Duration::from_secs(29)..Duration::from_secs(45)).contains(&after), "{after:?}");
    sending.await.expect("no panic");
}

#[tokio::test(start_paused = true)]
async fn who_reads_steadily_is_not_cut_off_however_much_there_is() {
    let server = Setup::default().server();
    let (mut peer, serving) = duplex(&server, 8192);
    peer.log_in("messi").await;
    let lines = 8000;
    let (mut reader, mut writer) = tokio::io::split(peer.stream);
    tokio::spawn(async move {
        let all = "showuseractive\n".repeat(lines);
        tokio::io::AsyncWriteExt::write_all(&mut writer, all.as_bytes()).await.expect("taken");
        tokio::io::AsyncWriteExt::shutdown(&mut writer).await.expect("shut down");
    });
    let (mut taken, mut chunk) = (0, [0; 8192]);
    while let Ok(n @ 1..) = reader.read(&mut chunk).await {
        taken += n;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    serving.await.expect("no panic");
    let reply = "{\"status\": \"OK\", \"messages\": {\"users\": [{\"username\": \"messi\"}]}}\r\n\r\n";
    assert_eq!(taken, lines * reply.len());
}

#[tokio::test]
async fn a_peer_that_resets_is_gone() {
    let server = TestServer::start().await;
    let mut peer = server.log_in("messi").await;
    peer.send("showuseractive\n".repeat(100)).await;
    // Closing with unread replies resets the connection.
    drop(peer);
    server.log_in("henderson").await;
    server.stop().await;
}

#[test]
fn a_server_without_file_descriptors_survives_and_recovers() {
    let mut command = std::process::Command::new("sh");
    command.args(["-c", "ulimit -n 64; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_chat-server")]);
    // With limits, there are fewer connections than files.
    let server = Program::start_by(command, &["--no-limits"]);
    let mut old = server.connect();
    old.write_all(b"auth messi surabaya\n").expect("taken");
    read_reply(&mut old);
    // Connections that the server cannot accept wait in the listener's queue, which is 128 long on some systems.
    let many: Vec<_> = (0..150).map(|_| server.connect()).collect();
    old.write_all(b"send messi haloo\n").expect("taken");
    assert_eq!(read_reply(&mut old), SENT, "an old connection is served");
    drop(many);
    others_are_unhurt(&server);
    let log = server.stop();
    assert_eq!(log.matches("cannot accept").count(), 1, "logged, and not again and again: {log}");
}

#[tokio::test(start_paused = true)]
async fn who_reads_slowly_but_steadily_over_a_socket_is_not_cut_off() {
    let server = TestServer::start().await;
    let mut stream = server.connect().await.stream;
    // While a blocking task runs, the paused clock does not advance by itself, because the kernel needs real time.
    let (release, held) = std::sync::mpsc::sync_channel::<()>(0);
    let clock = tokio::task::spawn_blocking(move || held.recv());
    let lines = b"x\n".repeat(2000);
    let mut chunk = [0; 2000];
    // About 20 KiB/s for longer than the 10 seconds after which a client that reads nothing is disconnected.
    for _ in 0..140 {
        while stream.try_write(&lines).is_ok() {}
        stream.read_exact(&mut chunk).await.expect("still served");
        assert!(!String::from_utf8_lossy(&chunk).contains("too slowly"), "cut off");
        // The runtime polls input and output once in 61 turns.
        for _ in 0..122 {
            tokio::task::yield_now().await;
        }
        tokio::time::advance(Duration::from_millis(100)).await;
    }
    drop(release);
    assert!(clock.await.expect("no panic").is_err());
    assert_eq!(server.server.chat().counts().of(Limit::SlowConsumer), 0);
    drop(stream);
    server.stop().await;
}
