//! Blocks: the merged part of the posting lists, one table sorted by list. (The largest level of the LSM tree.)
//!
//! A block is one row: its first number, and the distance from each number to the next. A merge of millions of messages
//! therefore adds only a few rows to each list. Numbers above `state.merged` belong to an unfinished merge; readers ignore
//! them.

use std::ops::ControlFlow;

use rusqlite::{Connection, OptionalExtension, Row as SqlRow, Transaction, params};

use super::{list::List, row_crc, varint};
use crate::model::MessageId;

/// Most numbers in a block. It then fits into the quarter of a page that SQLite stores together with the key.
const MAX_BLOCK: usize = 256;

/// Appends numbers to a list. They must be sorted and greater than those in the list.
///
/// After a crash during a merge, the first of them may be in the list already: the same blocks are then replaced.
pub(super) fn append(transaction: &Transaction<'_>, list: List, ids: &[MessageId]) -> rusqlite::Result<()> {
    let mut insert = transaction
        .prepare_cached("INSERT OR REPLACE INTO blocks VALUES (?1, ?2, ?3, ?4, row_crc(?1, ?2, ?3, ?4))")?;
    for block in ids.chunks(MAX_BLOCK) {
        insert.execute(params![list.one, list.other, block[0].0.cast_signed(), encode(block)])?;
    }
    Ok(())
}

/// Visits the numbers of a list that are greater than `after`, ascending, until `visit` breaks.
pub(super) fn scan(
    connection: &Connection,
    list: List,
    after: MessageId,
    mut visit: impl FnMut(MessageId) -> rusqlite::Result<ControlFlow<()>>,
) -> rusqlite::Result<ControlFlow<()>> {
    let mut blocks = connection.prepare_cached(
        "SELECT first, rest, crc = row_crc(one, other, first, rest) FROM blocks WHERE one = ?1 AND other = ?2 AND first >= coalesce(\
         (SELECT max(first) FROM blocks WHERE one = ?1 AND other = ?2 AND first <= ?3), 0) ORDER BY first",
    )?;
    let mut rows = blocks.query(params![list.one, list.other, after.0.cast_signed()])?;
    while let Some(row) = rows.next()? {
        for id in read(row)? {
            if id > after && visit(id)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
    }
    Ok(ControlFlow::Continue(()))
}

/// Visits the numbers of a list that are less than `before`, descending, until `visit` breaks.
pub(super) fn scan_back(
    connection: &Connection,
    list: List,
    before: MessageId,
    mut visit: impl FnMut(MessageId) -> rusqlite::Result<ControlFlow<()>>,
) -> rusqlite::Result<()> {
    let mut blocks = connection.prepare_cached(
        "SELECT first, rest, crc = row_crc(one, other, first, rest) FROM blocks WHERE one = ?1 AND other = ?2 AND first < ?3 ORDER BY first DESC",
    )?;
    let mut rows = blocks.query(params![list.one, list.other, before.0.cast_signed()])?;
    while let Some(row) = rows.next()? {
        for id in read(row)?.into_iter().rev() {
            if id < before && visit(id)?.is_break() {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// Removes numbers from a list. They must be sorted.
pub(super) fn remove(transaction: &Transaction<'_>, list: List, ids: &[MessageId]) -> rusqlite::Result<()> {
    let mut find = transaction.prepare_cached(
        "SELECT first, rest, crc = row_crc(one, other, first, rest) FROM blocks WHERE one = ?1 AND other = ?2 AND first <= ?3 ORDER BY first DESC LIMIT 1",
    )?;
    let mut delete =
        transaction.prepare_cached("DELETE FROM blocks WHERE one = ?1 AND other = ?2 AND first = ?3")?;
    let mut ids = ids;
    // Backwards: the block that contains the last number contains all numbers from its own first number on.
    while let Some(last) = ids.last() {
        let found = find
            .query_row(params![list.one, list.other, last.0.cast_signed()], |row| {
                Ok((row.get::<_, i64>(0)?, read(row)?))
            })
            .optional()?;
        let Some((first, mut kept)) = found else {
            return Ok(());
        };
        let here = ids.partition_point(|id| id.0.cast_signed() < first);
        kept.retain(|id| ids[here..].binary_search(id).is_err());
        delete.execute(params![list.one, list.other, first])?;
        if !kept.is_empty() {
            append(transaction, list, &kept)?;
        }
        ids = &ids[..here];
    }
    Ok(())
}

fn encode(ids: &[MessageId]) -> Vec<u8> {
    let mut rest = Vec::with_capacity(2 * ids.len());
    varint::put_growing(&mut rest, ids[0].0, ids[1..].iter().map(|id| id.0));
    rest
}

/// Reads the numbers of a block from a row of its first number, the rest, and whether it matches its checksum.
fn read(row: &SqlRow<'_>) -> rusqlite::Result<Vec<MessageId>> {
    row_crc::verify(row, 2, "blocks")?;
    decode(row.get(0)?, row.get_ref(1)?.as_blob()?)
}

/// Returns the numbers of a block.
///
/// # Errors
/// If the distances are not what [`append`] writes.
pub(super) fn decode(first: i64, rest: &[u8]) -> rusqlite::Result<Vec<MessageId>> {
    let first = first.cast_unsigned();
    let mut ids = Vec::with_capacity(MAX_BLOCK);
    ids.push(MessageId(first));
    varint::growing(first, rest, &mut ids, MessageId)?;
    Ok(ids)
}
