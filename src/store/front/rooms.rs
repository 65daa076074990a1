//! Rooms: who is in which room, and during which messages each user was in it.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    ops::Bound,
};

use foldhash::fast::RandomState;

use crate::model::{MessageId, RoomName, UserName};

/// A stay in a room, as an interval of message numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    /// Number of the first message that can belong to it.
    pub(crate) from: MessageId,
    /// Number of the first message after it; `None` while the stay lasts.
    pub(crate) until: Option<MessageId>,
}

impl Span {
    pub(crate) fn contains(self, id: MessageId) -> bool {
        self.from <= id && self.until.is_none_or(|until| id < until)
    }

    /// Whether a message after `id` can belong to it.
    pub(crate) fn extends_past(self, id: MessageId) -> bool {
        self.until.is_none_or(|until| until.0 > id.0 + 1)
    }
}

/// Relation of a user to a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Membership {
    /// The room does not exist.
    NoRoom,
    /// The user was never in the room.
    Never,
    /// The user was in the room and has left.
    Former,
    /// The user is in the room.
    Current,
}

/// A room in a list for one user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomEntry {
    /// Its name.
    pub room: RoomName,
    /// Number of users in it.
    pub members: usize,
    /// Whether the user who asks is in it.
    pub joined: bool,
}

#[derive(Default)]
struct Room {
    /// Stays of every user who was ever in it, oldest first. No list is empty, and only its last stay may last still.
    stays: BTreeMap<UserName, Vec<Span>>,
    members: usize,
}

/// The rooms of one user.
#[derive(Default)]
struct OwnRooms {
    joined: BTreeSet<RoomName>,
    /// The end of each stay that has ended, with its room. A read finds those that end after a cursor, however many ended before.
    ended: BTreeSet<(MessageId, RoomName)>,
}

/// All rooms, and who is or was in them.
#[derive(Default)]
pub(crate) struct Rooms {
    by_name: BTreeMap<RoomName, Room>,
    of_user: HashMap<UserName, OwnRooms, RandomState>,
    /// Place in the log of the latest change; 0 if there was none.
    pub(crate) place: u64,
    /// Number of stays, those counted once that began at the same message: one row of the file each.
    pub(crate) rows: u64,
}

fn is_open(stays: &[Span]) -> bool {
    stays.last().is_some_and(|span| span.until.is_none())
}

impl Rooms {
    pub(crate) fn membership(&self, user: &UserName, room: &RoomName) -> Membership {
        match self.by_name.get(room).map(|room| room.stays.get(user)) {
            None => Membership::NoRoom,
            Some(None) => Membership::Never,
            Some(Some(stays)) if is_open(stays) => Membership::Current,
            Some(Some(_)) => Membership::Former,
        }
    }

    /// Begins a stay with message `from`, the next one. The user must not be in the room.
    pub(crate) fn join(&mut self, user: &UserName, room: &RoomName, from: MessageId) {
        self.restore(user, room, Span { from, until: None });
    }

    /// Adds a stay. To be called in the order in which the stays of a user in a room began.
    pub(crate) fn restore(&mut self, user: &UserName, room: &RoomName, span: Span) {
        let entry = self.by_name.entry(room.clone()).or_default();
        entry.members += usize::from(span.until.is_none());
        let stays = entry.stays.entry(user.clone()).or_default();
        self.rows += u64::from(stays.last().is_none_or(|last| last.from != span.from));
        stays.push(span);
        let own = self.of_user.entry(user.clone()).or_default();
        match span.until {
            None => own.joined.insert(room.clone()),
            Some(until) => own.ended.insert((until, room.clone())),
        };
    }

    /// Ends a stay before message `until`, the next one.
    ///
    /// Returns the first message of the stay; `None` if the user is not in the room.
    pub(crate) fn leave(&mut self, user: &UserName, room: &RoomName, until: MessageId) -> Option<MessageId> {
        let entry = self.by_name.get_mut(room)?;
        let span = entry.stays.get_mut(user)?.last_mut().filter(|span| span.until.is_none())?;
        span.until = Some(until);
        entry.members -= 1;
        if let Some(own) = self.of_user.get_mut(user) {
            own.joined.remove(room);
            own.ended.insert((until, room.clone()));
        }
        Some(span.from)
    }

    /// The greatest message number at which a stay begins or ends; `None` if there are no stays.
    pub(crate) fn last_bound(&self) -> Option<MessageId> {
        let stays = self.by_name.values().flat_map(|room| room.stays.values().flatten());
        stays.map(|span| span.until.unwrap_or(span.from)).max()
    }

