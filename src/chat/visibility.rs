//! Which messages and whose presence a user may know of.
//!
//! A name can pass from one person to another ([`owners`](super::owners)). The new owner may know of nothing that the name sent or
//! received before. This is the one place with that rule.

use std::collections::BTreeSet;

use super::Chat;
use crate::{
    model::{At, Message, MessageId, Page, Recipient, UserName},
    users::{Directory, User},
};

/// Relation of a user to a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// The user has sent it, and does not receive it.
    Sender,
    /// It was put into the user's inbox.
    Recipient,
}

/// Whether a message of that number may be mentioned to the user who has the sender's name now.
pub(super) fn may_tell_sender(users: &Directory, sender: &UserName, id: MessageId) -> bool {
    users.get(sender).is_none_or(|user| may_know(&user, id))
}

/// Whether the message came after the user got the name.
fn may_know(user: &User, id: MessageId) -> bool {
    id.0 > user.messages_after
}

/// Removes from a page the messages of a previous owner of the user's name.
pub(super) fn cut(page: &mut Page, user: &User) {
    let others = page.messages.partition_point(|message| !may_know(user, message.id));
    page.more &= others == 0;
    page.messages.drain(..others);
}

impl Chat {
    /// Relation of the user to the message; `None` if the user may not know of it.
    pub(super) fn part_in(&self, user: &User, message: &Message) -> At<Option<Part>> {
        let is_sender = message.from == user.username;
        let known = |part: Part, is_party: bool| (is_party && may_know(user, message.id)).then_some(part);
        match &message.to {
            Recipient::User(to) if *to == user.username => At::start(known(Part::Recipient, true)),
            Recipient::User(_) => At::start(known(Part::Sender, is_sender)),
            Recipient::Room(room) => self.store.members(room, Some(message.id)).map(|members| {
                let part = if is_sender { Part::Sender } else { Part::Recipient };
                known(part, members.contains(&user.username))
            }),
        }
    }

    /// Users who may know of the user's presence: those who are in a room with the user, or have exchanged a message with them
    /// since both have their names.
    pub(super) async fn contacts(&self, user: &UserName) -> Vec<UserName> {
        let contacts = self.store.contacts(user).await;
        let since = |name: &UserName| self.users.get(name).map_or(0, |user| user.messages_after);
        let own = since(user);
        if own == 0 && contacts.iter().all(|other| since(other) == 0) {
            return contacts;
        }
        let room_mates = self.room_mates(user);
        let mut known = Vec::new();
        for other in contacts {
            let since = own.max(since(&other));
            if since == 0 || room_mates.contains(&other) || self.last_between(user, &other).await.0 > since {
                known.push(other);
            }
        }
        known
    }

    fn room_mates(&self, user: &UserName) -> BTreeSet<UserName> {
        let joined = self.store.joined(user);
        joined.peek().iter().flat_map(|room| self.store.members(room, None).peek().clone()).collect()
    }

    /// Number of the last message between two users; 0 if there is none.
    async fn last_between(&self, user: &UserName, other: &UserName) -> MessageId {
        let with = Recipient::User(other.clone());
        let page = self.store.history(user, &with, None, 1).await;
        let last = page.peek().as_ref().ok().and_then(|page| page.messages.last());
        last.map_or(MessageId(0), |message| message.id)
    }
}
