//! Limits of clients: deadlines, connections, requests, login tries.

mod connections;

use std::{sync::Arc, time::Duration};

use chat_service::{
    chat::{self, Limit, Rate},
    server::Server,
};
use tokio::{
    io::DuplexStream,
    time::{Instant, sleep},
};

use crate::support::{
    Peer, SENT, Setup, duplex, fixed_clock,
    program::{Program, chat_server, run, without_tokens},
};

/// Interval at which deadlines are checked.
const TICK: Duration = Duration::from_secs(1);

fn error(text: &str) -> String {
    format!("{{\"status\": \"ERROR\", \"message\": \"{text}\"}}")
}

/// Waits until the server closes the connection with this message; returns how long that took.
async fn ended(peer: &mut Peer<DuplexStream>, word: &str) -> Duration {
    let began = Instant::now();
    while peer.stalled().await {
        assert!(began.elapsed() < Duration::from_hours(2), "never ended");
    }
    assert_eq!(peer.reply().await, word);
    let took = began.elapsed();
    assert_eq!(peer.try_reply().await, None);
    took
}

fn about(took: Duration, expected: Duration) {
    assert!(took >= expected && took <= expected + 2 * TICK, "{took:?}, not {expected:?}");
}

/// Returns the limits that were reached, and how often.
fn counted(server: &Server) -> Vec<(Limit, u64)> {
    let counts = server.chat().counts();
    let all = Limit::ALL.iter().map(|limit| (*limit, counts.of(*limit)));
    all.filter(|(_, count)| *count > 0).collect()
}

fn server() -> Arc<Server> {
    Setup::default().server()
}

