//! Reactions to the changes of the store: sessions begin and end, and connections are notified.

use std::sync::Arc;

use super::{notifier::Notifier, sessions::Sessions, shares::Shares, visibility, watchers::Watchers};
use crate::{
    model::{MessageId, Recipient, Timestamp, UserName},
    store::{Change, Observer},
    users::Directory,
};

/// Reacts to durable changes, whoever has made them: this process or, with a shared store, another one.
pub(super) struct Reactions {
    pub(super) users: Arc<Directory>,
    pub(super) sessions: Arc<Sessions>,
    pub(super) watchers: Arc<Watchers>,
    pub(super) shares: Option<Arc<Shares>>,
}

impl Observer for Reactions {
    fn wants_messages(&self) -> bool {
        !self.watchers.is_empty()
    }

    fn wants_sent(&self) -> bool {
        self.watchers.want_own()
    }

    fn changed(&self, change: Change) {
        match change {
            Change::Stored { to } => self.watchers.put_messages(&to),
            Change::Sent { from } => self.watchers.each(&from, Notifier::put_own_messages),
            Change::Acknowledged { user, upto, at, delivered } => {
                if let Some(shares) = &self.shares {
                    shares.left(&user, upto);
                }
                self.watchers.each(&user, |notifier| notifier.put_acked(upto));
                self.deliver(&delivered, at);
            }
            Change::Joined { user, room } => {
                self.watchers.join(&user, &room);
                self.watchers.each_in(&room, |notifier| notifier.put_room(&room, &user, true));
            }
            Change::Left { user, room } => {
                self.watchers.each_in(&room, |notifier| notifier.put_room(&room, &user, false));
                self.watchers.leave(&user, &room);
            }
            Change::Read { user, with, marker } => self.read(&user, &with, marker.upto),
            Change::SessionOpened(record) => self.sessions.opened(&self.users, &record),
            Change::SessionEnded(digest) => self.sessions.ended(&digest),
        }
    }
}

impl Reactions {
    /// Notifies a user's own connections that a conversation was read, and those of the other user.
    fn read(&self, user: &UserName, with: &Recipient, upto: MessageId) {
        self.watchers.each(user, |notifier| notifier.put_own_read(user, with, upto));
        match with {
            Recipient::User(other) if other != user && self.may_know_of_read(other, upto) => {
                let with = Recipient::User(user.clone());
                self.watchers.each(other, |notifier| notifier.put_read(user, &with, upto));
            }
            _ => {}
        }
    }

    /// Whether the other user of a conversation may be told how far it was read.
    fn may_know_of_read(&self, other: &UserName, upto: MessageId) -> bool {
        self.users.get(other).is_some() && visibility::may_tell_sender(&self.users, other, upto)
    }

    /// Notifies senders that recipients have acknowledged their messages.
    fn deliver(&self, delivered: &[(UserName, MessageId)], at: Timestamp) {
        for (sender, id) in delivered {
            if visibility::may_tell_sender(&self.users, sender, *id) {
                self.watchers.put(sender, |notices| notices.delivered.push_back((*id, at)));
            }
        }
    }
}
