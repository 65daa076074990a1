//! Sessions as clients see them: logins, and how long they last.

use std::time::{Duration, Instant};

use chat_service::{
    chat::{Clock, Limit, Limits, Rate},
    model::Secret,
    users::{Memory, hash, parse, verify},
};
use tokio::net::TcpSocket;

use crate::support::{CHEAP_HASH, Peer, Setup, TestServer, fixed_clock, restarted::Restarted};

const DAY: Duration = Duration::from_hours(24);
const MILLISECOND: Duration = Duration::from_millis(1);
const NOT_AUTHORIZED: &str = r#"{"status": "ERROR", "message": "not authorized"}"#;
const REFUSED: &str = r#"{"status": "ERROR", "message": "User Tidak Ada"}"#;
const EMPTY: &str = r#"{"status": "OK", "messages": {}}"#;

#[tokio::test]
async fn a_session_ends_after_30_days_unused_and_90_days_in_all() {
    let clock = fixed_clock();
    let server = Setup { clock: clock.clone(), ..Setup::default() }.start().await;
    let mut messi = server.log_in("messi").await;
    let mut henderson = server.log_in("henderson").await;
    clock.advance((30 * DAY).saturating_sub(MILLISECOND));
    assert_eq!(messi.ask("inbox").await, EMPTY);
    clock.advance(MILLISECOND);
    assert_eq!(henderson.ask("inbox").await, NOT_AUTHORIZED);
    clock.advance(29 * DAY);
    assert_eq!(messi.ask("inbox").await, EMPTY);
    assert_eq!(
        messi.ask("showuseractive").await,
        r#"{"status": "OK", "messages": {"users": [{"username": "messi"}]}}"#
    );
    clock.advance(29 * DAY);
    assert_eq!(messi.ask("inbox").await, EMPTY);
    clock.advance((2 * DAY).saturating_sub(MILLISECOND));
    assert_eq!(messi.ask("inbox").await, EMPTY);
    clock.advance(MILLISECOND);
    assert_eq!(messi.ask("inbox").await, NOT_AUTHORIZED);
    messi.log_in("messi").await;
    assert_eq!(messi.ask("inbox").await, EMPTY);
    drop((messi, henderson));
    server.stop().await;
}

#[tokio::test]
async fn a_clock_that_was_far_ahead_for_a_while_ends_no_session() {
    let clock = fixed_clock();
    let server = Setup { clock: clock.clone(), ..Setup::default() }.start().await;
    let mut messi = server.connect().await;
    let token = messi.log_in("messi").await;
    let day = i64::try_from(DAY.as_millis()).expect("in range");
    clock.step(200 * day);
    assert_eq!(messi.ask("inbox").await, NOT_AUTHORIZED);
    // Another login would end expired sessions of its user.
    server.log_in("messi").await;
    clock.step(-200 * day);
    assert_eq!(messi.ask("inbox").await, EMPTY);
    // So does one that was far behind.
    clock.step(-10_000 * day);
    assert_eq!(messi.ask("inbox").await, EMPTY);
    clock.step(10_000 * day);
    assert_eq!(messi.ask("inbox").await, EMPTY);
    // A day after a jump, the clock is believed.
    clock.step(200 * day);
    assert_eq!(messi.ask("inbox").await, NOT_AUTHORIZED);
    clock.advance(DAY);
    assert_eq!(messi.ask(format!("inbox {token}")).await, NOT_AUTHORIZED);
    clock.step(-201 * day);
    assert_eq!(messi.ask("inbox").await, NOT_AUTHORIZED);
    drop(messi);
    server.stop().await;
}

/// Says a line on a new connection from an address of this machine; returns the reply.
async fn say(server: &TestServer, from: [u8; 4], line: &str) -> String {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind((from, 0).into()).expect("an address of this machine");
    let stream = socket.connect(server.address).await.expect("a connection");
    Peer::new(stream).ask(line).await
}

#[tokio::test]
async fn the_owner_is_not_locked_out_after_a_restart_either_and_not_with_a_token() {
    const OWN: [u8; 4] = [127, 0, 0, 1];
    const OTHER: [u8; 4] = [127, 0, 0, 2];
    let (mut restarted, server) = Restarted::start(Clock::default()).await;
    let right = "auth messi surabaya";
    assert!(say(&server, OWN, right).await.contains("tokenid"));
    let server = restarted.restart(server, Clock::default()).await;
    for _ in 0..10 {
        assert_eq!(say(&server, OTHER, "auth messi wrong").await, REFUSED);
    }
    assert!(say(&server, OTHER, right).await.contains("too many requests"));
    assert!(say(&server, OWN, right).await.contains("tokenid"));
    // On an address that many share, somebody has used up its tries. A token shows that this is not them.
    let mut messi = server.log_in("messi").await;
    for name in ["u1", "u2", "u3"] {
        for _ in 0..10 {
            assert_eq!(say(&server, OWN, &format!("auth {name} wrong")).await, REFUSED);
        }
    }
    assert!(say(&server, OWN, right).await.contains("too many requests"));
    assert!(messi.ask(right).await.contains("tokenid"));
    assert!(messi.ask("passwd surabaya correct horse battery").await.contains("OK"));
    // It is no token of anybody else.
    assert!(messi.ask("auth henderson surabaya").await.contains("too many requests"));
    drop(messi);
    server.stop().await;
}

