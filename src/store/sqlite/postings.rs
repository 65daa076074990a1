//! Posting lists: the numbers of the messages of each inbox, room and conversation, in blocks.
//!
//! A block is one row: its first number, and the distances from each number to the next as LEB128. What a batch of
//! thousands of messages adds to a list is then one insert, not one for each message.

use std::ops::ControlFlow;

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::{ops::NameId, reader::damaged};
use crate::store::MessageId;

/// At most so many numbers are in a block: it fits into the quarter of a page that SQLite keeps beside the key.
const MAX_BLOCK: usize = 256;

/// Which list: the key of its blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct List {
    one: i64,
    other: i64,
}

impl List {
    /// What was sent to a user or a room.
    pub(super) fn to(recipient: NameId) -> Self {
        List { one: i64::from(recipient.0), other: -1 }
    }

    /// What two users sent to each other.
    pub(super) fn between(a: NameId, b: NameId) -> Self {
        List { one: i64::from(a.min(b).0), other: i64::from(a.max(b).0) }
    }

    /// The list that a row of `blocks` belongs to.
    pub(super) fn of_row(one: i64, other: i64) -> Self {
        List { one, other }
    }

    /// The users of a conversation; `None` if it is what was sent to one.
    pub(super) fn pair(self) -> Option<(i64, i64)> {
        (self.other >= 0).then_some((self.one, self.other))
    }

    /// To whom its messages were sent; `None` if it is a conversation.
    pub(super) fn recipient(self) -> Option<NameId> {
        let is_inbox = self.other < 0;
        is_inbox.then(|| NameId(u32::try_from(self.one).unwrap_or(u32::MAX)))
    }
}

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
) -> rusqlite::Result<()> {
    let mut blocks = connection.prepare_cached(
        "SELECT first, rest FROM blocks WHERE one = ?1 AND other = ?2 AND first >= coalesce(\
         (SELECT max(first) FROM blocks WHERE one = ?1 AND other = ?2 AND first <= ?3), 0) ORDER BY first",
    )?;
    let mut rows = blocks.query(params![list.one, list.other, after.0.cast_signed()])?;
    while let Some(row) = rows.next()? {
        for id in decode(row.get(0)?, row.get_ref(1)?.as_blob()?)? {
            if id > after && visit(id)?.is_break() {
                return Ok(());
            }
        }
    }
    Ok(())
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
    for pair in ids.windows(2) {
        let mut distance = pair[1].0 - pair[0].0;
        while distance >= 0x80 {
            rest.push((distance & 0x7f) as u8 | 0x80);
            distance >>= 7;
        }
        rest.push((distance & 0x7f) as u8);
    }
    rest
}

/// The numbers of a block.
pub(super) fn decode(first: i64, rest: &[u8]) -> rusqlite::Result<Vec<MessageId>> {
    let broken = || damaged(format!("the index has a block after message {first} that cannot be read"));
    let mut last = first.cast_unsigned();
    let mut ids = vec![MessageId(last)];
    let (mut distance, mut shift) = (0_u64, 0);
    for byte in rest {
        if shift > 56 {
            return Err(broken());
        }
        distance |= u64::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            last = last.checked_add(distance).filter(|_| distance > 0).ok_or_else(broken)?;
            ids.push(MessageId(last));
            (distance, shift) = (0, 0);
        }
    }
    if shift > 0 { Err(broken()) } else { Ok(ids) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_read_as_it_was_written() {
        for ids in [vec![7], vec![1, 2, 3], vec![5, 132, 133, 20_000, 1 << 40, (1 << 62) + 3]] {
            let ids: Vec<_> = ids.into_iter().map(MessageId).collect();
            assert_eq!(decode(ids[0].0.cast_signed(), &encode(&ids)).expect("whole"), ids);
        }
    }

    #[test]
    fn a_block_that_cannot_be_is_told() {
        for rest in [&[0x80][..], &[0], &[0xff; 12], &[1, 0]] {
            decode(1, rest).expect_err("broken");
        }
    }
}
