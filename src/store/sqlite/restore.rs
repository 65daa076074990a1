//! Reads at start what the store keeps in memory.

use std::{collections::HashMap, sync::Arc};

use rusqlite::{Connection, OptionalExtension, Row as SqlRow};

use super::{
    Durable, OpenError, Options,
    index::Index,
    indexing::{InboxRow, PendingCursor},
    marks::Marks,
    postings,
    reader::{COLUMNS, StoredRow},
    row_crc, runs,
};
use crate::{
    model::{
        MessageId, NotedPassword, PasswordDigest, ReadMarker, Recipient, Timestamp, TokenDigest, UserName,
    },
    store::{
        Absence, CommitLog, PersonRecord, SessionRecord, TrustRecord,
        front::{
            Front,
            ops::{CursorStep, InboxCursor, NameId, Row},
            rooms::Span,
        },
    },
};

/// What was read from the file at start.
pub(super) struct Restored {
    pub(super) front: Front,
    pub(super) log: Arc<CommitLog>,
    pub(super) sessions: Vec<SessionRecord>,
    pub(super) people: Vec<PersonRecord>,
    pub(super) trusted: Vec<TrustRecord>,
    pub(super) index: Index,
    /// The random number of the file.
    file: [u8; 16],
    /// The number of the last message in the file.
    last: MessageId,
}

impl Restored {
    /// How much there is.
    pub(super) fn marks(&self, options: &Options) -> Marks {
        Marks {
            file: self.file,
            is_synced: options.durable == Durable::Fsync,
            messages: self.last.0,
            cursors: self.index.cursor_seq.cast_unsigned(),
            stays: self.front.rooms.rows,
            names: self.front.count_names() as u64,
            ..Marks::default()
        }
    }
}

/// Greatest message number that is believed: 2⁵³ - 1, which every program can read as a number in JSON.
const MAX_NUMBER: MessageId = MessageId((1 << 53) - 1);

fn corrupt(what: &str) -> OpenError {
    OpenError::Corrupt(what.to_owned())
}

/// Reads names, cursors, stays, sessions, and the messages that are not indexed.
///
/// # Errors
/// [`OpenError::Corrupt`] if the tables contradict each other; [`OpenError::Damaged`] if they cannot be read.
pub(super) fn restore(connection: &Connection, options: &Options) -> Result<Restored, OpenError> {
    let (indexed, folded): (i64, i64) = connection.query_row(
        "SELECT indexed, folded, crc = row_crc(indexed, folded, merged) FROM state",
        [],
        |row| {
            row_crc::verify(row, 2, "state")?;
            Ok((row.get(0)?, row.get(1)?))
        },
    )?;
    let log = Arc::default();
    let mut front = Front::new(options.inbox_limit, MessageId(indexed.cast_unsigned()), Arc::clone(&log));
    restore_names(connection, &mut front)?;
    let merged = postings::merged(connection)?;
    let runs = runs::after(connection, merged)?;
    if runs.last().unwrap_or(&merged).0 != indexed.cast_unsigned() {
        return Err(corrupt("the index does not end with the last message that is indexed"));
    }
    let mut index = Index::new(restore_inboxes(connection, &front)?, folded, runs.len(), options);
    restore_cursors(connection, &mut front, &mut index)?;
    restore_stays(connection, &mut front)?;
    restore_tail(connection, indexed, &mut front, &mut index)?;
    restore_markers(connection, &mut front)?;
    let people = restore_people(connection, &mut front)?;
    let last = front.last_message();
    front.skip_used_numbers();
    if front.last_message() > MAX_NUMBER {
        return Err(corrupt("a message number is too great"));
    }
    if let Some(latest) = latest(connection)? {
        front.restore_latest(latest);
    }
    let sessions = restore_sessions(connection, &front)?;
    let file = connection.query_row("SELECT id FROM file", [], |row| row.get(0))?;
    let trusted = restore_trusted(connection, &front)?;
    Ok(Restored { front, log, sessions, people, trusted, index, file, last })
}

/// Time of the latest message; `None` if there is none.
fn latest(connection: &Connection) -> rusqlite::Result<Option<Timestamp>> {
    let sql = "SELECT at FROM messages ORDER BY id DESC LIMIT 1";
    connection.query_row(sql, [], |row| row.get(0).map(Timestamp)).optional()
}

