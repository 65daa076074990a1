//! What the mutex of the store guards: the front, and the queue of what was applied to it and is not written yet.
//!
//! Most methods hold the mutex for a few look-ups in maps, and none while the disk is used.

use super::{
    queue::{Batch, Queue, Queued},
    read_pages::ReadPages,
};
use crate::{
    model::{MessageId, Position, Timestamp},
    store::front::{
        Front, Passed,
        ops::{CursorMove, NameId, Op, Row},
    },
};

pub(super) struct State {
    pub(super) front: Front,
    pub(super) queue: Queue,
    /// Number of names that the writer was given.
    named: usize,
    pub(super) read_pages: ReadPages,
    pub(super) read_only: bool,
    pub(super) closing: bool,
    /// The writer sleeps and must be woken when an op is queued.
    pub(super) writer_idle: bool,
}

impl State {
    /// The state of a file that holds everything in the front.
    pub(super) fn new(front: Front) -> Self {
        State {
            named: front.count_names(),
            front,
            queue: Queue::default(),
            read_pages: ReadPages::default(),
            read_only: false,
            closing: false,
            writer_idle: false,
        }
    }

    /// Number of names that the writer was given.
    pub(super) fn named(&self) -> usize {
        self.named
    }

    /// Place in the log that the next op will have.
    pub(super) fn next_place(&self) -> u64 {
        self.queue.next_place()
    }

    /// Queues an op. Returns its position, and whether the caller must wake the writer.
    pub(super) fn enqueue(&mut self, op: Queued) -> (Position, bool) {
        (self.queue.push(op), std::mem::take(&mut self.writer_idle))
    }

    /// Takes the whole queue, and the names that its ops need.
    pub(super) fn take_batch(&mut self) -> Batch {
        let mut batch = self.queue.take();
        // Without an op, new names wait: they are written in its transaction.
        if !batch.ops.is_empty() {
            batch.names = self.front.names_after(self.named);
            self.named += batch.names.len();
        }
        batch
    }

    /// Moves a cursor, as [`Front::move_cursor`] does.
    pub(super) fn move_cursor(
        &mut self,
        user: NameId,
        range: (MessageId, MessageId),
        at: Timestamp,
        indexed: Passed,
        wants_deliveries: bool,
    ) -> Option<Op> {
        let place = self.next_place();
        let moved = self.front.move_cursor(user, range, at, indexed, wants_deliveries, place)?;
        self.read_pages.remove(user);
        Some(moved)
    }

    /// Undoes an op that was not stored. To be called for the newest one first.
    pub(super) fn undo(&mut self, op: &Op) {
        match op {
            Op::Message(row) => self.withdraw(row),
            _ => self.front.undo(op),
        }
        if let Op::Cursor(CursorMove { user, before, after, .. }) = op {
            // A later move starts where this one started.
            for later in self.queue.cursor_moves(*user) {
                if later.before.place == after.place {
                    later.before = *before;
                }
            }
        }
    }

    /// Takes back a message that was not stored.
    pub(super) fn withdraw(&mut self, row: &Row) {
        if self.front.withdraw(row) {
            for moved in self.queue.cursor_moves(row.recipient) {
                moved.before.uncount(row.id);
                moved.after.uncount(row.id);
            }
        }
    }
}

#[cfg(test)]
mod tests;
