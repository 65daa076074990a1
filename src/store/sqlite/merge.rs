//! Merges: copying all runs into the blocks, list by list, one step with each commit. (Compaction of the LSM tree.)
//!
//! For each list, the numbers from all runs are written together, as a few [blocks](super::blocks). Without runs, each batch
//! would write a row for each of its lists, on as many pages, and that would be most of what a send costs.
//!
//! Readers ignore the new blocks until the merge is complete. After a crash in between, a new merge writes them again: it
//! has the same runs and perhaps more, so each list's blocks begin with the same numbers and replace the old ones.

use std::{cmp::Reverse, collections::BinaryHeap, ops::Range};

use rusqlite::{OptionalExtension, Transaction, params};

use super::{
    blocks,
    list::{List, Partner},
    postings, row_crc,
    runs::{self, Lists},
    varint,
};
use crate::{model::MessageId, store::front::ops::NameId};

/// A merge that is under way. It may be dropped at any time: the next one starts from the beginning.
pub(super) struct Merge {
    runs: Vec<RunCursor>,
    /// The next list of each run that has one, with the run's index in `runs`.
    next: BinaryHeap<Reverse<(List, usize)>>,
    /// Number of the last run: `state.merged` when the merge is complete.
    upto: MessageId,
    /// Number of messages in the runs.
    messages: u64,
    /// Units of work that it takes to merge the runs; see [`runs::cost`].
    size: u64,
    /// Runs that are in the blocks and must be deleted; also those that a crash has left of earlier merges.
    spent: Vec<MessageId>,
    pub(super) is_whole: bool,
}

/// The place of a merge in one run.
struct RunCursor {
    number: MessageId,
    /// The current list.
    list: List,
    /// Encoded lists of the row of `run_parts` that contains the current list.
    row: Vec<u8>,
    /// Where in `row` the numbers of the current list are.
    numbers: Range<usize>,
    /// Where in `row` the next list begins.
    rest: usize,
}

impl Merge {
    /// Begins a merge of all runs that are not in the blocks.
    pub(super) fn new(transaction: &Transaction<'_>) -> rusqlite::Result<Self> {
        let merged = postings::merged(transaction)?;
        let size: i64 = transaction.query_row(
            "SELECT coalesce(sum(size), 0) FROM runs WHERE upto > ?1",
            [merged.0.cast_signed()],
            |row| row.get(0),
        )?;
        let numbers = runs::after(transaction, merged)?;
        let upto = numbers.last().copied().unwrap_or(merged);
        let mut spent = runs::after(transaction, MessageId(0))?;
        spent.truncate(spent.len() - numbers.len());
        let before_all = List { one: -1, other: -1 };
        let run = |number| RunCursor { number, list: before_all, row: Vec::new(), numbers: 0..0, rest: 0 };
        let mut merge = Merge {
            runs: numbers.into_iter().map(run).collect(),
            next: BinaryHeap::new(),
            upto,
            messages: upto.0 - merged.0,
            size: size.cast_unsigned(),
            spent,
            is_whole: false,
        };
        for index in 0..merge.runs.len() {
            merge.advance(transaction, index)?;
        }
        Ok(merge)
    }

    /// Number of runs that it merges.
    pub(super) fn runs(&self) -> usize {
        self.runs.len()
    }

    /// Units of work to do with a commit of `messages` messages, so that it is complete long before the next merge is due.
    pub(super) fn pace(&self, messages: usize) -> u64 {
        4 * messages as u64 * self.size / self.messages.max(1)
    }

    /// Does at least `most` units of work, if there are as many left. Returns whether all is done.
    pub(super) fn step(&mut self, transaction: &Transaction<'_>, most: u64) -> rusqlite::Result<bool> {
        let mut done = 0;
        let mut numbers = Vec::new();
        while done < most {
            let Some(&Reverse((list, _))) = self.next.peek() else {
                return self.end(transaction);
            };
            numbers.clear();
            while let Some(&Reverse((next, index))) = self.next.peek()
                && next == list
            {
                self.next.pop();
                let run = &self.runs[index];
                let bytes = &run.row[run.numbers.clone()];
                done += runs::cost(bytes);
                varint::growing(0, bytes, &mut numbers, MessageId)?;
                self.advance(transaction, index)?;
            }
            match list.partners_of() {
                None => blocks::append(transaction, list, &numbers)?,
                Some(user) => write_partners(transaction, user, &numbers)?,
            }
        }
        Ok(false)
    }

    /// Completes a merge whose lists are all in the blocks, one call after the other: updates `state.merged` first, then
    /// deletes one run a call. Returns whether all is done.
    fn end(&mut self, transaction: &Transaction<'_>) -> rusqlite::Result<bool> {
        if !self.is_whole {
            transaction
                .prepare_cached("UPDATE state SET merged = ?1, crc = row_crc(indexed, folded, ?1)")?
                .execute([self.upto.0.cast_signed()])?;
            self.spent.extend(self.runs.iter().map(|run| run.number));
            self.is_whole = true;
        } else if let Some(run) = self.spent.pop() {
            let run = run.0.cast_signed();
            transaction.prepare_cached("DELETE FROM run_parts WHERE run = ?1")?.execute([run])?;
            transaction.prepare_cached("DELETE FROM runs WHERE upto = ?1")?.execute([run])?;
        }
        Ok(self.is_whole && self.spent.is_empty())
    }

    /// Moves on to the next list of a run.
    fn advance(&mut self, transaction: &Transaction<'_>, index: usize) -> rusqlite::Result<()> {
        if self.runs[index].advance(transaction)? {
            self.next.push(Reverse((self.runs[index].list, index)));
        }
        Ok(())
    }
}

impl RunCursor {
    /// Moves on to the next list. Returns whether there is one.
    fn advance(&mut self, transaction: &Transaction<'_>) -> rusqlite::Result<bool> {
        if self.rest == self.row.len() && !self.load(transaction)? {
            return Ok(false);
        }
        let mut lists = Lists::new(self.list, &self.row[self.rest..]);
        let Some(next) = lists.next() else {
            return Ok(false);
        };
        let (list, numbers) = next?;
        let (len, rest) = (numbers.len(), self.row.len() - lists.rest().len());
        (self.list, self.numbers, self.rest) = (list, rest - len..rest, rest);
        Ok(true)
    }

    /// Reads the next row of the run. Returns whether there is one.
    fn load(&mut self, transaction: &Transaction<'_>) -> rusqlite::Result<bool> {
        let mut next = transaction.prepare_cached(
            "SELECT one, other, lists, crc = row_crc(run, one, other, lists) FROM run_parts WHERE run = ?1 AND (one, other) > (?2, ?3) \
             ORDER BY one, other LIMIT 1",
        )?;
        let after = params![self.number.0.cast_signed(), self.list.one, self.list.other];
        let found = next.query_row(after, |row| {
            row_crc::verify(row, 3, "run_parts")?;
            Ok((List { one: row.get(0)?, other: row.get(1)? }, row.get(2)?))
        });
        let found = found.optional()?;
        let is_there = found.is_some();
        if let Some((first, row)) = found {
            (self.list, self.row, self.rest) = (first, row, 0);
        }
        Ok(is_there)
    }
}

fn write_partners(
    transaction: &Transaction<'_>,
    user: NameId,
    partners: &[MessageId],
) -> rusqlite::Result<()> {
    let mut insert =
        transaction.prepare_cached("INSERT OR IGNORE INTO partners VALUES (?1, ?2, row_crc(?1, ?2))")?;
    for partner in partners {
        insert.execute([user.0, Partner::from(partner.0).0.0])?;
    }
    Ok(())
}
