//! The changes that durable ops have made, for the observer.

use std::collections::HashSet;

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
        let wants_messages = observer.wants_messages();
        let mut reported = HashSet::new();
        let changes: Vec<Change> = {
            let mut state = None;
            ops.filter_map(Queued::op)
                .filter(|op| match op {
                    Op::Message(row) => wants_messages && reported.insert(row.recipient),
                    Op::TouchSession(..) | Op::LabelSession(..) => false,
                    _ => true,
                })
                .filter_map(|op| state.get_or_insert_with(|| self.lock()).front.change(op))
                .collect()
        };
        for change in changes {
            observer.changed(change);
        }
    }
}
