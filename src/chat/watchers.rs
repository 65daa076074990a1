//! The connections that watch, by user and by room.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicUsize, Ordering},
    },
};

use super::notifier::{Notices, Notifier};
use crate::model::{Recipient, RoomName, UserName};

/// A list of notifiers. It is read for each message and seldom changed, so a change replaces it as a whole.
type Notifiers = Arc<[Arc<Notifier>]>;

/// The notifiers of watching connections.
#[derive(Default)]
pub(super) struct Watchers {
    lists: Mutex<Lists>,
    /// Number of watching connections. Most work is skipped while there are none.
    count: AtomicUsize,
    /// Number of those that want to know what their users have sent.
    want_own: AtomicUsize,
}

#[derive(Default)]
struct Lists {
    by_user: HashMap<UserName, Notifiers, foldhash::fast::RandomState>,
    /// Users with a watching connection who are in the room. A user who has left a moment ago may still be there.
    by_room: HashMap<RoomName, HashSet<UserName>>,
}

impl Watchers {
    /// Whether no connection watches.
    #[must_use]
    pub(super) fn is_empty(&self) -> bool {
        self.count.load(Ordering::SeqCst) == 0
    }

    /// Whether a connection wants to know what its user has sent.
    #[must_use]
    pub(super) fn want_own(&self) -> bool {
        self.want_own.load(Ordering::SeqCst) > 0
    }

    /// Counts a connection that wants to know what its user has sent, until [`remove_own`](Watchers::remove_own).
    pub(super) fn add_own(&self) {
        self.want_own.fetch_add(1, Ordering::SeqCst);
    }

    /// Undoes [`add_own`](Watchers::add_own).
    pub(super) fn remove_own(&self) {
        self.want_own.fetch_sub(1, Ordering::SeqCst);
    }

    /// Adds a connection of a user. The caller must then add the rooms of the user.
    pub(super) fn add(&self, user: &UserName, notifier: &Arc<Notifier>) {
        let mut lists = self.lock();
        let own = lists.by_user.entry(user.clone()).or_default();
        *own = own.iter().chain([notifier]).cloned().collect();
        drop(lists);
        self.count.fetch_add(1, Ordering::SeqCst);
    }

    pub(super) fn remove(&self, user: &UserName, notifier: &Arc<Notifier>) {
        let mut lists = self.lock();
        let Some(own) = lists.by_user.get_mut(user) else {
            return;
        };
        // Only one entry: a connection that watches again is listed twice for a moment.
        if let Some(at) = own.iter().position(|other| Arc::ptr_eq(other, notifier)) {
            *own = own[..at].iter().chain(&own[at + 1..]).cloned().collect();
            self.count.fetch_sub(1, Ordering::SeqCst);
        }
        if own.is_empty() {
            lists.by_user.remove(user);
            lists.by_room.retain(|_, members| {
                members.remove(user);
                !members.is_empty()
            });
        }
    }

    /// Adds a room of a user, if the user has a watching connection.
    pub(super) fn join(&self, user: &UserName, room: &RoomName) {
        if self.is_empty() {
            return;
        }
        let mut lists = self.lock();
        if lists.by_user.contains_key(user) {
            lists.by_room.entry(room.clone()).or_default().insert(user.clone());
        }
    }

    /// Removes a room of a user.
    pub(super) fn leave(&self, user: &UserName, room: &RoomName) {
        let mut lists = self.lock();
        if let Some(members) = lists.by_room.get_mut(room) {
            members.remove(user);
            if members.is_empty() {
                lists.by_room.remove(room);
            }
        }
    }

    /// Adds a notification for all connections of a user.
    pub(super) fn put(&self, user: &UserName, put: impl Fn(&mut Notices)) {
        self.each(user, |notifier| notifier.put(&put));
    }

    /// Notifies all connections of a recipient of new messages.
    pub(super) fn put_messages(&self, to: &Recipient) {
        match to {
            Recipient::User(user) => self.each(user, Notifier::put_messages),
            Recipient::Room(room) => self.each_in(room, Notifier::put_messages),
        }
    }

    /// Calls `call` for all connections of a user.
    pub(super) fn each(&self, user: &UserName, call: impl Fn(&Notifier)) {
        if self.is_empty() {
            return;
        }
        let own = self.lock().by_user.get(user).cloned();
        own.iter().flat_map(|own| own.iter()).for_each(|notifier| call(notifier));
    }

    /// Calls `call` for all connections of the members of a room.
    pub(super) fn each_in(&self, room: &RoomName, call: impl Fn(&Notifier)) {
        self.each_of(room, |_| true, call);
    }

    /// Calls `call` for all connections of the members of a room other than `user`.
    pub(super) fn each_in_but(&self, room: &RoomName, user: &UserName, call: impl Fn(&Notifier)) {
        self.each_of(room, |member| member != user, call);
    }

    fn each_of(&self, room: &RoomName, is_meant: impl Fn(&UserName) -> bool, call: impl Fn(&Notifier)) {
        if self.is_empty() {
            return;
        }
        let members: Vec<Notifiers> = {
            let lists = self.lock();
            let members = lists.by_room.get(room).into_iter().flatten();
            let meant = members.filter(|member| is_meant(member));
            meant.filter_map(|member| lists.by_user.get(member).cloned()).collect()
        };
        members.iter().flat_map(|own| own.iter()).for_each(|notifier| call(notifier));
    }

    fn lock(&self) -> MutexGuard<'_, Lists> {
        self.lists.lock().expect("nothing panics while it is held")
    }
}
