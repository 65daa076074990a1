//! Limits the logins of one account, right ones included: each costs a hash, and holds up the logins of others.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard},
};

use super::{
    fair_queue::Class,
    limiter::{Rate, Table},
};
use crate::model::{Refusal, Uptime};

/// Most accounts that are remembered.
const MAX_ACCOUNTS: usize = 10_000;

/// Most passwords of one account that are verified or wait for that. All accounts together have the places of the queue.
const MAX_WAITING: usize = 100;

/// Logins of all accounts. Names that do not exist count like others.
pub(super) struct Logins(Mutex<Tables>);

struct Tables {
    rates: Option<Table<Box<str>>>,
    waiting: HashMap<(Class, Box<str>), usize>,
}

/// A password that is verified or waits for that, until this is dropped.
pub(super) struct Waiting {
    logins: Arc<Logins>,
    account: (Class, Box<str>),
}

impl Logins {
    /// Limits right logins to a rate, or not at all.
    pub(super) fn new(rate: Option<Rate>) -> Self {
        let rates = rate.map(|rate| Table::new(rate.into(), MAX_ACCOUNTS));
        Logins(Mutex::new(Tables { rates, waiting: HashMap::new() }))
    }

    /// Takes a place in the queue. An account that is known to come from there has places of its own.
    ///
    /// # Errors
    /// [`Refusal::RateLimited`] if too many of that account wait.
    pub(super) fn wait(self: &Arc<Self>, class: Class, name: &str) -> Result<Waiting, Refusal> {
        let mut tables = self.lock();
        let account = (class, Box::from(name));
        let is_full = tables.waiting.get(&account).is_some_and(|waiting| *waiting >= MAX_WAITING);
        if tables.rates.is_some() && is_full {
            return Err(Refusal::RateLimited { retry_after: 1 });
        }
        *tables.waiting.entry(account.clone()).or_default() += 1;
        Ok(Waiting { logins: self.clone(), account })
    }

    /// Whether one more login is within the rate.
    ///
    /// # Errors
    /// [`Refusal::RateLimited`] if there were too many.
    pub(super) fn check(&self, name: &str, now: Uptime) -> Result<(), Refusal> {
        self.lock().rates.as_ref().map_or(Ok(()), |rates| rates.check(&name.into(), now))
    }

    /// Counts a right login.
    pub(super) fn count(&self, name: &str, now: Uptime) {
        if let Some(rates) = &mut self.lock().rates {
            rates.count(name.into(), now);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Tables> {
        self.0.lock().expect("nothing panics while it is held")
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let waiting = &mut self.logins.lock().waiting;
        if let Some(count) = waiting.get_mut(&self.account) {
            *count -= 1;
            if *count == 0 {
                waiting.remove(&self.account);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn right_logins_of_one_account_have_a_rate_and_a_share_of_the_queue() {
        let logins = Arc::new(Logins::new(Some(Rate { per_second: 2, burst: 3 })));
        for _ in 0..3 {
            logins.check("messi", Uptime(0)).expect("within the burst");
            logins.count("messi", Uptime(0));
        }
        assert_eq!(logins.check("messi", Uptime(0)), Err(Refusal::RateLimited { retry_after: 1 }));
        logins.check("henderson", Uptime(0)).expect("an account of its own");
        logins.check("messi", Uptime(500)).expect("two a second");
        let mut waiting: Vec<_> =
            (0..MAX_WAITING).map(|_| logins.wait(Class::Other, "messi").expect("a place")).collect();
        assert!(
            logins.wait(Class::Other, "messi").is_err() && logins.wait(Class::Other, "henderson").is_ok()
        );
        drop(logins.wait(Class::Known, "messi").expect("strangers take no place of somebody known"));
        waiting.pop();
        drop(logins.wait(Class::Other, "messi").expect("a place is free"));
        drop(waiting);
        assert!(logins.lock().waiting.is_empty());
    }
}
