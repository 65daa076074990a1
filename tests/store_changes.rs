//! The second half of the contract of a store: its changes, failed writes, and several handles on one log.

use std::{
    sync::{Arc, Mutex},
    time::Instant,
};

use chat_service::{
    model::{MaybeReady, MessageId, NewMessage, Refusal, Timestamp, TokenDigest},
    server::Server,
    store::{Change, Cursors, Messages, Observer, Rooms, SessionRecord, Sessions, Store},
};

use crate::support::{
    SOON, Setup, duplex,
    held::Held,
    settle,
    shared::{Handle, Shared, two_handles},
    subject::{Subject, name, room, to},
};

/// An observer that keeps all changes.
#[derive(Default)]
struct Recorder(Mutex<Vec<Change>>);

impl Recorder {
    fn of(store: &dyn Store) -> Arc<Self> {
        let recorder = Arc::<Recorder>::default();
        store.subscribe(recorder.clone());
        recorder
    }

    fn take(&self) -> Vec<Change> {
        std::mem::take(&mut self.0.lock().expect("no panic"))
    }

    /// Waits for `count` changes and returns them. A change may be reported a moment after its receipt is durable.
    async fn take_of(&self, count: usize, subject: &Subject) -> Vec<Change> {
        let mut changes = Vec::new();
        let began = Instant::now();
        while changes.len() < count {
            changes.extend(self.take());
            assert!(began.elapsed() < SOON, "{}: {changes:?}", subject.kind);
            // When a store on a shared log is read, its handles apply the records that they have not applied yet.
            let _ = subject.store.cursor(&name("messi"));
            tokio::task::yield_now().await;
        }
        changes
    }
}

impl Observer for Recorder {
    fn wants_messages(&self) -> bool {
        true
    }

    fn changed(&self, change: Change) {
        self.0.lock().expect("no panic").push(change);
    }
}

fn record(byte: u8) -> SessionRecord {
    let (created, used) = (Timestamp(5), Timestamp(6));
    SessionRecord {
        digest: TokenDigest([byte; 32]),
        user: name("messi"),
        created,
        used,
        number: 1,
        device: None,
    }
}

/// Appends three messages to messi, two of them from henderson, and acknowledges two; joins a room, appends a message to it,
/// and leaves it; opens and ends a session.
async fn write_everything(subject: &Subject) {
    for from in ["henderson", "lineker", "henderson"] {
        subject.append(from, "messi", "text", None).await.expect("stored");
    }
    assert!(subject.acknowledge("messi", 2, 100).await);
    subject.join("messi", "#lab").await;
    subject.append("henderson", "#lab", "text", None).await.expect("stored");
    subject.leave("messi", "#lab").await;
    subject.settle(subject.store.open_session(record(1))).await.expect("stored");
    subject.settle(subject.store.end_session(&record(1).digest)).await.expect("stored");
}

fn everything() -> Vec<Change> {
    let (user, lab) = (name("messi"), room("#lab"));
    let stored = |recipient: &str| Change::Stored { to: to(recipient) };
    let delivered = [("henderson", 1), ("lineker", 2)].map(|(sender, id)| (name(sender), MessageId(id)));
    vec![
        stored("messi"),
        stored("messi"),
        stored("messi"),
        Change::Acknowledged {
            user: user.clone(),
            upto: MessageId(2),
            at: Timestamp(100),
            delivered: delivered.into(),
        },
        Change::Joined { user: user.clone(), room: lab.clone() },
        stored("#lab"),
        Change::Left { user, room: lab },
        Change::SessionOpened(record(1)),
        Change::SessionEnded(record(1).digest),
    ]
}

