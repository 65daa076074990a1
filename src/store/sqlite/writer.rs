//! The one thread that writes: takes all that is queued, writes it as one transaction, syncs, and reports.
//!
//! While a sync runs, the next batch grows: hundreds of sends share one sync. The [index](super::index) is written in large
//! sorted batches, so that a send costs an insert at the right edge of one table.

use std::{fmt, sync::Arc, time::Instant};

use super::{
    LEAST_TRIM, Next, Options, Shared,
    checkpointer::Checkpointer,
    index::{Index, IndexWork},
    indexing::PendingCursor,
    insert::{insert_messages, write_small},
    ops::{Batch, NameId, Op, Row},
    postings, reader,
    retention::{self, Retention},
    schema::Cause,
    syncer::{Failed, Syncer, Trim, Unsynced},
};
use crate::{
    protocol::{Recipient, Refusal},
    store::{Outcome, Stored},
};
use rusqlite::{Connection, params};

/// While a sync is under way, at least so many ops are written as the next commit. Fewer wait for it, and grow meanwhile: a
/// commit and a sync for them alone cost everybody more than that.
const ENOUGH: usize = 384;

/// The writer.
pub(super) struct Writer {
    shared: Arc<Shared>,
    connection: Connection,
    syncer: Syncer,
    checkpointer: Checkpointer,
    index: Index,
    retention: Option<Retention>,
    /// Names that no commit has stored yet.
    names: Vec<(NameId, Recipient)>,
    /// There was no space for messages when it was tried last.
    full: bool,
}

impl Writer {
    pub(super) fn new(
        shared: Arc<Shared>,
        connection: Connection,
        syncer: Syncer,
        checkpointer: Checkpointer,
        index: Index,
        options: &Options,
    ) -> Self {
        Writer {
            shared,
            connection,
            syncer,
            checkpointer,
            index,
            retention: options.retain.map(Retention::new),
            names: Vec::new(),
            full: false,
        }
    }

    /// Writes until the store is closed and nothing is queued.
    pub(super) fn run(mut self) {
        self.shared.readers.warm_up();
        loop {
            if self.syncer.is_under_way() && self.shared.lock().queue.len() < ENOUGH {
                self.finish_sync();
            }
            let due = self.retention.as_ref().map(Retention::due);
            match self.shared.next_batch(due) {
                Next::Batch(batch) => self.commit(batch),
                Next::Due => {}
                Next::Closed => break,
            }
            if due.is_some_and(|due| due <= Instant::now()) {
                self.prune();
            }
            self.keep_log_short();
        }
        self.finish_sync();
        if !self.shared.lock().read_only {
            let emptied = self.checkpointer.empty(&self.connection);
            self.expect_checkpoint(emptied);
        }
    }

    fn keep_log_short(&mut self) {
        // Nobody knows what of the log is on a disk that has failed.
        if self.shared.lock().read_only {
            return;
        }
        let done = if self.full {
            self.checkpointer.keep_short_when_full(&self.connection)
        } else {
            self.checkpointer.keep_short(&self.connection)
        };
        self.expect_checkpoint(done);
    }

    fn expect_checkpoint(&mut self, done: rusqlite::Result<()>) {
        match done {
            Ok(()) => {}
            // The log holds everything still.
            Err(error) if Cause::of(&error) == Cause::Full => tracing::error!(%error, "the storage is full"),
            Err(error) => self.break_down(Batch::default(), &error),
        }
    }

    fn finish_sync(&mut self) {
        if let Err(Failed { batch, error }) = self.syncer.finish() {
            self.break_down(batch, &error);
        }
    }

    fn commit(&mut self, mut batch: Batch) {
        self.names.append(&mut batch.names);
        if self.shared.lock().read_only {
            self.give_up(&batch, Refusal::ReadOnly);
            return;
        }
        if let Err(error) = self.look_up_keys(&mut batch) {
            self.break_down(batch, &error);
            return;
        }
        self.shared.folder.restock();
        if !self.shared.folder.has_reserve() {
            // What space there is, is for other things.
            self.full = true;
            self.refuse_messages(batch);
            return;
        }
        let all: Vec<&Op> = batch.ops.iter().collect();
        match self.write(&all, IndexWork::Step) {
            Ok(indexed) => {
                if let Err(Failed { batch, error }) = self.syncer.sync(Unsynced { batch, indexed }) {
                    self.break_down(batch, &error);
                    return;
                }
                if std::mem::take(&mut self.full) {
                    tracing::warn!("there is space again: messages are stored");
                }
            }
            Err(error) if Cause::of(&error) == Cause::Full => {
                if !std::mem::replace(&mut self.full, true) {
                    tracing::error!(%error, "the storage is full: messages are refused");
                }
                self.refuse_messages(batch);
            }
            Err(error) => self.break_down(batch, &error),
        }
    }

