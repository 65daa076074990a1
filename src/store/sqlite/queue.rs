//! The writer's queue: ops in the order of their positions, and new names that the writer must store before them.

use super::ops::{Batch, CursorMove, NameId, Op};
use crate::{protocol::Recipient, store::Position};

/// Most ops for which capacity is allocated in advance.
const MAX_ROOM: usize = 1024;

/// Ops that the writer has not taken yet.
pub(super) struct Queue {
    ops: Vec<Op>,
    /// Names that have got a number and are not written yet.
    names: Vec<(NameId, Recipient)>,
    bytes: usize,
    head: Position,
}

impl Default for Queue {
    fn default() -> Self {
        Queue { ops: Vec::new(), names: Vec::new(), bytes: 0, head: Position::START }
    }
}

impl Queue {
    /// Position of the last op that was queued, whether the writer has taken it or not.
    pub(super) fn head(&self) -> Position {
        self.head
    }

    /// Position that the next op will have.
    pub(super) fn next(&self) -> Position {
        Position(self.head.0 + 1)
    }

    /// Queues an op and returns its position.
    pub(super) fn push(&mut self, op: Op) -> Position {
        self.bytes += match &op {
            Op::Message(row) | Op::Keyed(row, _) => row.text.len() + 64,
            _ => 64,
        };
        self.ops.push(op);
        self.head = self.next();
        self.head
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
        let first = Position(self.head.0 + 1 - ops.len() as u64);
        Batch { ops, names: std::mem::take(&mut self.names), first }
    }

    /// Makes a later move of the same cursor start where this one, which was not stored, started.
    pub(super) fn restore_cursor(&mut self, cursor: &CursorMove) {
        for op in &mut self.ops {
            if let Op::Cursor(later) = op
                && later.user == cursor.user
                && later.before == cursor.after
            {
                later.before = cursor.before;
            }
        }
    }
}
