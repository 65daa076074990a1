//! Runs: what a batch of thousands of messages adds to the index, sorted by list, in one piece.
//!
//! A run is a few hundred rows of about a kilobyte that follow one another, so that it is written to few pages, whatever the
//! number of lists. A row has lists in their order: for each how far it is from the one before, the bytes that its numbers
//! take, and the numbers: the first, and the distance from each to the next.

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::{
    error::damaged,
    list::{List, PARTNERS},
    varint,
};
use crate::store::MessageId;

/// A row is full when it has so many bytes: SQLite keeps a quarter of a page beside the key.
const FULL: usize = 1000;

/// A run that is being made, or is to be written.
#[derive(Default)]
pub(super) struct Run {
    parts: Vec<Part>,
    size: u64,
    /// The last list's numbers, before their length is known.
    numbers: Vec<u8>,
}

struct Part {
    first: List,
    last: List,
    bytes: Vec<u8>,
}

impl Run {
    /// Puts a list after those that it has. The numbers grow.
    pub(super) fn push(&mut self, list: List, numbers: impl IntoIterator<Item = u64>) {
        self.numbers.clear();
        varint::put_growing(&mut self.numbers, 0, numbers);
        if self.parts.last().is_none_or(|part| part.bytes.len() >= FULL) {
            self.parts.push(Part { first: list, last: list, bytes: Vec::with_capacity(FULL + FULL / 4) });
        }
        let Some(Part { last, bytes, .. }) = self.parts.last_mut() else {
            return;
        };
        varint::put(bytes, list.one.abs_diff(last.one));
        let other = if list.one == last.one {
            list.other.abs_diff(last.other)
        } else {
            list.other.abs_diff(PARTNERS)
        };
        varint::put(bytes, other);
        varint::put(bytes, self.numbers.len() as u64);
        bytes.extend_from_slice(&self.numbers);
        *last = list;
        self.size += cost(&self.numbers);
    }

    /// Puts it into the file; `upto` is its number, that of its last message.
    pub(super) fn write(&self, transaction: &Transaction<'_>, upto: MessageId) -> rusqlite::Result<()> {
        let upto = upto.0.cast_signed();
        let mut insert = transaction.prepare_cached("INSERT INTO run_parts VALUES (?1, ?2, ?3, ?4)")?;
        for part in &self.parts {
            insert.execute(params![upto, part.first.one, part.first.other, part.bytes])?;
        }
        transaction
            .prepare_cached("INSERT INTO runs VALUES (?1, ?2)")?
            .execute(params![upto, self.size.cast_signed()])?;
        Ok(())
    }
}

/// What it takes to merge a list with these numbers, in units of a row.
pub(super) fn cost(numbers: &[u8]) -> u64 {
    1 + numbers.len() as u64 / 16
}

/// The lists of a row of a run.
pub(super) struct Lists<'a> {
    last: List,
    bytes: &'a [u8],
}

impl<'a> Lists<'a> {
    /// Of a row of which this is the key.
    pub(super) fn new(first: List, bytes: &'a [u8]) -> Self {
        Lists { last: first, bytes }
    }

    /// What is left of the row's bytes.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.bytes
    }

    fn take(&mut self) -> Option<(List, &'a [u8])> {
        let (one, other) = (varint::take(&mut self.bytes)?, varint::take(&mut self.bytes)?);
        let base = if one == 0 { self.last.other } else { PARTNERS };
        let list =
            List { one: self.last.one.checked_add_unsigned(one)?, other: base.checked_add_unsigned(other)? };
        let len = usize::try_from(varint::take(&mut self.bytes)?).ok()?;
        let (numbers, rest) = self.bytes.split_at_checked(len)?;
        (self.last, self.bytes) = (list, rest);
        Some((list, numbers))
    }
}

impl<'a> Iterator for Lists<'a> {
    /// A list, and its numbers as they are in the file.
    type Item = rusqlite::Result<(List, &'a [u8])>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.bytes.is_empty() {
            return None;
        }
        let taken = self.take();
        if taken.is_none() {
            self.bytes = &[];
        }
        Some(taken.ok_or_else(|| damaged("a run of the index cannot be read".to_owned())))
    }
}

/// The numbers of the runs after one, in order. Each is that of the last message that the run has.
pub(super) fn after(connection: &Connection, id: MessageId) -> rusqlite::Result<Vec<MessageId>> {
    let mut select = connection.prepare_cached("SELECT upto FROM runs WHERE upto > ?1 ORDER BY upto")?;
    let number = |row: &rusqlite::Row<'_>| row.get(0).map(|upto: i64| MessageId(upto.cast_unsigned()));
    select.query_map([id.0.cast_signed()], number)?.collect()
}

/// The numbers of a list in a run.
pub(super) fn find(connection: &Connection, run: MessageId, list: List) -> rusqlite::Result<Vec<MessageId>> {
    let mut part = connection.prepare_cached(
        "SELECT one, other, lists FROM run_parts WHERE run = ?1 AND (one, other) <= (?2, ?3) \
         ORDER BY one DESC, other DESC LIMIT 1",
    )?;
    let found = part.query_row(params![run.0.cast_signed(), list.one, list.other], |row| {
        let first = List { one: row.get(0)?, other: row.get(1)? };
        let mut numbers = Vec::new();
        for entry in Lists::new(first, row.get_ref(2)?.as_blob()?) {
            let (found, bytes) = entry?;
            if found >= list {
                if found == list {
                    varint::growing(0, bytes, &mut numbers, MessageId)?;
                }
                break;
            }
        }
        Ok(numbers)
    });
    Ok(found.optional()?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use proptest::{
        collection::{btree_map, btree_set},
        prelude::*,
    };

    use super::*;

    proptest! {
        #[test]
        fn lists_are_read_as_they_were_put(
            lists in btree_map((0..50_i64, -2..50_i64), btree_set(1..u64::from(u32::MAX), 1..300), 0..60),
        ) {
            let mut run = Run::default();
            for ((one, other), numbers) in &lists {
                run.push(List { one: *one, other: *other }, numbers.iter().copied());
            }
            let mut read = Vec::new();
            for part in &run.parts {
                for entry in Lists::new(part.first, &part.bytes) {
                    let (list, bytes) = entry.expect("whole");
                    let mut numbers = Vec::new();
                    varint::growing(0, bytes, &mut numbers, |number| number).expect("whole");
                    read.push(((list.one, list.other), numbers));
                }
            }
            let put: Vec<_> =
                lists.into_iter().map(|(list, numbers)| (list, numbers.into_iter().collect::<Vec<_>>())).collect();
            prop_assert_eq!(read, put);
        }

        #[test]
        fn a_row_that_cannot_be_is_told(bytes in any::<Vec<u8>>()) {
            // Whatever it is, it ends, and what is broken ends it.
            let mut lists = Lists::new(List { one: 0, other: PARTNERS }, &bytes);
            while let Some(Ok(_)) = lists.next() {}
            prop_assert!(lists.next().is_none());
        }
    }
}