    /// Decides about the messages whose keys may have been used before.
    fn look_up_keys(&mut self, batch: &mut Batch) -> rusqlite::Result<()> {
        for index in 0..batch.ops.len() {
            let (Op::Keyed(row, _), position) = (&batch.ops[index], batch.position(index)) else {
                continue;
            };
            let key = row.key.as_deref().unwrap_or_default();
            let known = reader::find_key(&self.connection, row.sender, key)?;
            let mut state = self.shared.lock();
            // In the tail it may have been confirmed since this message was admitted; and the file may be ahead of what is
            // synced, which the tail knows.
            let known = state.known(row.sender, key).or(known);
            match known {
                None => state.tail.confirm(row),
                Some(_) => state.withdraw(row),
            }
            drop(state);
            let Op::Keyed(row, resolve) = std::mem::replace(&mut batch.ops[index], Op::Nothing) else {
                continue;
            };
            let outcome = if let Some(known) = known {
                known.outcome(Some(row.recipient), &row.text)
            } else {
                let stored = Stored { id: row.id, at: row.at, duplicate: false };
                batch.ops[index] = Op::Message(row);
                Outcome { result: Ok(stored), position }
            };
            // The connection may be gone.
            resolve.send(outcome).ok();
        }
        Ok(())
    }

    /// One transaction, all or nothing, to be synced: ops, and a part of the index. Returns what the tail may let go of then.
    fn write(&mut self, ops: &[&Op], work: IndexWork) -> rusqlite::Result<Option<Trim>> {
        let inserted: Vec<&Row> =
            ops.iter().filter_map(|op| if let Op::Message(row) = op { Some(row) } else { None }).collect();
        let transaction =
            self.connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        for (id, name) in &self.names {
            transaction
                .prepare_cached("INSERT OR IGNORE INTO names VALUES (?1, ?2)")?
                .execute(params![id.0, &**name])?;
        }
        let mut seq = self.index.cursor_seq;
        insert_messages(&transaction, &inserted)?;
        for op in ops {
            write_small(&transaction, op, &mut seq)?;
        }
        let step = self.index.write(&transaction, ops.len(), work)?;
        transaction.commit()?;

        self.names.clear();
        let trim = self.index.committed(step);
        self.index.cursor_seq = seq;
        for op in ops {
            match op {
                Op::Message(row) => self.index.gather(row),
                Op::Cursor(moved) => {
                    self.index.gather_cursor(PendingCursor::new(moved.user, moved.after, moved.at));
                }
                _ => {}
            }
        }
        Ok(trim)
    }

    /// One step of forgetting what is old.
    fn prune(&mut self) {
        let Some(mut retention) = self.retention.take() else {
            return;
        };
        let idle = self.full || self.shared.lock().read_only;
        let stepped = if idle { Ok(None) } else { self.prune_step(&mut retention) };
        match stepped {
            Ok(Some(step)) => retention.stepped(&step),
            Ok(None) => retention.rest(),
            Err(error) => {
                retention.rest();
                if Cause::of(&error) == Cause::Full {
                    tracing::warn!(%error, "no space to remove old messages");
                } else {
                    self.break_down(Batch::default(), &error);
                }
            }
        }
        self.retention = Some(retention);
    }

    /// `None` if the disk has failed.
    fn prune_step(&mut self, retention: &mut Retention) -> rusqlite::Result<Option<retention::Step>> {
        if retention.begins() {
            let merging = self.index.is_merging();
            // What is under way, and what has come since.
            for _ in 0..if merging { 0 } else { 2 } {
                if !self.write_index(IndexWork::Batch)? {
                    return Ok(None);
                }
            }
            // Nothing is taken out of a run. (A merge that was under way has not got the latest ones.)
            if self.index.is_merging() || retention.needs_merge(&self.connection)? {
                let is_synced = self.write_index(IndexWork::Merge)?;
                return Ok(is_synced.then_some(retention::Step::Waiting));
            }
        }
        let transaction =
            self.connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        let folded = transaction.query_row("SELECT folded FROM state", [], |row| row.get(0))?;
        let merged = postings::merged(&transaction)?;
        let upto = |user| self.index.read_upto(user);
        let step = retention.step(&transaction, &self.shared, upto, merged, folded)?;
        // It is synced with the next commit: nobody was promised that it is gone.
        transaction.commit()?;
        Ok(Some(step))
    }

