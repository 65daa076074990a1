//! Ops: writes as the front has applied them, and as a log stores them.

use std::sync::Arc;

use crate::{
    model::{MessageId, ReadMarker, Timestamp, TokenDigest},
    store::{PersonRecord, SessionRecord, TrustRecord},
};

/// Number of a user or a room. Rows refer to names by number, so that they are small.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct NameId(pub(crate) u32);

impl NameId {
    /// The number of the name at `index`, counted from 0.
    pub(crate) fn at(index: usize) -> Self {
        NameId(u32::try_from(index).expect("fewer than 2³² names"))
    }

    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

/// A message as the tail, the queue and the log hold it. A clone copies neither text nor key.
#[derive(Clone)]
pub(crate) struct Row {
    pub(crate) id: MessageId,
    pub(crate) at: Timestamp,
    pub(crate) sender: NameId,
    pub(crate) recipient: NameId,
    pub(crate) text: Arc<str>,
    pub(crate) key: Option<Arc<str>>,
    /// Place of its op in the log; 0 if there is no log, or if the row was restored from the file.
    pub(crate) place: u64,
    /// Whether the recipient is a room.
    pub(crate) to_room: bool,
}

/// One write, with everything that the front has decided about it.
pub(crate) enum Op {
    Message(Row),
    Cursor(CursorMove),
    Join(Stay),
    Leave(Stay, MessageId),
    OpenSession(NameId, SessionRecord),
    TouchSession(TokenDigest, Timestamp),
    LabelSession(TokenDigest, Box<str>),
    EndSession(TokenDigest),
    Read(MarkerMove),
    Person(PersonSet),
    Trust(NameId, TrustRecord),
}

/// The beginning of a user's stay in a room.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stay {
    pub(crate) room: NameId,
    pub(crate) user: NameId,
    /// Number of the first message that can belong to it.
    pub(crate) from: MessageId,
}

/// An acknowledgement: messages leave an inbox.
pub(crate) struct CursorMove {
    pub(crate) user: NameId,
    pub(crate) after: InboxCursor,
    pub(crate) at: Timestamp,
    /// The cursor to restore if this cannot be written.
    pub(crate) before: InboxCursor,
    /// Sender and number of the messages to the user that it passes, if the observer wants deliveries.
    pub(crate) delivered: Vec<(NameId, MessageId)>,
}

/// A person has read a conversation further.
#[derive(Clone, Copy)]
pub(crate) struct MarkerMove {
    pub(crate) user: NameId,
    pub(crate) with: NameId,
    pub(crate) after: PlacedMarker,
    /// The marker to restore if this cannot be written.
    pub(crate) before: Option<PlacedMarker>,
}

/// A read marker, in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PlacedMarker {
    pub(crate) marker: ReadMarker,
    /// Place in the log of the move to here; 0 if there is no log, or if the marker was restored from the file.
    pub(crate) place: u64,
}

/// Who has a name now.
pub(crate) struct PersonSet {
    pub(crate) user: NameId,
    pub(crate) person: PersonRecord,
    /// The last message of the previous owners, before.
    pub(crate) begin_before: MessageId,
    /// The read markers of the previous owner, which are gone.
    pub(crate) markers: Vec<(NameId, PlacedMarker)>,
}

impl PersonSet {
    /// Whether it is another person than before.
    pub(crate) fn is_another(&self) -> bool {
        self.person.after != self.begin_before
    }
}

/// How far an inbox was read, in memory.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct InboxCursor {
    /// The last acknowledged message; 0 if there is none.
    pub(crate) upto: MessageId,
    /// Number of messages to the user, not to rooms, that were ever acknowledged.
    pub(crate) taken: u64,
    /// Place in the log of the move to here; 0 if there is no log, or if the cursor was restored from the file.
    pub(crate) place: u64,
}

impl InboxCursor {
    /// Stops counting a message that was not stored, if the cursor has passed it.
    pub(crate) fn uncount(&mut self, id: MessageId) {
        if self.upto >= id {
            self.taken = self.taken.saturating_sub(1);
        }
    }
}

/// One past step of a cursor: the acknowledgement of messages up to `upto` at the time `at`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CursorStep {
    pub(crate) user: NameId,
    pub(crate) upto: MessageId,
    pub(crate) at: Timestamp,
}
