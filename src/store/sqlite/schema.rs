//! The database file: its tables, the versions of its schema, and how connections to it are opened.

use std::{collections::BTreeSet, path::Path, time::Duration};

use rusqlite::{Connection, OpenFlags, ffi};

use super::{Durable, OpenError, row_crc};

/// Version of the database file that this program writes, as in `PRAGMA user_version`.
pub const VERSION: i64 = 5;

/// Value of `PRAGMA application_id`: "chat" in ASCII.
const APPLICATION_ID: i64 = 0x6368_6174;

/// The first SQLite version without the WAL-reset bug, which could lose a checkpointed commit: 3.51.3.
const MIN_SQLITE: i32 = 3_051_003;

/// Longest wait for another program that holds the database.
pub(super) const BUSY_WAIT: Duration = Duration::from_secs(5);

/// Page size in bytes. Larger pages need fewer system calls for a batch, but make a single send write more.
const PAGE: u32 = 8 * 1024;

/// Migrations: the SQL that brings a file from each version to the next.
///
/// - `state`: one row: the last message that is indexed, the last cursor step that is, and the last message that is in
///   `blocks`.
/// - `names`: users and rooms by number, so that other rows are small.
/// - `messages`: append-only, by number. `crc` is a checksum of the rest of the row.
/// - `blocks`, `runs`, `run_parts` ([`postings`](super::postings)) and `keys`: the index of the messages up to
///   `state.indexed` by inbox, conversation and key. Messages after it are read at start.
/// - `cursors`: append-only; each row is a cursor step: user, last acknowledged message, number of messages to the user that
///   were ever acknowledged, time. `passed` has the steps up to `state.folded` by user.
/// - `inboxes`: for each name its cursor as of `state.folded`, and the number of its messages and the last one as of
///   `state.indexed`.
/// - `partners`: pairs of users who have exchanged messages that are in `blocks`, in both directions.
/// - `stays`: stays in rooms: room, user, the first message that can belong to it, and the first one after it.
/// - `sessions`: one row for each session, with the digest of its token, and what its client has called the device.
/// - `people`: what the server has noted of each user name: the operator's last decision about it, the last message of its
///   previous owners, since when it is missing from the users file, and a digest of the password; while a hash
///   of it is renewed, digests of both.
/// - `markers`: how far each user has read each conversation: the other user or the room, the time and the number of the last
///   message that was read, and when the marker came there.
/// - `trusted`: networks from which each user has logged in, and when that was.
/// - `file`: a random number that tells this file from others.
///
/// `crc` is a checksum of the rest of the row: of `messages` as [`checksum`](super::checksum) makes it, of the others as
/// [`row_crc`] does.
const MIGRATIONS: [&str; 5] = ["
    CREATE TABLE state (indexed INTEGER NOT NULL, folded INTEGER NOT NULL);
    INSERT INTO state VALUES (0, 0);
    CREATE TABLE names (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
    CREATE TABLE messages (
        id INTEGER PRIMARY KEY, at INTEGER NOT NULL, sender INTEGER NOT NULL, recipient INTEGER NOT NULL,
        text TEXT NOT NULL, key TEXT, crc INTEGER NOT NULL);
    CREATE TABLE inbox_index (recipient INTEGER NOT NULL, id INTEGER NOT NULL, PRIMARY KEY (recipient, id)) WITHOUT ROWID;
    CREATE TABLE keys (sender INTEGER NOT NULL, key TEXT NOT NULL, id INTEGER NOT NULL, PRIMARY KEY (sender, key)) WITHOUT ROWID;
    CREATE TABLE cursors (
        seq INTEGER PRIMARY KEY, user INTEGER NOT NULL, upto INTEGER NOT NULL, taken INTEGER NOT NULL, at INTEGER NOT NULL);
    CREATE TABLE inboxes (user INTEGER PRIMARY KEY, upto INTEGER NOT NULL, taken INTEGER NOT NULL, received INTEGER NOT NULL);
    CREATE TABLE sessions (digest BLOB PRIMARY KEY, user INTEGER NOT NULL, created INTEGER NOT NULL, used INTEGER NOT NULL) WITHOUT ROWID;
    CREATE VIEW readable AS
        SELECT m.id, datetime(m.at / 1000, 'unixepoch') AS at, s.name AS sender, r.name AS recipient, m.text
        FROM messages m JOIN names s ON s.id = m.sender JOIN names r ON r.id = m.recipient;
", "
    CREATE TABLE blocks (
        one INTEGER NOT NULL, other INTEGER NOT NULL, first INTEGER NOT NULL, rest BLOB NOT NULL,
        PRIMARY KEY (one, other, first)) WITHOUT ROWID;
    INSERT INTO blocks SELECT recipient, -1, id, x'' FROM inbox_index;
    INSERT INTO blocks SELECT min(m.sender, m.recipient), max(m.sender, m.recipient), m.id, x''
        FROM messages m WHERE m.id <= (SELECT indexed FROM state);
    DROP TABLE inbox_index;
    CREATE TABLE partners (user INTEGER NOT NULL, other INTEGER NOT NULL, PRIMARY KEY (user, other)) WITHOUT ROWID;
    INSERT INTO partners SELECT DISTINCT one, other FROM blocks WHERE other >= 0;
    INSERT OR IGNORE INTO partners SELECT other, user FROM partners;
    CREATE TABLE passed (user INTEGER NOT NULL, upto INTEGER NOT NULL, at INTEGER NOT NULL, PRIMARY KEY (user, upto)) WITHOUT ROWID;
    INSERT INTO passed SELECT user, upto, at FROM cursors WHERE seq <= (SELECT folded FROM state);
    ALTER TABLE inboxes ADD COLUMN last INTEGER NOT NULL DEFAULT 0;
    UPDATE inboxes SET last = (SELECT indexed FROM state);
    CREATE TABLE stays (room INTEGER NOT NULL, user INTEGER NOT NULL, began INTEGER NOT NULL, until INTEGER, PRIMARY KEY (room, user, began)) WITHOUT ROWID;
    ALTER TABLE sessions ADD COLUMN number INTEGER NOT NULL DEFAULT 0;
", "
    ALTER TABLE state ADD COLUMN merged INTEGER NOT NULL DEFAULT 0;
    UPDATE state SET merged = indexed;
    DELETE FROM blocks WHERE first > (SELECT indexed FROM state);
    CREATE TABLE runs (upto INTEGER PRIMARY KEY, size INTEGER NOT NULL);
    CREATE TABLE run_parts (
        run INTEGER NOT NULL, one INTEGER NOT NULL, other INTEGER NOT NULL, lists BLOB NOT NULL,
        PRIMARY KEY (run, one, other)) WITHOUT ROWID;
", "
    ALTER TABLE state ADD COLUMN crc INTEGER NOT NULL DEFAULT 0;
    UPDATE state SET crc = row_crc(indexed, folded, merged);
    ALTER TABLE names ADD COLUMN crc INTEGER NOT NULL DEFAULT 0;
    UPDATE names SET crc = row_crc(id, name);
    ALTER TABLE cursors ADD COLUMN crc INTEGER NOT NULL DEFAULT 0;
    UPDATE cursors SET crc = row_crc(seq, user, upto, taken, at);
    ALTER TABLE passed ADD COLUMN crc INTEGER NOT NULL DEFAULT 0;
    UPDATE passed SET crc = row_crc(user, upto, at);
    ALTER TABLE inboxes ADD COLUMN crc INTEGER NOT NULL DEFAULT 0;
    UPDATE inboxes SET crc = row_crc(user, upto, taken, received, last);
    ALTER TABLE keys ADD COLUMN crc INTEGER NOT NULL DEFAULT 0;
    UPDATE keys SET crc = row_crc(sender, key, id);
    ALTER TABLE blocks ADD COLUMN crc INTEGER NOT NULL DEFAULT 0;
    UPDATE blocks SET crc = row_crc(one, other, first, rest);
    ALTER TABLE runs ADD COLUMN crc INTEGER NOT NULL DEFAULT 0;
    UPDATE runs SET crc = row_crc(upto, size);
    ALTER TABLE run_parts ADD COLUMN crc INTEGER NOT NULL DEFAULT 0;
    UPDATE run_parts SET crc = row_crc(run, one, other, lists);
    ALTER TABLE partners ADD COLUMN crc INTEGER NOT NULL DEFAULT 0;
    UPDATE partners SET crc = row_crc(user, other);
    ALTER TABLE stays ADD COLUMN crc INTEGER NOT NULL DEFAULT 0;
    UPDATE stays SET crc = row_crc(room, user, began, until);
    ALTER TABLE sessions ADD COLUMN crc INTEGER NOT NULL DEFAULT 0;
    UPDATE sessions SET crc = row_crc(digest, user, created, used, number);
    CREATE TABLE people (
        user INTEGER PRIMARY KEY, decided INTEGER NOT NULL, after INTEGER NOT NULL, absent INTEGER, removed INTEGER NOT NULL,
        password BLOB, crc INTEGER NOT NULL);
    CREATE TABLE trusted (
        user INTEGER NOT NULL, network BLOB NOT NULL, at INTEGER NOT NULL, crc INTEGER NOT NULL,
        PRIMARY KEY (user, network)) WITHOUT ROWID;
    CREATE TABLE file (id BLOB NOT NULL);
    INSERT INTO file VALUES (randomblob(16));
", "
    CREATE TABLE markers (
        user INTEGER NOT NULL, other INTEGER NOT NULL, at INTEGER NOT NULL, upto INTEGER NOT NULL, moved INTEGER NOT NULL,
        crc INTEGER NOT NULL, PRIMARY KEY (user, other)) WITHOUT ROWID;
    ALTER TABLE sessions RENAME TO sessions_of_4;
    CREATE TABLE sessions (
        digest BLOB PRIMARY KEY, user INTEGER NOT NULL, created INTEGER NOT NULL, used INTEGER NOT NULL,
        number INTEGER NOT NULL, device TEXT, crc INTEGER NOT NULL) WITHOUT ROWID;
    INSERT INTO sessions
        SELECT digest, user, created, used, number, NULL, row_crc(digest, user, created, used, number, NULL)
        FROM sessions_of_4 WHERE crc = row_crc(digest, user, created, used, number);
    DROP TABLE sessions_of_4;
"];

/// Opens the file for the writer; creates or migrates it if needed.
pub(super) fn open(path: &Path, durable: Durable) -> Result<Connection, OpenError> {
    let linked = rusqlite::version_number();
    if linked < MIN_SQLITE {
        return Err(OpenError::Sqlite { linked: rusqlite::version().to_owned() });
    }
    let connection = Connection::open(path)?;
    let version = version(&connection)?;
    row_crc::register(&connection)?;
    // Applies to a new file; an existing one keeps its page size.
    connection.pragma_update(None, "page_size", PAGE)?;
    connection.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(()))?;
    set_up_to_write(&connection, durable)?;
    connection.pragma_update(None, "cache_size", -8192)?;
    // A sandboxed server cannot open temporary files outside its folders.
    connection.pragma_update(None, "temp_store", "memory")?;
    connection.set_prepared_statement_cache_capacity(32);
    let done = usize::try_from(version).unwrap_or(0);
    for (migration, to) in MIGRATIONS.iter().zip(1..).skip(done) {
        connection.execute_batch(&format!(
            "BEGIN IMMEDIATE; {migration} PRAGMA user_version = {to}; PRAGMA application_id = {APPLICATION_ID}; COMMIT;"
        ))?;
    }
    if done < MIGRATIONS.len() {
        // The number of the file must be in the database itself: it tells which write-ahead log belongs to it.
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    }
    Ok(connection)
}

/// Verifies that the file has the tables of its version and nothing else. A view in the place of a table could run for ever, and a
/// trigger could do anything.
///
/// # Errors
/// [`OpenError::Strange`] if it has others.
fn verify_tables(connection: &Connection, version: i64) -> Result<(), OpenError> {
    let tables = |connection: &Connection| -> rusqlite::Result<BTreeSet<(String, String, Option<String>)>> {
        let sql = "SELECT type, name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\'";
        let mut select = connection.prepare(sql)?;
        select.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?.collect()
    };
    let model = Connection::open_in_memory()?;
    row_crc::register(&model)?;
    for migration in MIGRATIONS.iter().take(usize::try_from(version).unwrap_or(0)) {
        model.execute_batch(migration)?;
    }
    let (expected, found) = (tables(&model)?, tables(connection)?);
    match expected.symmetric_difference(&found).next() {
        None => Ok(()),
        Some((kind, name, _)) => Err(OpenError::Strange { what: format!("{kind} {name:?}") }),
    }
}

/// Opens a second connection, for checkpoints beside the writer's.
pub(super) fn open_beside(path: &Path, durable: Durable) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    set_up_to_write(&connection, durable)?;
    // A connection opens the log only when it first reads the database.
    connection.pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0))?;
    Ok(connection)
}