fn restore_names(connection: &Connection, front: &mut Front) -> Result<(), OpenError> {
    let mut names = connection.prepare("SELECT id, name, crc = row_crc(id, name) FROM names ORDER BY id")?;
    let mut rows = names.query([])?;
    while let Some(row) = rows.next()? {
        row_crc::verify(row, 2, "names")?;
        let name = Recipient::parse(row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?);
        let name = name.ok_or_else(|| corrupt("a user or room has an invalid name"))?;
        if front.restore_name(name).0 != row.get::<_, u32>(0)? {
            return Err(corrupt("the numbers of names have a gap"));
        }
    }
    Ok(())
}

fn known_name(front: &Front, id: u32) -> Result<NameId, OpenError> {
    let id = NameId(id);
    front.name(id).map(|_| id).ok_or_else(|| corrupt("a row refers to a name that does not exist"))
}

fn known_user(front: &Front, id: u32) -> Result<UserName, OpenError> {
    front.user(NameId(id)).cloned().ok_or_else(|| corrupt("a row refers to a user that does not exist"))
}

fn number(row: &SqlRow<'_>, column: usize) -> rusqlite::Result<u64> {
    row.get::<_, i64>(column).map(i64::cast_unsigned)
}

fn restore_inboxes(connection: &Connection, front: &Front) -> Result<HashMap<NameId, InboxRow>, OpenError> {
    let mut inboxes = HashMap::new();
    let mut select = connection.prepare(
        "SELECT user, upto, taken, received, last, crc = row_crc(user, upto, taken, received, last) FROM inboxes",
    )?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        row_crc::verify(row, 5, "inboxes")?;
        let inbox = InboxRow {
            upto: number(row, 1)?,
            taken: number(row, 2)?,
            received: number(row, 3)?,
            last: number(row, 4)?,
        };
        inboxes.insert(known_name(front, row.get(0)?)?, inbox);
    }
    Ok(inboxes)
}

fn restore_cursors(connection: &Connection, front: &mut Front, index: &mut Index) -> Result<(), OpenError> {
    let mut current = index.inboxes().clone();
    let mut select = connection.prepare(
        "SELECT seq, user, upto, taken, at, crc = row_crc(seq, user, upto, taken, at) FROM cursors \
         WHERE seq > ?1 ORDER BY seq",
    )?;
    let mut rows = select.query([index.cursor_seq])?;
    while let Some(row) = rows.next()? {
        row_crc::verify(row, 5, "cursors")?;
        index.cursor_seq = row.get(0)?;
        let user = known_name(front, row.get(1)?)?;
        let passed = CursorStep { user, upto: MessageId(number(row, 2)?), at: Timestamp(row.get(4)?) };
        let pending = PendingCursor { passed, taken: number(row, 3)? };
        let inbox = current.entry(user).or_default();
        (inbox.upto, inbox.taken) = (passed.upto.0, pending.taken);
        index.gather_cursor(pending);
        front.restore_passed(passed);
    }
    for (user, inbox) in current {
        let cursor = InboxCursor { upto: MessageId(inbox.upto), taken: inbox.taken, place: 0 };
        front.restore_inbox(user, cursor, inbox.received, MessageId(inbox.last));
    }
    Ok(())
}

fn restore_stays(connection: &Connection, front: &mut Front) -> Result<(), OpenError> {
    let mut select = connection.prepare(
        "SELECT room, user, began, until, crc = row_crc(room, user, began, until) FROM stays ORDER BY began",
    )?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        row_crc::verify(row, 4, "stays")?;
        let room = front.name(NameId(row.get(0)?)).and_then(Recipient::room).cloned();
        let room = room.ok_or_else(|| corrupt("a row refers to a room that does not exist"))?;
        let user = known_user(front, row.get(1)?)?;
        let until = row.get::<_, Option<i64>>(3)?.map(|until| MessageId(until.cast_unsigned()));
        front.rooms.restore(&user, &room, Span { from: MessageId(number(row, 2)?), until });
    }
    Ok(())
}

fn restore_tail(
    connection: &Connection,
    indexed: i64,
    front: &mut Front,
    index: &mut Index,
) -> Result<(), OpenError> {
    let mut select =
        connection.prepare(&format!("SELECT {COLUMNS} FROM messages m WHERE m.id > ?1 ORDER BY m.id"))?;
    let mut rows = select.query([indexed])?;
    while let Some(row) = rows.next()? {
        let row = StoredRow::read(row)?;
        known_name(front, row.sender.0)?;
        known_name(front, row.recipient.0)?;
        let row = Row {
            id: row.id,
            at: row.at,
            sender: row.sender,
            recipient: row.recipient,
            text: row.text,
            key: row.key.map(Into::into),
            place: 0,
            to_room: front.user(row.recipient).is_none(),
        };
        index.gather(&row);
        front.restore_row(row);
    }
    Ok(())
}

