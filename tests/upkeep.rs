//! Backup, check and retention as an operator uses them.

use std::{
    ffi::OsStr,
    fs,
    os::unix::{ffi::OsStrExt, fs::PermissionsExt},
    path::Path,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant, SystemTime},
};

use chat_service::{
    model::{MaybeReady, MessageId, NewMessage, Recipient, RoomName, Timestamp, TokenDigest, UserName},
    store::{
        self, Cursors, Messages, Options, People, PersonRecord, Rooms, SessionRecord, Sessions, Sqlite, Store,
    },
};

use crate::support::{
    SENT, SOON,
    program::{Program, chat_server, read_reply, run, said},
};

/// Runs `chat-server` with these arguments; returns standard output followed by standard error, and the exit status.
fn chat(args: &[&str]) -> (String, Option<i32>) {
    let mut command = chat_server();
    command.args(args);
    let output = run(command, "");
    let (out, code) = said(&output);
    (out + &String::from_utf8_lossy(&output.stderr), code)
}

fn path(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

#[test]
fn a_backup_under_load_has_everything_that_was_acknowledged_before_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let (data, copy) = (folder.path().join("data"), folder.path().join("copy.db"));
    let server = Program::start(&["--data", path(&data), "--inbox-limit", "1000000"]);
    let (acknowledged, done) = (AtomicUsize::new(0), AtomicBool::new(false));
    let before = thread::scope(|scope| {
        scope.spawn(|| {
            let mut stream = server.connect();
            let send = |stream: &mut std::net::TcpStream, line: String| {
                std::io::Write::write_all(stream, line.as_bytes()).expect("taken");
                read_reply(stream)
            };
            send(&mut stream, "auth messi surabaya\n".to_owned());
            for i in 0.. {
                if done.load(Ordering::Relaxed) {
                    break;
                }
                assert_eq!(send(&mut stream, format!("send henderson {i}\n")), SENT);
                acknowledged.store(i + 1, Ordering::Relaxed);
            }
        });
        while acknowledged.load(Ordering::Relaxed) < 20 {
            thread::yield_now();
        }
        let before = acknowledged.load(Ordering::Relaxed);
        let (told, code) = chat(&["backup", "--data", path(&data), path(&copy)]);
        done.store(true, Ordering::Relaxed);
        assert_eq!(code, Some(0), "{told}");
        assert!(told.contains("a copy of everything"), "{told}");
        before
    });
    let (told, code) = chat(&["check", "--data", path(&data)]);
    assert!(told.ends_with("everything is sound\n"), "while the server runs: {told}");
    assert_eq!(code, Some(0));
    server.stop();
    assert_eq!(fs::metadata(&copy).expect("there").permissions().mode() & 0o777, 0o600);
    let (told, code) = chat(&["check", path(&copy)]);
    assert!(told.ends_with("everything is sound\n"), "{told}");
    assert_eq!(code, Some(0));
    let (told, code) = chat(&["backup", "--data", path(&data), path(&copy)]);
    assert!(told.contains("this file exists") && code == Some(1), "{told}");

    let restored = folder.path().join("restored");
    fs::create_dir(&restored).expect("made");
    fs::copy(&copy, restored.join("chat.db")).expect("copied");
    let server = Program::start(&["--data", path(&restored)]);
    let answers = server.talk("auth henderson surabaya\ninbox\n");
    let found = answers.matches("\"msg\": ").count();
    assert!(
        found >= before && (1..found).all(|i| answers.contains(&format!("\"msg\": \"{i}\""))),
        "{answers}"
    );
    server.stop();
    assert!(!folder.path().join("copy.db.partial").exists());
}

