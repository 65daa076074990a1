//! How often somebody may do something: the generic cell rate algorithm (a leaky bucket that is one number).

use std::sync::atomic::{AtomicI64, Ordering};

use crate::protocol::{Refusal, Timestamp};

/// So many a second, and so many at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// In the long run.
    pub per_second: u32,
    /// After a pause.
    pub burst: u32,
}

/// One that is filled by use and empties by itself. It holds the time at which it will be empty, in microseconds.
#[derive(Debug, Default)]
pub(super) struct Bucket(AtomicI64);

impl Bucket {
    /// Takes one, if that is within the rate.
    pub(super) fn take(&self, now: Timestamp, rate: Rate) -> Result<(), Refusal> {
        let now = now.0.saturating_mul(1000);
        let each = 1_000_000 / i64::from(rate.per_second.max(1));
        let full = each * i64::from(rate.burst.max(1));
        let mut empty_at = self.0.load(Ordering::Relaxed);
        loop {
            let next = empty_at.max(now) + each;
            if next - now > full {
                return Err(limited(next - now - full));
            }
            match self.0.compare_exchange_weak(empty_at, next, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return Ok(()),
                Err(current) => empty_at = current,
            }
        }
    }
}

/// The refusal for who is so many microseconds too early.
pub(super) fn limited(early_us: i64) -> Refusal {
    let seconds = early_us.max(0).unsigned_abs().div_ceil(1_000_000).max(1);
    Refusal::RateLimited { retry_after: u32::try_from(seconds).unwrap_or(u32::MAX) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_and_then_a_steady_rate() {
        let (bucket, rate) = (Bucket::default(), Rate { per_second: 10, burst: 5 });
        let take = |ms| bucket.take(Timestamp(ms), rate).is_ok();
        assert_eq!((0..7).filter(|_| take(1000)).count(), 5);
        assert!(!take(1099));
        assert!(take(1100));
        assert!(!take(1100));
        assert_eq!((0..20).filter(|_| take(60_000)).count(), 5, "a pause fills it, and no more");
        assert_eq!(bucket.take(Timestamp(60_000), rate), Err(Refusal::RateLimited { retry_after: 1 }));
    }
}
