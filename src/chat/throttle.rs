//! Limits failed logins for each account and each address, before a try costs a hash.
//!
//! Unknown names are counted like known ones, so that nobody can tell them apart. A try is checked again when its turn comes, because
//! a thousand tries at once would all pass the first check.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, MutexGuard},
    time::Duration,
};

use super::limiter::{Quota, Rate, Table, make_room};
use crate::{
    config::defaults,
    model::{Refusal, Uptime},
};

/// Limits of failed logins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tries {
    /// Most failed logins for one account, from addresses without a successful login to it; one is forgotten each minute.
    pub account: u32,
    /// Most failed logins from one address, to any account; one is forgotten every 20 seconds.
    pub address: u32,
}

impl Default for Tries {
    fn default() -> Self {
        Tries { account: defaults::LOGIN_TRIES, address: defaults::LOGIN_TRIES_PER_ADDRESS }
    }
}

/// Time after which a failed login to an account is forgotten.
const ACCOUNT: Duration = Duration::from_mins(1);

/// Time after which a failed login from an address is forgotten.
const ADDRESS: Duration = Duration::from_secs(20);

/// Most accounts, and most addresses, that are remembered.
const MAX_ENTRIES: usize = 10_000;

/// An IPv4 address, or the /64 network of an IPv6 address, because its owner has all 2⁶⁴ addresses in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Origin(u128);

impl Origin {
    /// The origin of an address.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Origin(u128::from(u32::from(address))),
            IpAddr::V6(address) => Origin((u128::from(address) >> 64 << 64) | (1 << 63)),
        }
    }
}

/// Failed logins of all accounts and addresses.
pub(super) struct Throttle(Mutex<Tables>);

struct Tables {
    accounts: Table<Box<str>>,
    addresses: Table<Origin>,
    /// Accounts and the origins of their successful logins, with the time of the last one. From there, only the limit of the address
    /// applies, so that an attacker does not lock the owner out.
    trusted: HashMap<(Box<str>, Origin), i64>,
}

impl Throttle {
    pub(super) fn new(tries: Tries) -> Self {
        // A full table forgets the names with the fewest tries first.
        let accounts = Table::new(Quota::new(tries.account, ACCOUNT), MAX_ENTRIES);
        let addresses = Table::new(Quota::new(tries.address, ADDRESS), MAX_ENTRIES);
        Throttle(Mutex::new(Tables { accounts, addresses, trusted: HashMap::new() }))
    }

    /// Checks whether a login may be tried.
    ///
    /// # Errors
    /// [`Refusal::RateLimited`] if too many logins have failed.
    pub(super) fn check(&self, name: &str, from: IpAddr, now: Uptime) -> Result<(), Refusal> {
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

    /// Counts a failed login.
    pub(super) fn failed(&self, name: &str, from: IpAddr, now: Uptime) {
        let account = (Box::from(name), Origin::of(from));
        let mut tables = self.lock();
        tables.addresses.count(account.1, now);
        if !tables.trusted.contains_key(&account) {
            tables.accounts.count(account.0, now);
        }
    }

    /// Notes a successful login.
    pub(super) fn succeeded(&self, name: &str, from: IpAddr, now: Uptime) {
        let mut tables = self.lock();
        make_room(&mut tables.trusted, MAX_ENTRIES);
        tables.trusted.insert((name.into(), Origin::of(from)), now.0);
    }

    fn lock(&self) -> MutexGuard<'_, Tables> {
        self.0.lock().expect("nothing panics while it is held")
    }
}

/// Requests that come without a live session, for each address.
pub(super) struct Anonymous(Mutex<Table<Origin>>);

impl Anonymous {
    pub(super) fn new(rate: Rate) -> Self {
        Anonymous(Mutex::new(Table::new(rate.into(), MAX_ENTRIES)))
    }

    /// Counts a request, if it is within the rate.
    ///
    /// # Errors
    /// [`Refusal::RateLimited`] if there were too many.
    pub(super) fn take(&self, from: IpAddr, now: Uptime) -> Result<(), Refusal> {
        let mut table = self.0.lock().expect("nothing panics while it is held");
        let origin = Origin::of(from);
        table.check(&origin, now)?;
        table.count(origin, now);
        Ok(())
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
            let may = throttle.check(name, address(from), Uptime(at)).is_ok();
            if may {
                throttle.failed(name, address(from), Uptime(at));
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
        let refused = throttle.check("messi", address("10.0.0.2"), Uptime(59_000));
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
        throttle.succeeded("messi", address("10.0.0.9"), Uptime(0));
        assert_eq!(tries(&throttle, "messi", "10.0.0.1", 0), 10);
        throttle.check("messi", address("10.0.0.9"), Uptime(1)).expect("from an address that behaved");
        assert_eq!(tries(&throttle, "messi", "10.0.0.9", 1), 30, "which is not free to guess");
    }

    #[test]
    fn what_is_remembered_is_bounded_and_the_worst_is_kept() {
        let throttle = Throttle::new(Tries::default());
        assert_eq!(tries(&throttle, "messi", "10.0.0.1", 0), 10);
        for i in 0..12_000_u32 {
            let from = IpAddr::from((0x0b00_0000 + i).to_be_bytes());
            throttle.failed(&format!("u{i}"), from, Uptime(1));
        }
        assert!(
            throttle.lock().accounts.len() <= MAX_ENTRIES && throttle.lock().addresses.len() <= MAX_ENTRIES
        );
        assert_eq!(tries(&throttle, "messi", "10.0.0.2", 1), 0);
    }
}
