//! The wall clock, which tests can stop and set forward.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, SystemTime},
};

use crate::model::Timestamp;

/// A wall clock. Clones are handles to the same clock.
#[derive(Debug, Clone, Default)]
pub struct Clock {
    /// Whether the clock stands still, instead of following the system's clock.
    is_fixed: bool,
    /// Milliseconds: the time of a fixed clock; otherwise how far the clock is ahead of the system's.
    ms: Arc<AtomicI64>,
}

impl Clock {
    /// A clock that shows `at` until a test sets it forward.
    #[must_use]
    pub fn fixed(at: Timestamp) -> Self {
        Clock { is_fixed: true, ms: Arc::new(AtomicI64::new(at.0)) }
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        let ms = self.ms.load(Ordering::Relaxed);
        if self.is_fixed {
            return Timestamp(ms);
        }
        let Timestamp(system) = SystemTime::now().into();
        Timestamp(system + ms)
    }

    /// Sets the clock forward, for tests.
    pub fn advance(&self, by: Duration) {
        let ms = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        self.ms.fetch_add(ms, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fixed_clock_moves_only_when_it_is_set_forward() {
        let clock = Clock::fixed(Timestamp(1_000));
        let clone = clock.clone();
        clone.advance(Duration::from_millis(250));
        assert_eq!((clock.now(), clone.now()), (Timestamp(1_250), Timestamp(1_250)));
    }

    #[test]
    fn a_clock_that_is_not_fixed_follows_the_system() {
        let (clock, system) = (Clock::default(), || Timestamp::from(SystemTime::now()));
        let (before, now, after) = (system(), clock.now(), system());
        assert!(before <= now && now <= after, "{before}, {now}, {after}");
        clock.advance(Duration::from_hours(1));
        assert!(clock.now() >= Timestamp(before.0 + 3_600_000));
    }
}
