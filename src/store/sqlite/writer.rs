//! The writer thread: takes the whole queue, writes it in one transaction, syncs the log, and reports the outcome.
//!
//! While a sync runs, the next batch grows, so hundreds of sends share one sync (group commit). The
//! [index](super::index) is written in large sorted batches, so a send costs one insert at the end of one table.

mod keys;

use std::{fmt, sync::Arc, time::Instant};

use super::{
    LEAST_TRIM, Next, Options, Shared,
    checkpointer::Checkpointer,
    error::is_damaged_row,
    index::{Index, IndexWork},
    indexing::PendingCursor,
    insert::{insert_messages, write_small},
    marks::NOTE_TIME,
    postings,
    queue::{Batch, Queued},
    retention::{self, Retention},
    schema::Cause,
    syncer::{Failed, Syncer, Trim, Unsynced},
};
use crate::{
    model::{MessageId, Recipient, Refusal},
    store::front::ops::{NameId, Op},
};
use rusqlite::{Connection, params};

/// Fewest queued ops that are committed while a sync is running. A smaller batch waits for the sync and grows meanwhile:
/// a commit and a sync of its own would cost all callers more than that wait.
const ENOUGH: usize = 384;

/// Seconds after which a client should try again while another program holds the database.
const RETRY_WHEN_BUSY: u32 = 1;

