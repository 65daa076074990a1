//! Flipped bits in the database: whatever is read of it is right, or an error.

use std::{
    collections::BTreeMap,
    fmt::Debug,
    fs,
    io::{self, Write},
    path::Path,
};

use chat_service::{
    model::{At, MessageId, NewMessage, Outcome, ReadMarker, Recipient, Timestamp, TokenDigest},
    store::{
        self, Conversations, Cursors, Messages, Options, People, PersonRecord, Rooms, SessionRecord,
        Sessions, Sqlite, Store,
    },
};

use crate::support::{
    random::Random,
    subject::{USERS, name, room, to},
};

/// With these, there are blocks, runs and messages that are not indexed.
fn options() -> Options {
    Options { index_batch: 64, index_runs: 3, ..Options::default() }
}

/// Fills a store with messages among all users and to a room, keys, cursors, stays and sessions.
async fn fill(folder: &Path) {
    let store = Sqlite::open(folder, &options()).expect("a store");
    let mut random = Random::new(5);
    for user in USERS {
        store.log().durable(store.join(&name(user), &room("#lab")).await).await.expect("stored");
        let record = SessionRecord {
            digest: TokenDigest([user.as_bytes()[0]; 32]),
            user: name(user),
            created: Timestamp(1),
            used: Timestamp(1),
            number: 1,
            device: None,
        };
        store.log().durable(store.open_session(record).await).await.expect("stored");
        let person = PersonRecord { decided: Timestamp(3), ..PersonRecord::new(name(user)) };
        store.log().durable(store.set_person(person).await).await.expect("stored");
    }
    for i in 0..640_i64 {
        let from = name(USERS[random.index(USERS.len())]);
        let recipient = [&USERS[..], &["#lab"]].concat()[random.index(USERS.len() + 1)];
        let (text, key) = (format!("text {i}"), (i % 7 == 0).then(|| format!("key {i}")));
        let to = to(recipient);
        let message = NewMessage { from: &from, to: &to, text: &text, key: key.as_deref(), at: Timestamp(i) };
        store.log().durable(store.append(message).await).await.expect("stored");
        if i % 50 == 49 {
            let user = name(USERS[random.index(USERS.len())]);
            let from = *store.cursor(&user).peek();
            let upto = MessageId(from.0 + 40);
            store
                .log()
                .durable(store.acknowledge(&user, from, upto, Timestamp(i)).await)
                .await
                .expect("stored");
        }
    }
    for user in USERS {
        for with in USERS.iter().chain(&["#lab"]).map(|with| to(with)) {
            let marker = ReadMarker { at: Timestamp(300), upto: MessageId(300), moved: Timestamp(9) };
            let outcome = store.mark_read(&name(user), &with, marker).await;
            store.log().durable(outcome).await.expect("stored");
        }
    }
    store.close();
}

fn readable<T: Debug>(outcome: &Outcome<T>) -> Option<&dyn Debug> {
    outcome.peek().as_ref().ok().map(|value| value as &dyn Debug)
}

/// Everything that can be read, by what was asked for. What cannot be read is left out.
async fn read_all(store: &Sqlite) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    let mut put = |what: String, read: Option<&dyn Debug>| {
        if let Some(read) = read {
            all.insert(what, format!("{read:?}"));
        }
    };
    let sure = |at: &At<MessageId>| *at.peek();
    for user in USERS.map(name) {
        put(format!("inbox of {user}"), readable(&store.inbox(&user, MessageId(0), 1000).await));
        put(format!("cursor of {user}"), Some(&sure(&store.cursor(&user))));
        put(format!("contacts of {user}"), Some(&store.contacts(&user).await));
        put(format!("conversations of {user}"), readable(&store.conversations(&user, 100).await));
        put(format!("rooms of {user}"), Some(store.rooms(&user, None, 100).peek()));
        for with in USERS.iter().chain(&["#lab"]).map(|with| to(with)) {
            put(
                format!("history of {user} with {with:?}"),
                readable(&store.history(&user, &with, None, 1000).await),
            );
            put(format!("marker of {user} with {with:?}"), Some(store.read_marker(&user, &with).peek()));
        }
        for id in (1..640).step_by(17) {
            let at = store.acknowledged_at(&user, MessageId(id)).await;
            put(format!("when {user} acknowledged {id}"), readable(&at));
        }
        for i in (0..640).step_by(7) {
            let (text, key, henderson) =
                (format!("text {i}"), format!("key {i}"), Recipient::User(name("henderson")));
            let message =
                NewMessage { from: &user, to: &henderson, text: &text, key: Some(&key), at: Timestamp(0) };
            // That it was used is an error, too: this tells the two errors apart.
            let found = format!("{:?}", store.find_by_key(message).await.peek());
            put(format!("key {i} of {user}"), (!found.contains("Internal")).then_some(&found as &dyn Debug));
        }
    }
    put("members".into(), Some(store.members(&room("#lab"), None).peek()));
    for id in (1..=640).step_by(3) {
        put(format!("message {id}"), readable(&store.message(MessageId(id)).await));
    }
    // A session that is lost ends: its user logs in again.
    for session in store.sessions() {
        put(format!("session {:?}", session.digest.0), Some(&session));
    }
    put("people".into(), Some(&store.people()));
    all
}

/// 1,000 flips with `CHAT_TEST_LONG=1`.
#[tokio::test]
async fn a_flipped_bit_is_noticed_or_changes_nothing() {
    let flips = if std::env::var_os("CHAT_TEST_LONG").is_some() { 1000 } else { 60 };
    let folder = tempfile::tempdir().expect("a folder");
    fill(folder.path()).await;
    let sound = fs::read(store::database(folder.path())).expect("a database");
    let used: Vec<usize> = (0..sound.len()).filter(|at| sound[*at] != 0).collect();
    let mut random = Random::new(11);
    let (mut expected, mut refused, mut unreadable) = (BTreeMap::new(), 0, 0);
    for flip in 0..=flips {
        let folder = tempfile::tempdir().expect("a folder");
        let mut bytes = sound.clone();
        let (at, bit) = (used[random.index(used.len())], random.index(8));
        if flip > 0 {
            bytes[at] ^= 1 << bit;
        }
        fs::write(store::database(folder.path()), bytes).expect("written");
        let Ok(store) = Sqlite::open(folder.path(), &options()) else {
            refused += 1;
            continue;
        };
        let read = read_all(&store).await;
        store.close();
        if flip == 0 {
            expected = read;
            assert!(expected.len() > 500, "{}", expected.len());
            continue;
        }
        unreadable += usize::from(read.len() < expected.len());
        for (what, value) in &read {
            assert_eq!(Some(value), expected.get(what), "{what}, bit {bit} of byte {at}");
        }
    }
    let told = format!("{refused} times no start, {unreadable} times something that cannot be read");
    writeln!(io::stderr(), "{flips} flips: {told}").ok();
    assert!(refused > flips / 10 && unreadable > 0, "{told}");
}
