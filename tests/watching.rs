//! Watching: no gap between what is in the inbox and what comes, however things interleave; and the other events.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use chat_service::{
    server::Server,
    store::{Durable, Memory, Options, Sqlite, Store},
};
use serde_json::Value;
use tokio::{io::DuplexStream, time::sleep};

use crate::support::{Peer, Setup, duplex, held::Held, reordering::Reordering};

/// A connection that speaks dialect 2, and what it was sent without asking.
struct Device {
    peer: Peer<DuplexStream>,
    events: Vec<Value>,
}

impl Device {
    async fn log_in(server: &Arc<Server>, user: &str) -> Self {
        let mut device = Device { peer: duplex(server, 1 << 20).0, events: Vec::new() };
        assert_eq!(device.ask("hello 2").await["protocol"], 2);
        assert_eq!(device.ask(&format!("auth {user} surabaya")).await["status"], "OK");
        device
    }

    async fn watch(server: &Arc<Server>, user: &str) -> Self {
        let mut device = Self::log_in(server, user).await;
        device.ok("watch").await;
        device
    }

    /// The next reply; events before it are kept.
    async fn reply(&mut self) -> Value {
        loop {
            let reply: Value = serde_json::from_str(&self.peer.reply().await).expect("JSON");
            if reply.get("event").is_none() {
                return reply;
            }
            assert!(reply.get("status").is_none(), "{reply}");
            self.events.push(reply);
        }
    }

    async fn ask(&mut self, line: &str) -> Value {
        self.peer.send(format!("{line}\n")).await;
        self.reply().await
    }

    async fn ok(&mut self, line: &str) -> Value {
        let reply = self.ask(line).await;
        assert_eq!(reply["status"], "OK", "{line}: {reply}");
        reply
    }

    /// The next event.
    async fn event(&mut self) -> Value {
        if self.events.is_empty() {
            let event: Value = serde_json::from_str(&self.peer.reply().await).expect("JSON");
            assert!(event.get("event").is_some(), "{event}");
            return event;
        }
        self.events.remove(0)
    }

    /// The next event of that kind; others are passed over.
    async fn event_of(&mut self, kind: &str) -> Value {
        loop {
            let event = self.event().await;
            if event["event"] == kind {
                return event;
            }
        }
    }

    /// Asserts that no event of that kind comes, though the server has nothing left to do.
    async fn quiet(&mut self, kind: &str) {
        tokio::select! {
            biased;
            event = self.event_of(kind) => panic!("unexpected: {event}"),
            () = sleep(Duration::from_millis(1)) => {}
        }
    }
}

/// A watch from its beginning to its end.
#[derive(Default)]
struct Watch {
    seen: Vec<u64>,
}

impl Watch {
    fn take(&mut self, events: &mut Vec<Value>) {
        for event in events.drain(..) {
            if event["event"] == "message" {
                let id = event["id"].as_u64().expect("a number");
                assert!(self.seen.last().is_none_or(|last| *last < id), "{id} after {:?}", self.seen.last());
                self.seen.push(id);
            }
        }
    }
}

struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit as u64).expect("small")
    }
}

/// What messi's inbox must be: whether each message that was ever in it has left it.
#[derive(Default)]
struct Inbox(BTreeMap<u64, bool>);

impl Inbox {
    fn acknowledge(&mut self, upto: u64) {
        self.0.range_mut(..=upto).for_each(|(_, acked)| *acked = true);
    }

    fn waiting(&self) -> Vec<u64> {
        self.0.iter().filter(|(_, acked)| !**acked).map(|(id, _)| *id).collect()
    }
}