/// State of the writer thread.
pub(super) struct Writer {
    shared: Arc<Shared>,
    connection: Connection,
    syncer: Syncer,
    checkpointer: Checkpointer,
    index: Index,
    retention: Option<Retention>,
    /// New names that are not in the file yet.
    names: Vec<(NameId, Recipient)>,
    /// The last attempt to store messages found the disk full.
    full: bool,
    /// When the time is to be noted next.
    note_time: Instant,
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
            note_time: Instant::now() + NOTE_TIME,
        }
    }

    /// Writes until the store is closed and the queue is empty.
    pub(super) fn run(mut self) {
        self.shared.readers.warm_up();
        loop {
            if self.syncer.is_under_way() && self.shared.lock().queue.len() < ENOUGH {
                self.finish_sync();
            }
            let prune = self.retention.as_ref().map(Retention::due);
            let due = prune.map_or(self.note_time, |prune| prune.min(self.note_time));
            match self.shared.next_batch(due) {
                Next::Batch(batch) => self.commit(batch),
                Next::Due => {}
                Next::Closed => break,
            }
            let now = Instant::now();
            if self.note_time <= now {
                self.shared.marks.write();
                self.note_time = now + NOTE_TIME;
            }
            if prune.is_some_and(|due| due <= now) {
                self.prune();
            }
            self.keep_log_short();
        }
        self.finish_sync();
        self.shared.marks.write();
        if !self.shared.lock().read_only {
            let emptied = self.checkpointer.empty(&self.connection);
            self.expect_checkpoint(emptied);
        }
    }

    fn keep_log_short(&mut self) {
        // After a failure it is unknown which part of the log is on the disk: leave it alone.
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
            // Nothing is lost: the log still holds all commits.
            Err(error) => match Cause::of(&error) {
                Cause::Full => tracing::error!(%error, "the storage is full"),
                Cause::Busy => tracing::warn!(%error, "another program holds the database"),
                Cause::Broken => self.break_down(Batch::default(), &error),
            },
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
            // The remaining space is kept for cursors, sessions and logouts.
            self.full = true;
            self.refuse_messages(batch);
            return;
        }
        let mut all = Vec::with_capacity(batch.ops.len());
        for queued in &batch.ops {
            all.extend(queued.op());
        }
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
            Err(error) if Cause::of(&error) == Cause::Busy => self.refuse_while_busy(batch, &error),
            Err(error) => self.break_down(batch, &error),
        }
    }

    /// Refuses everything in a batch because another program holds the database.
    fn refuse_while_busy(&mut self, batch: Batch, error: &dyn fmt::Display) {
        tracing::error!(%error, "another program holds the database: nothing is stored until it lets go");
        // Settle what was written before.
        if let Err(Failed { batch: earlier, error }) = self.syncer.finish() {
            self.break_down(earlier.followed_by(batch), &error);
            return;
        }
        let refusal = Refusal::Unavailable { retry_after: RETRY_WHEN_BUSY };
        self.settle(&batch, |queued| (!queued.promises_nothing()).then_some(refusal));
    }

    /// Writes names, ops and a part of the index in one transaction, which is not synced yet.
    ///
    /// Returns what the tail may drop once it is synced.
    fn write(&mut self, ops: &[&Op], work: IndexWork) -> rusqlite::Result<Option<Trim>> {
        let mut inserted = Vec::with_capacity(ops.len());
        for op in ops {
            if let Op::Message(row) = op {
                inserted.push(row);
            }
        }
        let transaction =
            self.connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        for (id, name) in &self.names {
            transaction
                .prepare_cached("INSERT OR IGNORE INTO names VALUES (?1, ?2, row_crc(?1, ?2))")?
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

    /// Runs one step of retention.
    fn prune(&mut self) {
        let Some(mut retention) = self.retention.take() else {
            return;
        };
        let idle = self.full || self.shared.lock().read_only || !self.shared.marks.believes_clock();
        let stepped = if idle { Ok(None) } else { self.prune_step(&mut retention) };
        match stepped {
            Ok(Some(step)) => retention.stepped(&step),
            Ok(None) => retention.rest(),
            Err(error) => {
                retention.rest();
                match Cause::of(&error) {
                    Cause::Full => tracing::warn!(%error, "no space to remove old messages"),
                    Cause::Busy => tracing::warn!(%error, "another program holds the database"),
                    Cause::Broken if is_damaged_row(&error) => {
                        tracing::error!(%error, "old messages are not removed: run `chat-server check`");
                    }
                    Cause::Broken => self.break_down(Batch::default(), &error),
                }
            }
        }
        self.retention = Some(retention);
    }

    /// Runs one step of retention, or prepares the first one; `None` if the disk has failed.
    fn prune_step(&mut self, retention: &mut Retention) -> rusqlite::Result<Option<retention::Step>> {
        if retention.begins() {
            let merging = self.index.is_merging();
            // Once for the batch that is being written, and once for what has been gathered since.
            for _ in 0..if merging { 0 } else { 2 } {
                if !self.write_index(IndexWork::Batch)? {
                    return Ok(None);
                }
            }
            // Messages are never removed from a run, so all old ones must be merged into blocks first. (A merge that was
            // running already does not include the latest runs.)
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
        // The next commit syncs it. Nobody was promised that the messages are gone.
        transaction.commit()?;
        Ok(Some(step))
    }

    /// Writes a part of the index in a transaction of its own, syncs it and trims the tail.
    ///
    /// Returns whether it is synced; if it is not, the disk has failed.
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

    /// Refuses the messages of a batch because the disk is full, and writes its other ops, from the reserve if need be.
    fn refuse_messages(&mut self, batch: Batch) {
        // Settle what was written before.
        if let Err(Failed { batch: earlier, error }) = self.syncer.finish() {
            self.break_down(earlier.followed_by(batch), &error);
            return;
        }
        let first = batch.ops.iter().find_map(Queued::row).map(|row| row.id);
        let is_refused = |queued: &Queued| match queued {
            // A cursor may have passed one of these messages, which was shown to nobody: its reply is refused, too.
            Queued::Op(Op::Cursor(moved)) => first.is_some_and(|first: MessageId| moved.after.upto >= first),
            _ => queued.row().is_some(),
        };
        let small = batch.ops.iter().filter(|queued| !is_refused(queued));
        let small: Vec<&Op> = small.filter_map(Queued::op).collect();
        let mut written = self.write(&small, IndexWork::Nothing);
        if written.is_err() && self.shared.folder.release_reserve() {
            written = self.write(&small, IndexWork::Nothing);
        }
        match written {
            Ok(indexed) => match self.syncer.sync_now(indexed) {
                Ok(()) => self.settle(&batch, |op| is_refused(op).then_some(Refusal::Storage)),
                Err(Failed { error, .. }) => self.break_down(batch, &error),
            },
            Err(error) if Cause::of(&error) == Cause::Full => {
                // A session that cannot be stored lasts until the process ends; it is no failure.
                if batch.ops.iter().any(Queued::opens_session) {
                    self.shared.folder.warn_of_short_sessions();
                }
                let kept = |queued: &Queued| queued.promises_nothing() || queued.opens_session();
                self.settle(&batch, |queued| (!kept(queued)).then_some(Refusal::Storage));
            }
            Err(error) if Cause::of(&error) == Cause::Busy => self.refuse_while_busy(batch, &error),
            Err(error) => self.break_down(batch, &error),
        }
    }

    /// Ends all writing after a failure of the disk. Ops that were being written may or may not be in the file:
    /// [`Refusal::Uncertain`].
    fn break_down(&mut self, batch: Batch, error: &dyn fmt::Display) {
        let batch = match self.syncer.finish() {
            Ok(()) => batch,
            Err(Failed { batch: earlier, .. }) => earlier.followed_by(batch),
        };
        tracing::error!(%error, "the storage has failed: nothing is stored until the server is started again");
        self.shared.break_down(&error.to_string());
        self.give_up(&batch, Refusal::Uncertain);
    }

    /// Fails the ops of a batch, except for those that promise nothing.
    ///
    /// When nothing was tried ([`Refusal::ReadOnly`]), a new session counts as stored: it lasts until the process ends.
    fn give_up(&self, batch: &Batch, refusal: Refusal) {
        let kept = |queued: &Queued| {
            queued.promises_nothing() || (refusal == Refusal::ReadOnly && queued.opens_session())
        };
        self.settle(batch, |queued| (!kept(queued)).then_some(refusal));
    }

    /// Reports each op as durable or, if `refusal` returns one, as failed.
    ///
    /// Failed ops are undone before that, newest first: nobody may find one after its failure is known.
    fn settle(&self, batch: &Batch, refusal: impl Fn(&Queued) -> Option<Refusal>) {
        let mut state = self.shared.lock();
        for queued in batch.ops.iter().rev().filter(|queued| refusal(queued).is_some()) {
            match queued {
                Queued::Op(op) => state.undo(op),
                Queued::Keyed(row, _) => state.withdraw(row),
                Queued::Nothing => {}
            }
        }
        drop(state);
        for (index, queued) in batch.ops.iter().enumerate() {
            match refusal(queued) {
                None => self.shared.log.advance(batch.place(index)),
                Some(refusal) => self.shared.log.fail(batch.place(index), refusal),
            }
        }
        self.shared.report(batch.ops.iter().filter(|queued| refusal(queued).is_none()));
    }
}
