//! Watching: which events are sent, to which clients, and when.

use std::{sync::Arc, time::Duration};

use chat_service::store::{Options, Sqlite};
use serde_json::Value;
use tokio::time::sleep;

use crate::support::{Setup, device::Device, duplex, fixed_clock, held::Held};

#[tokio::test(start_paused = true)]
async fn no_event_leaves_before_what_it_tells_of_is_durable() {
    let store = Held::new();
    let server = Setup { store: store.clone(), ..Setup::default() }.server();
    let log_in = async |user: &str| Device::watch_held(&server, &store, user).await;
    let (mut messi, mut henderson) = (log_in("messi").await, log_in("henderson").await);
    henderson.peer.send("send messi a\n").await;
    messi.quiet("message").await;
    store.commit();
    assert_eq!(messi.event_of("message").await["msg"], "a");
    assert_eq!(henderson.reply().await["status"], "OK");
    messi.peer.send("ack 1\n").await;
    henderson.quiet("delivered").await;
    store.commit();
    assert_eq!(messi.reply().await["acked"], 1);
    assert_eq!(henderson.event_of("delivered").await["id"], 1);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_was_not_stored_is_never_told() {
    let store = Held::new();
    let server = Setup { store: store.clone(), ..Setup::default() }.server();
    let mut messi = Device { peer: duplex(&server, 1 << 20).0, events: Vec::new() };
    messi.peer.send("hello 2\nauth messi surabaya\n").await;
    messi.reply().await;
    messi.quiet("message").await;
    store.commit();
    messi.reply().await;
    messi.peer.send("send messi a\nwatch\n").await;
    messi.quiet("message").await;
    store.fail(chat_service::model::Refusal::Storage);
    let refused = messi.reply().await;
    assert_eq!(refused["code"], "storage");
    assert_eq!(messi.reply().await["message"], "watching");
}

#[tokio::test(start_paused = true)]
async fn senders_hear_of_deliveries_and_devices_of_each_other() {
    let clock = fixed_clock();
    let server = Setup { clock: clock.clone(), ..Setup::default() }.server();
    let mut henderson = Device::watch(&server, "henderson").await;
    let (mut one, mut two) = (Device::watch(&server, "messi").await, Device::watch(&server, "messi").await);
    for text in ["a", "b"] {
        henderson.ok(&format!("send messi {text}")).await;
    }
    assert_eq!(one.event_of("message").await["msg"], "a");
    clock.advance(Duration::from_millis(1500));
    one.ok("ack 2").await;
    assert_eq!(two.event_of("acked").await["upto"], 2);
    one.quiet("acked").await;
    for id in [1, 2] {
        let event = henderson.event_of("delivered").await;
        assert_eq!(event["id"], id);
        assert_eq!(event["at"], "2026-05-28T20:26:41.500Z");
    }
    // `inbox` is an acknowledgement, too.
    henderson.ok("send messi c").await;
    two.ok("inbox").await;
    assert_eq!(one.event_of("acked").await["upto"], 3);
    assert_eq!(henderson.event_of("delivered").await["id"], 3);
}

#[tokio::test(start_paused = true)]
async fn presence_is_told_to_those_who_know_each_other() {
    let clock = fixed_clock();
    let server = Setup { clock: clock.clone(), ..Setup::default() }.server();
    let mut messi = Device::watch(&server, "messi").await;
    let mut lineker = Device::watch(&server, "lineker").await;
    lineker.ok("join #lab").await;
    messi.ok("send henderson hello").await;
    let henderson = Device::log_in(&server, "henderson").await;
    let here = messi.event_of("presence").await;
    assert_eq!(
        (here["username"].as_str(), here["active"].as_bool(), here["connected"].as_bool()),
        (Some("henderson"), Some(true), Some(true))
    );
    assert_eq!(here["last_seen"], Value::Null);
    lineker.quiet("presence").await;
    // henderson is gone and back within five seconds, so no event is sent.
    drop(henderson);
    sleep(Duration::from_secs(4)).await;
    let mut henderson = Device::log_in(&server, "henderson").await;
    sleep(Duration::from_secs(10)).await;
    messi.quiet("presence").await;
    henderson.ok("join #lab").await;
    clock.advance(Duration::from_millis(1500));
    drop(henderson);
    messi.quiet("presence").await;
    for device in [&mut messi, &mut lineker] {
        let gone = device.event_of("presence").await;
        assert_eq!((gone["active"].as_bool(), gone["connected"].as_bool()), (Some(true), Some(false)));
        assert_eq!(gone["last_seen"], "2026-05-28T20:26:41.500Z");
    }
    // `logout all` ends all of henderson's sessions.
    let mut henderson = Device::log_in(&server, "henderson").await;
    messi.event_of("presence").await;
    henderson.ok("logout all").await;
    let out = messi.event_of("presence").await;
    assert_eq!((out["active"].as_bool(), out["connected"].as_bool()), (Some(false), Some(false)));
}

#[tokio::test]
async fn a_login_is_told_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Arc::new(Sqlite::open(folder.path(), &Options::default()).expect("a store"));
    let server = Setup { store, ..Setup::default() }.server();
    let mut messi = Device::watch(&server, "messi").await;
    messi.ok("send henderson hello").await;
    for _ in 0..10 {
        let mut henderson = Device::log_in(&server, "henderson").await;
        let here = messi.event_of("presence").await;
        assert!(here["active"] == true && here["connected"] == true, "{here}");
        henderson.ok("logout all").await;
        // A second event for the login would come here.
        let gone = messi.event_of("presence").await;
        assert!(gone["active"] == false && gone["connected"] == false, "{gone}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_that_ends_elsewhere_ends_the_watch_and_not_the_connection() {
    let server = Setup::default().server();
    let mut watcher = Device::watch(&server, "messi").await;
    let mut other = Device::log_in(&server, "messi").await;
    other.ok("logout 1").await;
    watcher.event_of("session_ended").await;
    other.ok("send messi a").await;
    watcher.quiet("message").await;
    assert_eq!(watcher.ask("inbox").await["code"], "not_authorized");
    assert_eq!(watcher.ask("auth messi surabaya").await["status"], "OK");
    watcher.ok("watch").await;
    assert_eq!(watcher.event_of("message").await["msg"], "a");
    // A watch belongs to the session in which it was requested last.
    watcher.ok("auth messi surabaya").await;
    watcher.ok("watch").await;
    other.ok("logout 3").await;
    watcher.quiet("session_ended").await;
    assert_eq!(watcher.ask("whoami").await["session"], 4);
    other.ok("send messi b").await;
    assert_eq!(watcher.event_of("message").await["msg"], "b");
    // A client's own logout sends no event, but it ends the watch.
    watcher.ok("logout").await;
    watcher.quiet("session_ended").await;
    other.ok("send messi c").await;
    watcher.quiet("message").await;
    // A user that watches with a token is connected.
    let token = other.ok("auth messi surabaya").await["tokenid"].as_str().expect("a token").to_owned();
    watcher.ok(&format!("watch {token}")).await;
    assert_eq!(watcher.event_of("message").await["msg"], "a");
    let mut henderson = Device::log_in(&server, "henderson").await;
    drop(other);
    sleep(Duration::from_secs(10)).await;
    let seen = henderson.ok("who").await;
    let messi =
        seen["users"].as_array().and_then(|users| users.iter().find(|user| user["username"] == "messi"));
    assert_eq!(messi.map(|messi| &messi["connected"]), Some(&Value::Bool(true)), "{seen}");
}

#[tokio::test(start_paused = true)]
async fn dialect_1_is_sent_no_event() {
    let server = Setup::default().server();
    let mut old = Device { peer: duplex(&server, 1 << 20).0, events: Vec::new() };
    old.ok("auth messi surabaya").await;
    assert_eq!(old.ask("watch").await.get("code"), None);
    let mut other = Device::log_in(&server, "messi").await;
    other.ok("send messi a").await;
    other.ok("logout all").await;
    tokio::select! {
        biased;
        event = old.event() => panic!("unexpected: {event}"),
        () = sleep(Duration::from_secs(10)) => {}
    }
}

#[tokio::test(start_paused = true)]
async fn a_watcher_that_does_not_read_slows_nobody_and_costs_no_queue() {
    let limits = chat_service::server::Limits::NONE;
    let server = Setup { limits, ..Setup::default() }.server();
    let mut stalled = Device { peer: duplex(&server, 4096).0, events: Vec::new() };
    stalled.ok("hello 2").await;
    stalled.ok("auth messi surabaya").await;
    stalled.ok("watch").await;
    let mut live = Device::watch(&server, "messi").await;
    let mut sender = Device::log_in(&server, "henderson").await;
    for i in 0..5000 {
        sender.ok(&format!("send messi {i}")).await;
        assert_eq!(live.event_of("message").await["msg"], i.to_string());
    }
    // The client gets all messages when it reads again.
    for i in 0..5000 {
        assert_eq!(stalled.event_of("message").await["msg"], i.to_string());
    }
}

#[tokio::test(start_paused = true)]
async fn a_room_tells_all_who_are_in_it() {
    let server = Setup::default().server();
    let mut members = Vec::new();
    for i in 0..60 {
        let mut device = Device::watch(&server, ["henderson", "lineker"][i % 2]).await;
        device.ok("join #lab").await;
        members.push(device);
    }
    let mut messi = Device::watch(&server, "messi").await;
    messi.ok("join #lab").await;
    let mut outsider = Device::watch(&server, "messi").await;
    for i in 0..20 {
        messi.ok(&format!("send #lab {i}")).await;
    }
    for member in &mut members {
        for i in 0..20 {
            let event = member.event_of("message").await;
            assert_eq!(
                (event["msg"].as_str(), event["to"].as_str()),
                (Some(i.to_string().as_str()), Some("#lab"))
            );
        }
    }
    // A user's own messages to a room are in the history, not in the inbox.
    outsider.quiet("message").await;
    let told = messi.ok("status 1").await;
    assert_eq!((told["recipients"].as_u64(), told["acked"].as_u64()), (Some(2), Some(0)));
    members[0].ok("ack 5").await;
    let told = messi.ok("status 5").await;
    assert_eq!((told["state"].as_str(), told["acked"].as_u64()), (Some("stored"), Some(1)));
    members[1].ok("ack 5").await;
    assert_eq!(messi.ok("status 5").await["state"], "acked");
    // A member that has left still gets the messages from before that.
    members[0].ok("leave #lab").await;
    messi.ok("send #lab after").await;
    members[0].quiet("message").await;
    let left: Vec<_> = members[0].ok("fetch 100").await["messages"].as_array().expect("an array").clone();
    assert_eq!(left.len(), 15);
}

#[tokio::test(start_paused = true)]
async fn a_thousand_rooms_are_enough() {
    let server = Setup::default().server();
    let mut messi = Device::log_in(&server, "messi").await;
    for i in 0..1000 {
        messi.ok(&format!("join #r{i}")).await;
    }
    assert_eq!(messi.ask("join #one-more").await["code"], "too_many_rooms");
    assert_eq!(messi.ask("{\"command\": \"join\", \"room\": \"#one-more\"}").await["code"], "too_many_rooms");
    messi.ok("join #r7").await;
    messi.ok("leave #r7").await;
    messi.ok("join #one-more").await;
}

#[tokio::test(start_paused = true)]
async fn pages_have_at_most_a_mebibyte_and_say_that_there_is_more() {
    let server = Setup::default().server();
    let mut messi = Device { peer: duplex(&server, 4 << 20).0, events: Vec::new() };
    messi.ok("hello 2").await;
    messi.ok("auth messi surabaya").await;
    // Each byte of the text takes six on the wire.
    let text = "\u{7f}".repeat(8000);
    for _ in 0..30 {
        messi.ok(&format!("send messi {text}")).await;
    }
    let fetched = messi.ok("fetch 1000").await;
    let count = fetched["messages"].as_array().expect("an array").len();
    assert_eq!((count, fetched["more"].as_bool()), (21, Some(true)));
    let page = messi.ok("history messi 1000").await;
    let ids: Vec<_> = page["messages"]
        .as_array()
        .expect("an array")
        .iter()
        .filter_map(|message| message["id"].as_u64())
        .collect();
    assert_eq!((ids, page["more"].as_bool()), ((10..=30).collect(), Some(true)));
}

#[tokio::test(start_paused = true)]
async fn an_event_that_tells_of_what_failed_is_not_sent() {
    let store = Held::new();
    let server = Setup { store: store.clone(), ..Setup::default() }.server();
    let mut messi = Device { peer: duplex(&server, 1 << 20).0, events: Vec::new() };
    messi.peer.send("hello 2\nauth messi surabaya\nwatch\nsend henderson a\n").await;
    messi.reply().await;
    for _ in 0..3 {
        // The paused clock advances only when no task has anything to do.
        sleep(Duration::from_millis(1)).await;
        store.commit();
    }
    for _ in 0..3 {
        messi.reply().await;
    }
    // henderson's login is not stored, so no client is told of it.
    let mut henderson = Device { peer: duplex(&server, 1 << 20).0, events: Vec::new() };
    henderson.peer.send("auth henderson surabaya\n").await;
    messi.quiet("presence").await;
    store.fail(chat_service::model::Refusal::Storage);
    assert_eq!(henderson.reply().await["status"], "ERROR");
    messi.quiet("presence").await;
    messi.peer.send("ping\n").await;
    assert_eq!(messi.reply().await["message"], "pong");
    assert_eq!(messi.events.len(), 0, "{:?}", messi.events);
}

#[tokio::test(start_paused = true)]
async fn a_watch_keeps_its_session_in_use_and_ends_with_it() {
    let clock = fixed_clock();
    let server = Setup { clock: clock.clone(), ..Setup::default() }.server();
    let day = Duration::from_hours(24);
    let mut watcher = Device::watch(&server, "messi").await;
    let send = async |text: &str| {
        let mut sender = Device::log_in(&server, "henderson").await;
        sender.ok(&format!("send messi {text}")).await;
    };
    for text in ["a", "b", "c", "d"] {
        clock.advance(20 * day);
        send(text).await;
        assert_eq!(watcher.event_of("message").await["msg"], text);
    }
    // No session lives longer than 90 days.
    clock.advance(20 * day);
    send("e").await;
    watcher.event_of("session_ended").await;
    watcher.quiet("message").await;
    assert_eq!(watcher.ask("inbox").await["code"], "not_authorized");
}
