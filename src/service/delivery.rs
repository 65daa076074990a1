//! Taking messages out of an inbox: one reader at a time, and gone only when the reader has been written them.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use tokio::sync::OwnedMutexGuard;

use super::Clock;
use crate::{
    protocol::UserName,
    store::{MessageId, Store},
};

/// Which inboxes are being read. An entry stays for each user who has ever read: bounded by the users.
#[derive(Default)]
pub(super) struct Inboxes(Mutex<HashMap<UserName, Arc<tokio::sync::Mutex<()>>>>);

impl Inboxes {
    pub(super) async fn lease(&self, user: &UserName, store: Arc<dyn Store>, clock: Clock) -> Lease {
        let turn = {
            let mut turns = self.0.lock().expect("nothing panics while it is held");
            turns.entry(user.clone()).or_default().clone()
        };
        // An async mutex, because this wait lasts as long as another connection's write; it is fair.
        let turn = turn.lock_owned().await;
        Lease { turn, store, clock, user: user.clone() }
    }
}

/// The right to read one inbox. Dropped, it passes to whoever waits.
pub struct Lease {
    turn: OwnedMutexGuard<()>,
    store: Arc<dyn Store>,
    clock: Clock,
    user: UserName,
}

impl Lease {
    /// A reply is made of the `count` messages at the front of the inbox, the last of which is `upto`.
    #[must_use]
    pub fn deliver(self, upto: MessageId, count: usize) -> Delivery {
        Delivery { lease: self, upto, count }
    }
}

/// A reply of messages under way. Dropped before it was written, it leaves them in the inbox.
pub struct Delivery {
    lease: Lease,
    upto: MessageId,
    count: usize,
}

impl Delivery {
    /// The last byte of the reply was written: the messages leave the inbox, and the next reader has its turn.
    pub fn written(self) {
        let Lease { turn, store, clock, user } = self.lease;
        store.acknowledge(&user, self.upto, self.count, clock.now());
        drop(turn);
    }
}
