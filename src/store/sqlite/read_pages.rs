//! What readers of inboxes were shown from the file lately.
//!
//! A reader mostly acknowledges what it was shown. Then the cursor moves at once, because the messages that it passes need not be
//! read from the file again.

use std::collections::HashMap;

use crate::{
    model::MessageId,
    store::front::{Passed, ops::NameId},
};

/// Most users whose pages are remembered. Others' acknowledgements read the file.
const MAX_USERS: usize = 256;

/// The last pages that were read of each inbox.
#[derive(Default)]
pub(super) struct ReadPages(HashMap<NameId, ReadPage>);

/// The indexed part of an inbox, as far as it was read.
struct ReadPage {
    /// The cursor when it was read.
    cursor: MessageId,
    /// All indexed messages up to this one were read.
    upto: MessageId,
    /// Sender and number of those that were sent to the user directly.
    direct: Vec<(NameId, MessageId)>,
}

impl ReadPages {
    /// Remembers the indexed messages of a page: all of the inbox after `after`, up to `upto`.
    pub(super) fn put(
        &mut self,
        user: NameId,
        cursor: MessageId,
        (after, upto): (MessageId, MessageId),
        direct: impl Iterator<Item = (NameId, MessageId)>,
    ) {
        let known = self.0.get_mut(&user).filter(|page| page.cursor == cursor && page.upto == after);
        if let Some(page) = known {
            page.direct.extend(direct);
            page.upto = upto;
            return;
        }
        if after > cursor {
            return;
        }
        if self.0.len() >= MAX_USERS && !self.0.contains_key(&user) {
            self.0.clear();
        }
        self.0.insert(user, ReadPage { cursor, upto, direct: direct.collect() });
    }

    /// The indexed messages that a move of the cursor passes, of which `indexed` is the last; `None` if they were not all read.
    pub(super) fn passed(
        &self,
        user: NameId,
        (from, upto): (MessageId, MessageId),
        indexed: MessageId,
    ) -> Option<Passed> {
        let page = self.0.get(&user).filter(|page| page.cursor == from && page.upto >= upto.min(indexed))?;
        let delivered: Vec<_> = page.direct.iter().copied().take_while(|(_, id)| *id <= upto).collect();
        Some(Passed { count: delivered.len() as u64, delivered })
    }

    /// Forgets the pages of an inbox whose cursor has moved.
    pub(super) fn remove(&mut self, user: NameId) {
        self.0.remove(&user);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_that_follow_one_another_are_one_and_others_are_not() {
        let (user, sender, id) = (NameId(1), NameId(2), MessageId);
        let mut pages = ReadPages::default();
        let direct =
            |ids: &[u64]| ids.iter().map(|number| (sender, id(*number))).collect::<Vec<_>>().into_iter();
        pages.put(user, id(10), (id(10), id(14)), direct(&[11, 13]));
        let count = |pages: &ReadPages, from, upto, indexed| {
            pages.passed(user, (id(from), id(upto)), id(indexed)).map(|passed| passed.count)
        };
        assert_eq!((count(&pages, 10, 13, 20), count(&pages, 10, 12, 20)), (Some(2), Some(1)));
        assert_eq!(count(&pages, 10, 15, 20), None, "not read so far");
        assert_eq!(count(&pages, 10, 15, 14), Some(2), "the rest is not indexed");
        assert_eq!(count(&pages, 9, 13, 20), None, "another cursor");
        pages.put(user, id(10), (id(14), id(20)), direct(&[16]));
        assert_eq!(count(&pages, 10, 18, 20), Some(3));
        pages.put(user, id(10), (id(25), id(30)), direct(&[26]));
        assert_eq!(count(&pages, 10, 26, 30), None, "there is a gap");
        pages.remove(user);
        assert_eq!(count(&pages, 10, 13, 20), None);
    }
}
