//! The SQL statements that write ops.

use std::sync::LazyLock;

use rusqlite::params;

use super::{checksum::checksum, error::damaged};
use crate::{
    model::{MessageId, NotedPassword, ReadMarker},
    store::{
        PersonRecord, SessionRecord, TrustRecord,
        front::ops::{CursorMove, MarkerMove, Op, PlacedMarker, Row, Stay},
    },
};

/// Most networks that are kept of a user.
const MAX_NETWORKS: i64 = 64;

/// Number of messages that one statement of [`FOLLOWING`] inserts.
const ROWS: usize = 32;

/// Appends messages to their table. Their numbers must grow, and be greater than those in the table.
///
/// The first message, and one after a gap, is inserted with its number. Those that follow without a gap are inserted
/// without: the number is the table's rowid, and SQLite assigns the greatest rowid plus 1, in the order of the rows. That
/// order is relied on, and verified after each statement by the last rowid.
///
/// This saves a fifth of the cost of an insert: SQLite need not search for each number, and need not prepare to undo a part
/// of a statement.
pub(super) fn insert_messages(
    transaction: &rusqlite::Transaction<'_>,
    mut rows: &[&Row],
) -> rusqlite::Result<()> {
    while let [first, rest @ ..] = rows {
        let mut insert = transaction.prepare_cached("INSERT INTO messages VALUES (?, ?, ?, ?, ?, ?, ?)")?;
        insert.raw_bind_parameter(1, first.id.0.cast_signed())?;
        bind(&mut insert, 1, first)?;
        insert.raw_execute()?;
        rows = insert_following(transaction, first.id, rest)?;
    }
    Ok(())
}

/// Inserts rows after the row `last`, [`ROWS`] at a time, as long as that many follow without a gap. Returns the others.
fn insert_following<'a, 'b>(
    transaction: &rusqlite::Transaction<'_>,
    mut last: MessageId,
    mut rows: &'a [&'b Row],
) -> rusqlite::Result<&'a [&'b Row]> {
    let follow = |rows: &'a [&'b Row], last: MessageId| {
        rows.split_at_checked(ROWS).filter(|(chunk, _)| chunk[ROWS - 1].id.0 == last.0 + ROWS as u64)
    };
    if follow(rows, last).is_none() {
        return Ok(rows);
    }
    let mut insert = transaction.prepare_cached(&FOLLOWING)?;
    while let Some((chunk, rest)) = follow(rows, last) {
        for (number, row) in chunk.iter().enumerate() {
            bind(&mut insert, number * COLUMNS, row)?;
        }
        insert.raw_execute()?;
        last = chunk[ROWS - 1].id;
        if transaction.last_insert_rowid() != last.0.cast_signed() {
            return Err(damaged(format!("message {} did not get the number after the last one", last.0)));
        }
        rows = rest;
    }
    Ok(rows)
}

/// Number of columns of a row that are bound, without its number.
const COLUMNS: usize = 6;

/// An insert of [`ROWS`] rows. With `OR ROLLBACK` a conflict undoes the whole transaction, so SQLite keeps no journal for
/// the statement.
static FOLLOWING: LazyLock<String> = LazyLock::new(|| {
    let rows = ["(?, ?, ?, ?, ?, ?)"].repeat(ROWS).join(", ");
    format!("INSERT OR ROLLBACK INTO messages (at, sender, recipient, text, key, crc) VALUES {rows}")
});

/// Binds a row, without its number, to the parameters after number `after`.
fn bind(insert: &mut rusqlite::Statement<'_>, after: usize, row: &Row) -> rusqlite::Result<()> {
    let Row { id, at, sender, recipient, text, .. } = row;
    let key = row.key.as_deref();
    insert.raw_bind_parameter(after + 1, at.0)?;
    insert.raw_bind_parameter(after + 2, sender.0)?;
    insert.raw_bind_parameter(after + 3, recipient.0)?;
    insert.raw_bind_parameter(after + 4, &**text)?;
    insert.raw_bind_parameter(after + 5, key)?;
    insert.raw_bind_parameter(after + 6, checksum(*id, *at, *sender, *recipient, text, key))
}

