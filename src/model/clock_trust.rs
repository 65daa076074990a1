//! Whether the wall clock can be believed.
//!
//! What outlives a run of the server (sessions, old messages) ends by the wall clock. A clock that jumps ahead must not end it: the
//! clock may be wrong, and what was deleted does not come back.

use std::time::Duration;

use super::{Moment, Timestamp, Uptime, whole_ms};

/// How far the clock may jump ahead and still be believed.
const JUMP: Duration = Duration::from_hours(24);

/// Time without another jump after which a clock is believed that has jumped.
const PROBATION: Duration = Duration::from_hours(24);

/// Watches the wall clock for jumps.
#[derive(Debug, Clone, Copy)]
pub struct ClockTrust {
    last: Moment,
    /// Until when the clock is not believed.
    doubted_until: Option<Uptime>,
}

impl ClockTrust {
    /// Begins with a first look at the clock. `seen` is the last time that is known from before, if any is.
    #[must_use]
    pub fn new(seen: Option<Timestamp>, now: Moment) -> Self {
        let is_ahead = seen.is_some_and(|seen| now.at.since(seen) > JUMP);
        ClockTrust { last: now, doubted_until: is_ahead.then(|| end_of_probation(now.uptime)) }
    }

    /// Looks at the clock. Returns whether it is believed.
    pub fn observe(&mut self, now: Moment) -> bool {
        let by_wall = now.at.0.saturating_sub(self.last.at.0);
        let by_uptime = now.uptime.0.saturating_sub(self.last.uptime.0);
        if by_wall.saturating_sub(by_uptime) > whole_ms(JUMP) {
            self.doubted_until = Some(end_of_probation(now.uptime));
        } else if self.doubted_until.is_some_and(|until| now.uptime >= until) {
            self.doubted_until = None;
        }
        self.last = now;
        self.is_believed()
    }

    /// Whether the clock was believed at the last look.
    #[must_use]
    pub fn is_believed(&self) -> bool {
        self.doubted_until.is_none()
    }
}

fn end_of_probation(now: Uptime) -> Uptime {
    Uptime(now.0.saturating_add(whole_ms(PROBATION)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;

    fn at(wall: i64, uptime: i64) -> Moment {
        Moment { at: Timestamp(wall * HOUR), uptime: Uptime(uptime * HOUR) }
    }

    #[test]
    fn a_clock_that_jumps_ahead_is_believed_after_a_day() {
        let mut clock = ClockTrust::new(None, at(0, 0));
        assert!(clock.observe(at(100, 100)), "time goes on");
        assert!(clock.observe(at(130, 106)), "24 hours");
        assert!(!clock.observe(at(156, 107)), "25 hours");
        assert!(!clock.observe(at(179, 130)));
        // It is set back, which is no reason for doubts, and ahead again, which is.
        assert!(clock.observe(at(30, 131)));
        assert!(!clock.observe(at(180, 132)));
        assert!(!clock.observe(at(203, 155)));
        assert!(clock.observe(at(204, 156)));
    }

    #[test]
    fn a_start_long_after_the_last_time_is_doubted() {
        let start = |seen: Option<i64>| ClockTrust::new(seen.map(|hour| Timestamp(hour * HOUR)), at(1000, 0));
        assert!(
            start(None).is_believed() && start(Some(976)).is_believed() && start(Some(2000)).is_believed()
        );
        let mut late = start(Some(975));
        assert!(!late.is_believed() && !late.observe(at(1023, 23)) && late.observe(at(1024, 24)));
    }
}
