//! A store of an earlier version is opened with everything in it.
//!
//! `tests/fixtures/version-N.db` was made by [`fill`] with the first program of version N of the file.
//! `CHAT_MAKE_FIXTURE=1 cargo test versions` makes the fixture of this program's version, if there is none.

use std::{
    fs,
    path::{Path, PathBuf},
};

use chat_service::{
    model::{
        MessageId, NewMessage, ReadMarker, Recipient, Refusal, RoomName, Stored, Timestamp, TokenDigest,
        UserName,
    },
    store::{
        Conversations, Cursors, Messages, Options, Rooms, SCHEMA_VERSION, SessionRecord, Sessions, Sqlite,
        Store,
    },
};

const MARKER: ReadMarker = ReadMarker { at: Timestamp(1000), upto: MessageId(13), moved: Timestamp(5000) };
const TOKEN: TokenDigest = TokenDigest([7; 32]);

fn name(text: &str) -> UserName {
    UserName::parse(text).expect("a name")
}

fn fixture(version: i64) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/version-{version}.db"))
}

fn open(folder: &Path) -> Sqlite {
    // With small batches, most of the fixture is in the index, and the rest is not.
    let options = Options { inbox_limit: 100, index_batch: 8, index_runs: 3, ..Options::default() };
    Sqlite::open(folder, &options).expect("opened")
}

async fn append(
    store: &Sqlite,
    from: &str,
    to: &str,
    text: &str,
    key: Option<&str>,
) -> Result<Stored, Refusal> {
    let (from, to) = (name(from), Recipient::parse(to).expect("a name"));
    let receipt = store.append(NewMessage { from: &from, to: &to, text, key, at: Timestamp(1000) });
    store.log().durable(receipt.await).await
}

async fn inbox(store: &Sqlite, user: &str) -> Vec<(u64, String)> {
    let page = store.inbox(&name(user), MessageId(0), 100).await;
    let page = store.log().durable(page).await.expect("readable");
    page.messages.iter().map(|message| (message.id.0, message.text.to_string())).collect()
}

/// Writes the content of every fixture; stores have rooms since version 2, and read markers since version 5.
async fn fill(store: &Sqlite) {
    for i in 0..30 {
        let (to, key) = (["messi", "henderson", "messi"][i % 3], format!("key {i}"));
        let key = (i % 5 == 0).then_some(key.as_str());
        append(store, "lineker", to, &format!("text {i}"), key).await.expect("stored");
    }
    let _ = store.acknowledge(&name("messi"), MessageId(0), MessageId(10), Timestamp(2000)).await;
    let (created, used) = (Timestamp(3000), Timestamp(4000));
    let record = SessionRecord { digest: TOKEN, user: name("messi"), created, used, number: 1, device: None };
    store.log().durable(store.open_session(record).await).await.expect("stored");
    let _ = store.join(&name("henderson"), &RoomName::parse("#lab").expect("a name")).await;
    for i in 0..9 {
        append(store, "lineker", "#lab", &format!("room {i}"), None).await.expect("stored");
    }
    let marked = store.mark_read(&name("messi"), &Recipient::User(name("lineker")), MARKER).await;
    store.log().durable(marked).await.expect("stored");
}

#[tokio::test]
async fn every_version_is_opened_with_all_that_is_in_it() {
    if std::env::var_os("CHAT_MAKE_FIXTURE").is_some() && !fixture(SCHEMA_VERSION).exists() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = open(folder.path());
        fill(&store).await;
        store.close();
        fs::copy(folder.path().join("chat.db"), fixture(SCHEMA_VERSION)).expect("copied");
    }
    for version in 1..=SCHEMA_VERSION {
        let folder = tempfile::tempdir().expect("a folder");
        fs::copy(fixture(version), folder.path().join("chat.db"))
            .expect("there is a fixture of each version");
        // In the second round, the file has this program's version.
        for round in 0..2_usize {
            let store = open(folder.path());
            let texts: Vec<_> = inbox(&store, "messi").await;
            let expected: Vec<_> =
                (10..30_u64).filter(|i| i % 3 != 1).map(|i| (i + 1, format!("text {i}"))).collect();
            assert_eq!(texts, expected, "version {version}");
            let in_room = if version < 2 { 0 } else { 9 };
            assert_eq!(inbox(&store, "henderson").await.len(), 10 + in_room + round, "version {version}");
            let (lineker, henderson) = (name("lineker"), Recipient::parse("henderson").expect("a name"));
            let history = store.history(&lineker, &henderson, None, 100).await;
            let history = store.log().durable(history).await.expect("readable");
            assert_eq!(history.messages.len(), 10, "version {version}");
            let marker = *store.read_marker(&name("messi"), &Recipient::User(lineker.clone())).peek();
            assert_eq!(marker, (version >= 5).then_some(MARKER), "version {version}");
            let acked = store.acknowledged_at(&name("messi"), MessageId(9)).await;
            assert_eq!(*acked.peek(), Ok(Some(Timestamp(2000))), "version {version}");
            let mut known = store.contacts(&lineker).await;
            known.sort_unstable();
            assert_eq!(known, [name("henderson"), name("messi")], "version {version}");
            for i in [0, 25] {
                let again = append(
                    &store,
                    "lineker",
                    ["messi", "henderson"][i % 3],
                    &format!("text {i}"),
                    Some(&format!("key {i}")),
                )
                .await
                .expect("answered");
                assert_eq!((again.id.0, again.duplicate), (i as u64 + 1, true), "version {version}");
            }
            let sessions = store.sessions();
            assert_eq!(sessions.len(), 1);
            assert_eq!((sessions[0].digest, sessions[0].used), (TOKEN, Timestamp(4000)), "version {version}");
            let new = append(&store, "messi", "henderson", "new", None).await.expect("stored");
            assert!(new.id.0 > 30 && !new.duplicate, "version {version}");
            store.close();
        }
    }
}
