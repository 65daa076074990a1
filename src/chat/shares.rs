//! How many of the messages that wait in an inbox are from whom: so that no sender can fill it for all others.
//!
//! Only messages since the start of the process are counted. When messages leave an inbox, they are forgotten in groups, so a sender
//! can be counted as one sixteenth of the limit too much, and never as too little.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, MutexGuard},
};

use foldhash::fast::RandomState;

use crate::model::{MessageId, Refusal, UserName, saturated};

/// Number of groups of a sender who has reached the limit.
const GROUPS: usize = 16;

/// Most pairs of sender and recipient that are counted. Beyond it, senders who are far from the limit are forgotten.
const MAX_PAIRS: usize = 100_000;

/// Messages that wait, by recipient and sender.
pub(super) struct Shares {
    most: usize,
    tables: Mutex<Tables>,
}

#[derive(Default)]
struct Tables {
    inboxes: HashMap<UserName, HashMap<UserName, Share, RandomState>, RandomState>,
    pairs: usize,
}

/// Messages of one sender in one inbox.
#[derive(Default)]
struct Share {
    count: usize,
    /// The last message and the size of each group, oldest first.
    groups: VecDeque<(MessageId, usize)>,
}

impl Shares {
    /// Counts that allow `most` messages for each sender and inbox.
    pub(super) fn new(most: usize) -> Self {
        Shares { most, tables: Mutex::default() }
    }

    /// Whether the sender may put one more message into an inbox.
    ///
    /// # Errors
    /// [`Refusal::InboxFull`] with the limit.
    pub(super) fn check(&self, to: &UserName, from: &UserName) -> Result<(), Refusal> {
        let tables = self.lock();
        let share = tables.inboxes.get(to).and_then(|inbox| inbox.get(from));
        match share {
            Some(share) if share.count >= self.most => {
                Err(Refusal::InboxFull { limit: saturated(self.most) })
            }
            _ => Ok(()),
        }
    }

    /// Counts a message that was put into an inbox.
    pub(super) fn stored(&self, to: &UserName, from: &UserName, id: MessageId) {
        let mut tables = self.lock();
        if tables.pairs >= MAX_PAIRS {
            tables.forget_below(self.most / GROUPS);
        }
        let group = (self.most / GROUPS).max(1);
        if let Some(share) = tables.inboxes.get_mut(to).and_then(|inbox| inbox.get_mut(from)) {
            return share.add(id, group);
        }
        tables.pairs += 1;
        tables.inboxes.entry(to.clone()).or_default().entry(from.clone()).or_default().add(id, group);
    }

    /// Messages up to this one have left an inbox.
    pub(super) fn left(&self, user: &UserName, upto: MessageId) {
        let mut tables = self.lock();
        let Some(inbox) = tables.inboxes.get_mut(user) else {
            return;
        };
        let before = inbox.len();
        inbox.retain(|_, share| share.remove(upto));
        let after = inbox.len();
        if after == 0 {
            tables.inboxes.remove(user);
        }
        tables.pairs -= before - after;
    }

    fn lock(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().expect("nothing panics while it is held")
    }
}

impl Tables {
    fn forget_below(&mut self, count: usize) {
        self.inboxes.retain(|_, inbox| {
            inbox.retain(|_, share| share.count > count);
            !inbox.is_empty()
        });
        self.pairs = self.inboxes.values().map(HashMap::len).sum();
    }
}

impl Share {
    fn add(&mut self, id: MessageId, group: usize) {
        self.count += 1;
        match self.groups.back_mut() {
            Some((last, size)) if *size < group => (*last, *size) = ((*last).max(id), *size + 1),
            _ => self.groups.push_back((id, 1)),
        }
    }

    /// Forgets the groups that have left the inbox as a whole. Returns whether any are left.
    fn remove(&mut self, upto: MessageId) -> bool {
        while let Some((last, size)) = self.groups.front()
            && *last <= upto
        {
            self.count -= size;
            self.groups.pop_front();
        }
        self.count > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str) -> UserName {
        UserName::parse(name).expect("a name")
    }

    #[test]
    fn a_sender_has_a_share_and_others_have_theirs() {
        let shares = Shares::new(32);
        let (messi, lineker, henderson) = (user("messi"), user("lineker"), user("henderson"));
        for id in 1..=32 {
            assert_eq!(shares.check(&messi, &lineker), Ok(()), "{id}");
            shares.stored(&messi, &lineker, MessageId(id));
        }
        assert_eq!(shares.check(&messi, &lineker), Err(Refusal::InboxFull { limit: 32 }));
        assert_eq!(shares.check(&messi, &henderson), Ok(()));
        assert_eq!(shares.check(&henderson, &lineker), Ok(()));
        // In groups of two: a group of which one message waits is counted whole.
        shares.left(&messi, MessageId(1));
        assert!(shares.check(&messi, &lineker).is_err());
        shares.left(&messi, MessageId(3));
        for id in 33..=34 {
            assert_eq!(shares.check(&messi, &lineker), Ok(()), "{id}");
            shares.stored(&messi, &lineker, MessageId(id));
        }
        assert!(shares.check(&messi, &lineker).is_err());
        shares.left(&messi, MessageId(34));
        let tables = shares.lock();
        assert!(tables.inboxes.is_empty() && tables.pairs == 0, "what has left costs nothing");
    }

    #[test]
    fn what_is_counted_is_bounded_and_who_is_near_the_limit_is_kept() {
        let shares = Shares::new(32);
        for id in 1..=32 {
            shares.stored(&user("messi"), &user("lineker"), MessageId(id));
        }
        for pair in 0..MAX_PAIRS as u64 {
            shares.stored(&user(&format!("u{pair}")), &user("henderson"), MessageId(100 + pair));
        }
        assert!(shares.lock().pairs < MAX_PAIRS);
        assert!(shares.check(&user("messi"), &user("lineker")).is_err());
    }
}
