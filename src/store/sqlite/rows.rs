//! What is written of each op.

use rusqlite::params;

use super::{
    checksum::checksum,
    ops::{CursorMove, Op, Row, Stay},
};
use crate::store::SessionRecord;

/// So many messages are inserted by one statement: it finds the table's end once for all of them.
const ROWS: usize = 32;

/// Puts messages at the end of their table.
pub(super) fn insert_messages(
    transaction: &rusqlite::Transaction<'_>,
    rows: &[&Row],
) -> rusqlite::Result<()> {
    let mut chunks = rows.chunks_exact(ROWS);
    if rows.len() >= ROWS {
        let mut insert = transaction.prepare_cached(&insert_statement(ROWS))?;
        for chunk in &mut chunks {
            insert_chunk(&mut insert, chunk)?;
        }
    }
    if !chunks.remainder().is_empty() {
        let mut insert = transaction.prepare_cached(&insert_statement(1))?;
        for row in chunks.remainder().chunks(1) {
            insert_chunk(&mut insert, row)?;
        }
    }
    Ok(())
}

fn insert_statement(rows: usize) -> String {
    format!("INSERT INTO messages VALUES {}", ["(?, ?, ?, ?, ?, ?, ?)"].repeat(rows).join(", "))
}

fn insert_chunk(insert: &mut rusqlite::Statement<'_>, rows: &[&Row]) -> rusqlite::Result<()> {
    let mut parameter = 0;
    let mut next = || {
        parameter += 1;
        parameter
    };
    for row in rows {
        let Row { id, at, sender, recipient, text, .. } = *row;
        let key = row.key.as_deref();
        let crc = checksum(*id, *at, *sender, *recipient, text, key);
        insert.raw_bind_parameter(next(), id.0.cast_signed())?;
        insert.raw_bind_parameter(next(), at.0)?;
        insert.raw_bind_parameter(next(), sender.0)?;
        insert.raw_bind_parameter(next(), recipient.0)?;
        insert.raw_bind_parameter(next(), &**text)?;
        insert.raw_bind_parameter(next(), key)?;
        insert.raw_bind_parameter(next(), crc)?;
    }
    insert.raw_execute()?;
    Ok(())
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
