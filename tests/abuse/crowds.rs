//! Many connections: slow ones, and more than the server can open.

use std::time::{Duration, Instant};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{MissedTickBehavior, interval, sleep, timeout},
};

use super::{ALONE, Sender, holds_once, raise_descriptor_limit, short_or_long};
use crate::support::{Peer, SENT, SOON, program::Program};

/// Most that a deadline may be late: it is checked once a second, and a busy machine adds the rest.
const LATE: Duration = Duration::from_secs(4);

/// Most that a deadline may seem early, because it is kept in whole milliseconds.
const EARLY: Duration = Duration::from_millis(5);

/// Sends a byte at each interval until the server closes the connection; returns the server's last message and when it came.
async fn drip(mut stream: TcpStream, byte: u8, every: Duration) -> (String, Instant) {
    let mut told = String::new();
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut reader, mut writer) = stream.split();
    let read = async { reader.read_to_string(&mut told).await.expect("a clean end") };
    let drip = async {
        loop {
            ticks.tick().await;
            writer.write_all(&[byte]).await.ok();
        }
    };
    tokio::select! {
        _ = read => {}
        () = drip => {}
    }
    (told, Instant::now())
}

/// Logs in again and again, as other clients do; panics if a login takes 5 s. Never returns.
async fn others_log_in(server: &Program) -> Duration {
    let mut slowest = Duration::ZERO;
    loop {
        let began = Instant::now();
        let mut peer = Peer::new(TcpStream::connect(server.address).await.expect("a connection"));
        peer.log_in("messi").await;
        slowest = slowest.max(began.elapsed());
        assert!(slowest < Duration::from_secs(5), "a login took {slowest:?}");
        sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn who_sends_a_byte_now_and_then_is_ended_in_time_while_others_log_in() {
    let _alone = ALONE.lock().await;
    raise_descriptor_limit();
    let (count, every, line, login) =
        short_or_long((200, Duration::from_millis(500), 2, 3), (5_000, Duration::from_secs(5), 10, 60));
    let server = Program::start(&[
        "--line-deadline",
        &line.to_string(),
        "--login-deadline",
        &login.to_string(),
        "--max-connections-per-address",
        "6000",
    ]);
    let before = server.sockets();
    let mut slow = Vec::new();
    for number in 0..count {
        // The time is taken before the server knows the connection, so that no deadline seems early.
        let began = Instant::now();
        let stream = TcpStream::connect(server.address).await.expect("a connection");
        // Every other client finishes its lines, which are blank, and never logs in.
        let (byte, word, deadline) = match number % 2 {
            0 => (b'x', "line not finished in time", line),
            _ => (b'\n', "not logged in in time", login),
        };
        slow.push((word, Duration::from_secs(deadline), began, tokio::spawn(drip(stream, byte, every))));
    }
    let all_end = async {
        for (word, deadline, began, end) in slow {
            let (told, ended) = timeout(deadline + SOON, end).await.expect("an end").expect("no panic");
            assert_eq!(told, format!("{{\"status\": \"ERROR\", \"message\": \"{word}\"}}\r\n\r\n"));
            let after = ended - began;
            assert!((deadline..deadline + EARLY + LATE).contains(&(after + EARLY)), "{word} after {after:?}");
        }
    };
    tokio::select! {
        () = all_end => {}
        _ = others_log_in(&server) => {}
    }
    let began = Instant::now();
    while server.sockets() > before {
        assert!(began.elapsed() < SOON, "connections are left");
        sleep(Duration::from_millis(20)).await;
    }
    server.stop();
}

/// Opens 1,000 connections to a server that may have 256 files; returns the figures, as an error if they are too high.
async fn exhaust_descriptors() -> Result<String, String> {
    let mut command = std::process::Command::new("sh");
    command.args(["-c", "ulimit -n 256; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_chat-server")]);
    // With limits, there are fewer connections than files.
    let server = Program::start_by(command, &["--no-limits"]);
    let mut old = Sender::log_in(&server, "messi", "henderson");
    let crowd: Vec<_> = (0..1_000).map(|_| tokio::spawn(TcpStream::connect(server.address))).collect();
    // Connections that do not fit into the listener's queue are retried.
    tokio::task::block_in_place(|| server.wait_for_log("cannot accept connections"));
    let (began, worked) = (Instant::now(), server.cpu_time());
    // The sleep takes real time, because the work of another process is measured. A process that spins works all the time.
    sleep(Duration::from_millis(500)).await;
    let load = server.cpu_time().saturating_sub(worked).as_secs_f64() / began.elapsed().as_secs_f64();
    assert_eq!(old.ask("send henderson haloo"), SENT, "an old connection is served");
    for waiting in crowd {
        waiting.abort();
        drop(waiting.await);
    }
    let began = Instant::now();
    let login = timeout(SOON, async {
        let mut peer = Peer::new(TcpStream::connect(server.address).await.expect("a connection"));
        peer.log_in("henderson").await;
    });
    login.await.expect("served at last");
    let recovered = began.elapsed();
    server.stop();
    let figures = format!("{:.1} % of a core without descriptors; served after {recovered:?}", load * 100.0);
    if load < 0.2 && recovered < Duration::from_secs(1) { Ok(figures) } else { Err(figures) }
}

#[test]
fn a_server_without_descriptors_does_not_spin_and_recovers_within_a_second() {
    let _alone = ALONE.blocking_lock();
    raise_descriptor_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    holds_once(|| runtime.block_on(exhaust_descriptors()));
}
