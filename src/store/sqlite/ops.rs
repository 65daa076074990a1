//! Ops: the writes that callers queue for the writer, and the batches in which it takes them.

use std::sync::Arc;

use tokio::sync::oneshot;

use crate::{
    model::{MessageId, Outcome, Recipient, Stored, Timestamp, TokenDigest},
    store::SessionRecord,
};

/// Number of a user or a room in the table `names`. Rows refer to names by number, so that they are small.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct NameId(pub(super) u32);

impl NameId {
    pub(super) fn index(self) -> usize {
        self.0 as usize
    }
}

/// A message as the queue, the writer and the tail hold it. A clone copies neither text nor key.
#[derive(Clone)]
pub(super) struct Row {
    pub(super) id: MessageId,
    pub(super) at: Timestamp,
    pub(super) sender: NameId,
    pub(super) recipient: NameId,
    pub(super) text: Arc<str>,
    pub(super) key: Option<Arc<str>>,
    /// Place of its op in the log.
    pub(super) place: u64,
    /// Whether the recipient is a room.
    pub(super) to_room: bool,
}

/// One write. Each op has its own position; positions follow the order of the queue.
pub(super) enum Op {
    Message(Row),
    /// A message whose key may have been used before. Its slot in the tail stays pending until the writer has looked the
    /// key up in the file and has sent the outcome.
    Keyed(Row, oneshot::Sender<Outcome<Stored>>),
    Cursor(CursorMove),
    Join(Stay),
    Leave(Stay, MessageId),
    OpenSession(NameId, SessionRecord),
    TouchSession(TokenDigest, Timestamp),
    EndSession(TokenDigest),
    /// What is left of [`Op::Keyed`] when its key was used before. It keeps its position.
    Nothing,
}

/// The beginning of a user's stay in a room.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stay {
    pub(super) room: NameId,
    pub(super) user: NameId,
    /// Number of the first message that can belong to it.
    pub(super) from: MessageId,
}

/// An acknowledgement: messages leave an inbox.
pub(super) struct CursorMove {
    pub(super) user: NameId,
    pub(super) after: InboxCursor,
    pub(super) at: Timestamp,
    /// The cursor to restore if this cannot be written.
    pub(super) before: InboxCursor,
    /// Sender and number of the messages to the user that it passes, if the observer wants deliveries.
    pub(super) delivered: Vec<(NameId, MessageId)>,
}

/// How far an inbox was read, in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct InboxCursor {
    /// The last acknowledged message; 0 if there is none.
    pub(super) upto: MessageId,
    /// Number of messages to the user, not to rooms, that were ever acknowledged.
    pub(super) taken: u64,
    /// Place in the log of the move to here; 0 if the cursor was restored from the file.
    pub(super) place: u64,
}

/// One past step of a cursor: the acknowledgement of messages up to `upto` at the time `at`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CursorStep {
    pub(super) user: NameId,
    pub(super) upto: MessageId,
    pub(super) at: Timestamp,
}

/// Everything that was queued when the writer was ready for more.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) ops: Vec<Op>,
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
