//! Who has a name: what the previous owners have left is not found by it.

use super::{
    Front,
    ops::{NameId, Op, PersonSet},
    rooms::Span,
};
use crate::{
    model::{MessageId, RoomName, UserName},
    store::PersonRecord,
};

impl Front {
    /// The last message of the previous owners of a name; 0 if there were none.
    pub(crate) fn begins_after(&self, id: NameId) -> MessageId {
        self.inbox(id).begins_after
    }

    /// The user's stays in a room, without those of previous owners of the name, which ended before this owner began.
    pub(crate) fn own_stays(&self, user: &UserName, room: &RoomName) -> impl Iterator<Item = Span> {
        let begin = self.name_id(user).map_or(MessageId(0), |id| self.begins_after(id));
        self.rooms
            .stays(user, room)
            .iter()
            .copied()
            .filter(move |span| span.extends_past(begin) || begin.0 == 0)
    }

    /// Records who has a name.
    pub(crate) fn set_person(&mut self, person: PersonRecord) -> Op {
        let user = self.intern_user(&person.user);
        let begin_before = std::mem::replace(&mut self.inboxes[user.index()].begins_after, person.after);
        let mut set = PersonSet { user, person, begin_before, markers: Vec::new() };
        if set.is_another() {
            set.markers = self.markers.take(user);
        }
        Op::Person(set)
    }

    pub(super) fn undo_person(&mut self, set: &PersonSet) {
        self.inboxes[set.user.index()].begins_after = set.begin_before;
        for (with, marker) in &set.markers {
            self.markers.put(set.user, *with, *marker);
        }
    }
}
