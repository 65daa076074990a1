//! Senders and recipients of messages in memory, to compare the index with them.

use crate::{model::MessageId, store::front::ops::NameId};

/// Most messages whose ends are kept in memory. Those of others are read again.
const MAX_ENDS: u64 = 4_000_000;

/// Senders and recipients of messages without a damage.
#[derive(Default)]
pub(super) struct Ends {
    first: u64,
    all: Vec<(NameId, NameId)>,
}

/// Stands for a message that is not there.
const NOBODY: NameId = NameId(u32::MAX);

impl Ends {
    /// To be called in the order of the numbers.
    pub(super) fn put(&mut self, id: MessageId, ends: (NameId, NameId)) {
        if self.all.is_empty() {
            self.first = id.0;
        }
        let place = id.0.saturating_sub(self.first);
        if let Ok(place) = usize::try_from(place.min(MAX_ENDS))
            && place < usize::try_from(MAX_ENDS).unwrap_or(0)
        {
            self.all.resize(place, (NOBODY, NOBODY));
            self.all.push(ends);
        }
    }

    pub(super) fn get(&self, id: MessageId) -> Option<(NameId, NameId)> {
        let place = usize::try_from(id.0.checked_sub(self.first)?).ok()?;
        self.all.get(place).copied().filter(|ends| ends.0 != NOBODY)
    }
}
