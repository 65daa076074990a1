//! What a user has used of the limits for each user, over all sessions.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::sync::Semaphore;

use super::{Chat, Limit, Limits, Session, Source, limiter::Bucket, reply_memory};
use crate::model::{Refusal, UserName, saturated};

/// Use of the limits by one user.
pub(super) struct Allowance {
    /// Requests.
    pub(super) requests: Bucket,
    /// Bytes of messages sent.
    pub(super) sent: Bucket,
    /// Number of connections.
    connections: AtomicUsize,
    /// Memory for replies, in KiB; `None` for no limit.
    pub(super) reply_memory: Option<Arc<Semaphore>>,
}

impl Allowance {
    /// An allowance of which nothing was used.
    pub(super) fn new(limits: &Limits) -> Self {
        Allowance {
            requests: Bucket::default(),
            sent: Bucket::default(),
            connections: AtomicUsize::new(0),
            reply_memory: limits.reply_memory.map(|memory| reply_memory::pot(memory.per_user)),
        }
    }
}

/// Counts a connection of a user until it is dropped.
pub struct Seat(Arc<Allowance>);

impl Seat {
    /// Whether it is a seat of the session's user.
    #[must_use]
    pub fn is_for(&self, session: &Session) -> bool {
        Arc::ptr_eq(&self.0, session.allowance())
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Chat {
    /// Counts a connection on which a session was shown, as one of its user.
    ///
    /// # Errors
    /// [`Refusal::TooManyConnections`] if the user has the most already.
    pub fn seat(&self, session: &Session, from: Source) -> Result<Seat, Refusal> {
        let seat = self.take_seat(session.allowance());
        seat.inspect_err(|_| self.note_limit(Limit::ConnectionsPerUser, from, Some(session)))
    }

    /// Counts a connection on which a user logs in.
    pub(super) fn seat_of(&self, user: &UserName, from: Source) -> Result<Seat, Refusal> {
        let seat = self.take_seat(&self.sessions.allowance(user));
        seat.inspect_err(|_| self.note_limit(Limit::ConnectionsPerUser, from, None))
    }

    fn take_seat(&self, allowance: &Arc<Allowance>) -> Result<Seat, Refusal> {
        let most = self.limits.connections_per_user.unwrap_or(usize::MAX);
        // Counted first, so that two at once do not both get the last one.
        let seat = Seat(allowance.clone());
        if allowance.connections.fetch_add(1, Ordering::Relaxed) < most {
            return Ok(seat);
        }
        Err(Refusal::TooManyConnections { limit: saturated(most) })
    }
}