fn stores(folder: &tempfile::TempDir) -> Vec<Arc<dyn Store>> {
    let sqlite = |name: &str, index_batch: usize| {
        let (index_step, index_runs) = (index_batch.min(128), index_batch.min(64));
        let options = Options {
            durable: Durable::Os,
            index_batch,
            index_step,
            index_runs,
            reserve: 0,
            ..Options::default()
        };
        Arc::new(Sqlite::open(&folder.path().join(name), &options).expect("a store"))
    };
    vec![
        Arc::new(Memory::new(10_000)),
        Reordering::new(10_000),
        sqlite("large", 32 * 1024),
        sqlite("small", 3),
    ]
}

/// Several devices of one user come, go, watch and acknowledge while others send to the user and to a room. 400 runs with
/// `CHAT_TEST_LONG=1`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_device_sees_every_message_once_and_in_order() {
    let runs = if std::env::var_os("CHAT_TEST_LONG").is_some() { 400 } else { 12 };
    for run in 0..runs {
        let folder = tempfile::tempdir().expect("a folder");
        for store in stores(&folder) {
            interleave(store, Random(0x2545_f491_4f6c_dd1d + run)).await;
        }
    }
}

async fn interleave(store: Arc<dyn Store>, mut random: Random) {
    let described = store.describe();
    let server = Setup { store, ..Setup::default() }.server();
    let mut senders =
        vec![Device::log_in(&server, "henderson").await, Device::log_in(&server, "lineker").await];
    for sender in &mut senders {
        sender.ok("join #lab").await;
    }
    let mut devices: Vec<Option<(Device, Option<Watch>)>> = vec![None, None, None];
    let mut control = Device::log_in(&server, "messi").await;
    let mut inbox = Inbox::default();
    let (mut joined, mut sent) = (false, 0);
    for _ in 0..40 {
        if random.below(4) == 0 {
            joined = !joined;
            control.ok(if joined { "join #lab" } else { "leave #lab" }).await;
        }
        // Sends that are under way while devices do what they do.
        let mut under_way = Vec::new();
        for (index, sender) in senders.iter_mut().enumerate() {
            for _ in 0..random.below(4) {
                sent += 1;
                let to_room = random.below(3) == 0;
                let to = if to_room { "#lab" } else { "messi" };
                let again = random.below(5) == 0;
                let line = format!(
                    "{{\"command\": \"send\", \"to\": \"{to}\", \"message\": \"{sent}\", \"key\": \"{sent}\"}}\n"
                );
                let line = if again { line.repeat(2) } else { line };
                sender.peer.send(line).await;
                under_way.push((index, to_room, again));
            }
        }
        let mut acknowledged = 0;
        for _ in 0..=random.below(3) {
            let slot = random.below(devices.len());
            let action = random.below(8);
            let Some((device, watch)) = &mut devices[slot] else {
                devices[slot] = Some((Device::log_in(&server, "messi").await, None));
                continue;
            };
            match (action, watch.is_some()) {
                (0, _) => devices[slot] = None,
                (1, true) => {
                    device.ok("unwatch").await;
                    watch.take().expect("watching").take(&mut device.events);
                }
                (2..=4, false) => {
                    device.ok("watch").await;
                    *watch = Some(Watch::default());
                }
                (5, true) => {
                    device.ok("ping").await;
                    let watch = watch.as_mut().expect("watching");
                    watch.take(&mut device.events);
                    if !watch.seen.is_empty() {
                        let id = watch.seen[random.below(watch.seen.len())];
                        device.ok(&format!("ack {id}")).await;
                        acknowledged = acknowledged.max(id);
                    }
                }
                (6, _) if random.below(3) == 0 => {
                    let reply = device.ok("inbox").await;
                    let messages = reply["messages"].as_object().expect("an object").values();
                    let ids = messages.flat_map(|of_sender| of_sender.as_array().expect("an array"));
                    acknowledged =
                        ids.filter_map(|message| message["id"].as_u64()).fold(acknowledged, u64::max);
                }
                _ => {}
            }
        }
        for (index, to_room, again) in under_way {
            let first = senders[index].reply().await;
            let id = first["id"].as_u64().unwrap_or_else(|| panic!("{described}: {first}"));
            if again {
                let second = senders[index].reply().await;
                assert_eq!(
                    (&second["id"], &second["duplicate"]),
                    (&first["id"], &Value::Bool(true)),
                    "{described}"
                );
            }
            if joined || !to_room {
                inbox.0.insert(id, false);
            }
        }
        // What got a smaller number than one that was acknowledged was in the inbox before it.
        inbox.acknowledge(acknowledged);
    }
    settle(&described, &mut senders[0], &mut control, devices, inbox).await;
}