#[tokio::test]
async fn every_durable_change_is_reported_once_and_in_order() {
    for subject in Subject::all(10_000) {
        let recorder = Recorder::of(&*subject.store);
        write_everything(&subject).await;
        assert_eq!(recorder.take_of(everything().len(), &subject).await, everything(), "{}", subject.kind);
        // A write that changes nothing is not reported.
        assert!(!subject.acknowledge("messi", 1, 200).await);
        subject.leave("messi", "#lab").await;
        subject.append("henderson", "messi", "once", Some("k")).await.expect("stored");
        subject.append("henderson", "messi", "once", Some("k")).await.expect("stored");
        assert_eq!(
            recorder.take_of(1, &subject).await,
            [Change::Stored { to: to("messi") }],
            "{}",
            subject.kind
        );
        subject.store.close();
        assert_eq!(recorder.take(), [], "{}", subject.kind);
    }
}

#[tokio::test]
async fn deliveries_of_indexed_messages_are_reported() {
    for subject in Subject::all(10_000) {
        let recorder = Recorder::of(&*subject.store);
        for i in 0..20 {
            subject.append(["henderson", "lineker"][i % 2], "messi", "text", None).await.expect("stored");
        }
        assert!(subject.acknowledge("messi", 18, 100).await, "{}", subject.kind);
        let changes = recorder.take_of(21, &subject).await;
        let Some(Change::Acknowledged { delivered, .. }) = changes.last() else {
            panic!("{}: {changes:?}", subject.kind);
        };
        let ids: Vec<_> = delivered.iter().map(|(_, id)| id.0).collect();
        assert_eq!(ids, (1..=18).collect::<Vec<_>>(), "{}", subject.kind);
    }
}

#[tokio::test]
async fn nothing_is_reported_before_it_is_durable_or_if_it_fails() {
    let store = Held::new();
    let recorder = Recorder::of(&*store);
    let (messi, to) = (name("messi"), to("messi"));
    let message = NewMessage { from: &messi, to: &to, text: "text", key: None, at: Timestamp(0) };
    let first = store.append(message).await;
    assert_eq!(recorder.take(), []);
    store.commit();
    assert_eq!(recorder.take(), [Change::Stored { to: to.clone() }]);
    assert!(store.log().durable(first).await.is_ok());
    let joined = store.join(&messi, &room("#lab")).await;
    store.fail(Refusal::Storage);
    assert_eq!(store.log().durable(joined).await, Err(Refusal::Storage));
    store.commit();
    assert_eq!(recorder.take(), []);
}

#[tokio::test]
async fn a_write_that_fails_leaves_nothing() {
    let handles = two_handles(10);
    let recorder = Recorder::of(&*Shared::new([handles[0].clone()]));
    let store = Shared::new(handles.clone());
    let (messi, to) = (name("messi"), to("messi"));
    handles[0].fail_next(4);
    let message = NewMessage { from: &messi, to: &to, text: "text", key: Some("k"), at: Timestamp(0) };
    assert_eq!(store.log().durable(store.append(message).await).await, Err(Refusal::Storage));
    assert_eq!(store.log().durable(store.join(&messi, &room("#lab")).await).await, Err(Refusal::Storage));
    let moved = store.acknowledge(&messi, MessageId(0), MessageId(1), Timestamp(0)).await;
    assert_eq!(store.log().durable(moved).await, Err(Refusal::Storage));
    assert_eq!(store.log().durable(store.open_session(record(1)).await).await, Err(Refusal::Storage));
    assert_eq!((store.count_rooms(&messi), *store.cursor(&messi).peek()), (0, MessageId(0)));
    handles[0].catch_up();
    assert_eq!(recorder.take(), []);
    let stored = store.log().durable(store.append(message).await).await.expect("stored");
    assert_eq!((stored.id, stored.duplicate), (MessageId(1), false));
}

#[tokio::test]
async fn two_handles_come_to_the_same_state_in_the_same_order() {
    let handles = two_handles(10_000);
    let views = handles.clone().map(|handle| Shared::new([handle]));
    let recorders = views.each_ref().map(|view| Recorder::of(&**view));
    let subject = Subject::over("both", Shared::new(handles.clone()));
    write_everything(&subject).await;
    for handle in &handles {
        handle.catch_up();
    }
    let [one, other] = recorders.map(|recorder| recorder.take());
    assert_eq!(one, everything());
    assert_eq!(other, one);
}

