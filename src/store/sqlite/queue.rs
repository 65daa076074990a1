//! What waits for the writer: ops in the order of their positions, and the names that they are the first to use.

use super::ops::{Batch, CursorMove, NameId, Op};
use crate::{protocol::Recipient, store::Position};

/// Room for so many ops is made at once.
const MAX_ROOM: usize = 1024;

/// Ops that are not written yet.
pub(super) struct Queue {
    ops: Vec<Op>,
    /// Names that were given out, to be written with the next op.
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
    /// The position of the last op that was put in, written or not.
    pub(super) fn head(&self) -> Position {
        self.head
    }

    /// The position that the next op will have.
    pub(super) fn next(&self) -> Position {
        Position(self.head.0 + 1)
    }

    /// Puts an op in; its position.
    pub(super) fn push(&mut self, op: Op) -> Position {
        self.bytes += match &op {
            Op::Message(row) | Op::Keyed(row, _) => row.text.len() + 64,
            _ => 64,
        };
        self.ops.push(op);
        self.head = self.next();
        self.head
    }

    /// A name was given out.
    pub(super) fn name(&mut self, id: NameId, name: Recipient) {
        self.names.push((id, name));
    }

    /// How many ops wait to be written.
    pub(super) fn len(&self) -> usize {
        self.ops.len()
    }

    /// How many bytes wait to be written, about.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// All that waits.
    pub(super) fn take(&mut self) -> Batch {
        if self.ops.is_empty() {
            // Names that were given out wait for an op: they are written with it.
            return Batch::default();
        }
        // The next batch is about as large.
        let room = Vec::with_capacity(self.ops.len().min(MAX_ROOM));
        let ops = std::mem::replace(&mut self.ops, room);
        self.bytes = 0;
        let first = Position(self.head.0 + 1 - ops.len() as u64);
        Batch { ops, names: std::mem::take(&mut self.names), first }
    }

    /// A cursor was not stored after all: what was to move it on moves it from where it was.
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
