//! Reading the file: at start, pages of inboxes, keys.

use std::{
    collections::HashMap,
    ops::ControlFlow,
    path::PathBuf,
    sync::{Arc, Mutex},
};

use rusqlite::{Connection, OptionalExtension, Row as SqlRow, params};

use super::{
    OpenError,
    checksum::checksum,
    index::{Indexed, Unfolded},
    plan::Source,
    postings::{self, List},
    schema,
    state::{InboxCursor, NameId, Passed, Row, State},
    writer::Committed,
};
use crate::{
    protocol::{MAX_REPLY, Recipient, Refusal, Timestamp, TokenDigest, UserName},
    store::{Message, MessageId, Outcome, Position, SessionRecord, Stored, rooms::Span},
};

/// Connections that read, made as they are needed and used again.
pub(super) struct Readers {
    database: PathBuf,
    idle: Mutex<Vec<Connection>>,
}

/// So many are kept.
const MAX_IDLE: usize = 4;

impl Readers {
    pub(super) fn new(database: PathBuf) -> Self {
        Readers { database, idle: Mutex::default() }
    }

    /// Lends a connection. Blocks: not for a runtime thread.
    pub(super) fn read<T>(
        &self,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<T> {
        let idle = self.lock().pop();
        let connection = idle.map_or_else(|| schema::open_to_read(&self.database), Ok)?;
        let result = read(&connection);
        let mut idle = self.lock();
        if idle.len() < MAX_IDLE {
            idle.push(connection);
        }
        result
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().expect("nothing panics while it is held")
    }
}

/// A message's row, its checksum verified.
pub(super) struct StoredRow {
    pub(super) id: MessageId,
    at: Timestamp,
    pub(super) sender: NameId,
    pub(super) recipient: NameId,
    text: Arc<str>,
    key: Option<Box<str>>,
}

/// The columns that [`StoredRow::read`] takes.
pub(super) const COLUMNS: &str = "m.id, m.at, m.sender, m.recipient, m.text, m.key, m.crc";

impl StoredRow {
    pub(super) fn read(row: &SqlRow<'_>) -> rusqlite::Result<Self> {
        let text = row.get_ref(4)?.as_str()?;
        let key = row.get_ref(5)?.as_str_or_null()?;
        let read = StoredRow {
            id: MessageId(row.get::<_, i64>(0)?.cast_unsigned()),
            at: Timestamp(row.get(1)?),
            sender: NameId(row.get(2)?),
            recipient: NameId(row.get(3)?),
            text: text.into(),
            key: key.map(Into::into),
        };
        let crc: u32 = row.get(6)?;
        if crc != checksum(read.id, read.at, read.sender, read.recipient, text, key) {
            return Err(damaged(format!("message {} does not match its checksum", read.id.0)));
        }
        Ok(read)
    }

    pub(super) fn message(self, state: &State) -> Result<Message, rusqlite::Error> {
        let nameless = || damaged(format!("message {} has no name", self.id.0));
        Ok(Message {
            id: self.id,
            at: self.at,
            from: state.user(self.sender).cloned().ok_or_else(nameless)?,
            to: state.name(self.recipient).cloned().ok_or_else(nameless)?,
            text: self.text.clone(),
        })
    }
}

pub(super) fn damaged(what: String) -> rusqlite::Error {
    rusqlite::Error::ToSqlConversionFailure(what.into())
}

/// A message that a key names.
pub(super) struct Known {
    pub(super) id: MessageId,
    pub(super) at: Timestamp,
    pub(super) recipient: NameId,
    pub(super) text: Arc<str>,
    pub(super) position: Position,
}

impl Known {
    /// What a send with its key is answered.
    pub(super) fn outcome(&self, recipient: Option<NameId>, text: &str) -> Outcome<Stored> {
        let same = recipient == Some(self.recipient) && *self.text == *text;
        let stored = Stored { id: self.id, at: self.at, duplicate: true };
        Outcome { result: if same { Ok(stored) } else { Err(Refusal::KeyReused) }, position: self.position }
    }
}

/// The indexed message that the sender's key names.
pub(super) fn find_key(
    connection: &Connection,
    sender: NameId,
    key: &str,
) -> rusqlite::Result<Option<Known>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM keys k JOIN messages m ON m.id = k.id WHERE k.sender = ?1 AND k.key = ?2"
    );
    let row =
        connection.prepare_cached(&sql)?.query_row(params![sender.0, key], StoredRow::read).optional()?;
    let position = Position::START;
    Ok(row.map(|row| Known { id: row.id, at: row.at, recipient: row.recipient, text: row.text, position }))
}

/// Rows of a page.
pub(super) struct Found {
    pub(super) rows: Vec<StoredRow>,
    /// There are more, beyond the limit or the size of a page.
    pub(super) more: bool,
}

