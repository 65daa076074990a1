//! An inbox: the messages to one user or room, and how far they were read.

use std::collections::VecDeque;

use super::{
    ops::{InboxCursor, NameId, Row},
    sorted::begin_after,
};
use crate::model::MessageId;

/// Messages sent to one user or one room, and how far they were read. (The cursor of a room stays at the start.)
#[derive(Default)]
pub(crate) struct Inbox {
    pub(crate) cursor: InboxCursor,
    /// Number of messages ever sent to this recipient.
    received: u64,
    /// The last message that has left the tail for the index; 0 if there is none.
    pub(crate) last_indexed: MessageId,
    /// Numbers of this recipient's messages in the tail, acknowledged or not, ascending.
    pub(super) tail: VecDeque<MessageId>,
    /// Messages up to this one belong to previous owners of the name.
    pub(crate) begins_after: MessageId,
}

/// Messages to a user, not to rooms, that a cursor passes.
#[derive(Default)]
pub(crate) struct Passed {
    pub(crate) count: u64,
    /// Sender and number of each; empty if nobody wants to know.
    pub(crate) delivered: Vec<(NameId, MessageId)>,
}

impl Inbox {
    /// An inbox without messages in the tail.
    pub(super) fn restored(cursor: InboxCursor, received: u64, last_indexed: MessageId) -> Self {
        Inbox { cursor, received, last_indexed, tail: VecDeque::new(), begins_after: MessageId(0) }
    }

    /// Number of messages that wait.
    pub(crate) fn waiting(&self) -> u64 {
        self.received.saturating_sub(self.cursor.taken)
    }

    /// Adds a message of the tail. Numbers must grow.
    pub(super) fn receive(&mut self, id: MessageId) {
        self.tail.push_back(id);
        self.received += 1;
    }

    /// Removes a message that was not stored. Returns whether the cursor has passed it.
    pub(super) fn withdraw(&mut self, row: &Row) -> bool {
        let Ok(at) = self.tail.binary_search(&row.id) else {
            return false;
        };
        self.tail.remove(at);
        self.received -= 1;
        let is_passed = !row.to_room && self.cursor.upto >= row.id;
        if is_passed {
            self.cursor.uncount(row.id);
        }
        is_passed
    }

    /// Removes the oldest message from the tail; it is in the index.
    pub(super) fn drop_oldest(&mut self, id: MessageId) {
        debug_assert_eq!(self.tail.front(), Some(&id));
        self.tail.pop_front();
        self.last_indexed = id;
    }

    /// Numbers of its messages in the tail after `id`, ascending.
    pub(super) fn tail_after(&self, id: MessageId) -> impl Iterator<Item = MessageId> {
        self.tail.range(begin_after(&self.tail, id)..).copied()
    }
}
