//! What a failed login costs: the same whoever it names, so that its time does not show which users exist, or how their passwords are
//! hashed.

use std::{
    thread,
    time::{Duration, Instant},
};

use argon2::{Algorithm, Argon2, Params, Version};

use super::Memory;
use crate::{config::MaxHash, model::Secret};

/// What an argon2id hash costs: its parameters. Ordered by the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cost {
    /// Blocks of 1 KiB that are computed, in all passes. (Lanes are computed one after the other.)
    work: u64,
    memory: u32,
    passes: u32,
    lanes: u32,
}

impl Cost {
    /// The cost of a new hash.
    pub(super) const CURRENT: Cost = Cost::new(&Params::DEFAULT);

    /// The cost of a hash with these parameters.
    pub(super) const fn new(params: &Params) -> Self {
        Cost { work: work(params), memory: params.m_cost(), passes: params.t_cost(), lanes: params.p_cost() }
    }

    /// Whether guessing costs less than with a new hash: it uses less memory or fewer passes.
    pub(super) fn is_cheap(self) -> bool {
        self.memory < Cost::CURRENT.memory || self.passes < Cost::CURRENT.passes
    }

    /// Whether it is not dearer than this.
    #[must_use]
    pub fn is_within(self, max: MaxHash) -> bool {
        self.memory <= max.memory && self.work <= u64::from(max.memory) * u64::from(max.passes)
    }

    /// The least limit within which it is.
    fn to_max(self) -> MaxHash {
        let MaxHash { memory, passes } = MaxHash::LEAST;
        MaxHash { memory: self.memory.max(memory), passes: self.passes.max(passes) }
    }

    /// The setting with which it is taken.
    #[must_use]
    pub fn allowed_by(self) -> String {
        format!("--max-password-hash {}", self.to_max())
    }

    /// Computes a hash of this cost and drops it.
    fn waste(self, password: &Secret, memory: &mut Memory) {
        if let Ok(params) = Params::new(self.memory, self.passes, self.lanes, None) {
            waste(params, password, memory);
        }
    }
}

/// Blocks that a hash computes.
pub(super) const fn work(params: &Params) -> u64 {
    params.block_count() as u64 * params.t_cost() as u64
}

/// Computes a hash and drops it.
fn waste(params: Params, password: &Secret, memory: &mut Memory) {
    let mut out = [0; 32];
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::default(), params);
    memory.compute(&argon2, password, b"nobody's salt", &mut out);
    std::hint::black_box(out);
}

/// How long a failed login takes at least, as it was last measured.
#[derive(Clone, Copy)]
pub(super) struct Timed {
    cost: Cost,
    at: Instant,
    time: Duration,
}

/// What a failed login costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Price {
    /// Of all hashes, the dearest; at least that of a new hash, if there are several kinds.
    dearest: Cost,
    /// Whether there are hashes of different costs.
    is_mixed: bool,
}

impl Price {
    /// The price for users whose hashes have these costs, each once, cheapest first.
    pub(super) fn of(mut costs: impl DoubleEndedIterator<Item = Cost>) -> Self {
        let dearest = costs.next_back();
        let is_mixed = costs.next().is_some();
        let dearest = dearest.unwrap_or(Cost::CURRENT);
        let least = if is_mixed { Cost::CURRENT } else { dearest };
        Price { dearest: dearest.max(least), is_mixed }
    }

    /// Pays what is missing to the price, after a failed attempt that began at `began` and has computed `done` blocks.
    ///
    /// If all hashes have the same cost, that is one such hash, and a new one if those are cheaper: exactly the same work for
    /// everybody. Otherwise it is as much work as with the dearest hash. As work in other portions takes about the same time, but
    /// not exactly, the thread then waits until as much time has passed as the dearest hash takes, and a quarter more.
    pub(super) fn pay(self, began: Instant, done: u64, password: &Secret, memory: &mut Memory) {
        if self.is_mixed {
            self.fill_up(done, password, memory);
            let worked = began.elapsed();
            thread::sleep(time_of(self.dearest, memory).saturating_sub(worked));
            return;
        }
        if done == 0 {
            self.dearest.waste(password, memory);
        }
        if self.dearest.work < Cost::CURRENT.work {
            Cost::CURRENT.waste(password, memory);
        }
    }

    /// Does the work that is missing to that of the dearest hash, in portions of the same memory.
    fn fill_up(self, done: u64, password: &Secret, memory: &mut Memory) {
        let Cost { work, memory: most, .. } = self.dearest;
        let missing = u32::try_from(work.saturating_sub(done)).unwrap_or(u32::MAX);
        let (passes, rest) = (missing / most, missing % most);
        // Of fewer than the 8 blocks that argon2 needs, there are no parameters: that is a thousandth of a millisecond.
        for (blocks, passes) in [(most, passes), (rest, 1)] {
            if let Ok(params) = Params::new(blocks, passes, 1, None) {
                waste(params, password, memory);
            }
        }
    }
}

/// Of how many hashes the median time counts.
const TIMED: usize = 3;

/// How long it counts: a machine is not always as busy, or as fast.
const VALID: Duration = Duration::from_mins(1);

