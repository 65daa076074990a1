//! `watch` from a place on, and with what the user's other connections send.

use std::sync::Arc;

use chat_service::{
    chat::Limits,
    model::MessageId,
    server::Server,
    store::{Durable, Memory, Options, Scope, Sqlite, Store},
};
use serde_json::Value;

use crate::support::{
    Setup,
    device::Device,
    held::Held,
    random::Random,
    reordering::Reordering,
    subject::{Subject, USERS, name, numbers},
};

const LAB: &str = "#lab";

/// A message as a too simple store would keep it.
struct Kept {
    id: u64,
    from: &'static str,
    to: &'static str,
    /// Who was in the room.
    members: Vec<&'static str>,
}

impl Kept {
    fn is_shown(&self, user: &str, scope: Scope, cursor: u64) -> bool {
        let is_received = self.to == user || (self.from != user && self.members.contains(&user));
        match scope {
            Scope::Inbox => is_received && self.id > cursor,
            Scope::Received => is_received,
            Scope::All => is_received || self.from == user,
        }
    }
}

#[tokio::test]
async fn the_messages_of_a_user_are_those_of_a_naive_model() {
    let mut random = Random::new(8);
    for _ in 0..12 {
        for mut subject in Subject::all(10_000) {
            let (mut all, mut members): (Vec<Kept>, Vec<&str>) = (Vec::new(), Vec::new());
            for _ in 0..70 {
                let (user, other) = (USERS[random.index(3)], USERS[random.index(3)]);
                let is_member = members.contains(&user);
                match random.below(8) {
                    0..=2 => {
                        let id = subject.send(user, other).await;
                        all.push(Kept { id, from: user, to: other, members: Vec::new() });
                    }
                    3 | 4 if is_member => {
                        let id = subject.send(user, LAB).await;
                        all.push(Kept { id, from: user, to: LAB, members: members.clone() });
                    }
                    3 => {
                        subject.join(user, LAB).await;
                        members.push(user);
                    }
                    4 => drop(subject.take(user, random.index(4)).await),
                    5 if is_member && random.below(3) == 0 => {
                        subject.leave(user, LAB).await;
                        members.retain(|member| *member != user);
                    }
                    6 => drop(subject.reopen()),
                    _ => {}
                }
                let after = all.last().map_or(0, |last| last.id.saturating_sub(random.below(20)));
                let (cursor, limit) = (subject.store.cursor(&name(user)).peek().0, 1 + random.index(9));
                for scope in [Scope::Inbox, Scope::Received, Scope::All] {
                    let shown =
                        all.iter().filter(|kept| kept.id > after && kept.is_shown(user, scope, cursor));
                    let shown: Vec<u64> = shown.map(|kept| kept.id).collect();
                    let first: Vec<u64> = shown.iter().copied().take(limit).collect();
                    let user = name(user);
                    let page =
                        subject.settle(subject.store.feed(&user, MessageId(after), limit, scope)).await;
                    let page = page.expect("readable");
                    let at = format!("{scope:?} of {user} after {after} in {}", subject.kind);
                    assert_eq!((numbers(&page), page.more), (first, shown.len() > limit), "{at}");
                }
            }
        }
    }
}

fn watch(after: Option<u64>, shows_own: bool) -> String {
    let mut request = serde_json::json!({"command": "watch", "own": shows_own});
    if let Some(after) = after {
        request["after"] = after.into();
    }
    request.to_string()
}

async fn texts(device: &mut Device, count: usize) -> Vec<String> {
    let mut texts = Vec::new();
    while texts.len() < count {
        texts.push(device.event_of("message").await["msg"].as_str().expect("a text").to_owned());
    }
    texts
}

