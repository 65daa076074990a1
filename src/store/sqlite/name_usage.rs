//! What the store still has of a user name; for `chat-server user add`, which may give the name to another person.
//!
//! A server may be running meanwhile.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension};

use super::{OpenError, schema};
use crate::model::{MessageId, UserName};

/// What a store has of a user name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NameUsage {
    /// Number of messages from and to it.
    pub messages: u64,
    /// Number of rooms that it is or was in.
    pub rooms: u64,
    /// Number of sessions that have not ended.
    pub sessions: u64,
    /// The greatest message number that the store has ever assigned; all later messages have greater ones.
    pub last: MessageId,
}

/// Returns what the database at `path` has of a user name; `None` if it has nothing, or if there is no database.
///
/// # Errors
/// If there is a database that this program cannot read.
pub fn name_usage(path: &Path, user: &UserName) -> Result<Option<NameUsage>, OpenError> {
    let mut connection = match schema::open_to_inspect(path) {
        Err(OpenError::Missing { .. }) => return Ok(None),
        opened => opened?,
    };
    if schema::version(&connection)? < schema::VERSION {
        return Err(OpenError::Older);
    }
    // One transaction: all counts are of the same moment.
    let transaction = connection.transaction()?;
    let find = "SELECT id FROM names WHERE name = ?1";
    let found: Option<i64> = transaction.query_row(find, [&**user], |row| row.get(0)).optional()?;
    let Some(id) = found else {
        return Ok(None);
    };
    let usage = NameUsage {
        // A scan of the whole table: no index has the messages that a user has sent to rooms, and names are seldom given to
        // another person.
        messages: count(&transaction, "messages WHERE sender = ?1 OR recipient = ?1", id)?,
        rooms: count(&transaction, "(SELECT DISTINCT room FROM stays WHERE user = ?1)", id)?,
        sessions: count(&transaction, "sessions WHERE user = ?1", id)?,
        last: MessageId(last(&transaction)?),
    };
    // A cursor above 0 has passed messages, even if retention has removed them.
    let cursors = count(
        &transaction,
        "(SELECT user, upto FROM cursors UNION ALL SELECT user, upto FROM inboxes) WHERE user = ?1 AND upto > 0",
        id,
    )?;
    let has_some = usage.messages + usage.rooms + usage.sessions + cursors > 0;
    Ok(has_some.then_some(usage))
}

fn count(connection: &Connection, what: &str, id: i64) -> rusqlite::Result<u64> {
    let sql = format!("SELECT count(*) FROM {what}");
    connection.query_row(&sql, [id], |row| row.get::<_, i64>(0)).map(i64::cast_unsigned)
}

/// The greatest number ever assigned, even if retention has removed that message.
fn last(connection: &Connection) -> rusqlite::Result<u64> {
    let sql = "SELECT max(indexed, (SELECT coalesce(max(id), 0) FROM messages)) FROM state";
    connection.query_row(sql, [], |row| row.get::<_, i64>(0)).map(i64::cast_unsigned)
}