/// Writes an op that is not a message. `seq` is the number of the last row of `cursors`, and is increased with it.
pub(super) fn write_small(
    transaction: &rusqlite::Transaction<'_>,
    op: &Op,
    seq: &mut i64,
) -> rusqlite::Result<()> {
    match op {
        Op::Cursor(CursorMove { user, after, at, .. }) => {
            *seq += 1;
            let row = params![*seq, user.0, after.upto.0.cast_signed(), after.taken.cast_signed(), at.0];
            transaction
                .prepare_cached(
                    "INSERT INTO cursors VALUES (?1, ?2, ?3, ?4, ?5, row_crc(?1, ?2, ?3, ?4, ?5))",
                )?
                .execute(row)?;
        }
        Op::Join(Stay { room, user, from }) => {
            // A stay that ended where it began has the same key. No message can belong to it.
            let sql = "INSERT OR REPLACE INTO stays VALUES (?1, ?2, ?3, NULL, row_crc(?1, ?2, ?3, NULL))";
            transaction.prepare_cached(sql)?.execute(params![room.0, user.0, from.0.cast_signed()])?;
        }
        Op::Leave(Stay { room, user, from }, until) => {
            let sql = "UPDATE stays SET until = ?4, crc = row_crc(room, user, began, ?4) WHERE room = ?1 AND user = ?2 AND began = ?3";
            transaction.prepare_cached(sql)?.execute(params![
                room.0,
                user.0,
                from.0.cast_signed(),
                until.0.cast_signed()
            ])?;
        }
        Op::OpenSession(user, session) => {
            let SessionRecord { digest, created, used, number, device, .. } = session;
            let row = params![digest.0, user.0, created.0, used.0, number, device];
            transaction
                .prepare_cached("INSERT OR REPLACE INTO sessions VALUES (?1, ?2, ?3, ?4, ?5, ?6, row_crc(?1, ?2, ?3, ?4, ?5, ?6))")?
                .execute(row)?;
        }
        Op::TouchSession(digest, used) => {
            let sql = "UPDATE sessions SET used = ?2, crc = row_crc(digest, user, created, ?2, number, device) WHERE digest = ?1";
            transaction.prepare_cached(sql)?.execute(params![digest.0, used.0])?;
        }
        Op::LabelSession(digest, device) => {
            let sql = "UPDATE sessions SET device = ?2, crc = row_crc(digest, user, created, used, number, ?2) WHERE digest = ?1";
            transaction.prepare_cached(sql)?.execute(params![digest.0, device])?;
        }
        Op::EndSession(digest) => {
            transaction
                .prepare_cached("DELETE FROM sessions WHERE digest = ?1")?
                .execute(params![digest.0])?;
        }
        Op::Trust(user, TrustRecord { network, at, .. }) => {
            let sql = "INSERT OR REPLACE INTO trusted VALUES (?1, ?2, ?3, row_crc(?1, ?2, ?3))";
            transaction.prepare_cached(sql)?.execute(params![user.0, network.to_be_bytes(), at.0])?;
            let sql = "DELETE FROM trusted WHERE user = ?1 AND network NOT IN \
                       (SELECT network FROM trusted WHERE user = ?1 ORDER BY at DESC LIMIT ?2)";
            transaction.prepare_cached(sql)?.execute(params![user.0, MAX_NETWORKS])?;
        }
        Op::Read(MarkerMove { user, with, after: PlacedMarker { marker, .. }, .. }) => {
            let ReadMarker { at, upto, moved } = marker;
            let sql =
                "INSERT OR REPLACE INTO markers VALUES (?1, ?2, ?3, ?4, ?5, row_crc(?1, ?2, ?3, ?4, ?5))";
            let row = params![user.0, with.0, at.0, upto.0.cast_signed(), moved.0];
            transaction.prepare_cached(sql)?.execute(row)?;
        }
        Op::Person(set) => {
            if set.is_another() {
                transaction.prepare_cached("DELETE FROM trusted WHERE user = ?1")?.execute([set.user.0])?;
                transaction.prepare_cached("DELETE FROM markers WHERE user = ?1")?.execute([set.user.0])?;
            }
            let PersonRecord { decided, after, absence, password, .. } = &set.person;
            let sql = "INSERT OR REPLACE INTO people VALUES (?1, ?2, ?3, ?4, ?5, ?6, row_crc(?1, ?2, ?3, ?4, ?5, ?6))";
            transaction.prepare_cached(sql)?.execute(params![
                set.user.0,
                decided.0,
                after.0.cast_signed(),
                absence.map(|absence| absence.since.0),
                absence.is_some_and(|absence| absence.is_removal),
                password.map(|NotedPassword { now, next }| [
                    now.0.as_slice(),
                    next.as_ref().map_or(&[], |next| &next.0)
                ]
                .concat()),
            ])?;
        }
        Op::Message(_) => {}
    }
    Ok(())
}
