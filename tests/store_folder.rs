//! The folder of the SQLite store: its lock, and errors in its content.

use std::path::Path;

use chat_service::{
    model::{MaybeReady, MessageId, NewMessage, Refusal, Timestamp},
    store::{Cursors, Messages, OpenError, Options, Sqlite, Store},
};

use crate::support::subject::{name, to};

fn open(folder: &Path) -> Result<Sqlite, OpenError> {
    Sqlite::open(folder, &Options::default())
}

#[tokio::test]
async fn a_folder_belongs_to_one_store_at_a_time() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("a/b");
    let first = open(&data).expect("made");
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&data).expect("there").permissions());
    assert_eq!(mode & 0o777, 0o700);
    let told = open(&data).err().expect("refused").to_string();
    assert!(told.contains("another server uses this folder") && told.contains("remedy"), "{told}");
    first.close();
    drop(first);
    open(&data).expect("free again");
}

#[tokio::test]
async fn what_cannot_be_trusted_is_refused_and_left_as_it_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    drop(open(&data).expect("made"));
    let database = data.join("chat.db");
    let good = std::fs::read(&database).expect("there");
    let refused = |expected: &str| {
        let before = std::fs::read(&database).ok();
        let told = open(&data).err().unwrap_or_else(|| panic!("opened: {expected}")).to_string();
        assert!(told.contains(expected) && told.contains("remedy"), "{told}");
        assert_eq!(std::fs::read(&database).ok(), before, "{expected}");
    };

    std::fs::write(&database, b"not a database, but long enough to have been one once".repeat(100))
        .expect("written");
    refused("cannot be read");
    std::fs::write(&database, b"").expect("written");
    refused("the database is gone");
    std::fs::remove_file(&database).expect("removed");
    refused("the database is gone");

    // The version is at byte 60 of the file and the application at byte 68, both big-endian.
    let changed = |at: usize, value: u32| {
        let mut bytes = good.clone();
        bytes[at..at + 4].copy_from_slice(&value.to_be_bytes());
        std::fs::write(&database, bytes).expect("written");
    };
    changed(60, 1000);
    refused("has version 1000");
    changed(68, 1);
    refused("not one of chat-server");
    std::fs::write(&database, &good).expect("written");
    open(&data).expect("good again");
}

#[tokio::test]
async fn a_flipped_bit_is_told_and_not_delivered() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let store = open(&data).expect("made");
    let messi = name("messi");
    let text = "a text that can be found in the file";
    let _ = store.append(NewMessage { from: &messi, to: &to("messi"), text, key: None, at: Timestamp(0) });
    store.close();
    drop(store);
    let database = data.join("chat.db");
    let mut bytes = std::fs::read(&database).expect("there");
    let at = bytes.windows(text.len()).position(|window| window == text.as_bytes()).expect("in the file");
    bytes[at] ^= 1;
    std::fs::write(&database, bytes).expect("written");
    let told = open(&data).err().expect("refused").to_string();
    assert!(told.contains("message 1 does not match its checksum"), "{told}");
}

#[tokio::test]
async fn a_damaged_message_is_refused_to_its_key_and_nothing_else_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let options = Options { index_batch: 4, ..Options::default() };
    let store = Sqlite::open(&data, &options).expect("made");
    let (messi, to) = (name("messi"), to("messi"));
    let text = "a text that can be found in the file";
    let message = |text, key| NewMessage { from: &messi, to: &to, text, key, at: Timestamp(0) };
    for key in [Some("k"), None, None, None, None, None, None, None, None] {
        let stored = store.append(message(if key.is_some() { text } else { "other" }, key)).await;
        store.log().durable(stored).await.expect("stored");
    }
    store.close();
    drop(store);
    let database = data.join("chat.db");
    let mut bytes = std::fs::read(&database).expect("there");
    let at = bytes.windows(text.len()).position(|window| window == text.as_bytes()).expect("in the file");
    bytes[at] ^= 1;
    std::fs::write(&database, bytes).expect("written");
    let store = Sqlite::open(&data, &options).expect("the message is indexed");
    for (key, expected) in [(Some("k"), Err(Refusal::Internal)), (Some("new"), Ok(())), (None, Ok(()))] {
        let stored = store.append(message(text, key)).await;
        assert_eq!(store.log().durable(stored).await.map(drop), expected, "{key:?}");
    }
}

#[tokio::test]
async fn what_a_reader_was_shown_is_acknowledged_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let options = Options { index_batch: 4, ..Options::default() };
    let store = Sqlite::open(&folder.path().join("data"), &options).expect("made");
    let (messi, to) = (name("messi"), to("messi"));
    for _ in 0..40 {
        let message = NewMessage { from: &messi, to: &to, text: "text", key: None, at: Timestamp(0) };
        let stored = store.append(message).await;
        store.log().durable(stored).await.expect("stored");
    }
    for page in 1..=4 {
        let from = *store.cursor(&messi).peek();
        let shown = store.inbox(&messi, MessageId(0), 10).await;
        let shown = store.log().durable(shown).await.expect("readable");
        assert_eq!((shown.messages.len(), shown.cursor), (10, from));
        let MaybeReady::Ready(moved) = store.acknowledge(&messi, from, MessageId(10 * page), Timestamp(1))
        else {
            panic!("the next request of the reader would find the messages in the inbox");
        };
        assert!(moved.peek().is_ok_and(|moved| moved.moved));
    }
    // Messages that no reader was shown are counted before the cursor moves past them.
    let message = NewMessage { from: &messi, to: &to, text: "text", key: None, at: Timestamp(0) };
    for _ in 0..40 {
        let stored = store.append(message).await;
        store.log().durable(stored).await.expect("stored");
    }
    let moved = store.acknowledge(&messi, MessageId(40), MessageId(60), Timestamp(1));
    assert!(matches!(moved, MaybeReady::Late(_)));
    assert!(moved.await.peek().is_ok_and(|moved| moved.moved));
}
