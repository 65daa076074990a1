//! Which messages of the tail belong to which conversation between two users.

use std::collections::{BTreeSet, HashMap, VecDeque};

use foldhash::fast::RandomState;

use super::ops::{NameId, Row};
use crate::model::MessageId;

/// Messages of the tail between each two users, and who has such a conversation with whom. Messages to rooms are not among them.
#[derive(Default)]
pub(super) struct Conversations {
    /// Numbers of the messages between two users, ascending. No list is empty.
    between: HashMap<(NameId, NameId), VecDeque<MessageId>, RandomState>,
    /// The users with whom each user has a conversation. No set is empty.
    partners: HashMap<NameId, BTreeSet<NameId>, RandomState>,
}

/// Key of a conversation: the lower number comes first.
fn pair(one: NameId, other: NameId) -> (NameId, NameId) {
    (one.min(other), one.max(other))
}

impl Conversations {
    /// Adds a message. Numbers must grow.
    pub(super) fn add(&mut self, row: &Row) {
        if row.to_room {
            return;
        }
        let (one, other) = pair(row.sender, row.recipient);
        let ids = self.between.entry((one, other)).or_default();
        if ids.is_empty() {
            self.partners.entry(one).or_default().insert(other);
            self.partners.entry(other).or_default().insert(one);
        }
        ids.push_back(row.id);
    }

    /// Removes a message. It is found fastest if it is the oldest.
    pub(super) fn remove(&mut self, row: &Row) {
        let (one, other) = pair(row.sender, row.recipient);
        let Some(ids) = self.between.get_mut(&(one, other)).filter(|_| !row.to_room) else {
            return;
        };
        if ids.front() == Some(&row.id) {
            ids.pop_front();
        } else if let Ok(at) = ids.binary_search(&row.id) {
            ids.remove(at);
        }
        if ids.is_empty() {
            self.between.remove(&(one, other));
            self.part(one, other);
            self.part(other, one);
        }
    }

    fn part(&mut self, user: NameId, partner: NameId) {
        if let Some(partners) = self.partners.get_mut(&user) {
            partners.remove(&partner);
            if partners.is_empty() {
                self.partners.remove(&user);
            }
        }
    }

    /// Numbers of the messages between two users, ascending; `None` if there are none.
    pub(super) fn between(&self, one: NameId, other: NameId) -> Option<&VecDeque<MessageId>> {
        self.between.get(&pair(one, other))
    }

    /// Users with whom the user has a conversation; the user, too, after a message to the user's own name.
    pub(super) fn partners(&self, user: NameId) -> impl Iterator<Item = NameId> {
        self.partners.get(&user).into_iter().flatten().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Timestamp;

    fn row(id: u64, sender: u32, recipient: u32) -> Row {
        let (sender, recipient, text) = (NameId(sender), NameId(recipient), "a".into());
        Row {
            id: MessageId(id),
            at: Timestamp(0),
            sender,
            recipient,
            text,
            key: None,
            place: 0,
            to_room: false,
        }
    }

    #[test]
    fn a_conversation_has_both_directions_and_ends_with_its_last_message() {
        let mut all = Conversations::default();
        let rows =
            [row(1, 1, 2), row(2, 3, 2), row(3, 2, 1), row(5, 1, 1), Row { to_room: true, ..row(6, 1, 9) }];
        for row in &rows {
            all.add(row);
        }
        let ids = |all: &Conversations, one, other| {
            all.between(NameId(one), NameId(other)).map(|ids| ids.iter().map(|id| id.0).collect::<Vec<_>>())
        };
        let partners =
            |all: &Conversations, user| all.partners(NameId(user)).map(|id| id.0).collect::<Vec<_>>();
        assert_eq!(
            (ids(&all, 2, 1), ids(&all, 1, 1), ids(&all, 1, 9)),
            (Some(vec![1, 3]), Some(vec![5]), None)
        );
        assert_eq!((partners(&all, 1), partners(&all, 2)), (vec![1, 2], vec![1, 3]));
        all.remove(&rows[2]);
        assert_eq!(ids(&all, 1, 2), Some(vec![1]));
        for row in &rows {
            all.remove(row);
        }
        assert!(all.between.is_empty() && all.partners.is_empty());
    }
}
