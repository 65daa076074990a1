//! Rate limits: the generic cell rate algorithm (GCRA), a leaky bucket whose state is one time.
//!
//! The state is the time at which the bucket is empty, in microseconds. Each use moves it on by one interval; a use is
//! too early when the state would lie further ahead of now than the burst. [`Bucket`] is one such state, which threads
//! share; [`Table`] has one for each key, up to a maximum.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{
        Mutex,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use crate::model::{Refusal, Uptime};

/// A rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Average uses a second.
    pub per_second: u32,
    /// Most uses at once, after a pause.
    pub burst: u32,
}

/// A burst, and the interval after which one more use is possible.
#[derive(Debug, Clone, Copy)]
pub(super) struct Quota {
    /// In microseconds.
    interval: i64,
    burst: i64,
}

impl Quota {
    /// A quota of `burst` uses, and one more after each interval.
    pub(super) fn new(burst: u32, interval: Duration) -> Self {
        let interval = i64::try_from(interval.as_micros()).unwrap_or(i64::MAX);
        Quota { interval, burst: i64::from(burst) }
    }

    /// A quota of `burst` uses at once, and as many in each day.
    pub(super) fn daily(burst: i64) -> Self {
        Quota { interval: (DAY_US / burst.max(1)).max(1), burst }
    }

    /// State after more uses, even if that is too early.
    fn after(self, state: i64, now: i64, uses: i64) -> i64 {
        state.max(now) + self.interval * uses
    }

    /// Returns the state after more uses.
    ///
    /// # Errors
    /// The seconds to wait if the use is too early.
    fn take(self, state: i64, now: i64, uses: i64) -> Result<i64, u32> {
        let after = self.after(state, now, uses);
        match after - now - self.interval * self.burst {
            ..=0 => Ok(after),
            early => {
                let seconds = early.unsigned_abs().div_ceil(1_000_000);
                Err(u32::try_from(seconds).unwrap_or(u32::MAX))
            }
        }
    }
}

/// Microseconds in a day.
const DAY_US: i64 = 24 * 60 * 60 * 1_000_000;

impl From<Rate> for Quota {
    fn from(rate: Rate) -> Self {
        Quota { interval: 1_000_000 / i64::from(rate.per_second.max(1)), burst: i64::from(rate.burst.max(1)) }
    }
}

fn micros(time: Uptime) -> i64 {
    time.0.saturating_mul(1000)
}

/// State for one key, shared by threads.
#[derive(Debug, Default)]
pub(super) struct Bucket(AtomicI64);

impl Bucket {
    /// Whether so many uses are within the quota. They are not counted.
    ///
    /// # Errors
    /// The seconds to wait if they are not.
    pub(super) fn check(&self, now: Uptime, quota: Quota, uses: i64) -> Result<(), u32> {
        quota.take(self.0.load(Ordering::Relaxed), micros(now), uses).map(drop)
    }

    /// Counts uses, whether they are within the quota or not.
    pub(super) fn count(&self, now: Uptime, quota: Quota, uses: i64) {
        let after = |state| Some(quota.after(state, micros(now), uses));
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, after).ok();
    }

    /// Counts a use, if it is within the rate.
    pub(super) fn take(&self, now: Uptime, rate: Rate) -> Result<(), Refusal> {
        let (now, quota) = (micros(now), Quota::from(rate));
        let mut state = self.0.load(Ordering::Relaxed);
        loop {
            let after =
                quota.take(state, now, 1).map_err(|retry_after| Refusal::RateLimited { retry_after })?;
            match self.0.compare_exchange_weak(state, after, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return Ok(()),
                Err(current) => state = current,
            }
        }
    }
}

/// Most keys that a [`Limiter`] remembers.
const MAX_KEYS: usize = 10_000;

/// States of many keys. In a full table, a new key replaces the one with the fewest uses.
pub(super) struct Table<K> {
    quota: Quota,
    most: usize,
    states: HashMap<K, i64>,
}

