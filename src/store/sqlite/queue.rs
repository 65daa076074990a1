//! The writer's queue: ops in the order of their positions, and new names that the writer must store before them.

use super::ops::{Batch, CursorMove, NameId, Op};
use crate::model::{Position, Recipient};

/// Most ops for which capacity is allocated in advance.
const MAX_ROOM: usize = 1024;

/// Ops that the writer has not taken yet.
#[derive(Default)]
pub(super) struct Queue {
    ops: Vec<Op>,
    /// Names that have got a number and are not written yet.
    names: Vec<(NameId, Recipient)>,
    bytes: usize,
    /// Place of the last op.
    head: u64,
}

impl Queue {
    /// Position of the last op that was queued, whether the writer has taken it or not.
    pub(super) fn head(&self) -> Position {
        Position::at(self.head)
    }

    /// Place that the next op will have.
    pub(super) fn next_place(&self) -> u64 {
        self.head + 1
    }

    /// Queues an op and returns its position.
    pub(super) fn push(&mut self, op: Op) -> Position {
        self.bytes += match &op {
            Op::Message(row) | Op::Keyed(row, _) => row.text.len() + 64,
            _ => 64,
        };
        self.ops.push(op);
        self.head += 1;
        self.head()
    }

    /// Adds a name that has got a number.
    pub(super) fn name(&mut self, id: NameId, name: Recipient) {
        self.names.push((id, name));
    }

    /// Number of queued ops.
    pub(super) fn len(&self) -> usize {
        self.ops.len()
    }

    /// Size of the queue in bytes, estimated: texts, and 64 bytes for each op.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes the whole queue.
    pub(super) fn take(&mut self) -> Batch {
        if self.ops.is_empty() {
            // New names stay here until there is an op: they are written in its transaction.
            return Batch::default();
        }
        // The next batch is likely to be as large as this one.
        let room = Vec::with_capacity(self.ops.len().min(MAX_ROOM));
        let ops = std::mem::replace(&mut self.ops, room);
        self.bytes = 0;
        let first = self.head + 1 - ops.len() as u64;
        Batch { ops, names: std::mem::take(&mut self.names), first }
    }

    /// The moves of a user's cursor in the queue.
    pub(super) fn cursor_moves(&mut self, user: NameId) -> impl Iterator<Item = &mut CursorMove> {
        self.ops.iter_mut().filter_map(move |op| match op {
            Op::Cursor(moved) if moved.user == user => Some(moved),
            _ => None,
        })
    }
}