#[tokio::test]
async fn right_logins_of_a_user_have_a_rate_that_holds_up_nobody_else() {
    let logins = Some(Rate { per_second: 1, burst: 5 });
    let (clock, chat_limits) = (fixed_clock(), Limits { logins, ..Limits::default() });
    let server = Setup { clock: clock.clone(), chat_limits, ..Setup::default() }.start().await;
    let mut messi = server.connect().await;
    for _ in 0..5 {
        messi.log_in("messi").await;
    }
    messi.ask("hello 2").await;
    let refused = messi.ask("auth messi surabaya").await;
    assert!(refused.contains("\"rate_limited\"") && refused.contains("\"retry_after\": 1"), "{refused}");
    assert_eq!(server.server.chat().counts().of(Limit::LoginRate), 1);
    let henderson = server.log_in("henderson").await;
    clock.advance(Duration::from_secs(1));
    messi.log_in("messi").await;
    drop((messi, henderson));
    server.stop().await;
}

#[tokio::test]
async fn the_hundred_and_first_session_ends_the_longest_unused() {
    let clock = fixed_clock();
    let server = Setup { clock: clock.clone(), ..Setup::default() }.start().await;
    let mut peer = server.connect().await;
    let mut tokens = Vec::new();
    for _ in 0..100 {
        tokens.push(peer.log_in("messi").await);
        clock.advance(Duration::from_secs(1));
    }
    assert_eq!(peer.ask(format!("inbox {}", tokens[0])).await, EMPTY);
    peer.log_in("messi").await;
    assert_eq!(peer.ask(format!("inbox {}", tokens[0])).await, EMPTY);
    assert_eq!(peer.ask(format!("inbox {}", tokens[1])).await, NOT_AUTHORIZED);
    assert_eq!(peer.ask(format!("inbox {}", tokens[2])).await, EMPTY);
    drop(peer);
    server.stop().await;
}

#[tokio::test]
async fn logging_in_keeps_nobody_waiting() {
    let server = TestServer::start().await;
    let mut messi = server.log_in("messi").await;
    let mut guessers = Vec::new();
    for _ in 0..20 {
        let mut guesser = server.connect().await;
        guesser.send("auth messi wrong\n").await;
        guessers.push(guesser);
    }
    // 20 hashes take 20 times as long as one; a send does not wait for them.
    let began = Instant::now();
    messi.ask("send messi a").await;
    let send = began.elapsed();
    for mut guesser in guessers {
        assert_eq!(guesser.reply().await, r#"{"status": "ERROR", "message": "User Tidak Ada"}"#);
    }
    let all = began.elapsed();
    assert!(send < all / 4, "a send took {send:?} while 20 logins took {all:?}");
    drop(messi);
    server.stop().await;
}

fn thread_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(time).expect("not negative")
}

#[test]
fn a_failed_login_takes_the_work_of_a_full_hash_whoever_it_names() {
    let wrong = Secret::new("wrong".into());
    let full = hash(&Secret::new("surabaya".into()));
    let passwords = [full.as_str(), CHEAP_HASH, "surabaya"];
    let toml = passwords.map(|password| {
        let name = password.len();
        format!("[users.u{name}]\nname = \"U\"\npassword = \"{password}\"\n")
    });
    let users = parse(&toml.concat(), "users.toml").expect("a users file").users;
    let user = |password: &str| users.get(&format!("u{}", password.len())).map(|user| user.password.clone());
    let [full, cheap, plain] = passwords.map(user);
    let kinds = [None, full, cheap, plain];
    // The shortest thread time of several tries is that of the work; other programs only make a try longer.
    let (mut least, mut memory) = ([Duration::MAX; 4], Memory::default());
    for _ in 0..12 {
        for (user, least) in kinds.iter().zip(&mut least) {
            let began = thread_time();
            assert!(!verify(user.as_ref(), &wrong, users.price(), &mut memory));
            *least = thread_time().saturating_sub(began).min(*least);
        }
    }
    for other in &least[1..] {
        let ratio = other.as_secs_f64() / least[0].as_secs_f64();
        // Without the work the ratio would be a thousandth; with the work done twice it would be 2.
        assert!((0.6..1.7).contains(&ratio), "{least:?}");
    }
}

#[tokio::test]
async fn logins_of_peers_that_are_gone_cost_nobody_else_anything() {
    let server = TestServer::start().await;
    let began = Instant::now();
    server.connect().await.ask("auth messi wrong").await;
    let one = began.elapsed();
    let mut gone = Vec::new();
    for _ in 0..200 {
        let mut peer = server.connect().await;
        peer.send("auth messi wrong\n").await;
        // With this option, closing the socket resets the connection.
        rustix::net::sockopt::set_socket_linger(&peer.stream, Some(Duration::ZERO)).expect("set");
        gone.push(peer);
    }
    // All of them have been read when a later connection gets a reply.
    server.connect().await.ask("haloo").await;
    drop(gone);
    let began = Instant::now();
    server.log_in("henderson").await;
    let waited = began.elapsed();
    assert!(waited < one * 60, "waited {waited:?}, while one login takes {one:?}");
    server.stop().await;
}
