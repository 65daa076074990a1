//! What one user may take of what all share: connections, memory for replies, inboxes, space on the disk.

use std::{sync::Arc, time::Duration};

use chat_service::{
    chat::{self, Limit, Rate, ReplyMemory},
    server::{Limits, Server},
};
use serde_json::json;
use tokio::io::DuplexStream;

use crate::support::{Peer, SENT, Setup, device::Device, duplex, fixed_clock, held::Held, settle};

fn server(change: impl FnOnce(&mut chat::Limits)) -> Arc<Server> {
    // Peers that do not read are not cut off.
    let mut setup = Setup { limits: Limits::NONE, ..Setup::default() };
    change(&mut setup.chat_limits);
    setup.server()
}

fn counted(server: &Server, limit: Limit) -> u64 {
    server.chat().counts().of(limit)
}

#[tokio::test(start_paused = true)]
async fn a_user_has_so_many_connections_however_they_came_by_their_sessions() {
    let server = server(|limits| limits.connections_per_user = Some(2));
    let refused = r#"{"status": "ERROR", "message": "too many connections"}"#;
    let (mut first, _) = duplex(&server, 1 << 16);
    let token = first.log_in("messi").await;
    // A second login on a connection, and a token of the same user, take no other place.
    first.log_in("messi").await;
    assert_ne!(first.ask(format!("whoami {token}")).await, refused);
    let (mut second, second_ends) = duplex(&server, 1 << 16);
    assert_ne!(second.ask(format!("whoami {token}")).await, refused);
    let (mut third, _) = duplex(&server, 1 << 16);
    assert_eq!(third.ask("auth messi surabaya").await, refused);
    assert_eq!(third.ask(format!("whoami {token}")).await, refused);
    assert_eq!(third.ask("ping").await, r#"{"status": "OK", "message": "pong"}"#, "it stays open");
    // Another user is not concerned, on that connection either; and a connection counts for who was last.
    third.log_in("henderson").await;
    assert_eq!(counted(&server, Limit::ConnectionsPerUser), 2);
    drop(second);
    second_ends.await.expect("it ends");
    assert_ne!(third.ask(format!("whoami {token}")).await, refused);
    let (mut fourth, _) = duplex(&server, 1 << 16);
    assert_eq!(fourth.ask("auth messi surabaya").await, refused);
    assert_ne!(third.ask("whoami").await, refused, "henderson again");
    fourth.log_in("messi").await;
}

#[tokio::test(start_paused = true)]
async fn a_right_password_costs_a_login_when_there_are_too_many_connections_too() {
    let logins = Some(Rate { per_second: 1, burst: 3 });
    let server = server(|limits| (limits.connections_per_user, limits.logins) = (Some(1), logins));
    let (mut first, _) = duplex(&server, 1 << 16);
    first.log_in("messi").await;
    let (mut second, _) = duplex(&server, 1 << 16);
    for _ in 0..2 {
        assert!(second.ask("auth messi surabaya").await.contains("too many connections"));
    }
    assert!(second.ask("auth messi surabaya").await.contains("too many requests"));
}

/// Puts messages into henderson's inbox whose replies are large: each byte becomes six on the wire.
async fn fill(server: &Arc<Server>, count: usize) {
    let mut lineker = Device::log_in(server, "lineker").await;
    let text = "\u{1}".repeat(8192);
    for _ in 0..count {
        lineker.ok(&format!("send henderson {text}")).await;
    }
}

/// Bytes that the system takes for a peer that does not read.
const TAKEN: usize = 32 * 1024;

async fn connect(server: &Arc<Server>, token: &str, request: &str) -> Peer<DuplexStream> {
    let (mut peer, _) = duplex(server, TAKEN);
    peer.send(format!("{request} {token}\n")).await;
    peer
}

#[tokio::test(start_paused = true)]
async fn replies_that_nobody_takes_hold_up_their_own_user_first_and_lose_nothing() {
    let server = server(|limits| limits.reply_memory = Some(ReplyMemory { all: 64, per_user: 4 }));
    fill(&server, 30).await;
    let (mut henderson, _) = duplex(&server, 1 << 16);
    let token = henderson.log_in("henderson").await;
    let mut stalled = Vec::new();
    for _ in 0..6 {
        stalled.push(connect(&server, &token, "fetch").await);
        settle().await;
    }
    assert!(counted(&server, Limit::ReplyMemory) > 0, "six pages of 1 MiB are more than there is");
    // What is small needs no memory, and another user has memory.
    assert_eq!(henderson.ask("ping").await, r#"{"status": "OK", "message": "pong"}"#);
    let mut lineker = Device::log_in(&server, "lineker").await;
    assert_eq!(lineker.ok("history henderson").await["messages"].as_array().expect("a list").len(), 21);
    for peer in &mut stalled {
        assert_eq!(peer.reply().await.matches("\"msg\": ").count(), 21);
    }
}

#[tokio::test(start_paused = true)]
async fn who_pipelines_and_does_not_read_is_read_no_further_and_gets_everything_later() {
    let server = server(|limits| limits.reply_memory = Some(ReplyMemory { all: 4, per_user: 4 }));
    fill(&server, 30).await;
    let (mut henderson, _) = duplex(&server, 1 << 16);
    let token = henderson.log_in("henderson").await;
    let mut pages = Vec::new();
    for _ in 0..4 {
        pages.push(connect(&server, &token, "fetch").await);
        settle().await;
    }
    // All memory is taken. Small requests are answered until the little is full that a connection has of its own.
    let (mut piped, _) = duplex(&server, 1 << 20);
    piped.send(format!("whoami {token}\n")).await;
    assert!(piped.reply().await.contains("henderson"));
    let mut slow = connect(&server, &token, "whoami").await;
    slow.send("help\n".repeat(40)).await;
    settle().await;
    for page in &mut pages {
        assert_eq!(page.reply().await.matches("\"msg\": ").count(), 21);
    }
    assert!(slow.reply().await.contains("henderson"));
    for _ in 0..40 {
        assert!(slow.reply().await.contains("showuseractive"));
    }
}

#[tokio::test(start_paused = true)]
async fn watchers_who_do_not_read_miss_nothing_however_little_memory_there_is() {
    let server = server(|limits| limits.reply_memory = Some(ReplyMemory { all: 4, per_user: 4 }));
    fill(&server, 8).await;
    let (mut henderson, _) = duplex(&server, 1 << 16);
    let token = henderson.log_in("henderson").await;
    let mut watchers = Vec::new();
    for _ in 0..24 {
        let (mut peer, _) = duplex(&server, TAKEN);
        peer.send(format!("hello 2\nwatch {token}\n")).await;
        watchers.push(peer);
    }
    settle().await;
    assert!(counted(&server, Limit::ReplyMemory) > 0, "more than 16 cannot have 256 KiB");
    for peer in &mut watchers {
        peer.reply().await;
        assert!(peer.reply().await.contains("watching"));
        for _ in 0..8 {
            assert!(peer.reply().await.starts_with(r#"{"event": "message""#));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_sender_has_a_share_of_an_inbox_and_others_get_through() {
    let server = server(|limits| limits.inbox_share = Some(2));
    let mut lineker = Device::log_in(&server, "lineker").await;
    let keyed = r#"{"command": "send", "to": "messi", "message": "a", "key": "k"}"#;
    lineker.ok(keyed).await;
    let second = lineker.ok("send messi b").await["id"].clone();
    let full = lineker.ask("send messi c").await;
    assert_eq!((&full["code"], &full["limit"]), (&json!("inbox_full"), &json!(2)));
    assert_eq!(lineker.ok(keyed).await["duplicate"], json!(true), "a repeated message is answered");
    let other_key = keyed.replace("\"k\"", "\"l\"");
    assert_eq!(lineker.ask(&other_key).await["code"], json!("inbox_full"));
    // Neither other senders, nor other inboxes, nor the own one, nor rooms.
    let mut henderson = Device::log_in(&server, "henderson").await;
    henderson.ok("send messi d").await;
    for to in ["henderson", "lineker", "lineker", "lineker"] {
        lineker.ok(&format!("send {to} e")).await;
    }
    lineker.ok("join #lab").await;
    for _ in 0..3 {
        lineker.ok("send #lab f").await;
    }
    assert_eq!(counted(&server, Limit::Inbox), 3);
    let mut messi = Device::log_in(&server, "messi").await;
    messi.ok(&format!("ack {second}")).await;
    lineker.ok("send messi g").await;
}

#[tokio::test(start_paused = true)]
async fn a_user_sends_so_many_bytes_a_day() {
    let clock = fixed_clock();
    let mut setup = Setup { clock: clock.clone(), ..Setup::default() };
    setup.chat_limits.daily = Some(1);
    let server = setup.server();
    let mut lineker = Device::log_in(&server, "lineker").await;
    let text = "x".repeat(8192);
    // 1 MiB: 126 times 8,192 and 128 bytes.
    for _ in 0..126 {
        lineker.ok(&format!("send lineker {text}")).await;
    }
    let refused = lineker.ask(&format!("send lineker {text}")).await;
    assert_eq!((&refused["code"], &refused["limit"]), (&json!("quota"), &json!(1 << 20)));
    assert_eq!(refused["retry_after"], json!(665), "a 126th part of a day, but for what is left");
    assert_eq!(counted(&server, Limit::Daily), 1);
    let (mut messi, _) = duplex(&server, 1 << 16);
    messi.log_in("messi").await;
    assert_eq!(
        messi.ask(format!("send lineker {text}")).await,
        SENT,
        "another user has a quota of their own"
    );
    clock.advance(Duration::from_secs(665));
    lineker.ok(&format!("send lineker {text}")).await;
    assert_eq!(lineker.ask(&format!("send lineker {text}")).await["code"], json!("quota"));
}

/// A message waits for room behind replies that wait for the disk, and then all of them leave at once.
#[tokio::test(start_paused = true)]
async fn a_message_that_waited_for_room_comes_when_everything_before_it_has_left() {
    for reply_memory in [None, Some(ReplyMemory { all: 4, per_user: 4 })] {
        let held = Held::new();
        let chat_limits = chat::Limits { reply_memory, ..chat::Limits::NONE };
        let server =
            Setup { store: held.clone(), limits: Limits::NONE, chat_limits, ..Setup::default() }.server();
        let mut devices = Vec::new();
        for user in ["messi", "henderson"] {
            let (mut peer, _) = duplex(&server, 4 << 20);
            peer.send(format!("hello 2\nauth {user} surabaya\nwatch\n")).await;
            settle().await;
            held.commit();
            let mut device = Device { peer, events: Vec::new() };
            for _ in 0..3 {
                assert_eq!(device.reply().await["status"], "OK");
            }
            devices.push(device);
        }
        let [messi, henderson] = &mut devices[..] else { unreachable!("two users") };
        messi.peer.send("help\n").await;
        let reply_len = messi.peer.reply().await.len() + 4;
        henderson.peer.send(format!("send messi {}\n", "\u{1}".repeat(2000))).await;
        settle().await;
        // Less room is left in 256 KiB than the message may need.
        let count = (256 * 1024 - 500) / reply_len;
        messi.peer.send(format!("send henderson a\n{}", "help\n".repeat(count))).await;
        settle().await;
        held.commit();
        for _ in 0..=count {
            messi.reply().await;
        }
        assert_eq!(messi.event_of("message").await["from"], "henderson", "{reply_memory:?}");
    }
}

/// Many who ask for large replies again and again have their turns one after the other.
#[tokio::test(start_paused = true)]
async fn large_replies_are_made_one_after_the_other_and_nobody_waits_for_ever() {
    let server = server(|limits| limits.reply_memory = Some(ReplyMemory { all: 8, per_user: 4 }));
    let mut messi = Device::log_in(&server, "messi").await;
    for number in 0..400 {
        messi.ok(&format!("join #a-room-with-a-long-name-{number}")).await;
    }
    let mut peers = Vec::new();
    for user in ["messi", "henderson", "lineker"].into_iter().cycle().take(12) {
        let (mut peer, _) = duplex(&server, 1 << 20);
        peer.log_in(user).await;
        peers.push(peer);
    }
    for _ in 0..10 {
        for peer in &mut peers {
            peer.send("rooms\nfetch 1\nping\nrooms\n").await;
        }
        for peer in &mut peers {
            for reply in ["\"rooms\": [", "\"messages\": []", "pong", "\"rooms\": ["] {
                assert!(peer.reply().await.contains(reply), "{reply}");
            }
        }
    }
}
