//! The changes that durable ops have made, for the observer.

use std::collections::HashSet;

use super::{
    Shared,
    ops::{CursorMove, NameId, Op, Stay},
    state::State,
};
use crate::{
    model::{MessageId, Recipient},
    store::Change,
};

impl Shared {
    /// Whether the observer wants to know of messages and deliveries.
    pub(super) fn observer_wants_messages(&self) -> bool {
        self.observer.get().is_some_and(|observer| observer.wants_messages())
    }

    /// Reports the changes of durable ops to the observer. New messages are reported once for each recipient, at the first of
    /// its messages.
    pub(super) fn report<'a>(&self, ops: impl Iterator<Item = &'a Op>) {
        let Some(observer) = self.observer.get() else {
            return;
        };
        let wants_messages = observer.wants_messages();
        let mut reported = HashSet::new();
        let changes: Vec<Change> = {
            let mut state = None;
            ops.filter(|op| match op {
                Op::Message(row) => wants_messages && reported.insert(row.recipient),
                Op::Keyed(..) | Op::TouchSession(..) | Op::Nothing => false,
                _ => true,
            })
            .filter_map(|op| state.get_or_insert_with(|| self.lock()).change(op))
            .collect()
        };
        for change in changes {
            observer.changed(change);
        }
    }
}

impl State {
    /// What a durable op has changed, with names instead of numbers.
    fn change(&self, op: &Op) -> Option<Change> {
        let stay = |stay: &Stay| {
            Some((self.user(stay.user)?.clone(), self.name(stay.room).and_then(Recipient::room)?.clone()))
        };
        Some(match op {
            Op::Message(row) => Change::Stored { to: self.name(row.recipient)?.clone() },
            Op::Cursor(CursorMove { user, after, at, delivered, .. }) => {
                let named = |(sender, id): &(NameId, MessageId)| Some((self.user(*sender)?.clone(), *id));
                let delivered = delivered.iter().filter_map(named).collect();
                Change::Acknowledged { user: self.user(*user)?.clone(), upto: after.upto, at: *at, delivered }
            }
            Op::Join(begun) => {
                let (user, room) = stay(begun)?;
                Change::Joined { user, room }
            }
            Op::Leave(ended, _) => {
                let (user, room) = stay(ended)?;
                Change::Left { user, room }
            }
            Op::OpenSession(_, session) => Change::SessionOpened(session.clone()),
            Op::EndSession(digest) => Change::SessionEnded(*digest),
            Op::Keyed(..) | Op::TouchSession(..) | Op::Nothing => return None,
        })
    }
}
