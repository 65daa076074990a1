//! What ops have changed, for the observer.

use super::{
    Front,
    ops::{CursorMove, MarkerMove, NameId, Op, Stay},
};
use crate::{
    model::{MessageId, Recipient},
    store::Change,
};

impl Front {
    /// What an op has changed, with names instead of numbers; `None` if nobody is told of it.
    pub(crate) fn change(&self, op: &Op) -> Option<Change> {
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
            Op::Read(MarkerMove { user, with, after, .. }) => Change::Read {
                user: self.user(*user)?.clone(),
                with: self.name(*with)?.clone(),
                marker: after.marker,
            },
            Op::OpenSession(_, session) => Change::SessionOpened(session.clone()),
            Op::EndSession(digest) => Change::SessionEnded(*digest),
            Op::TouchSession(..) | Op::LabelSession(..) | Op::Person(..) | Op::Trust(..) => return None,
        })
    }
}
