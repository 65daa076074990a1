//! Hashing passwords: slow on purpose, so never on a runtime thread, never on every core at once, and after all else.

use std::{
    num::NonZero,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use tokio::{sync::Semaphore, task};

use super::{Counts, Limit};
use crate::{protocol::Refusal, users::Memory};

/// How far a hash stands behind everything else. At the lowest priority, 19, whoever logs in beside other programs that
/// use all cores waits for a second; at this one for a tenth, and sends beside a crowd of logins are no slower.
const NICE: i32 = 10;

/// Lets as many passwords be hashed at once as leaves a core for everything else.
pub(super) struct Hashing {
    turns: Arc<Semaphore>,
    /// One for each turn.
    memory: Arc<Mutex<Vec<Memory>>>,
    /// How many wait or are being hashed.
    queued: AtomicUsize,
    max_queued: usize,
}

/// A place in the queue, given back however the wait ends.
struct Place<'a>(&'a AtomicUsize);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// All cores but one, which is left to other work; at least 1.
#[must_use]
pub fn spare_cores() -> usize {
    thread::available_parallelism().map_or(1, NonZero::get).saturating_sub(1).max(1)
}

impl Hashing {
    pub(super) fn new(max_queued: usize) -> Self {
        let turns = Arc::new(Semaphore::new(spare_cores()));
        Hashing { turns, memory: Arc::default(), queued: AtomicUsize::new(0), max_queued }
    }

    fn queue(&self) -> Option<Place<'_>> {
        let place = Place(&self.queued);
        (self.queued.fetch_add(1, Ordering::Relaxed) < self.max_queued).then_some(place)
    }

    /// Hashes when its turn comes. `may_go_on` is asked before that: those before it may have changed something.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        counts: &Counts,
        may_go_on: impl Fn() -> Result<(), Refusal>,
        work: impl FnOnce(&mut Memory) -> T + Send + 'static,
    ) -> Result<T, Refusal> {
        let Some(_place) = self.queue() else {
            counts.count(Limit::LoginQueue);
            return Err(Refusal::RateLimited { retry_after: 1 });
        };
        let permit = self.turns.clone().acquire_owned().await.map_err(|_| Refusal::Internal)?;
        may_go_on().inspect_err(|_| counts.count(Limit::LoginTries))?;
        let pool = self.memory.clone();
        let turn = move || {
            // Held by the work itself: it goes on when nobody waits for it any more.
            let _turn = permit;
            let lock = || pool.lock().expect("nothing panics while it is held");
            let mut memory = lock().pop().unwrap_or_default();
            let done = run_last(|| work(&mut memory));
            lock().push(memory);
            done
        };
        task::spawn_blocking(turn).await.ok().flatten().ok_or(Refusal::Internal)
    }
}

/// Runs on a thread of low priority, and waits for it. It is a thread of its own, because nobody but root can raise
/// a priority again, and the runtime's threads have other work to do later. `None` if there can be none, or it panicked.
fn run_last<T: Send>(work: impl FnOnce() -> T + Send) -> Option<T> {
    thread::scope(|scope| {
        let lowered = move || {
            // Where it cannot be lowered it is as it is.
            rustix::process::setpriority_process(None, NICE).ok();
            work()
        };
        let thread = thread::Builder::new().name("hash".into()).spawn_scoped(scope, lowered);
        thread.ok().and_then(|thread| thread.join().ok())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_done_after_all_else_and_on_a_thread_of_its_own() {
        let priority = || rustix::process::getpriority_process(None).ok();
        let before = priority();
        assert_eq!(run_last(priority), Some(Some(NICE)));
        assert_eq!(priority(), before);
    }

    #[test]
    fn one_that_panics_is_told_from_one_that_does_not() {
        assert_eq!(run_last(|| panic!("in the work")), None::<()>);
    }
}
