//! Memory for replies and events that peers have not taken: of each user, and of all together.
//!
//! Every connection has a little of its own. For more, such as a page of messages, it reserves memory before there is anything to
//! hold, and waits while the user, or all users together, have as much as they may have. So peers that ask and do not read cost a
//! bounded amount, and hold up themselves first.
//!
//! Large replies take time, too: they are made one after the other, so that a small request waits behind one of them, not behind all.

use std::{pin::pin, sync::Arc};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::yield_now,
};

use super::{Chat, Limit, Session};

/// Memory that a request for a page needs at most while the page is read and rendered, in bytes: as much text as fits into a
/// reply, the reply, and one more message for each.
pub const PAGE_MEMORY: usize = 5 * 512 * 1024;

/// Most memory for replies, in MiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplyMemory {
    /// For all users together.
    pub all: u32,
    /// For each user.
    pub per_user: u32,
}

/// Unit of the semaphores, in bytes: they count at most 2³² − 1.
const UNIT: usize = 1024;

/// A semaphore for a number of MiB.
pub(super) fn pot(mib: u32) -> Arc<Semaphore> {
    Arc::new(Semaphore::new(usize::try_from(mib).unwrap_or(usize::MAX).saturating_mul(1024 * 1024 / UNIT)))
}

/// Reserved memory, given back when it is dropped.
pub struct Reserved {
    of_user: OwnedSemaphorePermit,
    of_all: OwnedSemaphorePermit,
    /// The turn to make what it was reserved for.
    turn: Option<OwnedSemaphorePermit>,
}

impl Reserved {
    /// Number of bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.of_user.num_permits() * UNIT
    }

    /// Whether the turn lasts that came with it. It should be ended when everybody else who is ready has been served.
    #[must_use]
    pub fn has_turn(&self) -> bool {
        self.turn.is_some()
    }

    /// Ends the turn: others may make their large replies.
    pub fn end_turn(&mut self) {
        self.turn = None;
    }

    /// Gives back what is more than `bytes`.
    pub fn shrink(&mut self, bytes: usize) {
        let kept = bytes.div_ceil(UNIT);
        for permit in [&mut self.of_user, &mut self.of_all] {
            drop(permit.split(permit.num_permits().saturating_sub(kept)));
        }
    }
}

impl Chat {
    /// Reserves memory for replies to a session's user; `None` if there is no limit. Waits until there is some: first among the
    /// replies of the user, then among all.
    pub async fn reserve(&self, session: &Session, bytes: usize) -> Option<Reserved> {
        let (of_user, all) = (session.allowance().reply_memory.clone()?, self.reply_memory.clone()?);
        let of_user = self.take(of_user, self.limits.reply_memory?.per_user, bytes).await?;
        let of_all = self.take(all, self.limits.reply_memory?.all, bytes).await?;
        Some(Reserved { of_user, of_all, turn: None })
    }

    /// Reserves memory as [`reserve`](Chat::reserve) does, and waits for the turn to use it.
    pub async fn reserve_for_now(&self, session: &Session, bytes: usize) -> Option<Reserved> {
        let reserved = self.reserve(session, bytes).await?;
        Some(Reserved { turn: self.turn().await, ..reserved })
    }

    /// Makes a large reply when it is its turn.
    pub async fn in_turn<T>(&self, make: impl FnOnce() -> T) -> T {
        let turn = self.turn().await;
        let reply = make();
        if turn.is_some() {
            // Everybody else who is ready comes before the next large reply.
            yield_now().await;
        }
        reply
    }

    /// Waits until no other large reply is being made; `None` if there are no limits.
    async fn turn(&self) -> Option<OwnedSemaphorePermit> {
        // Nobody closes the semaphore.
        self.large_turns.clone()?.acquire_owned().await.ok()
    }

    async fn take(&self, pot: Arc<Semaphore>, mib: u32, bytes: usize) -> Option<OwnedSemaphorePermit> {
        // More than there is at all would never come.
        let units = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX).min(mib.saturating_mul(1024));
        let mut taken = pin!(pot.acquire_many_owned(units));
        let mut has_waited = false;
        let taken = std::future::poll_fn(|cx| {
            let polled = taken.as_mut().poll(cx);
            if polled.is_pending() && !std::mem::replace(&mut has_waited, true) {
                self.counts.count(Limit::ReplyMemory);
            }
            polled
        });
        // Nobody closes the semaphores.
        taken.await.ok()
    }
}
