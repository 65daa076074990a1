//! The changes that durable ops have made, for the observer.

use std::collections::{BTreeSet, HashSet};

use super::{Shared, queue::Queued};
use crate::store::{Change, front::ops::Op};

impl Shared {
    /// Whether the observer wants to know of messages and deliveries.
    pub(super) fn observer_wants_messages(&self) -> bool {
        self.observer.get().is_some_and(|observer| observer.wants_messages())
    }

    /// Reports the changes of durable ops to the observer. New messages are reported once for each recipient, at the first of
    /// its messages.
    pub(super) fn report<'a>(&self, ops: impl Iterator<Item = &'a Queued>) {
        let Some(observer) = self.observer.get() else {
            return;
        };
        let (wants_messages, wants_sent) = (observer.wants_messages(), observer.wants_sent());
        let (mut reported, mut senders) = (HashSet::new(), BTreeSet::new());
        let mut changes: Vec<Change> = {
            let mut state = None;
            ops.filter_map(Queued::op)
                .filter(|op| match op {
                    Op::Message(row) => {
                        if wants_sent {
                            senders.insert(row.sender);
                        }
                        wants_messages && reported.insert(row.recipient)
                    }
                    Op::TouchSession(..) | Op::LabelSession(..) => false,
                    _ => true,
                })
                .filter_map(|op| state.get_or_insert_with(|| self.lock()).front.change(op))
                .collect()
        };
        if !senders.is_empty() {
            let front = &self.lock().front;
            let named = senders.into_iter().filter_map(|sender| front.user(sender).cloned());
            changes.extend(named.map(|from| Change::Sent { from }));
        }
        for change in changes {
            observer.changed(change);
        }
    }
}