fn set_up_to_write(connection: &Connection, durable: Durable) -> rusqlite::Result<()> {
    let synchronous = match durable {
        // SQLite syncs checkpoints only. The writer syncs commits itself, so that it can write the next one meanwhile.
        Durable::Fsync => "NORMAL",
        Durable::Os => "OFF",
    };
    // Another program may hold the database for a moment: a backup tool, or `sqlite3`.
    connection.busy_timeout(BUSY_WAIT)?;
    connection.pragma_update(None, "synchronous", synchronous)?;
    connection.pragma_update(None, "wal_autocheckpoint", 0)
}

/// Returns the version of a file; 0 if it is empty.
///
/// # Errors
/// [`OpenError::Foreign`] or [`OpenError::Newer`] if this program does not know it.
pub(super) fn version(connection: &Connection) -> Result<i64, OpenError> {
    // This fails for a file that is no database.
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let application: i64 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if (tables > 0 || version > 0) && application != APPLICATION_ID {
        return Err(OpenError::Foreign);
    }
    if version > VERSION {
        return Err(OpenError::Newer { found: version, known: VERSION });
    }
    if version > 0 {
        verify_tables(connection, version)?;
    }
    Ok(version)
}

/// Opens a file to read all of it, while a server may be using it.
pub(super) fn open_to_inspect(path: &Path) -> Result<Connection, OpenError> {
    if !std::fs::metadata(path).is_ok_and(|file| file.is_file() && file.len() > 0) {
        return Err(OpenError::Missing { path: path.to_owned() });
    }
    let connection = open_to_read(path)?;
    // Unlike the server, this process may have much to sort and is not sandboxed: let it use temporary files.
    connection.pragma_update(None, "temp_store", "default")?;
    version(&connection)?;
    Ok(connection)
}