/// The indexed message of that number.
pub(super) fn message(connection: &Connection, id: MessageId) -> rusqlite::Result<Option<StoredRow>> {
    connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM messages m WHERE m.id = ?1"))?
        .query_row([id.0.cast_signed()], StoredRow::read)
        .optional()
}

/// The oldest indexed messages of an inbox.
pub(super) fn inbox(
    connection: &Connection,
    user: NameId,
    sources: &[Source],
    indexed: MessageId,
    limit: usize,
) -> rusqlite::Result<Found> {
    let (mut rows, mut bytes, mut after) = (Vec::new(), 0, MessageId(0));
    loop {
        // The next numbers of all sources, as far as every one of them was looked at.
        let (mut ids, mut seen) = (Vec::new(), indexed);
        for source in sources {
            let mut left = limit + 1;
            postings::scan(connection, source.list, source.after.max(after), |id| {
                if id > source.upto {
                    return Ok(ControlFlow::Break(()));
                }
                ids.push((id, source.is_room));
                left -= 1;
                if left > 0 {
                    return Ok(ControlFlow::Continue(()));
                }
                seen = seen.min(id);
                Ok(ControlFlow::Break(()))
            })?;
        }
        ids.retain(|(id, _)| *id <= seen);
        ids.sort_unstable();
        for (id, is_room) in ids {
            // What waits is never pruned.
            let row = message(connection, id)?;
            let row = row.ok_or_else(|| damaged(format!("message {} is missing", id.0)))?;
            if is_room && row.sender == user {
                continue;
            }
            if rows.len() == limit || bytes > MAX_REPLY {
                return Ok(Found { rows, more: true });
            }
            bytes += row.text.len();
            rows.push(row);
        }
        if seen == indexed {
            return Ok(Found { rows, more: false });
        }
        after = seen;
    }
}

