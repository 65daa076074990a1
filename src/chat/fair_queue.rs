//! A queue in which accounts take turns, so that one with many jobs does not hold up the others. This module does not know what a
//! job is.
//!
//! The order is that of start-time fair queueing (Goyal, Vin and Cheng, 1996), with jobs of equal cost. A job that comes is of the
//! round after the current one, or of the round after its account's last job; the current round is that of the job taken last.
//! Jobs of a round are taken in the order in which they came. So the only job of an account waits for
//! none that comes later, and no crowd of new accounts can hold up a job for ever.
//!
//! [`TwoClasses`] are two such queues: a crowd of accounts that are not known holds up those that are by one job at most.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

/// Jobs that wait.
pub(super) struct FairQueue<T> {
    jobs: BTreeMap<Turn, (Arc<str>, T)>,
    /// The accounts of the jobs.
    accounts: HashMap<Arc<str>, Account>,
    /// Round of the job taken last.
    round: u64,
    next_ticket: u64,
}

/// When a job is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Turn {
    round: u64,
    ticket: u64,
}

/// An account with jobs that wait.
#[derive(Default)]
struct Account {
    /// Round of its last job.
    last: u64,
    waiting: usize,
}

impl<T> FairQueue<T> {
    /// Adds a job of an account.
    pub(super) fn push(&mut self, account: &str, job: T) -> Turn {
        let name =
            self.accounts.get_key_value(account).map_or_else(|| account.into(), |(name, _)| name.clone());
        let account = self.accounts.entry(Arc::clone(&name)).or_default();
        account.last = self.round.max(account.last) + 1;
        account.waiting += 1;
        let turn = Turn { round: account.last, ticket: self.next_ticket };
        self.next_ticket += 1;
        self.jobs.insert(turn, (name, job));
        turn
    }

    /// Takes the job whose turn it is.
    pub(super) fn pop(&mut self) -> Option<T> {
        let (turn, (account, job)) = self.jobs.pop_first()?;
        self.round = turn.round;
        self.release(&account);
        Some(job)
    }

    /// Removes a job that was not taken.
    pub(super) fn remove(&mut self, turn: Turn) -> Option<T> {
        let (account, job) = self.jobs.remove(&turn)?;
        self.release(&account);
        Some(job)
    }

    /// Number of jobs.
    pub(super) fn len(&self) -> usize {
        self.jobs.len()
    }

    /// Whether there is no job.
    pub(super) fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    /// Notes that a job of an account does not wait any more. An account without jobs is forgotten: its last job was of the
    /// current round at most, unless it was removed.
    fn release(&mut self, name: &str) {
        if let Some(account) = self.accounts.get_mut(name) {
            account.waiting -= 1;
            if account.waiting == 0 {
                self.accounts.remove(name);
            }
        }
    }
}

impl<T> Default for FairQueue<T> {
    fn default() -> Self {
        FairQueue { jobs: BTreeMap::new(), accounts: HashMap::new(), round: 0, next_ticket: 0 }
    }
}

/// Whose job it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Class {
    /// That of an account which is known to come from there.
    Known,
    /// Any other.
    Other,
}

/// Number of jobs of known accounts after which another one is taken, so that the others do not wait for ever.
const IN_A_ROW: u32 = 4;

/// Jobs that wait, those of known accounts first.
pub(super) struct TwoClasses<T> {
    known: FairQueue<T>,
    others: FairQueue<T>,
    /// Number of jobs of known accounts that were taken while others waited.
    in_a_row: u32,
}

impl<T> TwoClasses<T> {
    /// Adds a job of an account.
    pub(super) fn push(&mut self, class: Class, account: &str, job: T) -> Turn {
        self.of(class).push(account, job)
    }

    /// Takes the job whose turn it is.
    pub(super) fn pop(&mut self) -> Option<T> {
        if self.others.is_empty() {
            return self.known.pop();
        }
        if self.known.is_empty() || self.in_a_row >= IN_A_ROW {
            self.in_a_row = 0;
            return self.others.pop();
        }
        self.in_a_row += 1;
        self.known.pop()
    }

