//! Who is here: logged in, connected, and when last.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard},
    time::Duration,
};

use crate::protocol::{Timestamp, UserName};

/// A connection that is lost is missed after this time: most come back sooner.
pub(super) const GRACE: Duration = Duration::from_secs(5);

/// How somebody is shown to others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Presence {
    /// Has a live session.
    pub active: bool,
    /// Has a connection in one of them, or had a moment ago.
    pub connected: bool,
    /// How many live sessions there are.
    pub sessions: usize,
    /// When the last connection ended; `None` while there is one, or if there never was.
    pub left: Option<Timestamp>,
}

/// Connections of each user. An entry stays for each user who ever connected: bounded by the users.
#[derive(Default)]
pub(super) struct Attendance(Mutex<HashMap<UserName, Entry>>);

#[derive(Default)]
struct Entry {
    connections: usize,
    left: Option<Timestamp>,
    /// Grows with every connection: a grace that began before the last one says nothing.
    arrivals: u64,
    /// In the time after the last connection ended in which it is not missed.
    in_grace: bool,
    /// Somebody will end the time of grace.
    is_timed: bool,
    /// What watchers were told last.
    told: (bool, bool),
}

impl Entry {
    /// Whether there is a connection, or was a moment ago, in a session that is alive.
    fn is_connected(&self, active: bool) -> bool {
        active && (self.connections > 0 || self.in_grace)
    }
}

impl Attendance {
    /// A connection is bound to a session of the user.
    pub(super) fn arrive(&self, user: &UserName) {
        let mut all = self.lock();
        let entry = all.entry(user.clone()).or_default();
        entry.connections += 1;
        entry.arrivals += 1;
        entry.in_grace = false;
    }

    /// A connection is not bound to a session of the user any more. Returns what
    /// [`end_grace`](Attendance::end_grace) is to be called with after the time of grace, if it is to be called.
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

    /// A time of grace is over. Returns what this is to be called with after another one, if there has been a
    /// connection since that has ended, too.
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

    /// How the user is shown, given how many live sessions there are.
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

    /// Whether that is news to those who watch; from now on it is not.
    pub(super) fn is_news(&self, user: &UserName, active: bool) -> bool {
        let mut all = self.lock();
        let entry = all.entry(user.clone()).or_default();
        let now = (active, entry.is_connected(active));
        std::mem::replace(&mut entry.told, now) != now
    }

    /// The name is somebody else's from now on: nothing of its last owner is shown.
    pub(super) fn forget(&self, user: &UserName) {
        if let Some(entry) = self.lock().get_mut(user) {
            entry.left = None;
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<UserName, Entry>> {
        self.0.lock().expect("nothing panics while it is held")
    }
}
