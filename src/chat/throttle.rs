//! Guessing passwords: how many tries an account and an address have, before any of them costs a hash.
//!
//! Names that do not exist are counted like those that do, or the difference would tell them apart. Whoever waits for
//! a turn is looked at again when it comes: a thousand guesses at once are not a thousand guesses.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, MutexGuard},
    time::Duration,
};

use super::limiter::{Quota, Table, make_room};
use crate::{
    config::defaults,
    model::{Refusal, Timestamp},
};

/// How many tries may fail at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tries {
    /// For one account, from addresses from which nobody has logged in to it; one is forgotten each minute.
    pub account: u32,
    /// From one address, whatever the account; one is forgotten every 20 seconds.
    pub address: u32,
}

impl Default for Tries {
    fn default() -> Self {
        Tries { account: defaults::LOGIN_TRIES, address: defaults::LOGIN_TRIES_PER_ADDRESS }
    }
}

/// The time after which a failed try for an account is forgotten.
const ACCOUNT: Duration = Duration::from_mins(1);

/// The time after which a failed try from an address is forgotten.
const ADDRESS: Duration = Duration::from_secs(20);

/// The most accounts, and the most addresses, that are remembered.
const MAX_ENTRIES: usize = 10_000;

/// An address, or the network of an IPv6 one: whoever has one of its addresses has 2⁶⁴.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Origin(u128);

impl Origin {
    /// Where an address belongs.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Origin(u128::from(u32::from(address))),
            IpAddr::V6(address) => Origin((u128::from(address) >> 64 << 64) | (1 << 63)),
        }
    }
}

/// Failed tries of all accounts and addresses.
pub(super) struct Throttle(Mutex<Tables>);

struct Tables {
    accounts: Table<Box<str>>,
    addresses: Table<Origin>,
    /// From where people have logged in, and when last: there the account's owner gets in, whoever else tries.
    trusted: HashMap<(Box<str>, Origin), i64>,
}

impl Throttle {
    pub(super) fn new(tries: Tries) -> Self {
        // A client that tries many names does not make the table forget those that were tried often.
        let accounts = Table::new(Quota::new(tries.account, ACCOUNT), MAX_ENTRIES);
        let addresses = Table::new(Quota::new(tries.address, ADDRESS), MAX_ENTRIES);
        Throttle(Mutex::new(Tables { accounts, addresses, trusted: HashMap::new() }))
    }

    /// Whether one may try to log in.
    ///
    /// # Errors
    /// [`Refusal::RateLimited`] if too many have failed.
    pub(super) fn check(&self, name: &str, from: IpAddr, now: Timestamp) -> Result<(), Refusal> {
        let account = (Box::from(name), Origin::of(from));
        let tables = self.lock();
        let address = tables.addresses.check(&account.1, now);
        if tables.trusted.contains_key(&account) {
            return address;
        }
        // The longer wait of the two.
        match (tables.accounts.check(&account.0, now), address) {
            (Err(Refusal::RateLimited { retry_after: a }), Err(Refusal::RateLimited { retry_after: b })) => {
                Err(Refusal::RateLimited { retry_after: a.max(b) })
            }
            (account, address) => account.and(address),
        }
    }

    /// A try has failed.
    pub(super) fn failed(&self, name: &str, from: IpAddr, now: Timestamp) {
        let account = (Box::from(name), Origin::of(from));
        let mut tables = self.lock();
        tables.addresses.count(account.1, now);
        if !tables.trusted.contains_key(&account) {
            tables.accounts.count(account.0, now);
        }
    }

    /// A try has succeeded.
    pub(super) fn succeeded(&self, name: &str, from: IpAddr, now: Timestamp) {
        let mut tables = self.lock();
        make_room(&mut tables.trusted, MAX_ENTRIES);
        tables.trusted.insert((name.into(), Origin::of(from)), now.0);
    }

    fn lock(&self) -> MutexGuard<'_, Tables> {
        self.0.lock().expect("nothing panics while it is held")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    fn tries(throttle: &Throttle, name: &str, from: &str, at: i64) -> usize {
        let try_once = |_: &i32| {
            let may = throttle.check(name, address(from), Timestamp(at)).is_ok();
            if may {
                throttle.failed(name, address(from), Timestamp(at));
            }
            may
        };
        (0..100).take_while(try_once).count()
    }

    #[test]
    fn an_account_has_ten_tries_and_then_one_a_minute() {
        let throttle = Throttle::new(Tries::default());
        assert_eq!(tries(&throttle, "messi", "10.0.0.1", 0), 10);
        assert_eq!(tries(&throttle, "messi", "10.0.0.2", 0), 0, "from anywhere");
        let refused = throttle.check("messi", address("10.0.0.2"), Timestamp(59_000));
        assert_eq!(refused, Err(Refusal::RateLimited { retry_after: 1 }));
        assert_eq!(tries(&throttle, "messi", "10.0.0.2", 60_000), 1);
        assert_eq!(tries(&throttle, "nobody", "10.0.0.2", 60_000), 10, "names that do not exist alike");
    }

    #[test]
    fn an_address_has_thirty_tries() {
        let throttle = Throttle::new(Tries::default());
        let count = (0..100).filter(|i| tries(&throttle, &format!("u{i}"), "10.0.0.1", 0) > 0).count();
        assert_eq!(count, 3, "ten of each name");
        assert_eq!(tries(&throttle, "messi", "2001:db8::1", 0), 10);
        assert_eq!(tries(&throttle, "henderson", "2001:db8::2", 0), 10);
        assert_eq!(tries(&throttle, "lineker", "2001:db8::3:1", 0), 10);
        assert_eq!(tries(&throttle, "maradona", "2001:db8::4", 0), 0, "one network");
        assert_eq!(tries(&throttle, "maradona", "2001:db8:0:1::4", 0), 10, "another");
    }

    #[test]
    fn the_owner_gets_in_from_where_they_were_before() {
        let throttle = Throttle::new(Tries::default());
        throttle.succeeded("messi", address("10.0.0.9"), Timestamp(0));
        assert_eq!(tries(&throttle, "messi", "10.0.0.1", 0), 10);
        throttle.check("messi", address("10.0.0.9"), Timestamp(1)).expect("from an address that behaved");
        assert_eq!(tries(&throttle, "messi", "10.0.0.9", 1), 30, "which is not free to guess");
    }

    #[test]
    fn what_is_remembered_is_bounded_and_the_worst_is_kept() {
        let throttle = Throttle::new(Tries::default());
        assert_eq!(tries(&throttle, "messi", "10.0.0.1", 0), 10);
        for i in 0..12_000_u32 {
            let from = IpAddr::from((0x0b00_0000 + i).to_be_bytes());
            throttle.failed(&format!("u{i}"), from, Timestamp(1));
        }
        assert!(
            throttle.lock().accounts.len() <= MAX_ENTRIES && throttle.lock().addresses.len() <= MAX_ENTRIES
        );
        assert_eq!(tries(&throttle, "messi", "10.0.0.2", 1), 0);
    }
}