/// Opens the file for reading. It must exist.
pub(super) fn open_to_read(path: &Path) -> rusqlite::Result<Connection> {
    // Not the read-only flag: a reader of a write-ahead log must write to its shared index, the `-shm` file.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.pragma_update(None, "query_only", true)?;
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    connection.pragma_update(None, "cache_size", -1024)?;
    connection.pragma_update(None, "temp_store", "memory")?;
    connection.busy_timeout(BUSY_WAIT)?;
    row_crc::register(&connection)?;
    Ok(connection)
}

/// Kind of an SQLite error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// The disk is full; nothing was stored.
    Full,
    /// Another program holds the database; nothing was stored, and it will let go.
    Busy,
    /// Anything else; what was being written may or may not be stored.
    Broken,
}

impl Cause {
    pub(super) fn of(error: &rusqlite::Error) -> Self {
        match error.sqlite_error() {
            Some(error)
                if error.code == rusqlite::ErrorCode::DiskFull
                    || error.extended_code == ffi::SQLITE_IOERR_SHMSIZE =>
            {
                Cause::Full
            }
            // Transactions begin by taking the lock, so nothing was written.
            Some(error) if error.code == rusqlite::ErrorCode::DatabaseBusy => Cause::Busy,
            _ => Cause::Broken,
        }
    }
}
