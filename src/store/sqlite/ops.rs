//! What is asked of the writer.

use std::sync::Arc;

use tokio::sync::oneshot;

use crate::{
    protocol::{Recipient, Timestamp, TokenDigest},
    store::{MessageId, Outcome, Position, SessionRecord, Stored},
};

/// A user's or a room's number in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct NameId(pub(super) u32);

impl NameId {
    pub(super) fn index(self) -> usize {
        self.0 as usize
    }
}

/// A message as the writer and the tail hold it. A clone copies neither text nor key.
#[derive(Clone)]
pub(super) struct Row {
    pub(super) id: MessageId,
    pub(super) at: Timestamp,
    pub(super) sender: NameId,
    pub(super) recipient: NameId,
    pub(super) text: Arc<str>,
    pub(super) key: Option<Arc<str>>,
    pub(super) position: Position,
    /// The recipient is a room.
    pub(super) to_room: bool,
}

/// One thing to be written. Each has a position of its own, in the order of the queue.
pub(super) enum Op {
    Message(Row),
    /// A message whose key may have been used before: only the writer can know. Its place is kept until it does.
    Keyed(Row, oneshot::Sender<Outcome<Stored>>),
    Cursor(CursorMove),
    Join(Stay),
    Leave(Stay, MessageId),
    OpenSession(NameId, SessionRecord),
    TouchSession(TokenDigest, Timestamp),
    EndSession(TokenDigest),
    /// A message that turned out to be a duplicate.
    Nothing,
}

/// A stay in a room.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stay {
    pub(super) room: NameId,
    pub(super) user: NameId,
    /// The first message's number that can fall into it.
    pub(super) from: MessageId,
}

/// Messages leave an inbox.
pub(super) struct CursorMove {
    pub(super) user: NameId,
    pub(super) after: InboxCursor,
    pub(super) at: Timestamp,
    /// What is put back if this cannot be written.
    pub(super) before: InboxCursor,
}

/// How far an inbox was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct InboxCursor {
    /// The last message that was taken out.
    pub(super) upto: MessageId,
    /// How many that were sent to the user were taken out, of all time.
    pub(super) taken: u64,
    /// What must be durable before anybody may be told of it.
    pub(super) position: Position,
}

/// A place that a cursor has had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CursorStep {
    pub(super) user: NameId,
    pub(super) upto: MessageId,
    pub(super) at: Timestamp,
}

/// What the writer takes.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) ops: Vec<Op>,
    pub(super) names: Vec<(NameId, Recipient)>,
    /// The position of the first op.
    pub(super) first: Position,
}

impl Batch {
    /// The position of the `index`th op.
    pub(super) fn position(&self, index: usize) -> Position {
        Position(self.first.0 + index as u64)
    }

    /// The position of the last op; the start if there is none.
    pub(super) fn last(&self) -> Position {
        if self.ops.is_empty() { Position::START } else { self.position(self.ops.len() - 1) }
    }

    /// This one and the next as one.
    pub(super) fn followed_by(mut self, mut next: Batch) -> Batch {
        if self.ops.is_empty() {
            return next;
        }
        debug_assert!(next.ops.is_empty() || next.first.0 == self.last().0 + 1);
        self.ops.append(&mut next.ops);
        self.names.append(&mut next.names);
        self
    }
}