#[test]
fn a_backup_is_written_to_any_path() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    Sqlite::open(&data, &Options::default()).expect("a store").close();
    for name in [&b"file:odd?mode=ro"[..], b"not UTF-8: \xff\xfe"] {
        let copy = folder.path().join(OsStr::from_bytes(name));
        let args = [OsStr::new("backup"), OsStr::new("--data"), data.as_os_str(), copy.as_os_str()];
        let mut command = chat_server();
        command.args(args).current_dir(folder.path());
        let output = run(command, "");
        assert!(output.status.success(), "{output:?}");
        let report = store::check(&copy).expect("a database");
        assert!(report.problems.is_empty() && copy.metadata().expect("there").len() > 0, "{name:?}");
    }
}

#[test]
fn a_folder_without_a_database_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    for args in [
        vec!["check", "--data", path(folder.path())],
        vec!["backup", "--data", path(folder.path()), "copy.db"],
        vec!["check", "no such file"],
    ] {
        let (told, code) = chat(&args);
        assert!(told.contains("there is no database\n  remedy"), "{told}");
        assert_eq!(code, Some(1));
    }
}

/// Opens the store in the folder, with options that index most messages.
fn filled(folder: &Path, retain: Option<Duration>) -> Sqlite {
    let options = Options { index_batch: 8, index_runs: 1, retain, ..Options::default() };
    Sqlite::open(folder, &options).expect("opened")
}

fn name(text: &str) -> UserName {
    UserName::parse(text).expect("a name")
}

/// Moves the user's cursor to a message.
async fn acknowledge(store: &Sqlite, user: &str, upto: MessageId) {
    let from = *store.cursor(&name(user)).peek();
    let moved = store.acknowledge(&name(user), from, upto, Timestamp(0)).await;
    assert!(moved.peek().is_ok_and(|moved| moved.moved), "{moved:?}");
}

/// Returns the texts in the user's inbox.
async fn inbox(store: &Sqlite, user: &str) -> Vec<String> {
    let page = store.inbox(&name(user), MessageId(0), 1000).await;
    page.peek().as_ref().expect("readable").messages.iter().map(|message| message.text.to_string()).collect()
}

/// Appends a message and waits until it is durable; returns its number, and whether it is a duplicate.
async fn append(store: &Sqlite, to: &str, text: &str, key: Option<&str>, at: Timestamp) -> (MessageId, bool) {
    let (from, to) = (name("lineker"), Recipient::parse(to).expect("a name"));
    let outcome = store.append(NewMessage { from: &from, to: &to, text, key, at }).await;
    let stored = store.log().durable(outcome).await.expect("stored");
    (stored.id, stored.duplicate)
}

#[tokio::test]
async fn a_store_that_ends_in_the_midst_of_an_index_batch_is_sound_and_complete() {
    let folder = tempfile::tempdir().expect("a folder");
    let options = Options { index_batch: 8, index_step: 1, index_runs: 2, ..Options::default() };
    let mut sent: Vec<String> = Vec::new();
    for session in 0..12 {
        let store = Sqlite::open(folder.path(), &options).expect("opened");
        // The number of messages varies, so that the store ends at every step. Many lists make many steps.
        for i in 0..5 + session % 4 {
            let (text, key) = (format!("text{session}-{i}"), format!("key{session}-{i}"));
            let to = ["messi", "henderson", "maradona"][i % 3];
            append(&store, to, &text, Some(&key), Timestamp(0)).await;
            if to == "messi" {
                sent.push(text);
            }
        }
        // A repeated message is stored once, wherever the first one is.
        let repeated = append(&store, "messi", "text0-0", Some("key0-0"), Timestamp(0)).await;
        assert_eq!(repeated, (MessageId(1), true));
        store.close();
        drop(store);
        let report = store::check(&store::database(folder.path())).expect("readable");
        assert_eq!(report.problems, [""; 0]);
        let store = Sqlite::open(folder.path(), &options).expect("opened");
        let page = store.history(&name("messi"), &Recipient::User(name("lineker")), None, 1000).await;
        let texts: Vec<_> = page
            .peek()
            .as_ref()
            .expect("readable")
            .messages
            .iter()
            .map(|message| message.text.to_string())
            .collect();
        assert_eq!(texts, sent);
        assert_eq!(inbox(&store, "messi").await.len(), sent.len());
    }
}

