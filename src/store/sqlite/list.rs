//! Keys of posting lists: which inbox, room, conversation or set of partners a list belongs to.
//!
//! This module knows nothing of how lists are stored: [`blocks`](super::blocks) and [`runs`](super::runs) do.

use crate::store::front::{ops::NameId, plan::Conversation};

/// [`List::other`] of the messages that were sent to one user or room.
const SENT: i64 = -1;

/// [`List::other`] of a list of partners; the lowest value that `other` has.
pub(super) const PARTNERS: i64 = -2;

/// Key of a posting list; lists are sorted by it on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct List {
    /// Number of a user or room; of a conversation, the lower of the two users' numbers.
    pub(super) one: i64,
    /// Of a conversation, the higher of the two users' numbers; otherwise [`SENT`] or [`PARTNERS`].
    pub(super) other: i64,
}

impl List {
    /// The list of all messages sent to a user or a room.
    pub(super) fn to(recipient: NameId) -> Self {
        List { one: i64::from(recipient.0), other: SENT }
    }

    /// The list of all messages that two users sent to each other.
    pub(super) fn between(a: NameId, b: NameId) -> Self {
        List { one: i64::from(a.min(b).0), other: i64::from(a.max(b).0) }
    }

    /// The list of users with whom a user has exchanged messages, as [`Partner`]s.
    ///
    /// Only runs contain such lists; a merge moves them into the table `partners`.
    pub(super) fn partners(user: NameId) -> Self {
        List { one: i64::from(user.0), other: PARTNERS }
    }

    /// The two users of a conversation; `None` for another kind of list.
    pub(super) fn pair(self) -> Option<(NameId, NameId)> {
        (self.other >= 0).then_some((name(self.one), name(self.other)))
    }

    /// The recipient of a list made by [`List::to`]; `None` for another kind of list.
    pub(super) fn recipient(self) -> Option<NameId> {
        (self.other == SENT).then_some(name(self.one))
    }

    /// Whether a message of this sender and recipient belongs in the list.
    pub(super) fn has(self, sender: NameId, recipient: NameId) -> bool {
        match self.pair() {
            None => Some(recipient) == self.recipient(),
            Some(pair) => pair == (sender.min(recipient), sender.max(recipient)),
        }
    }

    /// The user of a list made by [`List::partners`]; `None` for another kind of list.
    pub(super) fn partners_of(self) -> Option<NameId> {
        (self.other == PARTNERS).then_some(name(self.one))
    }
}

impl From<Conversation> for List {
    fn from(conversation: Conversation) -> Self {
        match conversation {
            Conversation::Room(room) => List::to(room),
            Conversation::Between(one, other) => List::between(one, other),
        }
    }
}

/// A name as an entry of a list of partners, where it is stored as its number plus 1.
///
/// Entries of a list are stored as distances from the entry before, the first one from 0. A distance of 0 is invalid, and
/// name numbers begin with 0.
#[derive(Debug, Clone, Copy)]
pub(super) struct Partner(pub(super) NameId);

impl From<u64> for Partner {
    fn from(number: u64) -> Self {
        Partner(NameId(u32::try_from(number.wrapping_sub(1)).unwrap_or(u32::MAX)))
    }
}

impl From<Partner> for u64 {
    fn from(partner: Partner) -> Self {
        u64::from(partner.0.0) + 1
    }
}

fn name(number: i64) -> NameId {
    NameId(u32::try_from(number).unwrap_or(u32::MAX))
}
