//! Which messages and whose presence a user may know of.
//!
//! A name can pass from one person to another (`messages_after` in the users file). The new one may know of nothing that the
//! name sent or received before: this is the one place that says so.

use std::collections::BTreeSet;

use super::Service;
use crate::{
    protocol::{Recipient, UserName},
    store::{Message, MessageId, Position},
    users::User,
};

/// What a user is to a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The user sent it, and does not receive it.
    Sender,
    /// It was put into the user's inbox.
    Recipient,
}

impl Service {
    /// What the user is to the message, and the position that this rests on; `None` if the user may not know of it.
    pub fn part_in(&self, user: &User, message: &Message) -> (Option<Part>, Position) {
        let is_sender = message.from == user.username;
        let (is_recipient, is_party, position) = match &message.to {
            Recipient::User(to) => {
                let is_recipient = *to == user.username;
                (is_recipient, is_recipient || is_sender, Position::START)
            }
            Recipient::Room(room) => {
                let (members, position) = self.store.members(room, Some(message.id));
                let is_member = members.contains(&user.username);
                (is_member && !is_sender, is_member, position)
            }
        };
        let part = if is_recipient { Part::Recipient } else { Part::Sender };
        ((is_party && may_know(user, message.id)).then_some(part), position)
    }

    /// Whether a message of that number and sender may be mentioned to the one who has the sender's name now.
    pub(super) fn may_tell_sender(&self, sender: &UserName, id: MessageId) -> bool {
        self.users.get(sender).is_none_or(|user| may_know(&user, id))
    }

    /// Those who may know of the user's presence: who is in a room with the user, or has exchanged a message with them
    /// since both have their names.
    pub(super) async fn contacts(&self, user: &UserName) -> Vec<UserName> {
        let mut contacts = self.store.acquaintances(user).await;
        let since = |name: &UserName| self.users.get(name).map_or(0, |user| user.messages_after);
        let own = since(user);
        if own == 0 && contacts.iter().all(|other| since(other) == 0) {
            return contacts;
        }
        let room_mates = self.room_mates(user);
        let mut known = BTreeSet::new();
        for other in &contacts {
            let since = own.max(since(other));
            if since == 0 || room_mates.contains(other) || self.last_between(user, other).await.0 > since {
                known.insert(other.clone());
            }
        }
        contacts.retain(|other| known.contains(other));
        contacts
    }

    fn room_mates(&self, user: &UserName) -> BTreeSet<UserName> {
        let (rooms, _) = self.store.rooms(user);
        let joined = rooms.iter().filter(|entry| entry.joined);
        joined.flat_map(|entry| self.store.members(&entry.room, None).0).collect()
    }

    /// The number of the last message between two users; 0 if there is none.
    async fn last_between(&self, user: &UserName, other: &UserName) -> MessageId {
        let with = Recipient::User(other.clone());
        let page = self.store.history(user, &with, None, 1).await;
        page.ok().and_then(|page| page.messages.last().map(|message| message.id)).unwrap_or(MessageId(0))
    }
}

/// Whether the message came after the user was given the name.
fn may_know(user: &User, id: MessageId) -> bool {
    id.0 > user.messages_after
}
