//! Databases that somebody has made to harm the server: each is refused, or served as far as it is right. None makes it hang or end.

use std::{fs, path::Path};

use chat_service::{
    model::{MessageId, NewMessage, Timestamp},
    store::{self, Messages, OpenError, Options, Sqlite, Store},
};

use crate::support::subject::{name, to};

async fn append(store: &Sqlite) -> Option<u64> {
    let (from, to) = (name("messi"), to("henderson"));
    let receipt =
        store.append(NewMessage { from: &from, to: &to, text: "a", key: None, at: Timestamp(1) }).await;
    store.log().durable(receipt).await.ok().map(|stored| stored.id.0)
}

/// A database with three messages, which is changed by `sql`.
async fn made(sql: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Sqlite::open(folder.path(), &Options::default()).expect("a store");
    for _ in 0..3 {
        append(&store).await.expect("stored");
    }
    store.close();
    drop(store);
    fs::remove_file(folder.path().join("marks")).expect("removed");
    let connection = rusqlite::Connection::open(store::database(folder.path())).expect("opened");
    connection.execute_batch(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
    folder
}

fn refused(folder: &Path, expected: &str) {
    let database = store::database(folder);
    let told = Sqlite::open(folder, &Options::default()).err().expect("refused");
    assert!(matches!(told, OpenError::Strange { .. }), "{told}");
    assert!(told.to_string().contains(expected), "{told}");
    assert!(matches!(store::check(&database), Err(OpenError::Strange { .. })));
    assert!(store::name_usage(&database, &name("messi")).is_err());
    assert!(store::backup(&database, &folder.join("copy.db")).is_err());
}

#[tokio::test]
async fn what_is_no_table_of_ours_is_refused_before_it_is_read() {
    let endless = "CREATE VIEW names AS WITH RECURSIVE n(id) AS (SELECT 0 UNION ALL SELECT id + 1 FROM n) \
                   SELECT id, 'messi' AS name, 0 AS crc FROM n;";
    for (sql, expected) in [
        (&*format!("ALTER TABLE names RENAME TO old; {endless}"), "\"names\""),
        ("CREATE TRIGGER t AFTER INSERT ON messages BEGIN DELETE FROM cursors; END;", "trigger \"t\""),
        ("CREATE TABLE mine (a)", "table \"mine\""),
        ("ALTER TABLE messages ADD COLUMN more", "table \"messages\""),
        ("DROP TABLE keys", "table \"keys\""),
        ("DROP VIEW readable", "view \"readable\""),
    ] {
        refused(made(sql).await.path(), expected);
    }
}

/// The checksum of a message from name 0 to name 1 at time 1 with the text `a`.
fn checksum(id: i64) -> u32 {
    let mut bytes = id.to_le_bytes().to_vec();
    bytes.extend(1_i64.to_le_bytes());
    bytes.extend(0_u32.to_le_bytes());
    bytes.extend(1_u32.to_le_bytes());
    bytes.extend(1_u64.to_le_bytes());
    bytes.extend(b"a\0");
    crc32fast::hash(&bytes)
}

#[tokio::test]
async fn a_message_with_a_number_that_cannot_be_costs_nothing() {
    for id in [1 << 40, i64::MAX - 1, i64::MAX, -1, i64::MIN] {
        let folder =
            made(&format!("INSERT INTO messages VALUES ({id}, 1, 0, 1, 'a', NULL, {})", checksum(id))).await;
        let checked = store::check(&store::database(folder.path())).expect("readable");
        assert!(checked.messages == 4, "{id}: {checked:?}");
        let Ok(store) = Sqlite::open(folder.path(), &Options::default()) else {
            continue;
        };
        // It has no place among the messages, or it has, and then the next one follows it.
        let page = store.inbox(&name("henderson"), MessageId(0), 10).await;
        let page = store.log().durable(page).await.expect("readable");
        let ids: Vec<_> = page.messages.iter().map(|message| message.id.0.cast_signed()).collect();
        assert!(ids == [1, 2, 3] || ids == [1, 2, 3, id], "{ids:?}");
        if let Some(next) = append(&store).await {
            assert!(next.cast_signed() > ids[ids.len() - 1], "{next} after {ids:?}");
        }
    }
}
