//! Filling a front from a file at start.

use super::{
    Front, Inbox,
    ops::{CursorStep, InboxCursor, NameId, PlacedMarker, Row},
};
use crate::model::{MessageId, ReadMarker, Timestamp};

impl Front {
    /// Restores an inbox, without the messages that are not indexed. To be called before the tail is restored.
    pub(crate) fn restore_inbox(
        &mut self,
        user: NameId,
        cursor: InboxCursor,
        received: u64,
        last: MessageId,
    ) {
        self.inboxes[user.index()] = Inbox::restored(cursor, received, last);
    }

    /// Restores the last message of the previous owners of a name. To be called after the inbox was restored.
    pub(crate) fn restore_begin(&mut self, user: NameId, after: MessageId) {
        self.inboxes[user.index()].begins_after = after;
    }

    /// Restores a cursor step that is in the file and not indexed.
    pub(crate) fn restore_passed(&mut self, passed: CursorStep) {
        self.passed.push(passed);
    }

    /// Restores a read marker.
    pub(crate) fn restore_marker(&mut self, user: NameId, with: NameId, marker: ReadMarker) {
        self.markers.put(user, with, PlacedMarker { marker, place: 0 });
    }

    /// Restores the time of the latest message.
    pub(crate) fn restore_latest(&mut self, at: Timestamp) {
        self.latest = at;
    }

    /// Restores a message that is in the file and not indexed. To be called in the order of their numbers.
    pub(crate) fn restore_row(&mut self, row: Row) {
        self.count_in(&row);
        self.tail.restore(row);
    }

    /// Makes the next message number greater than `last`, which was assigned before.
    pub(crate) fn skip_past(&mut self, last: MessageId) {
        self.tail.skip_to(MessageId(last.0.saturating_add(1)));
    }

    /// Makes the next message number greater than every number that a cursor, a stay, a read marker or the begin of
    /// an owner refers to. To be called last.
    ///
    /// The message with such a number may not be in the file: it was refused, but by then the number was taken. If another
    /// message got it now, it would count as acknowledged, or as sent while somebody was, or was not, in a room.
    pub(crate) fn skip_used_numbers(&mut self) {
        let cursors = self
            .inboxes
            .iter()
            .map(|inbox| MessageId(inbox.cursor.upto.max(inbox.begins_after).0.saturating_add(1)));
        let read = MessageId(self.markers.last().0.saturating_add(1));
        let next = cursors.max().max(self.rooms.last_bound()).max(Some(read));
        self.tail.skip_to(next.unwrap_or(MessageId(0)));
    }
}
