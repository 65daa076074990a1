//! Who is told as things happen: the connections that watch, by user.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, Weak,
        atomic::{AtomicUsize, Ordering},
    },
};

use super::mailbox::{Mailbox, Notices};
use crate::{
    protocol::{Recipient, Timestamp, UserName},
    store::{Listener, MessageId, Store},
};

/// A user's mailboxes are looked at for each message, and seldom change: to look at them is to hold on to a list that
/// nobody changes any more.
type ByUser = HashMap<UserName, Arc<[Arc<Mailbox>]>, foldhash::fast::RandomState>;

/// The watching connections' mailboxes.
#[derive(Default)]
pub struct Watchers {
    by_user: Mutex<ByUser>,
    /// How many there are: nearly everything is free as long as there are none.
    count: AtomicUsize,
    /// Knows who is in a room.
    store: OnceLock<Weak<dyn Store>>,
}

impl Watchers {
    pub(super) fn set_store(&self, store: &Arc<dyn Store>) {
        self.store.set(Arc::downgrade(store)).ok();
    }

    /// Whether nobody watches.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count.load(Ordering::SeqCst) == 0
    }

    pub(super) fn add(&self, user: &UserName, mailbox: &Arc<Mailbox>) {
        let mut by_user = self.lock();
        let own = by_user.entry(user.clone()).or_default();
        *own = own.iter().chain([mailbox]).cloned().collect();
        drop(by_user);
        self.count.fetch_add(1, Ordering::SeqCst);
    }

    pub(super) fn remove(&self, user: &UserName, mailbox: &Arc<Mailbox>) {
        let mut by_user = self.lock();
        let Some(own) = by_user.get_mut(user) else {
            return;
        };
        // One of them: a connection that watches anew is there twice for a moment.
        if let Some(at) = own.iter().position(|other| Arc::ptr_eq(other, mailbox)) {
            *own = own[..at].iter().chain(&own[at + 1..]).cloned().collect();
            self.count.fetch_sub(1, Ordering::SeqCst);
        }
        if own.is_empty() {
            by_user.remove(user);
        }
    }

    /// Puts something into all mailboxes of a user, but for one.
    pub(super) fn put(&self, user: &UserName, except: Option<&Arc<Mailbox>>, put: impl Fn(&mut Notices)) {
        for mailbox in self.of_user(user).iter().flat_map(|own| own.iter()) {
            if !except.is_some_and(|other| Arc::ptr_eq(other, mailbox)) {
                mailbox.put(&put);
            }
        }
    }

    /// There may be new messages for the user.
    pub(super) fn news(&self, user: &UserName) {
        for mailbox in self.of_user(user).iter().flat_map(|own| own.iter()) {
            mailbox.put_news();
        }
    }

    fn of_user(&self, user: &UserName) -> Option<Arc<[Arc<Mailbox>]>> {
        if self.is_empty() { None } else { self.lock().get(user).cloned() }
    }

    /// Messages of each of these senders were taken out of an inbox.
    pub(super) fn delivered(&self, messages: &[(UserName, MessageId)], at: Timestamp) {
        for (sender, id) in messages {
            self.put(sender, None, |notices| notices.delivered.push_back((*id, at)));
        }
    }

    fn lock(&self) -> MutexGuard<'_, ByUser> {
        self.by_user.lock().expect("nothing panics while it is held")
    }
}

impl Listener for Watchers {
    fn is_listening(&self) -> bool {
        !self.is_empty()
    }

    fn stored(&self, to: &Recipient) {
        match to {
            Recipient::User(user) => self.news(user),
            Recipient::Room(room) => {
                let store = self.store.get().and_then(Weak::upgrade);
                for member in store.map(|store| store.members(room, None).0).unwrap_or_default() {
                    self.news(&member);
                }
            }
        }
    }
}
