//! A merge: what is in the runs goes into the blocks, list by list, a step with each commit.
//!
//! A list gets a row for each [block](super::blocks) of what all the runs have of it. Written with each batch instead, it would
//! be a row for each list and batch, on as many pages, and that is most of what a send would cost. Nobody looks at what is in
//! the blocks before the merge is whole. What a crash leaves of it is written again: a merge has the same runs and perhaps
//! more, so that each list has the same first numbers of blocks.

use std::{cmp::Reverse, collections::BinaryHeap, ops::Range};

use rusqlite::{OptionalExtension, Transaction, params};

use super::{
    blocks,
    list::{List, Partner},
    ops::NameId,
    postings,
    runs::{self, Lists},
    varint,
};
use crate::store::MessageId;

/// A merge that is under way. It may be dropped at any time: the next one begins anew.
pub(super) struct Merge {
    runs: Vec<RunCursor>,
    /// What each run has next, unless it has nothing more.
    next: BinaryHeap<Reverse<(List, usize)>>,
    /// The number of the last run, when this is whole.
    upto: MessageId,
    /// How many messages the runs have, for each unit that it takes to merge them.
    messages: u64,
    size: u64,
    /// Runs that are in the blocks, to be removed.
    spent: Vec<MessageId>,
    pub(super) is_whole: bool,
}

/// Where a merge is in a run.
struct RunCursor {
    number: MessageId,
    /// The list that is next.
    list: List,
    /// Of the row that has it: the lists, where that one's numbers are, and where the list after it is.
    row: Vec<u8>,
    numbers: Range<usize>,
    rest: usize,
}

impl Merge {
    /// Of all runs.
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

    /// How many runs it merges.
    pub(super) fn runs(&self) -> usize {
        self.runs.len()
    }

    /// How much of it is to be done with so many messages, so that it is whole long before the next is due.
    pub(super) fn pace(&self, messages: usize) -> u64 {
        4 * messages as u64 * self.size / self.messages.max(1)
    }

    /// Does so much more. Returns whether all of it is done.
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

    /// All lists are in the blocks: says so, or removes a run.
    fn end(&mut self, transaction: &Transaction<'_>) -> rusqlite::Result<bool> {
        if !self.is_whole {
            transaction
                .prepare_cached("UPDATE state SET merged = ?1")?
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

    /// Goes on to the next list of a run.
    fn advance(&mut self, transaction: &Transaction<'_>, index: usize) -> rusqlite::Result<()> {
        if self.runs[index].advance(transaction)? {
            self.next.push(Reverse((self.runs[index].list, index)));
        }
        Ok(())
    }
}

impl RunCursor {
    /// Goes on to the next list. Returns whether there is one.
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

    /// Reads the next row. Returns whether there is one.
    fn load(&mut self, transaction: &Transaction<'_>) -> rusqlite::Result<bool> {
        let mut next = transaction.prepare_cached(
            "SELECT one, other, lists FROM run_parts WHERE run = ?1 AND (one, other) > (?2, ?3) \
             ORDER BY one, other LIMIT 1",
        )?;
        let after = params![self.number.0.cast_signed(), self.list.one, self.list.other];
        let found =
            next.query_row(after, |row| Ok((List { one: row.get(0)?, other: row.get(1)? }, row.get(2)?)));
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
    let mut insert = transaction.prepare_cached("INSERT OR IGNORE INTO partners VALUES (?1, ?2)")?;
    for partner in partners {
        insert.execute([user.0, Partner::from(partner.0).0.0])?;
    }
    Ok(())
}
