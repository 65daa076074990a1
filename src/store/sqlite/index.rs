//! What makes committed messages findable: large sorted batches, off the way of a send.
//!
//! Committed messages are [gathered](super::gathered) until there are enough of them for a [batch](super::indexing), which is
//! written in steps, one with each commit. Each batch makes a [run](super::runs); when there are many of those, they are
//! [merged](super::merge), in steps as well.

use std::collections::HashMap;

use rusqlite::Transaction;

use super::{
    Options,
    gathered::Gathered,
    indexing::{InboxRow, Indexing, PendingCursor, Progress},
    merge::Merge,
    ops::{NameId, Row},
    syncer::Trim,
};
use crate::store::MessageId;

/// How much of the index is written with a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum IndexWork {
    /// Nothing: what space there is, is for other things.
    Nothing,
    /// A step, if something is under way or due.
    Step,
    /// All of the batch that is under way, or else of one with all that is gathered.
    Batch,
    /// A step of a merge, due or not.
    Merge,
}

/// What was written with a commit.
pub(super) struct Step {
    batch: Option<Progress>,
    merge: Option<(Merge, bool)>,
}

/// The index as far as it is committed, and what is on its way into it.
pub(super) struct Index {
    /// What the index has of inboxes, but for the batch on its way into it.
    inboxes: HashMap<NameId, InboxRow>,
    /// What no batch has.
    gathered: Gathered,
    cursors: Vec<PendingCursor>,
    /// The number of the last cursor.
    pub(super) cursor_seq: i64,
    batch: Option<Indexing>,
    /// Runs that no merge has.
    runs: usize,
    merge: Option<Merge>,
    /// From [`Options`].
    batch_size: usize,
    step: usize,
    max_runs: usize,
}

impl Index {
    /// As the file has it.
    pub(super) fn new(
        inboxes: HashMap<NameId, InboxRow>,
        cursor_seq: i64,
        runs: usize,
        options: &Options,
    ) -> Self {
        Index {
            inboxes,
            gathered: Gathered::default(),
            cursors: Vec::new(),
            cursor_seq,
            batch: None,
            runs,
            merge: None,
            batch_size: options.index_batch,
            step: options.index_step,
            max_runs: options.index_runs,
        }
    }

    /// A message is committed.
    pub(super) fn gather(&mut self, row: &Row) {
        self.gathered.add(row);
    }

    /// A cursor is committed.
    pub(super) fn gather_cursor(&mut self, cursor: PendingCursor) {
        self.cursors.push(cursor);
    }

    /// How far an inbox was read, as far as the index has it.
    pub(super) fn read_upto(&self, user: NameId) -> MessageId {
        self.inboxes.get(&user).map_or(MessageId(0), |inbox| MessageId(inbox.upto))
    }

    /// What the index has of each inbox.
    pub(super) fn inboxes(&self) -> &HashMap<NameId, InboxRow> {
        &self.inboxes
    }

    /// Writes a part with a transaction of so many ops. If that is not committed, nothing has happened.
    pub(super) fn write(
        &mut self,
        transaction: &Transaction<'_>,
        ops: usize,
        work: IndexWork,
    ) -> rusqlite::Result<Step> {
        if work == IndexWork::Nothing {
            return Ok(Step { batch: None, merge: None });
        }
        let waiting = self.gathered.len().max(self.cursors.len());
        if self.batch.is_none() && (waiting >= self.batch_size || (work == IndexWork::Batch && waiting > 0)) {
            let cursors = std::mem::take(&mut self.cursors);
            let batch = Indexing::new(&self.inboxes, self.gathered.take(), &cursors, self.cursor_seq);
            self.batch = Some(batch);
        }
        let most = match work {
            // Enough for each batch to be whole before the next is due: a message has a key, and perhaps a cursor.
            IndexWork::Batch => usize::MAX,
            _ => self.step.max(4 * ops),
        };
        if self.merge.is_none() && (self.runs >= self.max_runs || (work == IndexWork::Merge && self.runs > 0))
        {
            let merge = Merge::new(transaction)?;
            self.runs = merge.runs();
            self.merge = Some(merge);
        }
        // After that, or the merge would have the run that this may write.
        let batch = self.batch.as_ref().map(|batch| batch.write(transaction, most)).transpose()?;
        // Where it is in the runs holds only if this is committed.
        let merge = self.merge.take().map(|mut merge| {
            let least = if work == IndexWork::Merge { 16 * self.step } else { self.step };
            let most = merge.pace(ops).max(least as u64);
            merge.step(transaction, most).map(|is_done| (merge, is_done))
        });
        Ok(Step { batch, merge: merge.transpose()? })
    }

    /// What was written with a transaction is committed. Returns what the tail may let go of when that is synced.
    pub(super) fn committed(&mut self, step: Step) -> Option<Trim> {
        if let Some((merge, is_done)) = step.merge {
            if merge.is_whole && is_done {
                self.runs -= merge.runs();
            } else {
                self.merge = Some(merge);
            }
        }
        let written = step.batch?;
        let mut batch = self.batch.take()?;
        if !written.is_whole {
            batch.committed(written);
            self.batch = Some(batch);
            return None;
        }
        self.runs += usize::from(batch.has_run());
        let (changed, trim) = batch.end();
        self.inboxes.extend(changed);
        Some(trim)
    }

    /// Whether a merge is under way.
    pub(super) fn is_merging(&self) -> bool {
        self.merge.is_some()
    }
}
