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

use super::limiter::{Quota, Table, make_room};
use crate::{
    config::defaults,
    model::{Moment, Refusal, Timestamp, TokenDigest, UserName},
    store::TrustRecord,
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

/// Time for which a network is trusted after a login from there.
const TRUST: Duration = Duration::from_hours(90 * 24);

/// Accuracy of the time of the last login from a network.
const NEWS: Duration = Duration::from_hours(24);

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
    /// Failed tries on connections that have shown a token of the account.
    sessions: Table<TokenDigest>,
    /// Accounts and the origins of their successful logins, with the time of the last one by the wall clock, because that outlives
    /// the process. From there, only the limit of the address applies, so that an attacker does not lock the owner out.
    trusted: HashMap<(Box<str>, Origin), i64>,
    /// The time of the last successful login from each network, whoever it was.
    networks: HashMap<Origin, i64>,
}

/// Who tries to log in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Try<'a> {
    pub(super) name: &'a str,
    pub(super) from: IpAddr,
    /// A live session of that user that was shown on the connection. Only its own limit applies then: whoever has it is no stranger
    /// whom the tries of others may hold up.
    pub(super) session: Option<TokenDigest>,
}

impl Throttle {
    pub(super) fn new(tries: Tries) -> Self {
        // A full table forgets the names with the fewest tries first.
        let accounts = Table::new(Quota::new(tries.account, ACCOUNT), MAX_ENTRIES);
        let addresses = Table::new(Quota::new(tries.address, ADDRESS), MAX_ENTRIES);
        let sessions = Table::new(Quota::new(tries.address, ADDRESS), MAX_ENTRIES);
        Throttle(Mutex::new(Tables {
            accounts,
            addresses,
            sessions,
            trusted: HashMap::new(),
            networks: HashMap::new(),
        }))
    }

    /// Remembers from where users have logged in before.
    pub(super) fn restore(&self, trusted: Vec<TrustRecord>) {
        let mut tables = self.lock();
        for TrustRecord { user, network, at } in trusted {
            tables.trust((Box::from(&*user), Origin(network)), at);
        }
    }

    /// Forgets from where a user has logged in: somebody else has the name.
    pub(super) fn forget(&self, user: &UserName) {
        self.lock().trusted.retain(|(name, _), _| **name != **user);
    }

    /// Checks whether a login may be tried.
    ///
    /// # Errors
    /// [`Refusal::RateLimited`] if too many logins have failed.
    pub(super) fn check(&self, Try { name, from, session }: Try<'_>, now: Moment) -> Result<(), Refusal> {
        let account = (Box::from(name), Origin::of(from));
        let tables = self.lock();
        let (at, now) = (now.at, now.uptime);
        if let Some(session) = session {
            return tables.sessions.check(&session, now);
        }
        let address = tables.addresses.check(&account.1, now);
        if tables.is_trusted(&account, at) {
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

    /// Whether a try is one of somebody known: the user has logged in from that network before, or a session was shown.
    pub(super) fn is_known(&self, Try { name, from, session }: Try<'_>, now: Timestamp) -> bool {
        session.is_some() || self.lock().is_trusted(&(Box::from(name), Origin::of(from)), now)
    }

    /// Counts a failed login.
    pub(super) fn failed(&self, Try { name, from, session }: Try<'_>, now: Moment) {
        let account = (Box::from(name), Origin::of(from));
        let mut tables = self.lock();
        let (at, now) = (now.at, now.uptime);
        if let Some(session) = session {
            tables.sessions.count(session, now);
            return;
        }
        tables.addresses.count(account.1, now);
        if !tables.is_trusted(&account, at) {
            tables.accounts.count(account.0, now);
        }
    }

    /// Whether somebody has logged in from that network.
    pub(super) fn knows(&self, origin: Origin, now: Timestamp) -> bool {
        self.lock().networks.get(&origin).is_some_and(|last| now.since(Timestamp(*last)) < TRUST)
    }

    /// Notes a successful login. Returns what the store should be told, once a day.
    pub(super) fn succeeded(&self, user: &UserName, from: IpAddr, at: Timestamp) -> Option<TrustRecord> {
        let mut tables = self.lock();
        let account = (Box::from(&**user), Origin::of(from));
        if tables.trusted.get(&account).is_some_and(|last| at.since(Timestamp(*last)) < NEWS && *last <= at.0)
        {
            return None;
        }
        let network = account.1.0;
        tables.trust(account, at);
        Some(TrustRecord { user: user.clone(), network, at })
    }

    fn lock(&self) -> MutexGuard<'_, Tables> {
        self.0.lock().expect("nothing panics while it is held")
    }
}

impl Tables {
    fn trust(&mut self, account: (Box<str>, Origin), at: Timestamp) {
        let network = account.1;
        make_room(&mut self.trusted, MAX_ENTRIES);
        self.trusted.insert(account, at.0);
        make_room(&mut self.networks, MAX_ENTRIES);
        let last = self.networks.entry(network).or_insert(at.0);
        *last = at.0.max(*last);
    }

