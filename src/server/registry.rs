//! Which connections are open, so that all can be told to end.

use std::{
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicU8, AtomicUsize, Ordering},
    },
    task::Waker,
    thread,
};

use slab::Slab;
use tokio::sync::Notify;

/// What all connections are to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(super) enum Phase {
    /// Go on.
    Open,
    /// Answer what has arrived, say goodbye, end.
    Closing,
    /// End at once.
    Aborting,
}

/// The open connections.
#[derive(Default)]
pub(super) struct Registry {
    phase: AtomicU8,
    /// What wakes each connection's task; nothing before its first poll.
    tasks: Mutex<Slab<Option<Waker>>>,
    panicked: AtomicUsize,
    none_left: Notify,
}

impl Registry {
    /// Enters a connection; its key is for [`leave`](Registry::leave).
    pub(super) fn enter(&self) -> usize {
        self.lock().insert(None)
    }

    /// From now on the connection's task is woken when the phase changes.
    pub(super) fn set_waker(&self, key: usize, waker: &Waker) {
        if let Some(task) = self.lock().get_mut(key) {
            *task = Some(waker.clone());
        }
    }

    /// The connection is gone.
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

    /// How many are open.
    pub(super) fn open(&self) -> usize {
        self.lock().len()
    }

    /// How many ended by a panic.
    pub(super) fn panicked(&self) -> usize {
        self.panicked.load(Ordering::Relaxed)
    }

    /// What all are to do.
    pub(super) fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Acquire) {
            0 => Phase::Open,
            1 => Phase::Closing,
            _ => Phase::Aborting,
        }
    }

    /// Tells all what to do.
    pub(super) fn set_phase(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Release);
        let wakers: Vec<_> = self.lock().iter().filter_map(|(_, task)| task.clone()).collect();
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

    fn lock(&self) -> MutexGuard<'_, Slab<Option<Waker>>> {
        self.tasks.lock().expect("nothing panics while it is held")
    }
}
