//! Presence: who is logged in, connected, or was last seen when.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard},
    time::Duration,
};

use crate::model::{Timestamp, UserName};

/// Grace period before a disconnect is announced. Most clients reconnect within it.
pub(super) const GRACE: Duration = Duration::from_secs(5);

/// Presence of a user, as shown to others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Presence {
    /// The user has a live session.
    pub active: bool,
    /// One of these sessions has a connection, or had one a moment ago.
    pub connected: bool,
    /// Number of live sessions.
    pub sessions: usize,
    /// When the last connection ended; `None` while there is one, or if there never was one.
    pub left: Option<Timestamp>,
}

/// Presence of all users. An entry stays for each user who has ever connected, so the number of users is a bound.
#[derive(Default)]
pub(super) struct PresenceTable(Mutex<HashMap<UserName, Entry>>);

#[derive(Default)]
struct Entry {
    connections: usize,
    left: Option<Timestamp>,
    /// Counts connections, so that a grace period from before the last one has no effect.
    arrivals: u64,
    /// The last connection has ended, and the grace period is running.
    in_grace: bool,
    /// A timer for the grace period is running.
    is_timed: bool,
    /// What watchers were last told: active, connected.
    told: (bool, bool),
}

impl Entry {
    /// Whether the user counts as connected.
    fn is_connected(&self, active: bool) -> bool {
        active && (self.connections > 0 || self.in_grace)
    }
}

impl PresenceTable {
    /// Counts a connection of the user.
    pub(super) fn arrive(&self, user: &UserName) {
        let mut all = self.lock();
        let entry = all.entry(user.clone()).or_default();
        entry.connections += 1;
        entry.arrivals += 1;
        entry.in_grace = false;
    }

    /// Counts a connection of the user less, and starts the grace period if it was the last.
    ///
    /// Returns the generation to pass to [`end_grace`](PresenceTable::end_grace) after [`GRACE`]; `None` if there are other
    /// connections, or if a timer is already running.
    pub(super) fn leave(&self, user: &UserName, now: Timestamp) -> Option<u64> {
        let mut all = self.lock();
        let entry = all.get_mut(user)?;
        entry.connections -= 1;
        if entry.connections > 0 {
            return None;
        }
        entry.left = Some(now);
        entry.in_grace = true;
        (!std::mem::replace(&mut entry.is_timed, true)).then_some(entry.arrivals)
    }

    /// Ends a grace period. Returns the generation to pass to the next call, after another [`GRACE`], if a connection has come
    /// and gone since.
    pub(super) fn end_grace(&self, user: &UserName, arrivals: u64) -> Option<u64> {
        let mut all = self.lock();
        let entry = all.get_mut(user)?;
        if entry.in_grace && entry.arrivals != arrivals {
            return Some(entry.arrivals);
        }
        entry.in_grace = false;
        entry.is_timed = false;
        None
    }

    /// Presence of a user with this number of live sessions.
    pub(super) fn presence(&self, user: &UserName, sessions: usize) -> Presence {
        let all = self.lock();
        let (active, entry) = (sessions > 0, all.get(user));
        Presence {
            active,
            connected: entry.is_some_and(|entry| entry.is_connected(active)),
            sessions,
            left: entry.filter(|entry| entry.connections == 0).and_then(|entry| entry.left),
        }
    }

    /// Returns whether the presence has changed since the last call for this user.
    pub(super) fn take_change(&self, user: &UserName, active: bool) -> bool {
        let mut all = self.lock();
        let entry = all.entry(user.clone()).or_default();
        let now = (active, entry.is_connected(active));
        std::mem::replace(&mut entry.told, now) != now
    }

    /// Forgets when the previous owner of a name was last seen.
    pub(super) fn forget(&self, user: &UserName) {
        if let Some(entry) = self.lock().get_mut(user) {
            entry.left = None;
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<UserName, Entry>> {
        self.0.lock().expect("nothing panics while it is held")
    }
}
