//! Blocks: the part of the index that is sorted by list, whatever its size.
//!
//! A block is one row: its first number, and the distances from each number to the next. What a merge of millions of
//! messages adds to a list is then a few inserts. What is beyond `state.merged` is of a merge that is not whole, and as good
//! as not there.

use std::ops::ControlFlow;

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::{list::List, varint};
use crate::store::MessageId;

/// At most so many numbers are in a block: it fits into the quarter of a page that SQLite keeps beside the key.
const MAX_BLOCK: usize = 256;

/// Puts numbers at the end of a list. They are sorted, and greater than those in it, but for the first ones of them that
/// were put in before.
pub(super) fn append(transaction: &Transaction<'_>, list: List, ids: &[MessageId]) -> rusqlite::Result<()> {
    let mut insert = transaction.prepare_cached("INSERT OR REPLACE INTO blocks VALUES (?1, ?2, ?3, ?4)")?;
    for block in ids.chunks(MAX_BLOCK) {
        insert.execute(params![list.one, list.other, block[0].0.cast_signed(), encode(block)])?;
    }
    Ok(())
}

/// Visits the numbers of a list after one, in order, until told to stop.
pub(super) fn scan(
    connection: &Connection,
    list: List,
    after: MessageId,
    mut visit: impl FnMut(MessageId) -> rusqlite::Result<ControlFlow<()>>,
) -> rusqlite::Result<ControlFlow<()>> {
    let mut blocks = connection.prepare_cached(
        "SELECT first, rest FROM blocks WHERE one = ?1 AND other = ?2 AND first >= coalesce(\
         (SELECT max(first) FROM blocks WHERE one = ?1 AND other = ?2 AND first <= ?3), 0) ORDER BY first",
    )?;
    let mut rows = blocks.query(params![list.one, list.other, after.0.cast_signed()])?;
    while let Some(row) = rows.next()? {
        for id in decode(row.get(0)?, row.get_ref(1)?.as_blob()?)? {
            if id > after && visit(id)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
    }
    Ok(ControlFlow::Continue(()))
}

/// Visits the numbers of a list before one, the greatest first, until told to stop.
pub(super) fn scan_back(
    connection: &Connection,
    list: List,
    before: MessageId,
    mut visit: impl FnMut(MessageId) -> rusqlite::Result<ControlFlow<()>>,
) -> rusqlite::Result<()> {
    let mut blocks = connection.prepare_cached(
        "SELECT first, rest FROM blocks WHERE one = ?1 AND other = ?2 AND first < ?3 ORDER BY first DESC",
    )?;
    let mut rows = blocks.query(params![list.one, list.other, before.0.cast_signed()])?;
    while let Some(row) = rows.next()? {
        for id in decode(row.get(0)?, row.get_ref(1)?.as_blob()?)?.into_iter().rev() {
            if id < before && visit(id)?.is_break() {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// Takes numbers out of a list. They are sorted.
pub(super) fn remove(transaction: &Transaction<'_>, list: List, ids: &[MessageId]) -> rusqlite::Result<()> {
    let mut find = transaction.prepare_cached(
        "SELECT first, rest FROM blocks WHERE one = ?1 AND other = ?2 AND first <= ?3 ORDER BY first DESC LIMIT 1",
    )?;
    let mut delete =
        transaction.prepare_cached("DELETE FROM blocks WHERE one = ?1 AND other = ?2 AND first = ?3")?;
    let mut ids = ids;
    // From the end: the block that holds the last number also holds all of them that are not before its first.
    while let Some(last) = ids.last() {
        let found = find
            .query_row(params![list.one, list.other, last.0.cast_signed()], |row| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?))
            })
            .optional()?;
        let Some((first, rest)) = found else {
            return Ok(());
        };
        let here = ids.partition_point(|id| id.0.cast_signed() < first);
        let mut kept = decode(first, &rest)?;
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

/// The numbers of a block.
pub(super) fn decode(first: i64, rest: &[u8]) -> rusqlite::Result<Vec<MessageId>> {
    let first = first.cast_unsigned();
    let mut ids = Vec::with_capacity(MAX_BLOCK);
    ids.push(MessageId(first));
    varint::growing(first, rest, &mut ids, MessageId)?;
    Ok(ids)
}