impl<K: Hash + Eq + Clone> Table<K> {
    /// A table of at most `most` keys.
    pub(super) fn new(quota: Quota, most: usize) -> Self {
        Table { quota, most, states: HashMap::new() }
    }

    /// Whether a use is within the quota. It is not counted.
    ///
    /// # Errors
    /// [`Refusal::RateLimited`] with the time to wait.
    pub(super) fn check(&self, key: &K, now: Uptime) -> Result<(), Refusal> {
        let now = micros(now);
        let taken = self.quota.take(self.states.get(key).copied().unwrap_or(now), now, 1);
        taken.map(drop).map_err(|retry_after| Refusal::RateLimited { retry_after })
    }

    /// Counts a use, whether it is within the quota or not.
    pub(super) fn count(&mut self, key: K, now: Uptime) {
        let now = micros(now);
        if !self.states.contains_key(&key) {
            make_room(&mut self.states, self.most);
        }
        let state = self.states.entry(key).or_insert(now);
        *state = self.quota.after(*state, now, 1);
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.states.len()
    }
}

/// States of many keys, shared by threads.
pub(super) struct Limiter<K>(Mutex<Table<K>>);

impl<K: Hash + Eq + Clone> Limiter<K> {
    /// A limiter of at most [`MAX_KEYS`] keys.
    pub(super) fn new(quota: Quota) -> Self {
        Limiter(Mutex::new(Table::new(quota, MAX_KEYS)))
    }

    /// Counts a use, if it is within the quota.
    ///
    /// # Errors
    /// [`Refusal::RateLimited`] if there were too many.
    pub(super) fn take(&self, key: K, now: Uptime) -> Result<(), Refusal> {
        let mut table = self.0.lock().expect("nothing panics while it is held");
        table.check(&key, now)?;
        table.count(key, now);
        Ok(())
    }
}

/// Removes the entry with the earliest time if there are `most` entries.
pub(super) fn make_room<K: Hash + Eq + Clone>(times: &mut HashMap<K, i64>, most: usize) {
    if times.len() >= most {
        let least = times.iter().min_by_key(|(_, at)| **at).map(|(key, _)| key.clone());
        least.and_then(|least| times.remove(&least));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_and_then_a_steady_rate() {
        let (bucket, rate) = (Bucket::default(), Rate { per_second: 10, burst: 5 });
        let take = |ms| bucket.take(Uptime(ms), rate).is_ok();
        assert_eq!((0..7).filter(|_| take(1000)).count(), 5);
        assert!(!take(1099));
        assert!(take(1100));
        assert!(!take(1100));
        assert_eq!((0..20).filter(|_| take(60_000)).count(), 5, "a pause fills it, and no more");
        assert_eq!(bucket.take(Uptime(60_000), rate), Err(Refusal::RateLimited { retry_after: 1 }));
    }

    #[test]
    fn a_table_and_a_bucket_refuse_alike() {
        let (bucket, rate) = (Bucket::default(), Rate { per_second: 3, burst: 4 });
        let mut table = Table::new(Quota::from(rate), 10);
        for ms in [0, 0, 1, 200, 333, 334, 400, 700, 5_000, 5_000, 5_000, 5_000, 5_000, 5_100] {
            let checked = table.check(&"key", Uptime(ms));
            if checked.is_ok() {
                table.count("key", Uptime(ms));
            }
            assert_eq!(checked, bucket.take(Uptime(ms), rate), "{ms}");
        }
    }

    #[test]
    fn uses_beyond_the_quota_are_counted_too() {
        let mut table = Table::new(Quota::new(2, Duration::from_mins(1)), 10);
        for _ in 0..4 {
            table.count("key", Uptime(0));
        }
        let wait = |ms| table.check(&"key", Uptime(ms));
        assert_eq!(wait(0), Err(Refusal::RateLimited { retry_after: 180 }));
        assert_eq!(wait(179_999), Err(Refusal::RateLimited { retry_after: 1 }));
        assert_eq!(wait(180_000), Ok(()));
    }
}