#[tokio::test(start_paused = true)]
async fn a_watch_begins_where_it_is_told_and_shows_what_was_acknowledged_since() {
    let server = Setup::default().server();
    let mut henderson = Device::log_in(&server, "henderson").await;
    for text in ["1", "2", "3", "4"] {
        henderson.ok(&format!("send messi {text}")).await;
    }
    let mut messi = Device::log_in(&server, "messi").await;
    messi.ok("ack 3").await;
    messi.ok("send henderson 5").await;
    messi.ok(&watch(Some(1), false)).await;
    assert_eq!(texts(&mut messi, 3).await, ["2", "3", "4"]);
    messi.quiet("message").await;
    // A watch without a place goes on; one with a place begins there.
    messi.ok("watch").await;
    messi.quiet("message").await;
    messi.ok(&watch(Some(2), true)).await;
    assert_eq!(texts(&mut messi, 3).await, ["3", "4", "5"]);
    messi.ok("unwatch").await;
    messi.ok("watch").await;
    assert_eq!(texts(&mut messi, 1).await, ["4"]);
    for line in [r#"{"command": "watch", "after": "x"}"#, r#"{"command": "watch", "own": 1}"#, "watch 1 2"] {
        assert_eq!(messi.ask(line).await["code"], "bad_request", "{line}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_other_connections_send_is_shown_and_not_what_this_one_sends() {
    let server = Setup { store: Reordering::new(100), ..Setup::default() }.server();
    send_from_two(&server).await;
}

#[tokio::test]
async fn what_other_connections_send_is_shown_by_the_store_on_disk_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Arc::new(Sqlite::open(folder.path(), &Options::default()).expect("a store"));
    let server = Setup { store, ..Setup::default() }.server();
    send_from_two(&server).await;
}

async fn send_from_two(server: &Arc<Server>) {
    let (mut one, mut two) = (Device::log_in(server, "messi").await, Device::log_in(server, "messi").await);
    let mut plain = Device::watch(server, "messi").await;
    one.ok("join #lab").await;
    one.ok(&watch(None, true)).await;
    two.ok(&watch(None, true)).await;
    one.ok("send henderson from one").await;
    one.ok(r##"{"command": "send", "to": "#lab", "message": "from one, too", "key": "k"}"##).await;
    assert_eq!(texts(&mut two, 2).await, ["from one", "from one, too"]);
    // A repeated send is no new message.
    one.ok(r##"{"command": "send", "to": "#lab", "message": "from one, too", "key": "k"}"##).await;
    two.ok("send henderson from two").await;
    assert_eq!(texts(&mut one, 1).await, ["from two"]);
    for device in [&mut one, &mut two, &mut plain] {
        device.quiet("message").await;
    }
    // A message to oneself is in the inbox, whoever sends it; this connection has sent it.
    one.ok("send messi note").await;
    assert_eq!(texts(&mut two, 1).await, ["note"]);
    assert_eq!(texts(&mut plain, 1).await, ["note"]);
    one.quiet("message").await;
}

#[tokio::test]
async fn who_watches_no_more_is_no_slow_consumer_of_what_it_sends() {
    let store = Arc::new(Memory::new(100_000));
    let server = Setup { store, chat_limits: Limits::NONE, ..Setup::default() }.server();
    let mut messi = Device::log_in(&server, "messi").await;
    messi.ok(&watch(None, true)).await;
    messi.ok("unwatch").await;
    // More than are kept of a connection that does not take its events.
    for _ in 0..66 {
        messi.peer.send("send henderson a\n".repeat(1000)).await;
        for _ in 0..1000 {
            assert_eq!(messi.reply().await["status"], "OK");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_sent_is_told_when_it_is_durable() {
    let store = Held::new();
    let server = Setup { store: store.clone(), ..Setup::default() }.server();
    let log_in = async || {
        let mut device = Device { peer: crate::support::duplex(&server, 1 << 20).0, events: Vec::new() };
        device.peer.send("hello 2\nauth messi surabaya\n").await;
        device.reply().await;
        device.quiet("message").await;
        store.commit();
        device.reply().await;
        device
    };
    let (mut one, mut two) = (log_in().await, log_in().await);
    two.ok(&watch(None, true)).await;
    one.peer.send("send henderson a\n").await;
    two.quiet("message").await;
    store.commit();
    assert_eq!(texts(&mut two, 1).await, ["a"]);
    one.reply().await;
    one.peer.send("send henderson b\n").await;
    two.quiet("message").await;
    store.fail(chat_service::model::Refusal::Storage);
    assert_eq!(one.reply().await["code"], "storage");
    two.quiet("message").await;
}

/// One program of messi that sends, watches with `after` and `own`, and connects again.
struct Program {
    device: Option<Device>,
    /// Numbers of all messages that it knows of, from replies and events.
    known: Vec<u64>,
    /// The last one that an event has shown.
    after: u64,
}

impl Program {
    fn take_events(&mut self) {
        let Some(device) = &mut self.device else { return };
        for event in device.events.drain(..).filter(|event| event["event"] == "message") {
            let id = event["id"].as_u64().expect("a number");
            assert!(id > self.after, "{id} after {}", self.after);
            assert!(!self.known.contains(&id), "{id} twice");
            self.after = id;
            self.known.push(id);
        }
    }
}

/// Three programs of one user, which lose their connections now and then, know all messages from and to that user in the end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn programs_that_connect_again_miss_nothing_and_see_nothing_twice() {
    let runs = if std::env::var_os("CHAT_TEST_LONG").is_some() { 300 } else { 8 };
    for run in 0..runs {
        let folder = tempfile::tempdir().expect("a folder");
        let options = Options { durable: Durable::Os, index_batch: 5, index_step: 1, ..Options::default() };
        let stores: [Arc<dyn Store>; 3] = [
            Arc::new(Memory::new(10_000)),
            Reordering::new(10_000),
            Arc::new(Sqlite::open(folder.path(), &options).expect("a store")),
        ];
        for store in stores {
            let server = Setup { store, ..Setup::default() }.server();
            reconnect(&server, Random::new(run)).await;
        }
    }
}

async fn reconnect(server: &Arc<Server>, mut random: Random) {
    let mut henderson = Device::log_in(server, "henderson").await;
    henderson.ok("join #lab").await;
    Device::log_in(server, "messi").await.ok("join #lab").await;
    let mut programs: Vec<_> =
        (0..3).map(|_| Program { device: None, known: Vec::new(), after: 0 }).collect();
    let (mut all, mut number) = (Vec::new(), 0);
    let to = ["henderson", "lineker", "messi", LAB];
    for _ in 0..60 {
        number += 1;
        let key = if random.index(2) == 0 { format!(", \"key\": \"{number}\"") } else { String::new() };
        let send =
            |to: &str| format!("{{\"command\": \"send\", \"to\": \"{to}\", \"message\": \"{number}\"{key}}}");
        let index = random.index(3);
        let program = &mut programs[index];
        match (random.index(5), &mut program.device) {
            (0, Some(device)) => {
                // What had come by then, it knows.
                device.ok("ping").await;
                program.take_events();
                program.device = None;
            }
            (1..=3, Some(device)) => {
                let reply = device.ok(&send(to[random.index(4)])).await;
                let id = reply["id"].as_u64().expect("a number");
                program.known.push(id);
                all.push(id);
            }
            (_, None) => {
                let mut device = Device::log_in(server, "messi").await;
                device.ok(&watch(Some(program.after), true)).await;
                // Messages of its own that it has sent before are shown again: it knows them.
                let own: Vec<u64> = program.known.iter().copied().filter(|id| *id > program.after).collect();
                program.known.retain(|id| !own.contains(id));
                program.device = Some(device);
            }
            _ => {
                let reply = henderson.ok(&send(["messi", LAB][random.index(2)])).await;
                all.push(reply["id"].as_u64().expect("a number"));
            }
        }
        program.take_events();
    }
    let last = henderson.ok("send messi last").await["id"].as_u64().expect("a number");
    all.push(last);
    for program in programs.iter_mut().filter(|program| program.device.is_some()) {
        while program.after != last {
            let device = program.device.as_mut().expect("connected");
            let event: Value = device.event().await;
            device.events.push(event);
            program.take_events();
        }
        program.known.sort_unstable();
        assert_eq!(program.known, all);
    }
}