/// Whether everybody who watches has got everything, and the inbox is what it should be.
async fn settle(
    described: &str,
    sender: &mut Device,
    control: &mut Device,
    mut devices: Vec<Option<(Device, Option<Watch>)>>,
    mut inbox: Inbox,
) {
    // In order, so whoever has the last one has them all.
    let last = sender.ok("send messi last").await["id"].as_u64().expect("a number");
    inbox.0.insert(last, false);
    for (device, watch) in devices.iter_mut().flatten() {
        let Some(watch) = watch else {
            continue;
        };
        watch.take(&mut device.events);
        while watch.seen.last() != Some(&last) {
            let event = device.event().await;
            watch.take(&mut vec![event]);
        }
        for id in &watch.seen {
            assert!(inbox.0.contains_key(id), "{described}: {id} is not for messi");
        }
        let missed: Vec<_> = inbox.waiting().into_iter().filter(|id| !watch.seen.contains(id)).collect();
        assert_eq!(missed, [0; 0], "{described}");
    }
    let fetched = control.ok("fetch 1000").await;
    let ids: Vec<_> = fetched["messages"]
        .as_array()
        .expect("an array")
        .iter()
        .filter_map(|message| message["id"].as_u64())
        .collect();
    assert_eq!(ids, inbox.waiting(), "{described}");
}

#[tokio::test(start_paused = true)]
async fn no_event_leaves_before_what_it_tells_of_is_durable() {
    let store = Held::new();
    let server = Setup { store: store.clone(), ..Setup::default() }.server();
    let log_in = async |user: &str| {
        let mut device = Device { peer: duplex(&server, 1 << 20).0, events: Vec::new() };
        device.peer.send(format!("hello 2\nauth {user} surabaya\nwatch\n")).await;
        device.reply().await;
        device.quiet("message").await;
        store.commit();
        device.reply().await;
        device.reply().await;
        device
    };
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
    store.fail(chat_service::protocol::Refusal::Storage);
    let refused = messi.reply().await;
    assert_eq!(refused["code"], "storage");
    assert_eq!(messi.reply().await["message"], "watching");
}

#[tokio::test(start_paused = true)]
async fn senders_hear_of_deliveries_and_devices_of_each_other() {
    let server = Setup::default().server();
    let mut henderson = Device::watch(&server, "henderson").await;
    let (mut one, mut two) = (Device::watch(&server, "messi").await, Device::watch(&server, "messi").await);
    for text in ["a", "b"] {
        henderson.ok(&format!("send messi {text}")).await;
    }
    assert_eq!(one.event_of("message").await["msg"], "a");
    one.ok("ack 2").await;
    assert_eq!(two.event_of("acked").await["upto"], 2);
    one.quiet("acked").await;
    for id in [1, 2] {
        let event = henderson.event_of("delivered").await;
        assert_eq!(event["id"], id);
        assert_eq!(event["at"].as_str().map(str::len), Some(24));
    }
    // `inbox` is an acknowledgement, too.
    henderson.ok("send messi c").await;
    two.ok("inbox").await;
    assert_eq!(one.event_of("acked").await["upto"], 3);
    assert_eq!(henderson.event_of("delivered").await["id"], 3);
}

