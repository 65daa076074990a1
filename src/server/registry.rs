//! The open connections, so that all of them can be closed.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU8, AtomicUsize, Ordering},
    },
    task::Waker,
    thread,
};

use slab::Slab;
use tokio::{sync::Notify, time::Instant};

use super::deadlines::Deadline;
use crate::chat::Origin;

/// Phase of the server, which tells connections what to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(super) enum Phase {
    /// Serve.
    Open,
    /// Answer what has arrived, tell the peer, close.
    Closing,
    /// Close at once.
    Aborting,
}

/// The task of a connection.
struct Task {
    waker: Option<Waker>,
    deadline: Arc<Deadline>,
}

/// The open connections.
#[derive(Default)]
pub(super) struct Registry {
    phase: AtomicU8,
    /// The tasks. A task has no waker before its first poll.
    tasks: Mutex<Slab<Task>>,
    /// Number of connections from each address.
    addresses: Mutex<HashMap<Origin, usize>>,
    panicked: AtomicUsize,
    none_left: Notify,
}

impl Registry {
    /// Adds a connection. Its key is for [`leave`](Registry::leave).
    pub(super) fn enter(&self) -> (usize, Arc<Deadline>) {
        let deadline = Arc::<Deadline>::default();
        let key = self.lock().insert(Task { waker: None, deadline: deadline.clone() });
        (key, deadline)
    }

    /// Wakes all connections whose deadline has passed.
    pub(super) fn wake_overdue(&self, began: Instant) {
        let overdue: Vec<_> = self
            .lock()
            .iter()
            .filter(|(_, task)| task.deadline.passed(began).is_some())
            .filter_map(|(_, task)| task.waker.clone())
            .collect();
        overdue.into_iter().for_each(Waker::wake);
    }

    /// Counts a connection from an address; `None` if the address has `max` connections.
    pub(super) fn admit(self: &Arc<Self>, from: IpAddr, max: usize) -> Option<Admission> {
        let origin = Origin::of(from);
        let mut addresses = self.addresses();
        let count = addresses.entry(origin).or_default();
        if *count >= max {
            return None;
        }
        *count += 1;
        Some(Admission { registry: self.clone(), origin })
    }

    fn addresses(&self) -> MutexGuard<'_, HashMap<Origin, usize>> {
        self.addresses.lock().expect("nothing panics while it is held")
    }

    /// Adds a connection that is not served yet.
    pub(super) fn hold(self: &Arc<Self>) -> Place {
        Place { registry: self.clone(), key: self.enter().0, has_waker: false }
    }

    /// Sets the waker of a connection's task, which is woken when the phase changes.
    pub(super) fn set_waker(&self, key: usize, waker: &Waker) {
        if let Some(task) = self.lock().get_mut(key) {
            task.waker = Some(waker.clone());
        }
    }

    /// Removes a connection.
    pub(super) fn leave(&self, key: usize) {
        if thread::panicking() {
            self.panicked.fetch_add(1, Ordering::Relaxed);
        }
        let mut tasks = self.lock();
        tasks.remove(key);
        if tasks.is_empty() {
            self.none_left.notify_waiters();
        }
    }

    /// Number of open connections.
    pub(super) fn open(&self) -> usize {
        self.lock().len()
    }

    /// Number of connections that ended by a panic.
    pub(super) fn panicked(&self) -> usize {
        self.panicked.load(Ordering::Relaxed)
    }

    /// The phase.
    pub(super) fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Acquire) {
            0 => Phase::Open,
            1 => Phase::Closing,
            _ => Phase::Aborting,
        }
    }

    /// Sets the phase and wakes all connections.
    pub(super) fn set_phase(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Release);
        let wakers: Vec<_> = self.lock().iter().filter_map(|(_, task)| task.waker.clone()).collect();
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Waits until no connection is open.
    pub(super) async fn empty(&self) {
        loop {
            let changed = self.none_left.notified();
            if self.open() == 0 {
                return;
            }
            changed.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Slab<Task>> {
        self.tasks.lock().expect("nothing panics while it is held")
    }
}

/// An entry among the open connections, removed when dropped.
pub(super) struct Place {
    registry: Arc<Registry>,
    key: usize,
    has_waker: bool,
}

impl Place {
    /// Wakes this task when the phase changes.
    pub(super) fn wake_by(&mut self, waker: &Waker) {
        if !self.has_waker {
            self.registry.set_waker(self.key, waker);
            self.has_waker = true;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.registry.leave(self.key);
    }
}

/// A connection's count at its address, given back when dropped.
pub(super) struct Admission {
    registry: Arc<Registry>,
    origin: Origin,
}

impl Drop for Admission {
    fn drop(&mut self) {
        let mut addresses = self.registry.addresses();
        if let Some(count) = addresses.get_mut(&self.origin) {
            *count -= 1;
            if *count == 0 {
                addresses.remove(&self.origin);
            }
        }
    }
}