/// The tables whose checksums are made with `row_crc`, and their other columns.
fn tables(connection: &rusqlite::Connection) -> Vec<(String, Vec<String>)> {
    let names = "SELECT t.name, group_concat(c.name, ',') FROM sqlite_schema t, pragma_table_info(t.name) c \
                 WHERE t.type = 'table' AND t.name NOT IN ('messages', 'file') AND c.name <> 'crc' GROUP BY t.name";
    let mut select = connection.prepare(names).expect("a query");
    let table = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get::<_, String>(1)?));
    let all = select.query_map([], table).expect("tables").map(|table| table.expect("a table"));
    all.map(|(name, columns)| (name, columns.split(',').map(str::to_owned).collect())).collect()
}

/// Sets the checksums of all rows.
fn set_checksums(connection: &rusqlite::Connection) {
    let flags = rusqlite::functions::FunctionFlags::SQLITE_UTF8;
    connection
        .create_scalar_function("row_crc", -1, flags, |values| Ok(row_crc(values)))
        .expect("a function");
    for (table, columns) in tables(connection) {
        let sql = format!("UPDATE {table} SET crc = row_crc({})", columns.join(", "));
        connection.execute(&sql, []).expect("set");
    }
}

/// CRC-32 of values: of each one its type, its length and its bytes.
fn row_crc(values: &rusqlite::functions::Context<'_>) -> u32 {
    use rusqlite::types::ValueRef;
    let mut crc = crc32fast::Hasher::new();
    for index in 0..values.len() {
        let (kind, bytes) = match values.get_raw(index) {
            ValueRef::Null => (0, Vec::new()),
            ValueRef::Integer(value) => (1, value.to_le_bytes().to_vec()),
            ValueRef::Real(value) => (2, value.to_le_bytes().to_vec()),
            ValueRef::Text(text) => (3, text.to_vec()),
            ValueRef::Blob(blob) => (4, blob.to_vec()),
        };
        crc.update(&[kind]);
        crc.update(&(bytes.len() as u64).to_le_bytes());
        crc.update(&bytes);
    }
    crc.finalize()
}

#[tokio::test]
async fn no_column_of_any_table_can_change_unnoticed() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = filled(folder.path(), None);
    for i in 0..25 {
        append(&store, "messi", &format!("text{i}"), Some(&format!("key{i}")), Timestamp(0)).await;
        if i % 5 == 0 {
            acknowledge(&store, "messi", MessageId(i + 1)).await;
        }
    }
    let (user, lab) = (UserName::parse("messi").expect("a name"), RoomName::parse("#lab").expect("a name"));
    let _ = store.join(&user, &lab).await;
    let (digest, at) = (TokenDigest([7; 32]), Timestamp(1));
    let session =
        SessionRecord { digest, user: user.clone(), created: at, used: at, number: 1, device: None };
    store.log().durable(store.open_session(session).await).await.expect("stored");
    store.log().durable(store.set_person(PersonRecord::new(user)).await).await.expect("stored");
    store.close();
    drop(store);
    let sound = store::database(folder.path());
    let copy = folder.path().join("damaged.db");
    let mut tried = 0;
    for (table, columns) in tables(&rusqlite::Connection::open(&sound).expect("opened")) {
        for column in columns {
            std::fs::copy(&sound, &copy).expect("copied");
            let connection = rusqlite::Connection::open(&copy).expect("opened");
            let first = format!("(SELECT {column} FROM {table} LIMIT 1)");
            let damage = format!(
                "UPDATE {table} SET {column} = CASE typeof({column}) WHEN 'integer' THEN {column} + 4096 \
                 WHEN 'null' THEN 1 ELSE CAST({column} || 'x' AS BLOB) END WHERE {column} IS {first}"
            );
            let rows = connection.execute(&damage, []).expect("damaged");
            drop(connection);
            tried += usize::from(rows > 0);
            let report = store::check(&copy).expect("readable");
            let told = format!("rows of {table} do not match their checksums");
            let is_told = report.problems.iter().any(|problem| problem.contains(&told));
            assert!(is_told || rows == 0, "{damage}: {:?}", report.problems);
        }
    }
    assert!(tried > 40, "{tried} columns have values");
}

