//! The clocks: the wall clock, and the time since the process began. Tests can stop them and set them forward.

use std::{
    sync::{
        Arc, LazyLock,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use crate::model::{Moment, Timestamp, Uptime, whole_ms};

/// A wall clock, and a monotonic one. Clones are handles to the same clocks.
#[derive(Debug, Clone, Default)]
pub struct Clock {
    /// Whether the clocks stand still, instead of following the system's clocks.
    is_fixed: bool,
    /// Milliseconds: the time of fixed clocks; otherwise how far the clocks are ahead of the system's.
    ms: Arc<AtomicI64>,
    /// Milliseconds by which a test has set the wall clock alone.
    step: Arc<AtomicI64>,
    /// Whether the runtime's clock may be simulated, too.
    beside_simulated: bool,
}

/// When the process began, or the clock was first read.
static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);

impl Clock {
    /// A clock that shows `at` until a test sets it forward.
    #[must_use]
    pub fn fixed(at: Timestamp) -> Self {
        Clock { is_fixed: true, ms: Arc::new(AtomicI64::new(at.0)), ..Clock::default() }
    }

    /// These clocks, beside a runtime whose clock may be simulated, for tests: that one stands still while a password is hashed.
    #[must_use]
    pub fn beside_simulated(self) -> Self {
        Clock { beside_simulated: true, ..self }
    }

    /// Whether the runtime's clock may be simulated.
    pub(super) fn is_beside_simulated(&self) -> bool {
        self.beside_simulated
    }

    /// The time by the wall clock.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        let ms = self.ms.load(Ordering::Relaxed) + self.step.load(Ordering::Relaxed);
        if self.is_fixed {
            return Timestamp(ms);
        }
        let Timestamp(system) = SystemTime::now().into();
        Timestamp(system + ms)
    }

    /// The time since the process began. Setting the wall clock does not change it.
    #[must_use]
    pub fn uptime(&self) -> Uptime {
        let ms = self.ms.load(Ordering::Relaxed);
        if self.is_fixed {
            return Uptime(ms);
        }
        Uptime(whole_ms(BEGAN.elapsed()).saturating_add(ms))
    }

    /// The time by both clocks.
    #[must_use]
    pub fn moment(&self) -> Moment {
        Moment { at: self.now(), uptime: self.uptime() }
    }

    /// Sets the wall clock alone, by milliseconds, for tests.
    pub fn step(&self, ms: i64) {
        self.step.fetch_add(ms, Ordering::Relaxed);
    }

    /// Sets the clocks forward, for tests.
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
        clone.step(-1_000);
        assert_eq!(clock.moment(), Moment { at: Timestamp(250), uptime: Uptime(1_250) });
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
