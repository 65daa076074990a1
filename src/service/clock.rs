//! The wall clock, which tests can set forward.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, SystemTime},
};

use crate::protocol::Timestamp;

/// The system's wall clock; clones share how far it was set forward.
#[derive(Debug, Clone, Default)]
pub struct Clock {
    ahead_ms: Arc<AtomicI64>,
}

impl Clock {
    /// What time it is.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        let Timestamp(ms) = SystemTime::now().into();
        Timestamp(ms + self.ahead_ms.load(Ordering::Relaxed))
    }

    /// Sets the clock forward, for tests of what takes days.
    pub fn advance(&self, by: Duration) {
        let ms = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        self.ahead_ms.fetch_add(ms, Ordering::Relaxed);
    }
}
