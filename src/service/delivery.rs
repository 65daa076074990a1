//! Taking messages out of an inbox: one reader at a time, and gone only when the reader has been written them.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use tokio::sync::OwnedMutexGuard;

use super::{Mailbox, Notices, Service};
use crate::{
    protocol::UserName,
    store::{Message, MessageId, Position},
};

/// Which inboxes are being read. An entry stays for each user who has ever read: bounded by the users.
#[derive(Default)]
pub(super) struct Inboxes(Mutex<HashMap<UserName, Arc<tokio::sync::Mutex<()>>>>);

impl Inboxes {
    pub(super) async fn lease(&self, user: &UserName, service: Arc<Service>) -> Lease {
        let turn = {
            let mut turns = self.0.lock().expect("nothing panics while it is held");
            turns.entry(user.clone()).or_default().clone()
        };
        // An async mutex, because this wait lasts as long as another connection's write; it is fair.
        let turn = turn.lock_owned().await;
        Lease { turn, service, user: user.clone() }
    }
}

/// The right to take messages out of one inbox. Dropped, it passes to whoever waits.
pub struct Lease {
    turn: OwnedMutexGuard<()>,
    service: Arc<Service>,
    user: UserName,
}

/// Messages at the front of an inbox that are to leave it.
#[derive(Default)]
pub struct Taken {
    upto: Option<MessageId>,
    /// Number and sender of those that were sent to the user, not to a room.
    direct: Vec<(UserName, MessageId)>,
}

impl Taken {
    /// One more message, after the others.
    pub fn add(&mut self, message: &Message) {
        self.upto = Some(message.id);
        if message.to.user().is_some() {
            self.direct.push((message.from.clone(), message.id));
        }
    }
}

impl Lease {
    /// Takes messages out of the inbox; `origin` is the connection that did. Returns what must be durable before anybody
    /// is told.
    pub fn take(&self, taken: Taken, origin: Option<&Arc<Mailbox>>) -> Position {
        let Taken { upto: Some(upto), mut direct } = taken else {
            return Position::START;
        };
        let at = self.service.now();
        let store = &self.service.store;
        let position = store.acknowledge(&self.user, upto, direct.len(), at);
        if !self.service.watchers.is_empty() {
            direct.retain(|(sender, id)| self.service.may_tell_sender(sender, *id));
            let (service, user, origin) = (self.service.clone(), self.user.clone(), origin.cloned());
            store.durability().when_settled(position, move |result| {
                if result.is_err() {
                    return;
                }
                let acked = |notices: &mut Notices| notices.acked = notices.acked.max(Some(upto));
                service.watchers.put(&user, origin.as_ref(), acked);
                service.watchers.delivered(&direct, at);
            });
        }
        position
    }

    /// A reply is made of these messages.
    #[must_use]
    pub fn deliver(self, taken: Taken, origin: Option<Arc<Mailbox>>) -> Box<Delivery> {
        Box::new(Delivery { lease: self, taken, origin })
    }
}

/// A reply of messages under way. Dropped before it was written, it leaves them in the inbox.
pub struct Delivery {
    lease: Lease,
    taken: Taken,
    origin: Option<Arc<Mailbox>>,
}

impl Delivery {
    /// The last byte of the reply was written: the messages leave the inbox, and the next reader has its turn.
    pub fn written(self) {
        // Nobody is told: what shows the move rests on its position by itself.
        let _ = self.lease.take(self.taken, self.origin.as_ref());
        drop(self.lease.turn);
    }
}
