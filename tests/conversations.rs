//! Conversations: which ones a user has, read markers, and who is typing.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use chat_service::{
    model::{MessageId, ReadMarker, Refusal, Timestamp, UserName},
    store::{Marked, People, PersonRecord},
};
use serde_json::{Value, json};

use crate::support::{
    Setup,
    device::Device,
    fixed_clock,
    held::Held,
    random::Random,
    subject::{Subject, USERS, name, to},
};

const LAB: &str = "#lab";

/// A marker at a message; of the messages of these tests, each has its own time.
fn marker(id: u64, moved: i64) -> ReadMarker {
    ReadMarker { at: Timestamp(id.cast_signed()), upto: MessageId(id), moved: Timestamp(moved) }
}

impl Subject {
    async fn mark_read(&self, user: &str, with: &str, marker: ReadMarker) -> Marked {
        let receipt = self.store.mark_read(&name(user), &to(with), marker);
        self.settle(receipt).await.expect("stored")
    }

    fn read_marker(&self, user: &str, with: &str) -> Option<ReadMarker> {
        *self.store.read_marker(&name(user), &to(with)).peek()
    }

    /// The user's conversations: with whom, the last message, how many are unread, and the marker.
    async fn conversations(&self, user: &str, limit: usize) -> Vec<(String, Option<u64>, usize, u64)> {
        let user = name(user);
        let found = self.settle(self.store.conversations(&user, limit)).await.expect("readable");
        let shown = found.into_iter().map(|entry| {
            let last = entry.last.map(|last| last.id.0);
            (entry.with.to_string(), last, entry.unread, entry.read_upto.0)
        });
        shown.collect()
    }
}

#[tokio::test]
async fn a_read_marker_moves_forward_and_is_kept() {
    for mut subject in Subject::all(100) {
        let kind = subject.kind;
        assert_eq!(subject.read_marker("messi", "henderson"), None, "{kind}");
        for (given, moved, now) in [
            (marker(5, 50), true, marker(5, 50)),
            (marker(3, 60), false, marker(5, 50)),
            (marker(5, 60), false, marker(5, 50)),
            (marker(8, 70), true, marker(8, 70)),
        ] {
            let marked = subject.mark_read("messi", "henderson", given).await;
            assert_eq!(marked, Marked { moved, marker: now }, "{kind}");
        }
        subject.mark_read("messi", LAB, marker(2, 80)).await;
        subject.mark_read("henderson", "messi", marker(1, 90)).await;
        for _ in 0..2 {
            assert_eq!(subject.read_marker("messi", "henderson"), Some(marker(8, 70)), "{kind}");
            assert_eq!(subject.read_marker("messi", LAB), Some(marker(2, 80)), "{kind}");
            assert_eq!(subject.read_marker("henderson", "messi"), Some(marker(1, 90)), "{kind}");
            assert_eq!(subject.read_marker("lineker", "messi"), None, "{kind}");
            subject.reopen();
        }
        // Who gets the name of somebody else begins with nothing; what others have read stays.
        let person = PersonRecord { after: MessageId(9), ..PersonRecord::new(name("messi")) };
        subject.settle(subject.store.set_person(person)).await.expect("stored");
        for _ in 0..2 {
            assert_eq!(subject.read_marker("messi", "henderson"), None, "{kind}");
            assert_eq!(subject.read_marker("messi", LAB), None, "{kind}");
            assert_eq!(subject.read_marker("henderson", "messi"), Some(marker(1, 90)), "{kind}");
            subject.reopen();
        }
    }
}

