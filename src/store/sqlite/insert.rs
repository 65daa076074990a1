//! What is written of each op.

use std::sync::LazyLock;

use rusqlite::params;

use super::{
    checksum::checksum,
    error::damaged,
    ops::{CursorMove, Op, Row, Stay},
};
use crate::store::{MessageId, SessionRecord};

/// So many messages are inserted by one statement.
const ROWS: usize = 32;

/// Puts messages at the end of their table. Their numbers grow, and are greater than those in it.
///
/// The first, and one after a gap, is told its number. Those that follow it without a gap get theirs from SQLite, which gives
/// the next one. So it need not look for their numbers, nor be able to take back a part of a statement, and that is a fifth of
/// what an insert costs.
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

/// Puts rows after the one that was put in last, as long as there are enough without a gap. Returns the others.
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
            return Err(damaged(format!("message {} was not put after the last one", last.0)));
        }
        rows = rest;
    }
    Ok(rows)
}

/// What is bound of a row, its number left out.
const COLUMNS: usize = 6;

/// An insert of as many rows. Whatever fails rolls the transaction back.
static FOLLOWING: LazyLock<String> = LazyLock::new(|| {
    let rows = ["(?, ?, ?, ?, ?, ?)"].repeat(ROWS).join(", ");
    format!("INSERT OR ROLLBACK INTO messages (at, sender, recipient, text, key, crc) VALUES {rows}")
});

/// Binds all but a row's number to the parameters after one.
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

/// Writes what is not a message. `seq` is the number of the last cursor.
pub(super) fn write_small(
    transaction: &rusqlite::Transaction<'_>,
    op: &Op,
    seq: &mut i64,
) -> rusqlite::Result<()> {
    match op {
        Op::Cursor(CursorMove { user, after, at, .. }) => {
            *seq += 1;
            let row = params![*seq, user.0, after.upto.0.cast_signed(), after.taken.cast_signed(), at.0];
            transaction.prepare_cached("INSERT INTO cursors VALUES (?1, ?2, ?3, ?4, ?5)")?.execute(row)?;
        }
        Op::Join(Stay { room, user, from }) => {
            transaction.prepare_cached("INSERT INTO stays VALUES (?1, ?2, ?3, NULL)")?.execute(params![
                room.0,
                user.0,
                from.0.cast_signed()
            ])?;
        }
        Op::Leave(Stay { room, user, from }, until) => {
            // A stay that no message can fall into need not be kept.
            let sql = if from == until {
                "DELETE FROM stays WHERE room = ?1 AND user = ?2 AND began = ?3 AND ?4 NOT NULL"
            } else {
                "UPDATE stays SET until = ?4 WHERE room = ?1 AND user = ?2 AND began = ?3"
            };
            transaction.prepare_cached(sql)?.execute(params![
                room.0,
                user.0,
                from.0.cast_signed(),
                until.0.cast_signed()
            ])?;
        }
        Op::OpenSession(user, session) => {
            let SessionRecord { digest, created, used, number, .. } = session;
            let row = params![digest.0, user.0, created.0, used.0, number];
            transaction
                .prepare_cached("INSERT OR REPLACE INTO sessions VALUES (?1, ?2, ?3, ?4, ?5)")?
                .execute(row)?;
        }
        Op::TouchSession(digest, used) => {
            let sql = "UPDATE sessions SET used = ?2 WHERE digest = ?1";
            transaction.prepare_cached(sql)?.execute(params![digest.0, used.0])?;
        }
        Op::EndSession(digest) => {
            transaction
                .prepare_cached("DELETE FROM sessions WHERE digest = ?1")?
                .execute(params![digest.0])?;
        }
        Op::Message(_) | Op::Keyed(..) | Op::Nothing => {}
    }
    Ok(())
}