#[tokio::test]
async fn check_tells_what_is_wrong() {
    for (damage, expected) in [
        ("UPDATE messages SET text = 'tex4' WHERE id = 3", "message 3 does not match its checksum"),
        ("UPDATE messages SET recipient = 0 WHERE id = 3", "message 3 does not match its checksum"),
        ("DELETE FROM messages WHERE id = 2", "has message 2 in a list where it does not belong"),
        ("DELETE FROM blocks WHERE first = 1", "the index of name 1 has"),
        ("UPDATE blocks SET first = first + 1 WHERE first = 1", "message 9 out of order"),
        ("UPDATE blocks SET first = 3 WHERE first = 9", "out of order"),
        ("UPDATE blocks SET rest = x'80' WHERE first = 1", "cannot be read"),
        ("DELETE FROM keys", "the key of message 4 is missing or wrong"),
        ("UPDATE keys SET key = 'other'", "the key of message 4 is missing or wrong"),
        ("UPDATE inboxes SET upto = 0", "wait for name 1"),
        ("UPDATE inboxes SET received = received + 1", "wait for name 1"),
        ("INSERT INTO cursors (seq, user, upto, taken, at) VALUES (100, 1, 2, 1, 0)", "moves back"),
        ("UPDATE names SET name = 'No Name' WHERE id = 0", "name 0 is not a valid name"),
        ("UPDATE names SET id = 9 WHERE id = 1", "name 9 is where name 1 should be"),
        ("DELETE FROM names WHERE id = 1", "which does not exist"),
        (
            "DELETE FROM blocks WHERE other >= 0",
            "conversations of name 1 have 8 messages, but the table has 24",
        ),
        ("DELETE FROM partners", "1 conversations are missing from the partners"),
        ("DELETE FROM run_parts WHERE run = 24", "the index of name 1 has 16 messages, but the table has 24"),
        ("UPDATE run_parts SET lists = x'80' WHERE run = 24", "a run of the index cannot be read"),
        (
            "UPDATE run_parts SET other = -1 WHERE run = 24 AND one = 0",
            "the partners in run 24 of the index do not match",
        ),
        ("DELETE FROM runs", "the index ends with message 16, not 24"),
        ("DELETE FROM runs", "parts of a run that does not exist"),
        ("UPDATE runs SET upto = 23 WHERE upto = 24", "the index ends with message 23, not 24"),
        ("UPDATE state SET merged = 25", "message 25 is merged but not indexed"),
        ("UPDATE state SET merged = 17", "run 24 of the index has message 17"),
        ("INSERT INTO stays (room, user, began) VALUES (0, 1, 1)", "a stay of name 1 in name 0"),
        ("INSERT INTO sessions VALUES (x'00', 7, 0, 0, 1, NULL, 0)", "a session belongs to name 7"),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let store = filled(folder.path(), None);
        // Two batches are merged, one is in a run, and the last message is in neither.
        for i in 0..25 {
            append(&store, "messi", &format!("text{i}"), (i == 3).then_some("key"), Timestamp(0)).await;
            if i == 5 {
                acknowledge(&store, "messi", MessageId(4)).await;
            }
        }
        store.close();
        drop(store);
        let database = store::database(folder.path());
        let sound = store::check(&database).expect("readable");
        assert_eq!(sound.problems, [""; 0]);
        assert_eq!((sound.messages, sound.waiting, sound.users), (25, 21, 2));
        let connection = rusqlite::Connection::open(&database).expect("opened");
        connection.execute(damage, []).unwrap_or_else(|error| panic!("{damage}: {error}"));
        // Somebody who does this makes the checksums match. Those of messages are not made with this function.
        set_checksums(&connection);
        drop(connection);
        let (told, code) = chat(&["check", "--data", path(folder.path())]);
        assert!(told.contains(expected), "{damage}: {told}");
        assert!(told.contains("problems were found\n  remedy") && code == Some(1), "{told}");
    }
}

