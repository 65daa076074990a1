//! `row_crc`, an SQL function: the checksum of a row of the small tables and of the index, so that a flipped bit is reported
//! and not believed.
//!
//! Each of these tables ends with a column `crc`, which is `row_crc` of the other columns in their order. Whoever reads a row
//! also selects `crc = row_crc(…)` and passes it to [`verify`].

use rusqlite::{
    Connection, Row as SqlRow,
    functions::{Context, FunctionFlags},
    types::ValueRef,
};

use super::error::damaged;

/// The tables with checksums that this function makes, and their other columns.
pub(super) const TABLES: [(&str, &str); 15] = [
    ("state", "indexed, folded, merged"),
    ("names", "id, name"),
    ("cursors", "seq, user, upto, taken, at"),
    ("passed", "user, upto, at"),
    ("inboxes", "user, upto, taken, received, last"),
    ("keys", "sender, key, id"),
    ("blocks", "one, other, first, rest"),
    ("runs", "upto, size"),
    ("run_parts", "run, one, other, lists"),
    ("partners", "user, other"),
    ("stays", "room, user, began, until"),
    ("sessions", "digest, user, created, used, number, device"),
    ("people", "user, decided, after, absent, removed, password"),
    ("trusted", "user, network, at"),
    ("markers", "user, other, at, upto, moved"),
];

/// Makes the function known to a connection.
pub(super) fn register(connection: &Connection) -> rusqlite::Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    connection.create_scalar_function("row_crc", -1, flags, |values| Ok(row_crc(values)))
}

/// CRC-32 of values. Each one counts with its type and its length, so that no two rows have the same bytes.
fn row_crc(values: &Context<'_>) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    for index in 0..values.len() {
        let mut put = |kind: u8, bytes: &[u8]| {
            crc.update(&[kind]);
            crc.update(&(bytes.len() as u64).to_le_bytes());
            crc.update(bytes);
        };
        match values.get_raw(index) {
            ValueRef::Null => put(0, &[]),
            ValueRef::Integer(value) => put(1, &value.to_le_bytes()),
            ValueRef::Real(value) => put(2, &value.to_le_bytes()),
            ValueRef::Text(text) => put(3, text),
            ValueRef::Blob(blob) => put(4, blob),
        }
    }
    crc.finalize()
}

/// Verifies that a row matches its checksum: `column` has the comparison of the two.
///
/// # Errors
/// An error that names the table if they differ.
pub(super) fn verify(row: &SqlRow<'_>, column: usize, table: &str) -> rusqlite::Result<()> {
    if row.get::<_, bool>(column)? {
        return Ok(());
    }
    Err(damaged(format!("a row of {table} does not match its checksum")))
}