/// Reads who has each name. Of a user without a row, nothing was noted.
fn restore_people(connection: &Connection, front: &mut Front) -> Result<Vec<PersonRecord>, OpenError> {
    let mut noted = HashMap::new();
    let mut select = connection.prepare(
        "SELECT user, decided, after, absent, removed, password, \
         crc = row_crc(user, decided, after, absent, removed, password) FROM people",
    )?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        row_crc::verify(row, 6, "people")?;
        let user = row.get(0)?;
        let absent: Option<i64> = row.get(3)?;
        let record = PersonRecord {
            user: known_user(front, user)?,
            decided: Timestamp(row.get(1)?),
            after: MessageId(number(row, 2)?),
            absence: match absent {
                Some(since) => Some(Absence { since: Timestamp(since), is_removal: row.get(4)? }),
                None => None,
            },
            password: noted_password(row)?,
        };
        front.restore_begin(NameId(user), record.after);
        noted.insert(NameId(user), record);
    }
    let users = front.names_after(0).into_iter().filter_map(|(id, name)| Some((id, name.user()?.clone())));
    Ok(users.map(|(id, user)| noted.remove(&id).unwrap_or_else(|| PersonRecord::new(user))).collect())
}

/// The password of a row of `people`: one digest, or two.
fn noted_password(row: &rusqlite::Row<'_>) -> Result<Option<NotedPassword>, OpenError> {
    let Some(bytes) = row.get_ref(5)?.as_blob_or_null().map_err(rusqlite::Error::from)? else {
        return Ok(None);
    };
    let (digests, []) = bytes.as_chunks() else {
        return Err(corrupt("a noted password is not one or two digests"));
    };
    match *digests {
        [now] => Ok(Some(NotedPassword { now: PasswordDigest(now), next: None })),
        [now, next] => Ok(Some(NotedPassword { now: PasswordDigest(now), next: Some(PasswordDigest(next)) })),
        _ => Err(corrupt("a noted password is not one or two digests")),
    }
}

fn restore_trusted(connection: &Connection, front: &Front) -> Result<Vec<TrustRecord>, OpenError> {
    let mut trusted = Vec::new();
    let mut select =
        connection.prepare("SELECT user, network, at, crc = row_crc(user, network, at) FROM trusted")?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        row_crc::verify(row, 3, "trusted")?;
        let network = u128::from_be_bytes(row.get(1)?);
        trusted.push(TrustRecord {
            user: known_user(front, row.get(0)?)?,
            network,
            at: Timestamp(row.get(2)?),
        });
    }
    Ok(trusted)
}

fn restore_markers(connection: &Connection, front: &mut Front) -> Result<(), OpenError> {
    let mut select = connection.prepare(
        "SELECT user, other, at, upto, moved, crc = row_crc(user, other, at, upto, moved) FROM markers",
    )?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        row_crc::verify(row, 5, "markers")?;
        let (user, with) = (known_name(front, row.get(0)?)?, known_name(front, row.get(1)?)?);
        let (at, upto, moved) = (Timestamp(row.get(2)?), MessageId(number(row, 3)?), Timestamp(row.get(4)?));
        front.restore_marker(user, with, ReadMarker { at, upto, moved });
    }
    Ok(())
}

fn restore_sessions(connection: &Connection, front: &Front) -> Result<Vec<SessionRecord>, OpenError> {
    let mut sessions = Vec::new();
    let mut select = connection.prepare(
        "SELECT digest, user, created, used, number, device, \
         crc = row_crc(digest, user, created, used, number, device) FROM sessions ORDER BY created",
    )?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        if let Err(error) = row_crc::verify(row, 6, "sessions") {
            // Nobody else gets in by it, and the user can log in again.
            tracing::error!(%error, "a session is lost");
            continue;
        }
        sessions.push(SessionRecord {
            digest: TokenDigest(row.get(0)?),
            user: known_user(front, row.get(1)?)?,
            created: Timestamp(row.get(2)?),
            used: Timestamp(row.get(3)?),
            number: row.get(4)?,
            device: row.get(5)?,
        });
    }
    Ok(sessions)
}