#[tokio::test(start_paused = true)]
async fn presence_is_told_to_those_who_know_each_other() {
    let server = Setup::default().server();
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
    // Gone and back within five seconds: nobody is told.
    drop(henderson);
    sleep(Duration::from_secs(4)).await;
    let mut henderson = Device::log_in(&server, "henderson").await;
    sleep(Duration::from_secs(10)).await;
    messi.quiet("presence").await;
    henderson.ok("join #lab").await;
    drop(henderson);
    messi.quiet("presence").await;
    for device in [&mut messi, &mut lineker] {
        let gone = device.event_of("presence").await;
        assert_eq!((gone["active"].as_bool(), gone["connected"].as_bool()), (Some(true), Some(false)));
        assert!(gone["last_seen"].is_string(), "{gone}");
    }
    // Both of henderson's sessions.
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
        // Told twice, the login would come again here.
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
    // A watch goes on in the session in which it was asked for last.
    watcher.ok("auth messi surabaya").await;
    watcher.ok("watch").await;
    other.ok("logout 3").await;
    watcher.quiet("session_ended").await;
    assert_eq!(watcher.ask("whoami").await["session"], 4);
    other.ok("send messi b").await;
    assert_eq!(watcher.event_of("message").await["msg"], "b");
    // One's own logout is no news, but it ends the watch.
    watcher.ok("logout").await;
    watcher.quiet("session_ended").await;
    other.ok("send messi c").await;
    watcher.quiet("message").await;
    // Who watches with a token is there.
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
    // All of it is there when it reads again.
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
    // One's own are history, not mail.
    outsider.quiet("message").await;
    let told = messi.ok("status 1").await;
    assert_eq!((told["recipients"].as_u64(), told["acked"].as_u64()), (Some(2), Some(0)));
    members[0].ok("ack 5").await;
    let told = messi.ok("status 5").await;
    assert_eq!((told["state"].as_str(), told["acked"].as_u64()), (Some("stored"), Some(1)));
    members[1].ok("ack 5").await;
    assert_eq!(messi.ok("status 5").await["state"], "acked");
    // A member who has left still gets what came before that.
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
    // Each byte of it takes six on the wire.
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
        // The clock stands still while anybody has something to do.
        sleep(Duration::from_millis(1)).await;
        store.commit();
    }
    for _ in 0..3 {
        messi.reply().await;
    }
    // henderson comes, is never told so, and nor is anybody else.
    let mut henderson = Device { peer: duplex(&server, 1 << 20).0, events: Vec::new() };
    henderson.peer.send("auth henderson surabaya\n").await;
    messi.quiet("presence").await;
    store.fail(chat_service::protocol::Refusal::Storage);
    assert_eq!(henderson.reply().await["status"], "ERROR");
    messi.quiet("presence").await;
    messi.peer.send("ping\n").await;
    assert_eq!(messi.reply().await["message"], "pong");
    assert_eq!(messi.events.len(), 0, "{:?}", messi.events);
}

#[tokio::test]
async fn who_leaves_right_after_a_message_is_still_told_of_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = stores(&folder).remove(2);
    let server = Setup { store, ..Setup::default() }.server();
    let mut watcher = Device::watch(&server, "messi").await;
    let mut sender = Device::log_in(&server, "henderson").await;
    sender.ok("join #lab").await;
    for i in 0..20 {
        watcher.ok("join #lab").await;
        // Left before the message was stored, or after it.
        sender.peer.send(format!("send #lab {i}\n")).await;
        if i % 2 == 0 {
            tokio::task::yield_now().await;
        }
        watcher.ok("leave #lab").await;
        let sent = sender.reply().await["id"].as_u64();
        let waits = watcher.ok("fetch 1000").await;
        let waits =
            waits["messages"].as_array().expect("an array").last().and_then(|last| last["id"].as_u64());
        if waits == sent {
            while watcher.event_of("message").await["id"].as_u64() != sent {}
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_watch_keeps_its_session_in_use_and_ends_with_it() {
    let clock = chat_service::service::Clock::default();
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