/// What the list of conversations should be, too simple to be wrong.
#[derive(Default)]
struct Model {
    /// Number, sender, recipient, and who may see it.
    messages: Vec<(u64, &'static str, &'static str, Vec<&'static str>)>,
    members: Vec<&'static str>,
    read: BTreeMap<(&'static str, &'static str), u64>,
}

impl Model {
    fn conversations(&self, user: &'static str) -> Vec<(String, Option<u64>, usize, u64)> {
        let mut all = Vec::new();
        for with in USERS.into_iter().chain([LAB]) {
            let upto = self.read.get(&(user, with)).copied().unwrap_or(0);
            let own = self.messages.iter().filter(|(_, from, to, seen_by)| match with {
                LAB => *to == LAB && seen_by.contains(&user),
                other => (*from, *to) == (user, other) || (*from, *to) == (other, user),
            });
            let own: Vec<_> = own.collect();
            let last = own.last().map(|(id, ..)| *id);
            let unread = own.iter().filter(|(id, from, ..)| *id > upto && *from != user).count();
            let is_shown = if with == LAB { self.members.contains(&user) } else { last.is_some() };
            if is_shown {
                all.push((with.to_owned(), last, unread, upto));
            }
        }
        all.sort_by_key(|(_, last, ..)| std::cmp::Reverse(*last));
        all
    }
}

#[tokio::test]
async fn the_conversations_of_a_store_are_those_of_a_naive_model() {
    let mut random = Random::new(3);
    for _ in 0..20 {
        for mut subject in Subject::all(10_000) {
            let mut model = Model::default();
            for step in 0..60 {
                let (user, other) = (USERS[random.index(3)], USERS[random.index(3)]);
                let is_member = model.members.contains(&user);
                match random.below(8) {
                    0..=3 => {
                        let id = subject.send(user, other).await;
                        model.messages.push((id, user, other, Vec::new()));
                    }
                    4 if is_member => {
                        let id = subject.send(user, LAB).await;
                        model.messages.push((id, user, LAB, model.members.clone()));
                    }
                    4 => {
                        subject.join(user, LAB).await;
                        model.members.push(user);
                    }
                    5 if is_member && step % 3 == 0 => {
                        subject.leave(user, LAB).await;
                        model.members.retain(|member| *member != user);
                    }
                    5 | 6 => {
                        let with = if random.below(3) == 0 { LAB } else { other };
                        let Some((id, ..)) = model.messages.last() else { continue };
                        let id = id.saturating_sub(random.below(6));
                        let at = marker(id, 0);
                        if subject.mark_read(user, with, at).await.moved {
                            model.read.insert((user, with), id);
                        }
                    }
                    _ => drop(subject.reopen()),
                }
                let expected = model.conversations(user);
                assert_eq!(subject.conversations(user, 10).await, expected, "{} of {user}", subject.kind);
                let first: Vec<_> = expected.into_iter().take(2).collect();
                assert_eq!(subject.conversations(user, 2).await, first, "{} of {user}", subject.kind);
            }
        }
    }
}

#[tokio::test]
async fn unread_messages_are_counted_to_a_hundred_and_looked_for_in_a_thousand() {
    for subject in Subject::all(10_000) {
        for _ in 0..105 {
            subject.send("henderson", "messi").await;
        }
        assert_eq!(subject.conversations("messi", 9).await, [("henderson".into(), Some(105), 100, 0)]);
        subject.mark_read("messi", "henderson", marker(95, 0)).await;
        assert_eq!(subject.conversations("messi", 9).await, [("henderson".into(), Some(105), 10, 95)]);
        for _ in 0..995 {
            subject.send("messi", "henderson").await;
        }
        assert_eq!(subject.conversations("messi", 9).await, [("henderson".into(), Some(1100), 5, 95)]);
        assert_eq!(subject.conversations("lineker", 9).await, []);
    }
}

fn event(with: &str, upto: u64, by: &str) -> Value {
    json!({"event": "read", "with": with, "upto": upto, "by": by})
}

#[tokio::test(start_paused = true)]
async fn what_is_read_is_told_to_the_other_devices_and_to_the_sender() {
    let clock = fixed_clock();
    let server = Setup { clock: clock.clone(), ..Setup::default() }.server();
    let (mut one, mut two) = (Device::watch(&server, "messi").await, Device::watch(&server, "messi").await);
    let (mut henderson, mut lineker) =
        (Device::watch(&server, "henderson").await, Device::watch(&server, "lineker").await);
    for text in ["a", "b", "c"] {
        henderson.ok(&format!("send messi {text}")).await;
    }
    assert!(henderson.ok("status 2").await.get("read_at").is_none());
    clock.advance(Duration::from_millis(1500));
    assert_eq!(one.ok("read henderson 2").await, json!({"status": "OK", "upto": 2}));
    assert_eq!(two.event_of("read").await, event("henderson", 2, "messi"));
    assert_eq!(henderson.event_of("read").await, event("messi", 2, "messi"));
    one.quiet("read").await;
    lineker.quiet("read").await;
    let status = henderson.ok("status 2").await;
    assert_eq!(
        (status["state"].as_str(), status["read_at"].as_str()),
        (Some("stored"), Some("2026-05-28T20:26:41.500Z"))
    );
    assert!(henderson.ok("status 3").await.get("read_at").is_none());
    // Back, or to the same place: nothing is told.
    assert_eq!(one.ok("read henderson 1").await["upto"], 2);
    assert_eq!(two.ok("read henderson 2").await["upto"], 2);
    two.quiet("read").await;
    one.quiet("read").await;
    // The inbox and the marker are apart.
    assert_eq!(one.ok("fetch").await["messages"].as_array().map(Vec::len), Some(3));
    one.ok("ack 3").await;
    assert_eq!(one.ok("conversations").await["conversations"][0]["unread"], 1);
    // After their own move, too.
    two.ok("read henderson 3").await;
    assert_eq!(one.event_of("read").await, event("henderson", 3, "messi"));
    assert_eq!(henderson.event_of("read").await, event("messi", 3, "messi"));
    // In a room, the sender is not told who; `status` counts.
    for device in [&mut one, &mut henderson, &mut lineker] {
        device.ok("join #lab").await;
    }
    let id = henderson.ok("send #lab hi").await["id"].as_u64().expect("a number");
    one.ok(&format!("read #lab {id}")).await;
    assert_eq!(two.event_of("read").await, event("#lab", id, "messi"));
    let status = henderson.ok(&format!("status {id}")).await;
    assert_eq!((&status["recipients"], &status["acked"], &status["read"]), (&json!(2), &json!(0), &json!(1)));
    henderson.quiet("read").await;
}

#[tokio::test(start_paused = true)]
async fn a_marker_is_told_when_it_is_durable_and_never_if_it_was_not_stored() {
    let store = Held::new();
    let server = Setup { store: store.clone(), ..Setup::default() }.server();
    let log_in = async |user: &str| Device::watch_held(&server, &store, user).await;
    let (mut messi, mut henderson) = (log_in("messi").await, log_in("henderson").await);
    henderson.peer.send("send messi a\n").await;
    messi.quiet("message").await;
    store.commit();
    henderson.reply().await;
    messi.event_of("message").await;
    messi.peer.send("read henderson 1\n").await;
    henderson.quiet("read").await;
    store.commit();
    assert_eq!(messi.reply().await["upto"], 1);
    assert_eq!(henderson.event_of("read").await, event("messi", 1, "messi"));
    henderson.peer.send("send messi b\n").await;
    messi.quiet("message").await;
    store.commit();
    henderson.reply().await;
    messi.event_of("message").await;
    messi.peer.send("read henderson 2\n").await;
    messi.quiet("read").await;
    store.fail(Refusal::Storage);
    assert_eq!(messi.reply().await["code"], "storage");
    henderson.quiet("read").await;
}

#[tokio::test]
async fn only_messages_of_a_conversation_can_be_read() {
    let server = Setup::default().server();
    let (mut messi, mut henderson) =
        (Device::log_in(&server, "messi").await, Device::log_in(&server, "henderson").await);
    henderson.ok("join #lab").await;
    henderson.ok("send #lab before").await;
    henderson.ok("send lineker for lineker").await;
    messi.ok("join #lab").await;
    henderson.ok("send #lab after").await;
    for (line, code) in [
        ("read henderson 2", "no_such_message"),
        ("read lineker 2", "no_such_message"),
        ("read #lab 1", "no_such_message"),
        ("read henderson 3", "no_such_message"),
        ("read henderson 9", "no_such_message"),
        ("read maradona 3", "no_such_user"),
        ("read #nothing 3", "no_such_room"),
        ("read #lab", "bad_request"),
        ("read #lab x", "bad_request"),
    ] {
        assert_eq!(messi.ask(line).await["code"], code, "{line}");
    }
    assert_eq!(messi.ok("read #lab 3").await["upto"], 3);
    messi.ok("leave #lab").await;
    assert_eq!(messi.ok("read #lab 3").await["upto"], 3);
    let mut lineker = Device::log_in(&server, "lineker").await;
    assert_eq!(lineker.ask("read #lab 3").await["code"], "not_a_member");
    assert_eq!(lineker.ok("read henderson 2").await["upto"], 2);
}

#[tokio::test]
async fn conversations_are_shown_newest_first_with_their_last_message() {
    let server = Setup { clock: fixed_clock(), ..Setup::default() }.server();
    let (mut messi, mut henderson) =
        (Device::log_in(&server, "messi").await, Device::log_in(&server, "henderson").await);
    messi.ok("join #empty").await;
    messi.ok("send lineker one").await;
    henderson.ok("send messi two").await;
    let message = |id: u64, from: &str, to: &str, msg: &str| {
        let shown = |name: &str| match name {
            "messi" => "Lionel Messi",
            "henderson" => "Jordan Henderson",
            _ => "Gary Lineker",
        };
        json!({
            "id": id, "at": "2026-05-28T20:26:40.000Z", "from": from, "to": to,
            "msg_from": shown(from), "msg_to": shown(to), "msg": msg
        })
    };
    let (one, two) = (message(1, "messi", "lineker", "one"), message(2, "henderson", "messi", "two"));
    let all = json!([
        {"with": "henderson", "last": two, "unread": 1, "read_upto": 0},
        {"with": "lineker", "last": one, "unread": 0, "read_upto": 0},
        {"with": "#empty", "last": null, "unread": 0, "read_upto": 0},
    ]);
    assert_eq!(messi.ok("conversations").await, json!({"status": "OK", "conversations": all}));
    let first = json!({"status": "OK", "conversations": [all[0]], "more": true});
    assert_eq!(messi.ok("conversations 1").await, first);
    assert_eq!(messi.ok(r#"{"command": "conversations", "limit": 1}"#).await, first);
    assert_eq!(messi.ask("conversations 0").await["code"], "bad_request");
}

#[tokio::test]
async fn a_long_list_of_conversations_is_cut_where_a_reply_ends() {
    let server = Setup::default().server();
    let mut messi = Device::log_in(&server, "messi").await;
    let text = "x".repeat(8000);
    for room in 0..140 {
        messi.ok(&format!("join #r{room}")).await;
        messi.ok(&format!("send #r{room} {text}")).await;
    }
    let reply = messi.ok("conversations 1000").await;
    let shown = reply["conversations"].as_array().expect("a list");
    assert_eq!((shown[0]["with"].as_str(), reply["more"].as_bool()), (Some("#r139"), Some(true)));
    assert!((120..140).contains(&shown.len()), "{}", shown.len());
}

#[tokio::test(start_paused = true)]
async fn who_is_typing_is_told_to_those_who_watch_and_once_in_three_seconds() {
    let clock = fixed_clock();
    let server = Setup { clock: clock.clone(), ..Setup::default() }.server();
    let mut messi = Device::watch(&server, "messi").await;
    let (mut henderson, mut lineker) =
        (Device::watch(&server, "henderson").await, Device::watch(&server, "lineker").await);
    let typing = |to: &str| json!({"event": "typing", "from": "messi", "to": to});
    assert_eq!(messi.ok("typing henderson").await, json!({"status": "OK"}));
    assert_eq!(henderson.event_of("typing").await, typing("henderson"));
    messi.ok("typing henderson").await;
    clock.advance(Duration::from_millis(2900));
    messi.ok("typing henderson").await;
    henderson.quiet("typing").await;
    clock.advance(Duration::from_millis(100));
    messi.ok("typing henderson").await;
    assert_eq!(henderson.event_of("typing").await, typing("henderson"));
    for device in [&mut messi, &mut henderson] {
        device.ok("join #lab").await;
    }
    messi.ok("typing #lab").await;
    assert_eq!(henderson.event_of("typing").await, typing(LAB));
    messi.ok("typing messi").await;
    messi.quiet("typing").await;
    lineker.quiet("typing").await;
    for (line, code) in
        [("typing #lab", "not_a_member"), ("typing maradona", "no_such_user"), ("typing", "bad_request")]
    {
        assert_eq!(lineker.ask(line).await["code"], code, "{line}");
    }
    // It is not stored.
    henderson.ok("unwatch").await;
    clock.advance(Duration::from_secs(3));
    messi.ok("typing henderson").await;
    henderson.ok("watch").await;
    henderson.quiet("typing").await;
    assert_eq!(henderson.ok("fetch").await["messages"], json!([]));
}

#[tokio::test]
async fn a_marker_belongs_to_a_person_and_not_to_a_name() {
    let store = Arc::new(chat_service::store::Memory::new(100));
    let server = Setup { store: store.clone(), ..Setup::default() }.server();
    let mut henderson = Device::log_in(&server, "henderson").await;
    henderson.ok("send messi for the first one").await;
    let mut messi = Device::log_in(&server, "messi").await;
    messi.ok("read henderson 1").await;
    let person =
        PersonRecord { after: MessageId(1), ..PersonRecord::new(UserName::parse("messi").expect("a name")) };
    assert!(store.set_person(person).await.peek().is_ok());
    assert_eq!(messi.ok("conversations").await["conversations"], json!([]));
    henderson.ok("send messi for the second one").await;
    let shown = messi.ok("conversations").await;
    assert_eq!(
        (&shown["conversations"][0]["unread"], &shown["conversations"][0]["read_upto"]),
        (&json!(1), &json!(0))
    );
}