#[tokio::test]
async fn what_one_handle_has_written_is_seen_by_the_other_when_it_has_applied_it() {
    let handles = two_handles(10);
    let [one, other] = handles.clone().map(|handle| Shared::new([handle]));
    let (messi, to) = (name("messi"), to("messi"));
    let message = NewMessage { from: &messi, to: &to, text: "text", key: Some("k"), at: Timestamp(0) };
    let stored = one.log().durable(one.append(message).await).await.expect("stored");
    let waiting = |store: &Shared| match store.inbox(&messi, MessageId(0), 10) {
        MaybeReady::Ready(page) => page.peek().as_ref().expect("readable").messages.len(),
        MaybeReady::Late(_) => unreachable!("a view is in memory"),
    };
    assert_eq!((waiting(&one), waiting(&other)), (1, 0));
    // The key is found, though the other handle has not applied the first message yet.
    let again = other.log().durable(other.append(message).await).await.expect("stored");
    assert_eq!((again.id, again.duplicate, waiting(&other)), (stored.id, true, 1));
    // Both handles acknowledge the message, and only one of them moves the cursor.
    let both = [&one, &other].map(|store| store.acknowledge(&messi, MessageId(0), stored.id, Timestamp(1)));
    let [first, second] = both;
    let (second, first) = (second.await, first.await);
    let moved = [&first, &second].map(|moved| moved.peek().expect("applied").moved);
    assert_eq!(moved, [true, false]);
}

/// Two servers that share a log.
fn two_servers() -> ([Arc<Handle>; 2], [Arc<Server>; 2]) {
    let handles = two_handles(10_000);
    let servers =
        handles.clone().map(|handle| Setup { store: Shared::new([handle]), ..Setup::default() }.server());
    (handles, servers)
}

#[tokio::test(start_paused = true)]
async fn users_of_two_servers_reach_each_other() {
    let (handles, servers) = two_servers();
    let catch_up = || async {
        for handle in &handles {
            handle.catch_up();
        }
        settle().await;
    };
    let (mut messi, _) = duplex(&servers[0], 1 << 16);
    let (mut henderson, _) = duplex(&servers[1], 1 << 16);
    messi.log_in("messi").await;
    let token = henderson.log_in("henderson").await;
    for peer in [&mut messi, &mut henderson] {
        peer.ask("hello 2").await;
        peer.ask("join #lab").await;
        peer.ask("watch").await;
    }
    catch_up().await;
    let sent = messi.ask("send henderson goal!").await;
    assert!(sent.contains("\"id\": 1"), "{sent}");
    messi.ask("send #lab goal!").await;
    catch_up().await;
    // A presence event of messi may come first.
    let mut events = Vec::new();
    while events.len() < 2 {
        let event = henderson.reply().await;
        if event.contains("\"event\": \"message\"") {
            events.push(event);
        }
    }
    assert!(
        events[0].contains("\"to\": \"henderson\"") && events[1].contains("\"to\": \"#lab\""),
        "{events:?}"
    );
    // When henderson acknowledges on one server, the sender is told on the other.
    henderson.ask("ack 2").await;
    catch_up().await;
    while !messi.reply().await.contains("\"event\": \"delivered\", \"id\": 1") {}
    // A token of one server is valid on the other, until the session ends on either.
    let (mut elsewhere, _) = duplex(&servers[0], 1 << 16);
    assert!(elsewhere.ask(&format!("whoami {token}")).await.contains("henderson"));
    elsewhere.ask(&format!("logout {token}")).await;
    catch_up().await;
    while !henderson.reply().await.contains("session_ended") {}
    assert!(henderson.ask("whoami").await.contains("not_authorized"));
}
