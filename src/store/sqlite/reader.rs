//! Reading the file: rows of messages, pages of inboxes and conversations, keys and cursor steps.

use std::{
    ops::ControlFlow,
    path::PathBuf,
    sync::{Arc, Mutex},
};

use rusqlite::{Connection, OptionalExtension, Row as SqlRow, params};

use super::{checksum::checksum, error::damaged, list::List, postings, row_crc, schema};
use crate::{
    model::{MAX_REPLY, Message, MessageId, Position, Timestamp},
    store::{
        Scope,
        front::{Front, KeyedMessage, Passed, ops::NameId, plan::Source, rooms::Span},
    },
};

/// A pool of read connections, opened when they are needed.
pub(super) struct Readers {
    database: PathBuf,
    idle: Mutex<Vec<Connection>>,
}

/// Most idle connections that are kept.
const MAX_IDLE: usize = 4;

impl Readers {
    pub(super) fn new(database: PathBuf) -> Self {
        Readers { database, idle: Mutex::default() }
    }

    /// Opens a connection, so that the first reader need not wait for it.
    pub(super) fn warm_up(&self) {
        // An error will be met again, and reported, by the first reader.
        self.read(|connection| message(connection, MessageId(0))).ok();
    }

    /// Runs `read` in a read transaction, so that it sees one snapshot. Blocks: not to be called on a runtime thread.
    pub(super) fn read<T>(
        &self,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<T> {
        let idle = self.lock().pop();
        let connection = idle.map_or_else(|| schema::open_to_read(&self.database), Ok)?;
        let transaction = connection.unchecked_transaction()?;
        let result = read(&transaction);
        drop(transaction);
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

/// A row of `messages` whose checksum was verified.
pub(super) struct StoredRow {
    pub(super) id: MessageId,
    pub(super) at: Timestamp,
    pub(super) sender: NameId,
    pub(super) recipient: NameId,
    pub(super) text: Arc<str>,
    pub(super) key: Option<Box<str>>,
}

/// The columns that [`StoredRow::read`] expects, of a table `messages` that is called `m`.
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

    pub(super) fn message(self, front: &Front) -> Result<Message, rusqlite::Error> {
        let nameless = || damaged(format!("message {} refers to a name that does not exist", self.id.0));
        Ok(Message {
            id: self.id,
            at: self.at,
            from: front.user(self.sender).cloned().ok_or_else(nameless)?,
            to: front.name(self.recipient).cloned().ok_or_else(nameless)?,
            text: self.text.clone(),
        })
    }
}

/// Returns the indexed message that the sender's key names, if it came after message `begin`: earlier ones are of a previous
/// owner of the sender's name.
pub(super) fn find_key(
    connection: &Connection,
    sender: NameId,
    key: &str,
    begin: MessageId,
) -> rusqlite::Result<Option<KeyedMessage>> {
    let sql = format!(
        "SELECT {COLUMNS}, k.crc = row_crc(k.sender, k.key, k.id) \
         FROM keys k LEFT JOIN messages m ON m.id = k.id WHERE k.sender = ?1 AND k.key = ?2"
    );
    let read = |row: &SqlRow<'_>| {
        row_crc::verify(row, 7, "keys")?;
        let row = StoredRow::read(row)?;
        if row.sender != sender || row.key.as_deref() != Some(key) {
            return Err(damaged(format!("a key names message {}, which has another one", row.id.0)));
        }
        Ok(row)
    };
    let row = connection.prepare_cached(&sql)?.query_row(params![sender.0, key], read).optional()?;
    let position = Position::START;
    Ok(row.filter(|row| row.id > begin).map(|row| KeyedMessage {
        id: row.id,
        at: row.at,
        recipient: row.recipient,
        text: row.text,
        position,
    }))
}

/// The indexed rows of a page.
pub(super) struct PageRows {
    pub(super) rows: Vec<StoredRow>,
    /// There are more rows, which did not fit into the page's limit or size.
    pub(super) more: bool,
}

/// Returns the message of that number, if there is one.
pub(super) fn message(connection: &Connection, id: MessageId) -> rusqlite::Result<Option<StoredRow>> {
    connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM messages m WHERE m.id = ?1"))?
        .query_row([id.0.cast_signed()], StoredRow::read)
        .optional()
}

/// Returns the message of that number, which a list of the index has.
///
/// # Errors
/// If the message does not belong in that list: somebody would be shown a message of others.
pub(super) fn listed(
    connection: &Connection,
    list: List,
    id: MessageId,
) -> rusqlite::Result<Option<StoredRow>> {
    let row = message(connection, id)?;
    match &row {
        Some(row) if !list.has(row.sender, row.recipient) => {
            Err(damaged(format!("the index has message {} in a list where it does not belong", id.0)))
        }
        _ => Ok(row),
    }
}

/// Returns the oldest indexed messages of a user after `after`, merged by number from their sources; if they are not limited to the
/// inbox, those that the user has sent to others are one.
pub(super) fn feed(
    connection: &Connection,
    user: NameId,
    sources: &[Source],
    (after, indexed): (MessageId, MessageId),
    limit: usize,
    scope: Scope,
) -> rusqlite::Result<PageRows> {
    let received = sources.iter().map(|source| (List::to(source.to), source.after, source.upto));
    let mut lists: Vec<_> = received.collect();
    if scope == Scope::All {
        let partners = postings::partners(connection, user)?.into_iter().filter(|partner| *partner != user);
        lists.extend(partners.map(|partner| (List::between(user, partner), after, indexed)));
    }
    // Of a room, own messages are history only; of a conversation with a user, the others are in the inbox.
    let is_shown = |list: List, row: &StoredRow| match list.pair() {
        Some(_) => row.sender == user,
        None => row.recipient == user || row.sender != user || scope == Scope::All,
    };
    let (mut rows, mut bytes, mut after) = (Vec::new(), 0, after);
    loop {
        // Read the next numbers of every list. `seen` is the number up to which all lists were read.
        let (mut ids, mut seen) = (Vec::new(), indexed);
        for (list, begin, upto) in &lists {
            let mut left = limit + 1;
            postings::scan(connection, *list, after.max(*begin), |id| {
                if id > *upto {
                    return Ok(ControlFlow::Break(()));
                }
                ids.push((id, *list));
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
        for (id, list) in ids {
            let Some(row) = listed(connection, list, id)? else {
                // Retention removes no message that is in an inbox, so a missing one is damage there.
                if scope == Scope::Inbox {
                    return Err(damaged(format!("message {} is missing", id.0)));
                }
                continue;
            };
            if !is_shown(list, &row) {
                continue;
            }
            if rows.len() == limit || bytes > MAX_REPLY {
                return Ok(PageRows { rows, more: true });
            }
            bytes += row.text.len();
            rows.push(row);
        }
        if seen == indexed {
            return Ok(PageRows { rows, more: false });
        }
        after = seen;
    }
}

/// Returns the newest indexed messages of a conversation before `before`, newest first.
///
/// `stays` limit the messages of a room. `bytes` is the length of the texts that the page has already.
pub(super) fn history(
    connection: &Connection,
    list: List,
    stays: Option<&[Span]>,
    before: MessageId,
    limit: usize,
    mut bytes: usize,
) -> rusqlite::Result<PageRows> {
    let (mut rows, mut more) = (Vec::new(), false);
    postings::scan_back(connection, list, before, |id| {
        if stays.is_some_and(|stays| !stays.iter().any(|span| span.contains(id))) {
            // No message before the first stay can belong to the page.
            let over = stays.and_then(<[Span]>::first).is_none_or(|first| id < first.from);
            return Ok(if over { ControlFlow::Break(()) } else { ControlFlow::Continue(()) });
        }
        if rows.len() == limit || bytes > MAX_REPLY {
            more = true;
            return Ok(ControlFlow::Break(()));
        }
        // Retention may have removed it.
        if let Some(row) = listed(connection, list, id)? {
            bytes += row.text.len();
            rows.push(row);
        }
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(PageRows { rows, more })
}

/// Returns the indexed messages to the user, not to rooms, in a range of numbers: those after `from`, up to `upto`.
pub(super) fn passed(
    connection: &Connection,
    user: NameId,
    (from, upto): (MessageId, MessageId),
    wants_deliveries: bool,
) -> rusqlite::Result<Passed> {
    let mut passed = Passed::default();
    postings::scan(connection, List::to(user), from, |id| {
        if id > upto {
            return Ok(ControlFlow::Break(()));
        }
        passed.count += 1;
        if wants_deliveries && let Some(row) = listed(connection, List::to(user), id)? {
            passed.delivered.push((row.sender, id));
        }
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(passed)
}

/// When the user's cursor passed a message, according to the index.
pub(super) fn passed_at(
    connection: &Connection,
    user: NameId,
    id: MessageId,
) -> rusqlite::Result<Option<Timestamp>> {
    let sql = "SELECT at, crc = row_crc(user, upto, at) FROM passed WHERE user = ?1 AND upto >= ?2 ORDER BY upto LIMIT 1";
    let read = |row: &SqlRow<'_>| {
        row_crc::verify(row, 1, "passed")?;
        row.get(0).map(Timestamp)
    };
    connection.prepare_cached(sql)?.query_row(params![user.0, id.0.cast_signed()], read).optional()
}