    /// Undoes a join that was not stored: removes the stay that began with `from`, and the room if nobody was ever in it.
    pub(crate) fn undo_join(&mut self, user: &UserName, room: &RoomName, from: MessageId) {
        let Some(entry) = self.by_name.get_mut(room) else {
            return;
        };
        let Some(stays) = entry.stays.get_mut(user) else {
            return;
        };
        if stays.last().is_some_and(|span| span.from == from) {
            let until = stays.pop().and_then(|span| span.until);
            entry.members -= usize::from(until.is_none());
            if let Some(own) = self.of_user.get_mut(user) {
                match until {
                    None => own.joined.remove(room),
                    // Another stay may have ended there, too: it was empty, and no message can belong to it.
                    Some(until) => own.ended.remove(&(until, room.clone())),
                };
            }
            self.rows -= u64::from(stays.last().is_none_or(|last| last.from != from));
        }
        if stays.is_empty() {
            entry.stays.remove(user);
        }
        if entry.stays.is_empty() {
            self.by_name.remove(room);
        }
    }

    /// Undoes a leave that was not stored: the stay that began with `from` lasts again.
    pub(crate) fn undo_leave(&mut self, user: &UserName, room: &RoomName, from: MessageId) {
        let Some(entry) = self.by_name.get_mut(room) else {
            return;
        };
        let last = entry.stays.get_mut(user).and_then(|stays| stays.last_mut());
        if let Some(span) = last.filter(|span| span.from == from && span.until.is_some()) {
            if let (Some(own), Some(until)) = (self.of_user.get_mut(user), span.until) {
                own.ended.remove(&(until, room.clone()));
                own.joined.insert(room.clone());
            }
            span.until = None;
            entry.members += 1;
        }
    }

    /// The user's stays in a room, oldest first.
    pub(crate) fn stays(&self, user: &UserName, room: &RoomName) -> &[Span] {
        self.by_name.get(room).and_then(|room| room.stays.get(user)).map_or(&[], Vec::as_slice)
    }