    fn is_trusted(&self, account: &(Box<str>, Origin), now: Timestamp) -> bool {
        self.trusted.get(account).is_some_and(|last| now.since(Timestamp(*last)) < TRUST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Uptime;

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    fn moment(at: i64) -> Moment {
        Moment { at: Timestamp(at), uptime: Uptime(at) }
    }

    fn stranger<'a>(name: &'a str, from: &str) -> Try<'a> {
        Try { name, from: address(from), session: None }
    }

    fn user(name: &str) -> UserName {
        UserName::parse(name).expect("a name")
    }

    fn tries(throttle: &Throttle, name: &str, from: &str, at: i64) -> usize {
        let try_once = |_: &i32| {
            let (tried, now) = (stranger(name, from), moment(at));
            let may = throttle.check(tried, now).is_ok();
            if may {
                throttle.failed(tried, now);
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
        let refused = throttle.check(stranger("messi", "10.0.0.2"), moment(59_000));
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
        assert!(throttle.succeeded(&user("messi"), address("10.0.0.9"), Timestamp(0)).is_some());
        assert_eq!(tries(&throttle, "messi", "10.0.0.1", 0), 10);
        throttle.check(stranger("messi", "10.0.0.9"), moment(1)).expect("from an address that behaved");
        assert_eq!(tries(&throttle, "messi", "10.0.0.9", 1), 30, "which is not free to guess");
    }

    #[test]
    fn trust_outlives_the_process_and_ends_with_the_owner() {
        let day = 24 * 3_600_000;
        let throttle = Throttle::new(Tries::default());
        let login =
            |throttle: &Throttle, at| throttle.succeeded(&user("messi"), address("10.0.0.9"), Timestamp(at));
        let record = login(&throttle, 0).expect("new");
        assert_eq!(login(&throttle, day - 1), None);
        assert!(login(&throttle, day).is_some(), "once a day");
        let restarted = Throttle::new(Tries::default());
        restarted.restore(vec![record]);
        assert_eq!(tries(&restarted, "messi", "10.0.0.1", 0), 10);
        restarted.check(stranger("messi", "10.0.0.9"), moment(1)).expect("trusted");
        let late = Throttle::new(Tries::default());
        late.restore(vec![login(&Throttle::new(Tries::default()), 0).expect("new")]);
        assert_eq!(tries(&late, "messi", "10.0.0.1", 90 * day), 10);
        assert!(late.check(stranger("messi", "10.0.0.9"), moment(90 * day)).is_err(), "for 90 days");
        restarted.forget(&user("messi"));
        assert!(restarted.check(stranger("messi", "10.0.0.9"), moment(1)).is_err());
    }

    #[test]
    fn who_has_shown_a_token_is_not_held_up_by_others_and_has_a_limit_too() {
        let throttle = Throttle::new(Tries::default());
        assert_eq!(tries(&throttle, "messi", "10.0.0.1", 0), 10);
        for name in ["u1", "u2"] {
            assert_eq!(tries(&throttle, name, "10.0.0.1", 0), 10);
        }
        let owner = Try { session: Some(TokenDigest([1; 32])), ..stranger("messi", "10.0.0.1") };
        for _ in 0..30 {
            throttle.check(owner, moment(0)).expect("not held up");
            throttle.failed(owner, moment(0));
        }
        assert_eq!(throttle.check(owner, moment(0)), Err(Refusal::RateLimited { retry_after: 20 }));
    }

    #[test]
    fn what_is_remembered_is_bounded_and_the_worst_is_kept() {
        let throttle = Throttle::new(Tries::default());
        assert_eq!(tries(&throttle, "messi", "10.0.0.1", 0), 10);
        for i in 0..12_000_u32 {
            let from = IpAddr::from((0x0b00_0000 + i).to_be_bytes());
            let name = format!("u{i}");
            throttle.failed(Try { name: &name, from, session: None }, moment(1));
        }
        assert!(
            throttle.lock().accounts.len() <= MAX_ENTRIES && throttle.lock().addresses.len() <= MAX_ENTRIES
        );
        assert_eq!(tries(&throttle, "messi", "10.0.0.2", 1), 0);
    }
}
