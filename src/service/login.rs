//! Checking passwords: slow on purpose, so never on a runtime thread, and never on every core at once.

use std::{num::NonZero, sync::Arc, thread};

use tokio::{sync::Semaphore, task};

use crate::{
    protocol::{Refusal, Secret},
    users::{User, verify},
};

/// Lets as many passwords be checked at once as leaves a core for everything else.
pub(super) struct Hashing(Arc<Semaphore>);

impl Default for Hashing {
    fn default() -> Self {
        let cores = thread::available_parallelism().map_or(1, NonZero::get);
        Hashing(Arc::new(Semaphore::new(cores.saturating_sub(1).max(1))))
    }
}

impl Hashing {
    /// The user, if the password is theirs.
    pub(super) async fn verify(
        &self,
        user: Option<Arc<User>>,
        password: Secret,
    ) -> Result<Option<Arc<User>>, Refusal> {
        let permit = self.0.clone().acquire_owned().await.map_err(|_| Refusal::Internal)?;
        let check = move || {
            // Held by the work itself: it goes on when nobody waits for it any more.
            let _permit = permit;
            verify(user.as_ref().map(|user| &user.password), &password).then_some(user).flatten()
        };
        task::spawn_blocking(check).await.map_err(|_| Refusal::Internal)
    }
}