    /// All stays of the user to which a message after `id` can belong.
    pub(crate) fn stays_past<'a>(
        &'a self,
        user: &'a UserName,
        id: MessageId,
    ) -> impl Iterator<Item = (&'a RoomName, Span)> {
        let own = self.of_user.get(user);
        let joined = own.into_iter().flat_map(|own| &own.joined);
        // A stay that ends with the message after `id` has none after it.
        let begin = (MessageId(id.0.saturating_add(2)), RoomName::first());
        let ended = own.into_iter().flat_map(move |own| own.ended.range(begin.clone()..));
        let rooms: BTreeSet<&RoomName> = joined.chain(ended.map(|(_, room)| room)).collect();
        rooms.into_iter().flat_map(move |room| {
            let stays = self.stays(user, room).iter().copied();
            stays.filter(move |span| span.extends_past(id)).map(move |span| (room, span))
        })
    }

    /// Whether the user is in any room, or was.
    pub(crate) fn knows(&self, user: &UserName) -> bool {
        self.of_user.get(user).is_some_and(|own| !own.joined.is_empty() || !own.ended.is_empty())
    }

    /// Number of rooms that the user is in.
    pub(crate) fn count(&self, user: &UserName) -> usize {
        self.of_user.get(user).map_or(0, |own| own.joined.len())
    }

    /// The rooms that the user is in, sorted by name.
    pub(crate) fn joined(&self, user: &UserName) -> Vec<RoomName> {
        self.of_user.get(user).into_iter().flat_map(|own| &own.joined).cloned().collect()
    }

    /// At most `limit` rooms, sorted by name, those after `after`, as the user sees them.
    pub(crate) fn list(&self, user: &UserName, after: Option<&RoomName>, limit: usize) -> Vec<RoomEntry> {
        let entry = |(name, room): (&RoomName, &Room)| RoomEntry {
            room: name.clone(),
            members: room.members,
            joined: room.stays.get(user).is_some_and(|stays| is_open(stays)),
        };
        let begin = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.by_name.range::<RoomName, _>((begin, Bound::Unbounded)).take(limit).map(entry).collect()
    }

    /// Users who are in the room or, if `at` is given, who were in it when that message came; sorted by name.
    pub(crate) fn members(&self, room: &RoomName, at: Option<MessageId>) -> Vec<UserName> {
        let all = self.by_name.get(room).into_iter().flat_map(|room| &room.stays);
        let is_member = |stays: &[Span]| match at {
            None => is_open(stays),
            Some(id) => stays.iter().any(|span| span.contains(id)),
        };
        all.filter(|(_, stays)| is_member(stays)).map(|(user, _)| user.clone()).collect()
    }

    /// All stays of all users in a room.
    pub(crate) fn all_stays(&self, room: &RoomName) -> impl Iterator<Item = (&UserName, Span)> {
        let all = self.by_name.get(room).into_iter().flat_map(|room| &room.stays);
        all.flat_map(|(user, stays)| stays.iter().map(move |span| (user, *span)))
    }

    /// Users who are in a room with the user, and the user if in any room.
    pub(crate) fn room_mates(&self, user: &UserName) -> BTreeSet<UserName> {
        let joined = self.of_user.get(user).into_iter().flat_map(|own| &own.joined);
        joined.flat_map(|room| self.members(room, None)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str) -> UserName {
        UserName::parse(name).expect("a name")
    }

    #[test]
    fn stays_begin_and_end() {
        let (lab, ann, bob) = (RoomName::parse("#lab").expect("a name"), user("ann"), user("bob"));
        let mut rooms = Rooms::default();
        assert_eq!(rooms.membership(&ann, &lab), Membership::NoRoom);
        rooms.join(&ann, &lab, MessageId(5));
        assert_eq!(rooms.membership(&ann, &lab), Membership::Current);
        assert_eq!(rooms.membership(&bob, &lab), Membership::Never);
        assert_eq!(rooms.leave(&bob, &lab, MessageId(6)), None);
        assert_eq!(rooms.leave(&ann, &lab, MessageId(8)), Some(MessageId(5)));
        assert_eq!(rooms.leave(&ann, &lab, MessageId(8)), None);
        assert_eq!(rooms.membership(&ann, &lab), Membership::Former);
        assert_eq!(rooms.stays_past(&ann, MessageId(6)).count(), 1);
        assert_eq!(rooms.stays_past(&ann, MessageId(7)).count(), 0);
        assert_eq!(
            (rooms.members(&lab, Some(MessageId(7))).len(), rooms.members(&lab, Some(MessageId(8))).len()),
            (1, 0)
        );
        rooms.join(&ann, &lab, MessageId(9));
        rooms.join(&bob, &lab, MessageId(9));
        assert_eq!(rooms.room_mates(&ann).len(), 2);
        assert_eq!((rooms.count(&ann), rooms.members(&lab, None)), (1, vec![ann.clone(), bob.clone()]));
    }

    #[test]
    fn what_was_not_stored_is_taken_back() {
        let (lab, ann) = (RoomName::parse("#lab").expect("a name"), user("ann"));
        let mut rooms = Rooms::default();
        rooms.join(&ann, &lab, MessageId(5));
        rooms.leave(&ann, &lab, MessageId(6));
        rooms.undo_leave(&ann, &lab, MessageId(5));
        assert_eq!(rooms.membership(&ann, &lab), Membership::Current);
        assert_eq!(rooms.list(&ann, None, 9)[0].members, 1);
        rooms.undo_join(&ann, &lab, MessageId(5));
        assert_eq!(rooms.membership(&ann, &lab), Membership::NoRoom);
        assert_eq!(rooms.count(&ann), 0);
    }

    #[test]
    fn stays_that_ended_before_a_cursor_are_not_looked_at() {
        let (ann, mut rooms) = (user("ann"), Rooms::default());
        for i in 0..100 {
            let room = RoomName::parse(&format!("#r{i:02}")).expect("a name");
            rooms.join(&ann, &room, MessageId(2 * i + 1));
            rooms.leave(&ann, &room, MessageId(2 * i + 3));
        }
        assert_eq!(rooms.stays_past(&ann, MessageId(0)).count(), 100);
        let past: Vec<_> = rooms.stays_past(&ann, MessageId(196)).map(|(room, _)| room.to_string()).collect();
        assert_eq!(past, ["#r98", "#r99"]);
        assert_eq!((rooms.count(&ann), rooms.knows(&ann), rooms.rows), (0, true, 100));
        let page = rooms.list(&ann, Some(&RoomName::parse("#r41").expect("a name")), 2);
        assert_eq!(page.iter().map(|entry| &*entry.room).collect::<Vec<_>>(), ["#r42", "#r43"]);
    }
}