    /// Writes a part of the index by itself; the tail lets go of it. Returns whether it is synced: if not, the disk has failed.
    fn write_index(&mut self, work: IndexWork) -> rusqlite::Result<bool> {
        let indexed = self.write(&[], work)?;
        let synced = self.syncer.sync_now(indexed);
        let is_synced = synced.is_ok();
        while is_synced && self.shared.trim(LEAST_TRIM) {}
        if let Err(Failed { batch, error }) = synced {
            self.break_down(batch, &error);
        }
        Ok(is_synced)
    }

    /// The disk is full. Sessions, cursors and logouts go on as long as there is anything in reserve.
    fn refuse_messages(&mut self, batch: Batch) {
        // What was written before is decided first.
        if let Err(Failed { batch: earlier, error }) = self.syncer.finish() {
            self.break_down(earlier.followed_by(batch), &error);
            return;
        }
        let is_message = |op: &Op| matches!(op, Op::Message(_) | Op::Keyed(..));
        let small: Vec<&Op> = batch.ops.iter().filter(|op| !is_message(op)).collect();
        let mut written = self.write(&small, IndexWork::Nothing);
        if written.is_err() && self.shared.folder.release_reserve() {
            written = self.write(&small, IndexWork::Nothing);
        }
        match written {
            Ok(indexed) => match self.syncer.sync_now(indexed) {
                Ok(()) => self.settle(&batch, |op| is_message(op).then_some(Refusal::Storage)),
                Err(Failed { error, .. }) => self.break_down(batch, &error),
            },
            Err(error) if Cause::of(&error) == Cause::Full => {
                // A session that cannot be kept lasts as long as the process.
                if small.iter().any(|op| matches!(op, Op::OpenSession(..))) {
                    self.shared.folder.warn_of_short_sessions();
                }
                let kept = |op: &Op| matches!(op, Op::OpenSession(..) | Op::TouchSession(..) | Op::Nothing);
                self.settle(&batch, |op| (!kept(op)).then_some(Refusal::Storage));
            }
            Err(error) => self.break_down(batch, &error),
        }
    }

    /// The disk has failed: what was being written may or may not be there, and nothing is written any more.
    fn break_down(&mut self, batch: Batch, error: &dyn fmt::Display) {
        let batch = match self.syncer.finish() {
            Ok(()) => batch,
            Err(Failed { batch: earlier, .. }) => earlier.followed_by(batch),
        };
        tracing::error!(%error, "the storage has failed: nothing is stored until the server is started again");
        self.shared.break_down(&error.to_string());
        self.give_up(&batch, Refusal::Uncertain);
    }

    /// Nothing of the batch can be kept, but sessions as long as the process lasts.
    fn give_up(&self, batch: &Batch, refusal: Refusal) {
        let kept = |op: &Op| {
            matches!(op, Op::TouchSession(..) | Op::Nothing)
                || (refusal == Refusal::ReadOnly && matches!(op, Op::OpenSession(..)))
        };
        self.settle(batch, |op| (!kept(op)).then_some(refusal));
    }

    /// Reports each op durable or failed. What failed is taken back first, the latest first: nobody may find it once
    /// its failure is known.
    fn settle(&self, batch: &Batch, refusal: impl Fn(&Op) -> Option<Refusal>) {
        let mut state = self.shared.lock();
        for op in batch.ops.iter().rev().filter(|op| refusal(op).is_some()) {
            match op {
                Op::Message(row) | Op::Keyed(row, _) => state.withdraw(row),
                Op::Cursor(cursor) => state.restore_cursor(cursor),
                Op::Join(stay) => state.take_back(*stay, false),
                Op::Leave(stay, _) => state.take_back(*stay, true),
                Op::OpenSession(..) | Op::TouchSession(..) | Op::EndSession(_) | Op::Nothing => {}
            }
        }
        drop(state);
        for (index, op) in batch.ops.iter().enumerate() {
            match refusal(op) {
                None => self.shared.durability.advance(batch.position(index)),
                Some(refusal) => self.shared.durability.fail(batch.position(index), refusal),
            }
        }
    }
}