#[tokio::test(start_paused = true)]
async fn who_does_not_log_in_is_ended_after_a_minute() {
    let server = server();
    let (mut silent, _) = duplex(&server, 1 << 16);
    let took = ended(&mut silent, &error("not logged in in time")).await;
    about(took, Duration::from_mins(1));
    // Requests do not extend the deadline.
    let (mut talks, _) = duplex(&server, 1 << 16);
    let began = Instant::now();
    for _ in 0..5 {
        sleep(Duration::from_secs(11)).await;
        assert_eq!(talks.ask("ping").await, r#"{"status": "OK", "message": "pong"}"#);
    }
    ended(&mut talks, &error("not logged in in time")).await;
    about(began.elapsed(), Duration::from_mins(1));
    // A request with a token counts as a login.
    let (mut first, _) = duplex(&server, 1 << 16);
    let token = first.log_in("messi").await;
    let (mut with_token, _) = duplex(&server, 1 << 16);
    with_token.ask(format!("inbox {token}")).await;
    sleep(Duration::from_mins(2)).await;
    assert_eq!(with_token.ask(format!("send {token} messi a")).await, SENT);
    assert_eq!(counted(&server), [(Limit::LoginDeadline, 2)]);
}

#[tokio::test(start_paused = true)]
async fn a_line_is_to_be_finished_within_ten_seconds() {
    let server = server();
    let (mut slow, _) = duplex(&server, 1 << 16);
    slow.log_in("messi").await;
    sleep(Duration::from_mins(5)).await;
    let began = Instant::now();
    slow.send("se").await;
    sleep(Duration::from_secs(5)).await;
    // Another byte does not extend the deadline.
    slow.send("n").await;
    ended(&mut slow, &error("line not finished in time")).await;
    about(began.elapsed(), Duration::from_secs(10));
    // Each line has its own ten seconds.
    let (mut steady, _) = duplex(&server, 1 << 16);
    steady.log_in("messi").await;
    for _ in 0..10 {
        steady.send("send messi").await;
        sleep(Duration::from_secs(6)).await;
        steady.send(" a\n").await;
        assert_eq!(steady.reply().await, SENT);
    }
    assert_eq!(counted(&server), [(Limit::LineDeadline, 1)]);
}

#[tokio::test(start_paused = true)]
async fn who_asks_nothing_for_half_an_hour_is_ended_unless_they_watch() {
    let server = server();
    let (mut idle, _) = duplex(&server, 1 << 16);
    idle.log_in("messi").await;
    let took = ended(&mut idle, &error("idle for too long")).await;
    about(took, Duration::from_mins(30));
    let (mut watcher, _) = duplex(&server, 1 << 16);
    watcher.ask("hello 2").await;
    watcher.log_in("messi").await;
    watcher.ask("watch").await;
    sleep(Duration::from_hours(3)).await;
    assert!(watcher.ask("ping").await.contains("pong"));
    watcher.ask("unwatch").await;
    let took = ended(&mut watcher, r#"{"event": "closing", "reason": "idle"}"#).await;
    about(took, Duration::from_mins(30));
    assert_eq!(counted(&server), [(Limit::IdleTimeout, 2)]);
}

#[tokio::test(start_paused = true)]
async fn a_user_has_a_burst_of_requests_and_then_a_rate() {
    let requests = Some(Rate { per_second: 10, burst: 20 });
    let chat_limits = chat::Limits { requests, ..chat::Limits::default() };
    let clock = fixed_clock();
    let server = Setup { chat_limits, clock: clock.clone(), ..Setup::default() }.server();
    let (mut one, _) = duplex(&server, 1 << 20);
    let (mut two, _) = duplex(&server, 1 << 20);
    one.log_in("messi").await;
    two.log_in("messi").await;
    let limited = r#"{"status": "ERROR", "message": "too many requests, try again later", "retry_after": 1}"#;
    for peer in [&mut one, &mut two] {
        peer.send("send henderson a\n".repeat(15)).await;
    }
    let mut refused = 0;
    for peer in [&mut one, &mut two] {
        for _ in 0..15 {
            let reply = peer.reply().await;
            assert!(reply == SENT || reply == limited, "{reply}");
            refused += u64::from(reply == limited);
        }
    }
    assert_eq!(refused, 10, "of 30, with a burst of 20");
    assert_eq!(counted(&server), [(Limit::RequestRate, refused)]);
    let (mut other, _) = duplex(&server, 1 << 20);
    other.log_in("lineker").await;
    assert_eq!(other.ask("send henderson a").await, SENT, "others have their own");
    clock.advance(Duration::from_millis(99));
    assert_eq!(one.ask("send henderson a").await, limited);
    clock.advance(Duration::from_millis(1));
    assert_eq!(one.ask("send henderson a").await, SENT, "ten a second");
    assert_eq!(two.ask("send henderson a").await, limited);
    clock.advance(Duration::from_secs(10));
    assert_eq!(one.ask("send henderson a").await, SENT);
}

#[tokio::test(start_paused = true)]
async fn guessing_ends_before_it_costs_a_hash_and_the_owner_still_gets_in() {
    let clock = fixed_clock();
    let server = Setup { clock: clock.clone(), ..Setup::default() }.server();
    let owner = "192.0.2.1".parse().expect("an address");
    let log_in = async |from: std::net::IpAddr, line: &str| {
        let (ours, theirs) = tokio::io::duplex(1 << 16);
        tokio::spawn(chat_service::server::serve(theirs, from, server.clone()));
        without_tokens(&Peer::new(ours).ask(line).await)
    };
    let logged_in = r#"{"status": "OK", "tokenid": "TOKEN"}"#;
    let limited =
        r#"{"status": "ERROR", "message": "too many requests, try again later", "retry_after": 60}"#;
    assert_eq!(log_in(owner, "auth messi surabaya").await, logged_in);
    let thief = "198.51.100.7".parse().expect("an address");
    for name in ["messi", "maradona"] {
        for _ in 0..10 {
            assert_eq!(log_in(thief, &format!("auth {name} wrong")).await, error("User Tidak Ada"));
        }
        assert_eq!(log_in(thief, &format!("auth {name} surabaya")).await, limited);
    }
    let another = "203.0.113.5".parse().expect("an address");
    assert_eq!(log_in(another, "auth messi wrong").await, limited);
    assert_eq!(log_in(owner, "auth messi surabaya").await, logged_in);
    assert_eq!(counted(&server), [(Limit::LoginTries, 3)]);
    // One failed try of an account is forgotten each minute.
    clock.advance(Duration::from_millis(59_999));
    let limited = limited.replace("60", "1");
    assert_eq!(log_in(thief, "auth messi surabaya").await, limited);
    clock.advance(Duration::from_millis(1));
    assert_eq!(log_in(thief, "auth messi surabaya").await, logged_in);
}

#[tokio::test]
async fn so_many_logins_wait_for_their_turn() {
    let chat_limits = chat::Limits { logins_waiting: 1, ..chat::Limits::default() };
    let server = Setup { chat_limits, ..Setup::default() }.server();
    let mut peers: Vec<_> = (0..20).map(|_| duplex(&server, 1 << 16).0).collect();
    // A wrong password takes a full hash, which lasts longer than this thread needs to serve the other nineteen.
    for peer in &mut peers {
        peer.send("auth messi wrong\n").await;
    }
    let mut replies = Vec::new();
    for peer in &mut peers {
        replies.push(peer.reply().await);
    }
    let limited = r#"{"status": "ERROR", "message": "too many requests, try again later", "retry_after": 1}"#;
    replies.sort_unstable();
    assert_eq!(replies.remove(0), error("User Tidak Ada"));
    assert_eq!(replies, [limited; 19]);
    assert_eq!(counted(&server), [(Limit::LoginQueue, 19)]);
}

/// Somebody who logs in from a network that is known for that user is not held up by strangers who guess.
#[tokio::test]
async fn the_last_places_of_the_queue_are_for_users_who_are_known() {
    let chat_limits = chat::Limits { logins_waiting: 10, renews_hashes: false, ..chat::Limits::default() };
    let server = Setup { chat_limits, ..Setup::default() }.server();
    duplex(&server, 1 << 16).0.log_in("messi").await;
    let mut guesses: Vec<_> = (0..20).map(|_| duplex(&server, 1 << 16).0).collect();
    // Names that do not exist take a full hash, too.
    for (number, peer) in guesses.iter_mut().enumerate() {
        peer.send(format!("auth guess{number} wrong\n")).await;
    }
    while server.chat().counts().of(Limit::LoginQueue) < 11 {
        tokio::task::yield_now().await;
    }
    duplex(&server, 1 << 16).0.log_in("messi").await;
    assert_eq!(counted(&server), [(Limit::LoginQueue, 11)]);
}

#[test]
fn limits_are_settings() {
    let server = Program::start(&["--request-rate", "1", "--request-burst", "2", "--max-connections", "1"]);
    let answers = server.talk("auth messi surabaya\nsend messi a\nsend messi b\nsend messi c\n");
    assert_eq!(answers.matches(SENT).count(), 2, "{answers}");
    assert!(answers.contains("too many requests"), "{answers}");
    server.stop();
}

#[test]
fn limits_of_logins_and_new_rooms_are_settings() {
    let server = Program::start(&["--login-burst", "2", "--login-rate", "1", "--new-rooms", "2"]);
    let lines = "auth messi surabaya\njoin #a\njoin #b\njoin #c\njoin #a\nleave #a\njoin #a\n";
    let answers = server.talk(lines);
    assert_eq!(answers.matches("joined").count(), 4, "{answers}");
    assert_eq!(answers.matches("too many requests").count(), 1, "{answers}");
    let answers = server.talk("auth messi surabaya\nauth messi surabaya\nauth messi surabaya\n");
    assert!(answers.contains("tokenid") && answers.contains("too many requests"), "{answers}");
    server.stop();
}

#[tokio::test]
async fn rooms_are_listed_in_pages() {
    let chat_limits = chat_service::chat::Limits { new_rooms: None, requests: None, ..Default::default() };
    let server = Setup { chat_limits, ..Setup::default() }.start().await;
    let mut messi = server.log_in("messi").await;
    messi.ask("hello 2").await;
    for i in 0..1100 {
        assert!(messi.ask(format!("join #r{i:04}")).await.contains("joined"));
        if i >= 900 {
            messi.ask(format!("leave #r{i:04}")).await;
        }
    }
    let first: serde_json::Value = serde_json::from_str(&messi.ask("rooms").await).expect("JSON");
    let rooms = first["rooms"].as_array().expect("rooms");
    assert_eq!((rooms.len(), &first["more"], &rooms[999]["room"]), (1000, &true.into(), &"#r0999".into()));
    let rest = messi.ask("rooms #r0999").await;
    assert_eq!((rest.matches("\"room\"").count(), rest.contains("more")), (100, false));
    assert!(messi.ask("rooms lab").await.contains("bad_request"));
    drop(messi);
    server.stop().await;
}

#[test]
fn flags_have_bounds() {
    for args in [
        ["--login-deadline", "18446744073709551615"],
        ["--line-deadline", "0"],
        ["--idle-timeout", "31536001"],
        ["--slow-consumer", "0"],
        ["--max-connections", "0"],
        ["--inbox-limit", "0"],
        ["--login-queue", "0"],
        ["--retain", "36501"],
    ] {
        let mut command = chat_server();
        command.args(args);
        let ended = run(command, "");
        assert_eq!(ended.status.code(), Some(2), "{args:?}");
        assert!(String::from_utf8_lossy(&ended.stderr).contains("is not in"), "{args:?}: {ended:?}");
    }
}

/// A wall clock that is set back or forward changes no limit.
#[tokio::test(start_paused = true)]
async fn limits_do_not_depend_on_the_wall_clock() {
    const HOUR: i64 = 60 * 60 * 1000;
    let requests = Some(Rate { per_second: 1, burst: 3 });
    let chat_limits = chat::Limits { requests, ..chat::Limits::default() };
    let clock = fixed_clock();
    let server = Setup { chat_limits, clock: clock.clone(), ..Setup::default() }.server();
    let (mut messi, _) = duplex(&server, 1 << 20);
    messi.log_in("messi").await;
    let limited = |after: u32| {
        format!(
            "{{\"status\": \"ERROR\", \"message\": \"too many requests, try again later\", \"retry_after\": {after}}}"
        )
    };
    for step in [-HOUR, 2 * HOUR, -HOUR] {
        for _ in 0..3 {
            assert_eq!(messi.ask("send henderson a").await, SENT, "{step}");
        }
        clock.step(step);
        assert_eq!(messi.ask("send henderson a").await, limited(1), "{step}");
        clock.advance(Duration::from_secs(3));
    }
    let (mut guesser, _) = duplex(&server, 1 << 20);
    for _ in 0..10 {
        assert_eq!(guesser.ask("auth henderson wrong").await, error("User Tidak Ada"));
    }
    clock.step(-HOUR);
    assert_eq!(guesser.ask("auth henderson wrong").await, limited(60));
    clock.advance(Duration::from_mins(1));
    assert_eq!(guesser.ask("auth henderson wrong").await, error("User Tidak Ada"));
}

/// The process may have been stopped, or the machine asleep.
#[tokio::test(start_paused = true)]
async fn what_came_before_the_server_could_look_at_its_deadline_is_in_time() {
    let server = server();
    let (mut idle, _) = duplex(&server, 1 << 16);
    let token = idle.log_in("messi").await;
    let (mut stranger, _) = duplex(&server, 1 << 16);
    assert_eq!(stranger.ask("ping").await, r#"{"status": "OK", "message": "pong"}"#);
    idle.send("ping\n").await;
    stranger.send(format!("whoami {token}\n")).await;
    tokio::time::advance(Duration::from_hours(2)).await;
    assert_eq!(idle.reply().await, r#"{"status": "OK", "message": "pong"}"#);
    assert!(stranger.reply().await.contains("\"username\": \"messi\""));
    // Half a line is not in time.
    idle.send("pi").await;
    tokio::time::advance(Duration::from_hours(2)).await;
    assert_eq!(idle.reply().await, error("line not finished in time"));
}

#[tokio::test(start_paused = true)]
async fn requests_before_login_are_counted_for_each_address() {
    let anonymous = Some(Rate { per_second: 10, burst: 20 });
    let chat_limits = chat::Limits { anonymous, ..chat::Limits::default() };
    let clock = fixed_clock();
    let server = Setup { chat_limits, clock: clock.clone(), ..Setup::default() }.server();
    let connect = |from: &str| {
        let (ours, theirs) = tokio::io::duplex(1 << 16);
        tokio::spawn(chat_service::server::serve(theirs, from.parse().expect("an address"), server.clone()));
        Peer::new(ours)
    };
    let limited = r#"{"status": "ERROR", "message": "too many requests, try again later", "retry_after": 1}"#;
    let (mut one, mut two) = (connect("192.0.2.1"), connect("192.0.2.1"));
    // Whatever is asked, and whether or not it is a request.
    for line in ["ping", "help", "inbox", "nonsense", "\0"] {
        for peer in [&mut one, &mut two] {
            for _ in 0..2 {
                assert_ne!(peer.ask(line).await, limited, "{line:?}");
            }
        }
    }
    for peer in [&mut one, &mut two] {
        let began = Instant::now();
        peer.send("ping\n".repeat(10)).await;
        for _ in 0..10 {
            assert_eq!(peer.reply().await, limited);
        }
        assert!(began.elapsed() >= Duration::from_secs(1), "a refusal holds the connection up");
        assert_eq!(peer.ask("auth messi surabaya").await, limited);
    }
    assert_eq!(counted(&server), [(Limit::AnonymousRate, 22)]);
    let mut other = connect("192.0.2.2");
    let token = other.log_in("messi").await;
    clock.advance(Duration::from_millis(100));
    assert!(one.ask("auth messi surabaya").await.contains("tokenid"), "ten a second");
    assert_ne!(one.ask("ping").await, limited, "who is known is counted as a user");
    assert_eq!(two.ask("ping").await, limited);
    assert_ne!(two.ask(&format!("inbox {token}")).await, limited, "a token is never counted to the address");
    assert_ne!(two.ask("ping").await, limited);
}
