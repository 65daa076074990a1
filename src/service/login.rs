//! Checking passwords: slow on purpose, so never on a runtime thread, and never on every core at once.

use std::{
    num::NonZero,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use tokio::{sync::Semaphore, task};

use crate::{
    protocol::{Refusal, Secret},
    users::{Memory, User, verify},
};

/// Lets as many passwords be checked at once as leaves a core for everything else.
pub(super) struct Hashing {
    turns: Arc<Semaphore>,
    /// One for each turn.
    memory: Arc<Mutex<Vec<Memory>>>,
    /// How many wait or are being checked.
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

impl Hashing {
    pub(super) fn new(max_queued: usize) -> Self {
        let cores = thread::available_parallelism().map_or(1, NonZero::get);
        let turns = Arc::new(Semaphore::new(cores.saturating_sub(1).max(1)));
        Hashing { turns, memory: Arc::default(), queued: AtomicUsize::new(0), max_queued }
    }

    fn queue(&self) -> Result<Place<'_>, Refusal> {
        let place = Place(&self.queued);
        if self.queued.fetch_add(1, Ordering::Relaxed) >= self.max_queued {
            return Err(Refusal::RateLimited { retry_after: 1 });
        }
        Ok(place)
    }

    /// The user, if the password is theirs. `may_try` is asked once more when its turn comes,
    /// `failed` called before the next one's if it is not.
    pub(super) async fn verify(
        &self,
        user: Option<Arc<User>>,
        password: Secret,
        may_try: impl Fn() -> Result<(), Refusal>,
        failed: impl FnOnce() + Send + 'static,
    ) -> Result<Option<Arc<User>>, Refusal> {
        let _place = self.queue()?;
        let permit = self.turns.clone().acquire_owned().await.map_err(|_| Refusal::Internal)?;
        // Those before it may have been guesses.
        may_try()?;
        let pool = self.memory.clone();
        let check = move || {
            // Held by the work itself: it goes on when nobody waits for it any more.
            let _turn = permit;
            let lock = || pool.lock().expect("nothing panics while it is held");
            let mut memory = lock().pop().unwrap_or_default();
            let right = verify(user.as_ref().map(|user| &user.password), &password, &mut memory);
            lock().push(memory);
            if !right {
                failed();
            }
            user.filter(|_| right)
        };
        task::spawn_blocking(check).await.map_err(|_| Refusal::Internal)
    }
}
