//! Index maintenance: writes the index in large sorted batches, so that a send does not pay for it.
//!
//! Committed messages are [gathered](super::gathered) until there are enough of them for a [batch](super::indexing), which is
//! written in steps, one with each commit. Each batch makes a [run](super::runs). When there are enough runs, they are
//! [merged](super::merge), in steps as well.

use std::collections::HashMap;

use rusqlite::Transaction;

use super::{
    Options,
    gathered::Gathered,
    indexing::{InboxRow, Indexing, PendingCursor, Progress},
    merge::Merge,
    syncer::Trim,
};
use crate::{
    model::MessageId,
    store::front::ops::{NameId, Row},
};

/// How much of the index is written with a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum IndexWork {
    /// Nothing: the disk is full, and what space is left is needed for other ops.
    Nothing,
    /// One step each of the batch and of the merge, if they are under way or due.
    Step,
    /// All of the batch that is under way or, if there is none, all of a batch of everything that is gathered.
    Batch,
    /// A large step of a merge, whether one is due or not.
    Merge,
}

/// What a transaction has written of the index.
pub(super) struct Step {
    batch: Option<Progress>,
    merge: Option<(Merge, bool)>,
}

/// The committed state of the index, and the batch and the merge that are under way.
pub(super) struct Index {
    /// The rows of `inboxes`, without the changes of the batch that is under way.
    inboxes: HashMap<NameId, InboxRow>,
    /// Committed messages that are in no batch.
    gathered: Gathered,
    cursors: Vec<PendingCursor>,
    /// `seq` of the last row of `cursors`.
    pub(super) cursor_seq: i64,
    batch: Option<Indexing>,
    /// Number of runs that are not merged.
    runs: usize,
    merge: Option<Merge>,
    /// From [`Options`].
    batch_size: usize,
    step: usize,
    max_runs: usize,
}

impl Index {
    /// Returns the index as the file has it, with nothing gathered.
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

    /// Adds a committed message to the next batch.
    pub(super) fn gather(&mut self, row: &Row) {
        self.gathered.add(row);
    }

    /// Adds a committed cursor step to the next batch.
    pub(super) fn gather_cursor(&mut self, cursor: PendingCursor) {
        self.cursors.push(cursor);
    }

    /// The last acknowledged message of an inbox, according to the index.
    pub(super) fn read_upto(&self, user: NameId) -> MessageId {
        self.inboxes.get(&user).map_or(MessageId(0), |inbox| MessageId(inbox.upto))
    }

    /// The rows of `inboxes`.
    pub(super) fn inboxes(&self) -> &HashMap<NameId, InboxRow> {
        &self.inboxes
    }

    /// Writes a part of the index with a transaction of `ops` ops.
    ///
    /// If the transaction is not committed, the step is dropped: the next call writes the same part again.
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
            // Enough to complete each batch before the next is due: a message has at most one key, and about one cursor step.
            IndexWork::Batch => usize::MAX,
            _ => self.step.max(4 * ops),
        };
        if self.merge.is_none() && (self.runs >= self.max_runs || (work == IndexWork::Merge && self.runs > 0))
        {
            let merge = Merge::new(transaction)?;
            self.runs = merge.runs();
            self.merge = Some(merge);
        }
        // Only after the merge was created: it must not include the run that this may write.
        let batch = self.batch.as_ref().map(|batch| batch.write(transaction, most)).transpose()?;
        // Taken out: its progress holds only if the transaction is committed, and else it is dropped and begins anew.
        let merge = self.merge.take().map(|mut merge| {
            let least = if work == IndexWork::Merge { 16 * self.step } else { self.step };
            let most = merge.pace(ops).max(least as u64);
            merge.step(transaction, most).map(|is_done| (merge, is_done))
        });
        Ok(Step { batch, merge: merge.transpose()? })
    }

    /// Records that a step was committed. Returns what the tail may drop once it is synced.
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
