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
    index::Indexed,
    postings, schema,
    state::{InboxCursor, NameId, Row, State},
};
use crate::{
    protocol::{MAX_REPLY, Refusal, Timestamp, TokenDigest, UserName},
    store::{Message, MessageId, Outcome, Position, SessionRecord, Stored},
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
        let name =
            |id| state.name(id).cloned().ok_or_else(|| damaged(format!("message {} has no name", self.id.0)));
        Ok(Message {
            id: self.id,
            at: self.at,
            from: name(self.sender)?,
            to: name(self.recipient)?,
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

/// Rows from the front of an inbox.
pub(super) struct Front {
    pub(super) rows: Vec<StoredRow>,
    /// It was not cut short for its size.
    pub(super) complete: bool,
}

/// Indexed messages of an inbox after one and up to another.
pub(super) fn inbox(
    connection: &Connection,
    user: NameId,
    after: MessageId,
    upto: MessageId,
    limit: usize,
) -> rusqlite::Result<Front> {
    let mut message =
        connection.prepare_cached(&format!("SELECT {COLUMNS} FROM messages m WHERE m.id = ?1"))?;
    let (mut rows, mut bytes, mut complete) = (Vec::new(), 0, true);
    postings::scan(connection, user, after, |id| {
        if id > upto || rows.len() >= limit {
            return Ok(ControlFlow::Break(()));
        }
        if bytes > MAX_REPLY {
            complete = false;
            return Ok(ControlFlow::Break(()));
        }
        let row = message.query_row([id.0.cast_signed()], StoredRow::read).optional()?;
        // What waits is never pruned.
        let row = row.ok_or_else(|| damaged(format!("message {} is missing", id.0)))?;
        bytes += row.text.len();
        rows.push(row);
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(Front { rows, complete })
}

/// What the file says at start.
pub(super) struct Restored {
    pub(super) state: State,
    pub(super) sessions: Vec<SessionRecord>,
    pub(super) inboxes: HashMap<NameId, Indexed>,
    pub(super) unindexed: Vec<Arc<Row>>,
    pub(super) unfolded: Vec<(NameId, InboxCursor)>,
    pub(super) cursor_seq: i64,
}

/// Reads what is kept in memory: names, cursors, sessions, and the messages that are not indexed.
pub(super) fn restore(connection: &Connection, inbox_limit: usize) -> Result<Restored, OpenError> {
    let nonsense = |what: &str| OpenError::Nonsense(what.to_owned());
    let (indexed, folded): (i64, i64) =
        connection
            .query_row("SELECT indexed, folded FROM state", [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let mut state = State::new(inbox_limit, MessageId(indexed.cast_unsigned()));

    let mut names = connection.prepare("SELECT id, name FROM names ORDER BY id")?;
    let mut rows = names.query([])?;
    while let Some(row) = rows.next()? {
        let name = UserName::parse(row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?);
        let name = name.ok_or_else(|| nonsense("a name that is none"))?;
        if state.restore_name(name).0 != row.get::<_, u32>(0)? {
            return Err(nonsense("a gap in the numbers of names"));
        }
    }
    let known = |id: u32, state: &State| {
        state.name(NameId(id)).cloned().ok_or_else(|| nonsense("the number of a name that is not there"))
    };

    let mut inboxes = HashMap::new();
    let mut select = connection.prepare("SELECT user, upto, taken, received FROM inboxes")?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let number = |column| row.get::<_, i64>(column).map(i64::cast_unsigned);
        let inbox = Indexed { upto: number(1)?, taken: number(2)?, received: number(3)? };
        let user: u32 = row.get(0)?;
        known(user, &state)?;
        inboxes.insert(NameId(user), inbox);
    }
    let mut cursors: HashMap<NameId, Indexed> = inboxes.clone();
    let (mut unfolded, mut cursor_seq) = (Vec::new(), folded);
    let mut select =
        connection.prepare("SELECT seq, user, upto, taken FROM cursors WHERE seq > ?1 ORDER BY seq")?;
    let mut rows = select.query([folded])?;
    while let Some(row) = rows.next()? {
        cursor_seq = row.get(0)?;
        let user: u32 = row.get(1)?;
        known(user, &state)?;
        let number = |column| row.get::<_, i64>(column).map(i64::cast_unsigned);
        let cursor =
            InboxCursor { upto: MessageId(number(2)?), taken: number(3)?, position: Position::START };
        let inbox = cursors.entry(NameId(user)).or_default();
        (inbox.upto, inbox.taken) = (cursor.upto.0, cursor.taken);
        unfolded.push((NameId(user), cursor));
    }
    for (user, inbox) in &cursors {
        state.restore_inbox(*user, MessageId(inbox.upto), inbox.taken, inbox.received);
    }

    let mut unindexed = Vec::new();
    let mut select =
        connection.prepare(&format!("SELECT {COLUMNS} FROM messages m WHERE m.id > ?1 ORDER BY m.id"))?;
    let mut rows = select.query([indexed])?;
    while let Some(row) = rows.next()? {
        let row = StoredRow::read(row)?;
        known(row.sender.0, &state)?;
        known(row.recipient.0, &state)?;
        let row = Arc::new(Row {
            id: row.id,
            at: row.at,
            sender: row.sender,
            recipient: row.recipient,
            text: row.text,
            key: row.key,
            position: Position::START,
        });
        unindexed.push(row.clone());
        state.restore_row(row);
    }

    let mut sessions = Vec::new();
    let mut select = connection.prepare("SELECT digest, user, created, used FROM sessions")?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        sessions.push(SessionRecord {
            digest: TokenDigest(row.get(0)?),
            user: known(row.get(1)?, &state)?,
            created: Timestamp(row.get(2)?),
            used: Timestamp(row.get(3)?),
        });
    }
    drop(rows);
    drop(select);
    Ok(Restored { state, sessions, inboxes, unindexed, unfolded, cursor_seq })
}