    /// Removes a job that was not taken.
    pub(super) fn remove(&mut self, class: Class, turn: Turn) -> Option<T> {
        self.of(class).remove(turn)
    }

    /// Number of jobs.
    pub(super) fn len(&self) -> usize {
        self.known.len() + self.others.len()
    }

    /// Whether there is no job.
    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn of(&mut self, class: Class) -> &mut FairQueue<T> {
        match class {
            Class::Known => &mut self.known,
            Class::Other => &mut self.others,
        }
    }
}

impl<T> Default for TwoClasses<T> {
    fn default() -> Self {
        TwoClasses { known: FairQueue::default(), others: FairQueue::default(), in_a_row: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes all jobs.
    fn drain(queue: &mut FairQueue<&'static str>) -> String {
        std::iter::from_fn(|| queue.pop()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn accounts_take_turns_and_an_account_keeps_its_order() {
        let mut queue = FairQueue::default();
        for (account, job) in [("a", "a1"), ("a", "a2"), ("a", "a3"), ("b", "b1"), ("c", "c1"), ("b", "b2")] {
            queue.push(account, job);
        }
        assert_eq!(drain(&mut queue), "a1 b1 c1 a2 b2 a3");
        assert!(queue.is_empty() && queue.accounts.is_empty());
    }

    #[test]
    fn an_account_that_comes_late_has_no_turns_to_catch_up_with() {
        let mut queue = FairQueue::default();
        for job in ["a1", "a2", "a3", "a4"] {
            queue.push("a", job);
        }
        assert_eq!((queue.pop(), queue.pop()), (Some("a1"), Some("a2")));
        for job in ["b1", "b2", "b3"] {
            queue.push("b", job);
        }
        assert_eq!(drain(&mut queue), "a3 b1 a4 b2 b3");
    }

    #[test]
    fn new_accounts_do_not_hold_up_a_job_for_ever() {
        let mut queue = FairQueue::default();
        queue.push("a", "a1");
        queue.push("a", "a2");
        assert_eq!(queue.pop(), Some("a1"));
        let mut taken = 0;
        for name in 0..10 {
            queue.push(&format!("new{name}"), "new");
            queue.push(&format!("newer{name}"), "new");
            taken += 1;
            if queue.pop() == Some("a2") {
                break;
            }
        }
        assert_eq!(taken, 1);
    }

    #[test]
    fn a_job_that_is_removed_is_not_taken() {
        let mut queue = FairQueue::default();
        let turns = [queue.push("a", "a1"), queue.push("a", "a2"), queue.push("b", "b1")];
        assert_eq!((queue.remove(turns[0]), queue.remove(turns[0])), (Some("a1"), None));
        assert_eq!(queue.remove(turns[2]), Some("b1"));
        assert_eq!((queue.len(), queue.accounts.len()), (1, 1));
        assert_eq!(drain(&mut queue), "a2");
        assert!(queue.accounts.is_empty());
    }

    #[test]
    fn known_accounts_come_first_and_the_others_come_too() {
        let mut queue = TwoClasses::default();
        for name in ["x", "y", "z"] {
            queue.push(Class::Other, name, name);
        }
        for job in ["a1", "a2", "a3", "a4", "a5", "a6"] {
            queue.push(Class::Known, "a", job);
        }
        // A try of a stranger with the same name is one of the others, and delays none of these.
        let turn = queue.push(Class::Other, "a", "guess");
        queue.push(Class::Known, "b", "b1");
        assert_eq!(queue.remove(Class::Other, turn), Some("guess"));
        let taken: Vec<_> = std::iter::from_fn(|| queue.pop()).collect();
        assert_eq!(taken.join(" "), "a1 b1 a2 a3 x a4 a5 a6 y z");
        assert!(queue.is_empty());
    }
}