#[tokio::test]
async fn what_is_old_is_removed_but_nothing_that_waits() {
    let folder = tempfile::tempdir().expect("a folder");
    let now = Timestamp::from(SystemTime::now());
    // No run is merged yet when retention begins.
    let options = Options { index_batch: 8, index_runs: usize::MAX, ..Options::default() };
    let store = Sqlite::open(folder.path(), &options).expect("opened");
    let total = 1300;
    let mut ids = Vec::new();
    for i in 0..total {
        let to = if i % 13 == 0 { "henderson" } else { "messi" };
        let key = (i % 100 == 1).then(|| format!("key{i}"));
        let from = name("lineker");
        // Messages are appended without a wait for each.
        let (text, to) = (format!("text{i}"), Recipient::parse(to).expect("a name"));
        let message = NewMessage { from: &from, to: &to, text: &text, key: key.as_deref(), at: Timestamp(0) };
        if let MaybeReady::Late(outcome) = store.append(message) {
            drop(outcome);
        }
        ids.push(i + 1);
    }
    // messi acknowledges the messages to both rooms, henderson neither.
    let (lab, den) = (RoomName::parse("#lab").expect("a name"), RoomName::parse("#den").expect("a name"));
    for (user, room) in [("messi", &lab), ("henderson", &lab), ("messi", &den), ("lineker", &den)] {
        let _ = store.join(&name(user), room).await;
    }
    // This stay contains no message.
    let _ = store.join(&name("henderson"), &den).await;
    let _ = store.leave(&name("henderson"), &den).await;
    let waits_in_lab = append(&store, "#lab", "lab", None, Timestamp(0)).await.0;
    let read_in_den = append(&store, "#den", "den", None, Timestamp(0)).await.0;
    let (last_old, _) = append(&store, "messi", "last old", None, Timestamp(0)).await;
    append(&store, "messi", "young", Some("young"), now).await;
    // messi acknowledges all old messages except the last one.
    let read = MessageId(last_old.0 - 1);
    acknowledge(&store, "messi", read).await;
    append(&store, "messi", "younger", None, now).await;
    store.close();
    drop(store);
    let database = store::database(folder.path());
    assert_eq!(store::check(&database).expect("readable").problems, [""; 0]);

    let store = filled(folder.path(), Some(Duration::from_hours(24)));
    let waits = total / 13 + 1 + 1 + 2;
    let began = Instant::now();
    let mut report = store::check(&database).expect("readable");
    // The messages that stay: a hundred of henderson's, the one in #lab, the last old one, and two young ones.
    while report.messages != waits {
        assert!(began.elapsed() < SOON, "{} messages, {waits} wait", report.messages);
        assert_eq!(report.problems, [""; 0], "at every moment");
        report = store::check(&database).expect("readable");
    }
    assert_eq!(report.problems, [""; 0]);
    assert_eq!(report.waiting, waits - 1, "those to rooms do not count");
    assert!(matches!(store.message(waits_in_lab).await.peek(), Ok(Some(_))));
    assert!(matches!(store.message(read_in_den).await.peek(), Ok(None)));
    // Sends are still possible. A key lives as long as its message.
    let (new, duplicate) = append(&store, "messi", "text1", Some("key1"), now).await;
    assert!(!duplicate && new.0 > total);
    let (_, duplicate) = append(&store, "messi", "young", Some("young"), now).await;
    assert!(duplicate);
    assert_eq!(inbox(&store, "messi").await, ["last old", "young", "younger", "text1"]);
    assert_eq!(inbox(&store, "henderson").await.len(), 101);
    store.close();
    drop(store);
    assert_eq!(store::check(&database).expect("readable").problems, [""; 0]);
}