/// The time that a hash takes on this thread, and a quarter more.
///
/// It is that of hashes for nobody, and not of failed logins: somebody who tries one name often must not find the time of that name
/// in it.
fn time_of(cost: Cost, memory: &mut Memory) -> Duration {
    if let Some(Timed { cost: of, at, time }) = memory.timed
        && of == cost
        && at.elapsed() < VALID
    {
        return time;
    }
    let password = Secret::new(String::new());
    let mut times = [Duration::ZERO; TIMED];
    for time in &mut times {
        let began = Instant::now();
        cost.waste(&password, memory);
        *time = began.elapsed();
    }
    times.sort_unstable();
    let time = times[TIMED / 2] * 5 / 4;
    memory.timed = Some(Timed { cost, at: Instant::now(), time });
    time
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::users::{Password, PasswordHash, Users, parse, verify};

    fn cost(memory: u32, passes: u32, lanes: u32) -> Cost {
        Cost::new(&Params::new(memory, passes, lanes, None).expect("parameters"))
    }

    /// A user with a hash of this cost.
    fn hashed(Cost { memory, passes, lanes, .. }: Cost) -> Password {
        let text = format!(
            "$argon2id$v=19$m={memory},t={passes},p={lanes}$Y29tcGFyZXNhbHQxMjM0NQ$eF2jJ9O9Osv2IfM6OWa8sOOUC76oTlDW/VstedTxG4g"
        );
        Password::Hashed(PasswordHash::parse(&text).expect("a hash"))
    }

    /// Blocks that a failed login computes. It waits for nothing.
    fn blocks(user: Option<&Password>, price: Price) -> u64 {
        let mut memory = Memory::default();
        memory.timed = Some(Timed { cost: price.dearest, at: Instant::now(), time: Duration::ZERO });
        assert!(!verify(user, &Secret::new("wrong".to_owned()), price, &mut memory));
        memory.computed
    }

    #[test]
    fn a_failed_login_computes_as_much_as_with_the_dearest_hash_whoever_it_names() {
        let kinds = [cost(8, 1, 1), Cost::CURRENT, cost(16_384, 1, 1), cost(32, 3, 4), cost(20_000, 3, 2)];
        let price = Price::of(kinds.into_iter().collect::<std::collections::BTreeSet<_>>().into_iter());
        assert_eq!(price.dearest.work, 60_000);
        let plain = Some(Password::Plain(Secret::new("surabaya".to_owned())));
        for user in [None, plain].into_iter().chain(kinds.map(|kind| Some(hashed(kind)))) {
            let blocks = blocks(user.as_ref(), price);
            assert!((60_000 - 16..=60_000).contains(&blocks), "{blocks}");
        }
    }

    #[test]
    fn hashes_of_one_cost_are_computed_once_and_a_new_one_if_they_are_cheaper() {
        let check = |cost: Cost, expected: u64| {
            let price = Price::of([cost].into_iter());
            for user in [None, Some(Password::Plain(Secret::new("surabaya".to_owned()))), Some(hashed(cost))]
            {
                assert_eq!(blocks(user.as_ref(), price), expected);
            }
        };
        check(Cost::CURRENT, 38_912);
        check(cost(8, 1, 1), 8 + 38_912);
        check(cost(20_000, 3, 1), 60_000);
        let nobody = Price::of([].into_iter());
        assert_eq!(blocks(None, nobody), 38_912);
    }

    #[test]
    fn the_price_follows_the_users() {
        let user = |name: &str, cost| {
            let password = hashed(cost);
            let text = format!("[users.{name}]\nname = \"U\"\npassword = \"{}\"\n", password.reveal());
            parse(&text, "users.toml").expect("a user").users.get(name).expect("there").clone()
        };
        let (dear, current) = (cost(20_000, 3, 1), Cost::CURRENT);
        let mut users: Users =
            [user("ann", dear), user("bob", dear), user("cat", current)].into_iter().collect();
        assert_eq!(users.price(), Price { dearest: dear, is_mixed: true });
        users.insert(user("ann", current));
        assert_eq!(users.price(), Price { dearest: dear, is_mixed: true });
        users.insert(user("bob", current));
        assert_eq!(users.price(), Price { dearest: current, is_mixed: false });
    }

    #[test]
    fn the_time_is_measured_again_for_other_hashes_and_after_a_minute() {
        let at = |age| Instant::now().checked_sub(age).expect("the machine has run for longer");
        let check = |of: Cost, age: Duration, is_valid: bool| {
            let (hour, mut memory) = (Duration::from_hours(1), Memory::default());
            memory.timed = Some(Timed { cost: of, at: at(age), time: hour });
            assert_eq!(time_of(cost(8, 1, 1), &mut memory) == hour, is_valid);
            assert_eq!(memory.computed, if is_valid { 0 } else { 3 * 8 });
        };
        check(cost(8, 1, 1), Duration::from_secs(1), true);
        check(cost(8, 1, 1), VALID, false);
        check(cost(8, 2, 1), Duration::from_secs(1), false);
    }

    #[test]
    fn a_limit_is_of_memory_and_of_work() {
        let max = MaxHash::default();
        for (cost, expected) in [
            (cost(65_536, 4, 1), true),
            (cost(65_536, 4, 8), true),
            (cost(19_456, 13, 1), true),
            (cost(65_536, 5, 1), false),
            (cost(65_540, 1, 1), false),
            (cost(19_456, 14, 1), false),
        ] {
            assert_eq!(cost.is_within(max), expected, "{cost:?}");
            assert!(cost.is_within(cost.to_max()), "{cost:?}");
        }
        assert_eq!(
            (MaxHash::LEAST.memory, MaxHash::LEAST.passes),
            (Cost::CURRENT.memory, Cost::CURRENT.passes)
        );
    }
}
