//! What was lost while no server ran is noticed at start: a write-ahead log that was cut or is another database's, rows that are
//! gone. And a clock that is ahead does not make the store lose anything.

use std::{
    fs,
    path::Path,
    time::{Duration, SystemTime},
};

use chat_service::{
    model::{MessageId, NewMessage, Timestamp},
    store::{self, Cursors, Durable, Messages, OpenError, Options, Rooms, Sqlite, Store},
};

use crate::support::subject::{name, room, to};

async fn append(store: &Sqlite, text: &str) -> u64 {
    append_at(store, text, Timestamp(1000)).await
}

async fn append_at(store: &Sqlite, text: &str, at: Timestamp) -> u64 {
    let (from, to) = (name("messi"), to("henderson"));
    let stored = store.append(NewMessage { from: &from, to: &to, text, key: None, at }).await;
    store.log().durable(stored).await.expect("stored").id.0
}

fn open(folder: &Path) -> Result<Sqlite, OpenError> {
    Sqlite::open(folder, &Options::default())
}

fn refused(folder: &Path, expected: &str) {
    let told = open(folder).err().unwrap_or_else(|| panic!("opened: {expected}")).to_string();
    assert!(told.contains(expected) && told.contains("remedy: "), "{told}");
}

/// What a crash leaves of an open store.
fn crash(data: &Path) -> tempfile::TempDir {
    let image = tempfile::tempdir().expect("a folder");
    for file in ["chat.db", "chat.db-wal", "marks", "used"] {
        fs::copy(data.join(file), image.path().join(file)).expect("copied");
    }
    image
}

/// Fills a store, and opens it again: what is durable then is in the marks after the next message, and in the log.
async fn reopened(data: &Path) -> Sqlite {
    let store = open(data).expect("a store");
    for i in 0..20 {
        append(&store, &format!("before {i}")).await;
    }
    let moved = store.acknowledge(&name("henderson"), MessageId(0), MessageId(5), Timestamp(2)).await;
    store.log().durable(moved).await.expect("stored");
    store.log().durable(store.join(&name("messi"), &room("#lab")).await).await.expect("stored");
    store.close();
    drop(store);
    open(data).expect("a store")
}

#[tokio::test]
async fn a_log_of_another_database_is_refused_and_so_is_an_older_database() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = reopened(folder.path()).await;
    let backup = folder.path().join("backup.db");
    store::backup(&store::database(folder.path()), &backup).expect("a backup");
    assert_eq!(append(&store, "after").await, 21);
    let image = crash(folder.path());
    // As it is, it is opened.
    drop(open(image.path()).expect("recovered"));
    let image = crash(folder.path());
    fs::copy(&backup, image.path().join("chat.db")).expect("copied");
    refused(image.path(), "this write-ahead log belongs to another database");
    fs::remove_file(image.path().join("chat.db-wal")).expect("removed");
    refused(image.path(), "it has messages up to number 20, but there were some up to number 21");
    // The same after an orderly end, and in an empty folder it is just a backup.
    let options = Options { accept_loss: true, ..Options::default() };
    let restored = Sqlite::open(image.path(), &options).expect("accepted");
    assert_eq!(append(&restored, "new").await, 22, "no number is assigned twice");
    restored.close();
    drop(restored);
    drop(open(image.path()).expect("accepted once"));
    let empty = tempfile::tempdir().expect("a folder");
    fs::copy(&backup, empty.path().join("chat.db")).expect("copied");
    drop(open(empty.path()).expect("a backup"));
}

#[tokio::test]
async fn a_log_that_was_cut_is_a_loss() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = reopened(folder.path()).await;
    append(&store, "after").await;
    let image = crash(folder.path());
    let log = fs::OpenOptions::new().write(true).open(image.path().join("chat.db-wal")).expect("the log");
    log.set_len(4096).expect("cut");
    refused(image.path(), "it has messages up to number 20, but there were some up to number 21");
    // Where an OK does not promise a sync, a power cut may have done it.
    let weaker = Options { durable: Durable::Os, ..Options::default() };
    drop(Sqlite::open(image.path(), &weaker).expect("opened"));
    drop(open(image.path()).expect("its marks do not count any more"));
}

#[tokio::test]
async fn rows_that_are_gone_are_a_loss_that_check_tells_too() {
    for (damage, what) in [
        (
            "DELETE FROM messages WHERE id = 20",
            "messages up to number 19, but there were some up to number 20",
        ),
        ("DELETE FROM cursors", "acknowledgements up to number 0"),
        ("DELETE FROM stays", "stays in rooms up to number 0"),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let store = reopened(folder.path()).await;
        store.close();
        drop(store);
        let database = store::database(folder.path());
        assert_eq!(store::check(&database).expect("readable").problems, [""; 0]);
        let connection = rusqlite::Connection::open(&database).expect("opened");
        connection.execute(damage, []).expect("damaged");
        drop(connection);
        let report = store::check(&database).expect("readable");
        assert!(report.problems.iter().any(|problem| problem.contains(what)), "{:?}", report.problems);
        refused(folder.path(), what);
    }
}

/// Sets the time that the store has seen last.
fn set_seen(folder: &Path, seen: i64) {
    let path = folder.join("marks");
    let slots = fs::read(&path).expect("marks");
    let set = |slot: &[u8]| {
        let text = String::from_utf8_lossy(slot);
        let line = text.trim_end_matches(['\0', ' ', '\n']).rsplitn(3, ' ').nth(2).unwrap_or_default();
        let line = format!("{line} {seen}");
        format!("{:<511}\n", format!("{line} {}", crc32fast::hash(line.as_bytes())))
    };
    fs::write(&path, slots.chunks(512).map(set).collect::<String>()).expect("written");
}

#[tokio::test]
async fn nothing_is_removed_by_a_clock_that_is_far_ahead() {
    let folder = tempfile::tempdir().expect("a folder");
    let retain = Some(Duration::from_hours(24));
    let options = Options { retain, inbox_limit: usize::MAX, ..Options::default() };
    let fill = async |options: &Options| {
        let store = Sqlite::open(folder.path(), options).expect("a store");
        let from = *store.cursor(&name("henderson")).peek();
        let upto = MessageId(append(&store, "old").await);
        let moved = store.acknowledge(&name("henderson"), from, upto, Timestamp(1)).await;
        store.log().durable(moved).await.expect("stored");
        store
    };
    let store = fill(&Options::default()).await;
    store.close();
    drop(store);
    // The last run was in the year 1970. Each commit is followed by a step of retention, if one is due.
    set_seen(folder.path(), 1000);
    let store = fill(&options).await;
    append(&store, "a commit").await;
    assert!(store.message(MessageId(1)).await.peek().as_ref().expect("readable").is_some());
    store.close();
    drop(store);
    // What is not believed is not noted, either: the next start doubts it as well. The operator may confirm it.
    let store = Sqlite::open(folder.path(), &options).expect("a store");
    assert_eq!(store.seen(), Some(Timestamp(1000)));
    store.close();
    drop(store);
    let store = fill(&Options { trust_clock: true, ..options.clone() }).await;
    let now = Timestamp::from(SystemTime::now());
    while store.message(MessageId(1)).await.peek().as_ref().expect("readable").is_some() {
        append_at(&store, "a commit", now).await;
    }
}
