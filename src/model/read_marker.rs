//! How far a person has read a conversation.

use super::{MessageId, Timestamp};

/// How far a person has read one conversation: with a user, or in a room. A marker only moves forward, in time.
///
/// It is apart from the cursor of the inbox, which tells what a program has received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadMarker {
    /// Everything up to this time was read: the time of message `upto`.
    pub at: Timestamp,
    /// The last message that was read; 0 if there was none at that time.
    pub upto: MessageId,
    /// When the marker came to this place.
    pub moved: Timestamp,
}

impl ReadMarker {
    /// Whether this marker is further on than the other one.
    #[must_use]
    pub fn is_after(&self, other: &ReadMarker) -> bool {
        (self.at, self.upto) > (other.at, other.upto)
    }
}
