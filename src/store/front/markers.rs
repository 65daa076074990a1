//! How far each person has read each conversation.

use std::collections::BTreeMap;

use super::{
    Front,
    ops::{MarkerMove, NameId, Op, PlacedMarker},
};
use crate::model::{At, MessageId, ReadMarker, Recipient, UserName};

/// Read markers by user and conversation.
#[derive(Default)]
pub(super) struct Markers(BTreeMap<(NameId, NameId), PlacedMarker>);

impl Markers {
    pub(super) fn get(&self, user: NameId, with: NameId) -> Option<PlacedMarker> {
        self.0.get(&(user, with)).copied()
    }

    pub(super) fn put(&mut self, user: NameId, with: NameId, marker: PlacedMarker) {
        self.0.insert((user, with), marker);
    }

    /// Removes all markers of a user.
    pub(super) fn take(&mut self, user: NameId) -> Vec<(NameId, PlacedMarker)> {
        let own = self.0.extract_if((user, NameId(0))..=(user, NameId(u32::MAX)), |_, _| true);
        own.map(|((_, with), marker)| (with, marker)).collect()
    }

    /// Undoes a move, unless the marker has moved on since.
    fn undo(&mut self, moved: &MarkerMove) {
        let key = (moved.user, moved.with);
        if self.0.get(&key).is_some_and(|marker| marker.place == moved.after.place) {
            match moved.before {
                Some(before) => self.0.insert(key, before),
                None => self.0.remove(&key),
            };
        }
    }

    /// The greatest number of a message in a marker.
    pub(super) fn last(&self) -> MessageId {
        self.0.values().map(|placed| placed.marker.upto).max().unwrap_or(MessageId(0))
    }
}

impl Front {
    /// Moves a read marker; `None` if it is there already or further on.
    pub(crate) fn mark_read(
        &mut self,
        user: &UserName,
        with: &Recipient,
        marker: ReadMarker,
        place: u64,
    ) -> Option<Op> {
        let user = self.intern_user(user);
        let with = self.intern(with, || with.clone());
        let before = self.markers.get(user, with);
        if before.is_some_and(|before| !marker.is_after(&before.marker)) {
            return None;
        }
        let after = PlacedMarker { marker, place };
        self.markers.put(user, with, after);
        Some(Op::Read(MarkerMove { user, with, after, before }))
    }

    pub(super) fn undo_read(&mut self, moved: &MarkerMove) {
        self.markers.undo(moved);
    }

    /// A read marker of the user.
    pub(crate) fn read_marker(&self, user: &str, with: &str) -> At<Option<ReadMarker>> {
        let ids = self.name_id(user).zip(self.name_id(with));
        match ids.and_then(|(user, with)| self.markers.get(user, with)) {
            Some(PlacedMarker { marker, place }) => At::new(Some(marker), self.unsettled(place)),
            None => At::start(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::Timestamp,
        store::{CommitLog, PersonRecord},
    };

    fn marker(upto: u64) -> ReadMarker {
        ReadMarker { at: Timestamp(upto.cast_signed()), upto: MessageId(upto), moved: Timestamp(0) }
    }

    #[test]
    fn what_was_not_stored_is_taken_back() {
        let mut front = Front::new(9, MessageId(0), std::sync::Arc::<CommitLog>::default());
        let (ann, bob) = (UserName::parse("ann").expect("a name"), Recipient::parse("bob").expect("a name"));
        let read = |front: &Front| front.read_marker("ann", "bob").peek().map(|marker| marker.upto.0);
        let first = front.mark_read(&ann, &bob, marker(3), 1).expect("moved");
        let second = front.mark_read(&ann, &bob, marker(7), 2).expect("moved");
        assert!(front.mark_read(&ann, &bob, marker(7), 3).is_none());
        assert_eq!(read(&front), Some(7));
        front.undo(&second);
        assert_eq!(read(&front), Some(3));
        let person = front.set_person(PersonRecord { after: MessageId(9), ..PersonRecord::new(ann.clone()) });
        assert_eq!(read(&front), None);
        front.undo(&person);
        assert_eq!(read(&front), Some(3));
        front.undo(&first);
        assert_eq!(read(&front), None);
    }
}
