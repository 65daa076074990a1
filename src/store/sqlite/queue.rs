//! The writer's queue: what callers have written and the writer has not taken yet, in the order of the log.

use tokio::sync::oneshot;

use crate::{
    model::{Outcome, Position, Recipient, Stored},
    store::front::ops::{CursorMove, NameId, Op, Row},
};

/// Most ops for which capacity is allocated in advance.
const MAX_ROOM: usize = 1024;

/// One place of the log.
pub(super) enum Queued {
    Op(Op),
    /// A message whose key may have been used before. Its slot in the tail stays pending until the writer has looked the
    /// key up in the file and has sent the outcome.
    Keyed(Row, oneshot::Sender<Outcome<Stored>>),
    /// What is left of [`Queued::Keyed`] when its key was used before. It keeps its place.
    Nothing,
}

impl Queued {
    /// The op, if it is known which one it is.
    pub(super) fn op(&self) -> Option<&Op> {
        match self {
            Queued::Op(op) => Some(op),
            Queued::Keyed(..) | Queued::Nothing => None,
        }
    }

    /// Whether its failure concerns nobody.
    pub(super) fn promises_nothing(&self) -> bool {
        matches!(
            self,
            Queued::Nothing | Queued::Op(Op::TouchSession(..) | Op::LabelSession(..) | Op::Trust(..))
        )
    }

    pub(super) fn opens_session(&self) -> bool {
        matches!(self, Queued::Op(Op::OpenSession(..)))
    }

    /// The message that it stores or may store.
    pub(super) fn row(&self) -> Option<&Row> {
        match self {
            Queued::Op(Op::Message(row)) | Queued::Keyed(row, _) => Some(row),
            _ => None,
        }
    }
}

/// What the writer has not taken yet.
#[derive(Default)]
pub(super) struct Queue {
    ops: Vec<Queued>,
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
    pub(super) fn push(&mut self, op: Queued) -> Position {
        self.bytes += 64 + op.row().map_or(0, |row| row.text.len());
        self.ops.push(op);
        self.head += 1;
        self.head()
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
            // It keeps its capacity.
            return Batch { first: self.next_place(), ..Batch::default() };
        }
        // The next batch is likely to be as large as this one.
        let room = Vec::with_capacity(self.ops.len().min(MAX_ROOM));
        let ops = std::mem::replace(&mut self.ops, room);
        self.bytes = 0;
        let first = self.head + 1 - ops.len() as u64;
        Batch { ops, names: Vec::new(), first }
    }

    /// The moves of a user's cursor in the queue.
    pub(super) fn cursor_moves(&mut self, user: NameId) -> impl Iterator<Item = &mut CursorMove> {
        self.ops.iter_mut().filter_map(move |op| match op {
            Queued::Op(Op::Cursor(moved)) if moved.user == user => Some(moved),
            _ => None,
        })
    }
}

/// Everything that was queued when the writer was ready for more.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) ops: Vec<Queued>,
    /// New names, which must be stored before the ops.
    pub(super) names: Vec<(NameId, Recipient)>,
    /// Place of the first op in the log.
    pub(super) first: u64,
}

impl Batch {
    /// Place of the op at `index`, counted from 0.
    pub(super) fn place(&self, index: usize) -> u64 {
        self.first + index as u64
    }

    /// Place of the last op; 0 if there is none.
    pub(super) fn last(&self) -> u64 {
        if self.ops.is_empty() { 0 } else { self.place(self.ops.len() - 1) }
    }

    /// Joins this batch and the next one.
    pub(super) fn followed_by(mut self, mut next: Batch) -> Batch {
        if self.ops.is_empty() {
            return next;
        }
        debug_assert!(next.ops.is_empty() || next.first == self.last() + 1);
        self.ops.append(&mut next.ops);
        self.names.append(&mut next.names);
        self
    }
}
