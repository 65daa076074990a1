//! What the store still has of a user name; for `chat-server user add`, which may give the name to another person.
//!
//! A server may be running meanwhile.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension, Params};

use super::{OpenError, schema};
use crate::model::{Timestamp, UserName};

/// What a store has of a user name.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct NameUsage {
    /// Number of messages from and to it.
    pub messages: u64,
    /// Number of rooms that it is or was in.
    pub rooms: u64,
    /// Number of sessions that have not ended.
    pub sessions: u64,
    /// Time of the operator's last decision about who has the name; the epoch if there was none.
    pub decided: Timestamp,
    /// Whether there is anything of the name, even if all of it has been removed meanwhile.
    pub is_known: bool,
}

/// Returns what the database at `path` has of the last owner of a user name; `None` if there is no database.
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
        return Ok(Some(NameUsage::default()));
    };
    let noted = "SELECT decided, after FROM people WHERE user = ?1";
    let noted = transaction.query_row(noted, [id], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    let (decided, after): (i64, i64) = noted.unwrap_or_default();
    let usage = NameUsage {
        // A scan of the whole table: no index has the messages that a user has sent to rooms, and names are seldom given to
        // another person.
        messages: count(
            &transaction,
            "messages WHERE (sender = ?1 OR recipient = ?1) AND id > ?2",
            [id, after],
        )?,
        rooms: count(
            &transaction,
            "(SELECT DISTINCT room FROM stays WHERE user = ?1 AND coalesce(until, began + 2) > ?2 + 1)",
            [id, after],
        )?,
        sessions: count(&transaction, "sessions WHERE user = ?1", [id])?,
        decided: Timestamp(decided),
        is_known: true,
    };
    Ok(Some(usage))
}

fn count(connection: &Connection, what: &str, parameters: impl Params) -> rusqlite::Result<u64> {
    let sql = format!("SELECT count(*) FROM {what}");
    connection.query_row(&sql, parameters, |row| row.get::<_, i64>(0)).map(i64::cast_unsigned)
}