/// The newest indexed messages of a conversation, the newest first.
pub(super) fn history(
    connection: &Connection,
    list: List,
    stays: Option<&[Span]>,
    before: MessageId,
    limit: usize,
    mut bytes: usize,
) -> rusqlite::Result<Found> {
    let (mut rows, mut more) = (Vec::new(), false);
    postings::scan_back(connection, list, before, |id| {
        if stays.is_some_and(|stays| !stays.iter().any(|span| span.contains(id))) {
            // Before the first stay there is nothing.
            let over = stays.and_then(<[Span]>::first).is_none_or(|first| id < first.from);
            return Ok(if over { ControlFlow::Break(()) } else { ControlFlow::Continue(()) });
        }
        if rows.len() == limit || bytes > MAX_REPLY {
            more = true;
            return Ok(ControlFlow::Break(()));
        }
        // It may have been pruned since.
        if let Some(row) = message(connection, id)? {
            bytes += row.text.len();
            rows.push(row);
        }
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(Found { rows, more })
}

/// With whom the user has exchanged messages, as far as the index knows.
pub(super) fn partners(connection: &Connection, user: NameId) -> rusqlite::Result<Vec<NameId>> {
    let mut select = connection.prepare_cached("SELECT other FROM partners WHERE user = ?1")?;
    select.query_map([user.0], |row| row.get(0).map(NameId))?.collect()
}

/// When the user's cursor passed a message, as far as the index knows.
pub(super) fn passed_at(
    connection: &Connection,
    user: NameId,
    id: MessageId,
) -> rusqlite::Result<Option<Timestamp>> {
    connection
        .prepare_cached("SELECT at FROM passed WHERE user = ?1 AND upto >= ?2 ORDER BY upto LIMIT 1")?
        .query_row(params![user.0, id.0.cast_signed()], |row| row.get(0).map(Timestamp))
        .optional()
}

/// What the file says at start.
pub(super) struct Restored {
    pub(super) state: State,
    pub(super) sessions: Vec<SessionRecord>,
    pub(super) committed: Committed,
}

fn nonsense(what: &str) -> OpenError {
    OpenError::Nonsense(what.to_owned())
}

/// Reads what is kept in memory: names, cursors, stays, sessions, and the messages that are not indexed.
pub(super) fn restore(connection: &Connection, inbox_limit: usize) -> Result<Restored, OpenError> {
    let (indexed, folded): (i64, i64) =
        connection
            .query_row("SELECT indexed, folded FROM state", [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let mut state = State::new(inbox_limit, MessageId(indexed.cast_unsigned()));
    restore_names(connection, &mut state)?;
    let mut committed = Committed {
        inboxes: HashMap::new(),
        unindexed: Vec::new(),
        unfolded: Vec::new(),
        cursor_seq: folded,
    };
    restore_cursors(connection, &mut state, &mut committed)?;
    restore_stays(connection, &mut state)?;
    restore_tail(connection, indexed, &mut state, &mut committed)?;
    let sessions = restore_sessions(connection, &state)?;
    Ok(Restored { state, sessions, committed })
}

fn restore_names(connection: &Connection, state: &mut State) -> Result<(), OpenError> {
    let mut names = connection.prepare("SELECT id, name FROM names ORDER BY id")?;
    let mut rows = names.query([])?;
    while let Some(row) = rows.next()? {
        let name = Recipient::parse(row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?);
        let name = name.ok_or_else(|| nonsense("a name that is none"))?;
        if state.restore_name(name).0 != row.get::<_, u32>(0)? {
            return Err(nonsense("a gap in the numbers of names"));
        }
    }
    Ok(())
}

fn known(state: &State, id: u32) -> Result<NameId, OpenError> {
    let id = NameId(id);
    state.name(id).map(|_| id).ok_or_else(|| nonsense("the number of a name that is not there"))
}

fn known_user(state: &State, id: u32) -> Result<UserName, OpenError> {
    state.user(NameId(id)).cloned().ok_or_else(|| nonsense("the number of a user that is not there"))
}

fn number(row: &SqlRow<'_>, column: usize) -> rusqlite::Result<u64> {
    row.get::<_, i64>(column).map(i64::cast_unsigned)
}

fn restore_cursors(
    connection: &Connection,
    state: &mut State,
    committed: &mut Committed,
) -> Result<(), OpenError> {
    let mut select = connection.prepare("SELECT user, upto, taken, received, last FROM inboxes")?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let inbox = Indexed {
            upto: number(row, 1)?,
            taken: number(row, 2)?,
            received: number(row, 3)?,
            last: number(row, 4)?,
        };
        committed.inboxes.insert(known(state, row.get(0)?)?, inbox);
    }
    let mut current = committed.inboxes.clone();
    let mut select =
        connection.prepare("SELECT seq, user, upto, taken, at FROM cursors WHERE seq > ?1 ORDER BY seq")?;
    let mut rows = select.query([committed.cursor_seq])?;
    while let Some(row) = rows.next()? {
        committed.cursor_seq = row.get(0)?;
        let user = known(state, row.get(1)?)?;
        let passed = Passed { user, upto: MessageId(number(row, 2)?), at: Timestamp(row.get(4)?) };
        let unfolded = Unfolded { passed, taken: number(row, 3)? };
        let inbox = current.entry(user).or_default();
        (inbox.upto, inbox.taken) = (passed.upto.0, unfolded.taken);
        committed.unfolded.push(unfolded);
        state.restore_passed(passed);
    }
    for (user, inbox) in current {
        let cursor =
            InboxCursor { upto: MessageId(inbox.upto), taken: inbox.taken, position: Position::START };
        state.restore_inbox(user, cursor, inbox.received, MessageId(inbox.last));
    }
    Ok(())
}

fn restore_stays(connection: &Connection, state: &mut State) -> Result<(), OpenError> {
    let mut select = connection.prepare("SELECT room, user, began, until FROM stays ORDER BY began")?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let room = state.name(NameId(row.get(0)?)).and_then(Recipient::room).cloned();
        let room = room.ok_or_else(|| nonsense("the number of a room that is not there"))?;
        let user = known_user(state, row.get(1)?)?;
        let until = row.get::<_, Option<i64>>(3)?.map(|until| MessageId(until.cast_unsigned()));
        state.rooms.restore(&user, &room, Span { from: MessageId(number(row, 2)?), until });
    }
    Ok(())
}

fn restore_tail(
    connection: &Connection,
    indexed: i64,
    state: &mut State,
    committed: &mut Committed,
) -> Result<(), OpenError> {
    let mut select =
        connection.prepare(&format!("SELECT {COLUMNS} FROM messages m WHERE m.id > ?1 ORDER BY m.id"))?;
    let mut rows = select.query([indexed])?;
    while let Some(row) = rows.next()? {
        let row = StoredRow::read(row)?;
        known(state, row.sender.0)?;
        known(state, row.recipient.0)?;
        let row = Arc::new(Row {
            id: row.id,
            at: row.at,
            sender: row.sender,
            recipient: row.recipient,
            text: row.text,
            key: row.key,
            position: Position::START,
            to_room: state.user(row.recipient).is_none(),
        });
        committed.unindexed.push(row.clone());
        state.restore_row(row);
    }
    Ok(())
}

fn restore_sessions(connection: &Connection, state: &State) -> Result<Vec<SessionRecord>, OpenError> {
    let mut sessions = Vec::new();
    let mut select =
        connection.prepare("SELECT digest, user, created, used, number FROM sessions ORDER BY created")?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        sessions.push(SessionRecord {
            digest: TokenDigest(row.get(0)?),
            user: known_user(state, row.get(1)?)?,
            created: Timestamp(row.get(2)?),
            used: Timestamp(row.get(3)?),
            number: row.get(4)?,
        });
    }
    Ok(sessions)
}
