//! Runs: the posting lists of one batch of thousands of messages, sorted by list. (The sorted runs of the LSM tree.)
//!
//! A run is a few hundred rows of about a kilobyte that follow one another, so it is written to few pages, whatever its
//! number of lists. A row contains lists in order. Each list is, as LEB128 numbers: its distance from the list before (two
//! numbers), the length of its postings in bytes, and the postings: the first number, and the distance from each to the next.

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::{
    error::damaged,
    list::{List, PARTNERS},
    row_crc, varint,
};
use crate::model::MessageId;

/// Size in bytes from which a row gets no further list. SQLite stores up to a quarter of a page together with the key.
const FULL: usize = 1000;

/// A run in memory, until it is written.
#[derive(Default)]
pub(super) struct Run {
    parts: Vec<Part>,
    size: u64,
    /// Buffer for the numbers of one list, whose encoded length must be known before they are appended.
    numbers: Vec<u8>,
}

struct Part {
    first: List,
    last: List,
    bytes: Vec<u8>,
}

impl Run {
    /// Appends a list, which must be greater than those in the run. Its numbers must ascend.
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

    /// Writes the run to the file. Its number, `upto`, is that of its last message.
    pub(super) fn write(&self, transaction: &Transaction<'_>, upto: MessageId) -> rusqlite::Result<()> {
        let upto = upto.0.cast_signed();
        let mut insert = transaction
            .prepare_cached("INSERT INTO run_parts VALUES (?1, ?2, ?3, ?4, row_crc(?1, ?2, ?3, ?4))")?;
        for part in &self.parts {
            insert.execute(params![upto, part.first.one, part.first.other, part.bytes])?;
        }
        transaction
            .prepare_cached("INSERT INTO runs VALUES (?1, ?2, row_crc(?1, ?2))")?
            .execute(params![upto, self.size.cast_signed()])?;
        Ok(())
    }
}

/// Cost of merging a list with these encoded numbers, in units of a row.
pub(super) fn cost(numbers: &[u8]) -> u64 {
    1 + numbers.len() as u64 / 16
}

/// Iterator over the lists in a row of a run.
pub(super) struct Lists<'a> {
    last: List,
    bytes: &'a [u8],
}

impl<'a> Lists<'a> {
    /// Returns an iterator over the lists in `bytes`, a row whose key is `first`.
    pub(super) fn new(first: List, bytes: &'a [u8]) -> Self {
        Lists { last: first, bytes }
    }

    /// Bytes of the row that were not read yet.
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
    /// A list, and its encoded numbers.
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

/// Returns the numbers of the runs after `id`, ascending. A run's number is that of its last message.
pub(super) fn after(connection: &Connection, id: MessageId) -> rusqlite::Result<Vec<MessageId>> {
    let mut select = connection
        .prepare_cached("SELECT upto, crc = row_crc(upto, size) FROM runs WHERE upto > ?1 ORDER BY upto")?;
    let number = |row: &rusqlite::Row<'_>| {
        row_crc::verify(row, 1, "runs")?;
        row.get(0).map(|upto: i64| MessageId(upto.cast_unsigned()))
    };
    select.query_map([id.0.cast_signed()], number)?.collect()
}

/// Returns the numbers of a list in a run, ascending; none if the run does not have the list.
pub(super) fn find(connection: &Connection, run: MessageId, list: List) -> rusqlite::Result<Vec<MessageId>> {
    let mut part = connection.prepare_cached(
        "SELECT one, other, lists, crc = row_crc(run, one, other, lists) FROM run_parts WHERE run = ?1 AND (one, other) <= (?2, ?3) \
         ORDER BY one DESC, other DESC LIMIT 1",
    )?;
    let found = part.query_row(params![run.0.cast_signed(), list.one, list.other], |row| {
        row_crc::verify(row, 3, "run_parts")?;
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
            // The iterator ends for any bytes, and after the first broken list.
            let mut lists = Lists::new(List { one: 0, other: PARTNERS }, &bytes);
            while let Some(Ok(_)) = lists.next() {}
            prop_assert!(lists.next().is_none());
        }
    }
}
