//! The folder of the SQLite store: its lock, and errors in its content.

use std::{fs::Permissions, os::unix::fs::PermissionsExt, path::Path, time::Duration};

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

#[tokio::test]
async fn a_database_that_another_program_holds_refuses_writes_until_it_is_let_go() {
    let folder = tempfile::tempdir().expect("a folder");
    let options = Options { busy_wait: Duration::from_millis(20), ..Options::default() };
    let store = Sqlite::open(folder.path(), &options).expect("made");
    let (from, to) = (name("messi"), to("henderson"));
    let send = async || {
        let new = NewMessage { from: &from, to: &to, text: "a", key: None, at: Timestamp(1) };
        let sent = store.append(new).await;
        store.log().durable(sent).await
    };
    send().await.expect("stored");
    let other = rusqlite::Connection::open(folder.path().join("chat.db")).expect("opened");
    other.execute_batch("BEGIN IMMEDIATE").expect("held");
    for _ in 0..3 {
        assert_eq!(send().await, Err(Refusal::Unavailable { retry_after: 1 }));
    }
    let cursor = store.acknowledge(&name("henderson"), MessageId(0), MessageId(1), Timestamp(2)).await;
    assert_eq!(store.log().durable(cursor).await, Err(Refusal::Unavailable { retry_after: 1 }));
    other.execute_batch("ROLLBACK").expect("let go");
    drop(other);
    send().await.expect("it ends by itself");
    let page = store.inbox(&name("henderson"), MessageId(0), 9).await.peek().clone().expect("read");
    assert_eq!(page.messages.len(), 2, "what was refused is not there, and nothing has left the inbox");
}

#[test]
fn the_files_of_a_store_are_for_its_owner_only() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    drop(open(&data).expect("made"));
    let files = || std::fs::read_dir(&data).expect("a folder").map(|file| file.expect("an entry").path());
    let mode = |path: &Path| std::fs::metadata(path).expect("there").permissions().mode() & 0o777;
    for file in files() {
        std::fs::set_permissions(&file, Permissions::from_mode(0o644)).expect("set");
    }
    let store = open(&data).expect("opened again");
    let modes: Vec<_> = files().map(|file| (mode(&file), file)).collect();
    assert!(modes.len() >= 5 && modes.iter().all(|(mode, _)| *mode == 0o600), "{modes:?}");
    drop(store);
}

#[test]
fn a_link_in_the_data_folder_is_not_followed() {
    for name in ["lock", "used", "reserve"] {
        let folder = tempfile::tempdir().expect("a folder");
        let (data, other) = (folder.path().join("data"), folder.path().join("other"));
        std::fs::write(&other, "other").expect("written");
        std::fs::create_dir(&data).expect("made");
        std::os::unix::fs::symlink(&other, data.join(name)).expect("linked");
        let opened = open(&data);
        assert!(name == "reserve" || opened.is_err(), "{name}");
        drop(opened);
        assert_eq!(std::fs::read_to_string(&other).expect("there"), "other", "{name}");
    }
}
