//! Deadlines of connections. One task checks all of them once a second, because a timer for each connection would be a large part
//! of the memory of an idle one.

use std::{
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::{Instant, MissedTickBehavior, interval};

use super::{Limits, Server};
use crate::model::Closing;

/// Interval of the checks: a deadline is noticed at most this late.
const TICK: Duration = Duration::from_secs(1);

/// Deadline of a connection: milliseconds since the server began to watch, with the reason in the lowest bits.
#[derive(Default)]
pub(super) struct Deadline(AtomicU64);

/// No deadline.
const NEVER: u64 = 0;

const REASONS: [Closing; 3] = [Closing::LoginDeadline, Closing::LineDeadline, Closing::Idle];

/// Number of bits of the reason.
const REASON_BITS: u32 = 2;

impl Deadline {
    /// Sets the deadline.
    pub(super) fn set(&self, began: Instant, deadline: Option<(Instant, Closing)>) {
        let value = deadline.map_or(NEVER, |(at, reason)| {
            let ms = u64::try_from(at.saturating_duration_since(began).as_millis()).unwrap_or(u64::MAX >> 8);
            let reason = REASONS.iter().position(|known| *known == reason).unwrap_or(0) as u64;
            (ms.max(1) << REASON_BITS) | reason
        });
        if self.0.load(Ordering::Relaxed) != value {
            self.0.store(value, Ordering::Relaxed);
        }
    }

    /// The reason to close the connection, if the deadline has passed.
    pub(super) fn passed(&self, began: Instant) -> Option<Closing> {
        let value = self.0.load(Ordering::Relaxed);
        let ms = Duration::from_millis(value >> REASON_BITS);
        let reason = REASONS.get(usize::try_from(value & ((1 << REASON_BITS) - 1)).unwrap_or(0));
        reason.copied().filter(|_| value != NEVER && Instant::now() >= began + ms)
    }
}

/// On whom the connection waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WaitingFor {
    /// On the result of a request.
    Service,
    /// On output to be written: on the disk, or on a peer for which the slow consumer limit applies.
    Output,
    /// On the next request.
    Peer,
}

/// Snapshot of the state that decides the next deadline.
pub(super) struct Seen {
    pub(super) waiting_for: WaitingFor,
    /// A request has begun and not ended.
    pub(super) line_begun: bool,
    /// The peer has logged in, or shown a token.
    pub(super) is_known: bool,
    pub(super) is_watching: bool,
}

/// Computes the deadline of a connection.
pub(super) struct Patience {
    deadline: Arc<Deadline>,
    /// When the server began to watch deadlines.
    began: Instant,
    /// Deadline for the login, extended by the time that passwords take to be verified.
    login_until: Option<Instant>,
    /// When the request began that is being waited for.
    answering_since: Option<Instant>,
    /// When the current request began, or the last one ended.
    since: Instant,
    line_begun: bool,
    /// Something was read since the last update.
    was_read: bool,
}

impl Patience {
    pub(super) fn new(deadline: Arc<Deadline>, began: Instant, limits: &Limits) -> Self {
        let now = Instant::now();
        Patience {
            deadline,
            began,
            login_until: limits.login.map(|time| now + time),
            answering_since: None,
            since: now,
            line_begun: false,
            was_read: false,
        }
    }

    /// Notes that the peer has sent something.
    pub(super) fn was_read(&mut self) {
        self.was_read = true;
    }

    /// The reason to close the connection, if its deadline has passed.
    pub(super) fn ended(&self) -> Option<Closing> {
        self.deadline.passed(self.began)
    }

    /// Sets the next deadline, after the server has done everything that it can.
    pub(super) fn update(&mut self, limits: &Limits, seen: &Seen) {
        if (limits.login, limits.line, limits.idle) == (None, None, None) {
            return;
        }
        let now = Instant::now();
        if self.was_read || seen.line_begun != self.line_begun {
            // Bytes that do not finish a line extend nothing.
            if !(seen.line_begun && self.line_begun) {
                self.since = now;
            }
            self.line_begun = seen.line_begun;
            self.was_read = false;
        }
        let is_answering = seen.waiting_for == WaitingFor::Service;
        if let (Some(began), false) = (self.answering_since, is_answering) {
            self.login_until = self.login_until.map(|until| until + (now - began));
        }
        self.answering_since = is_answering.then(|| self.answering_since.unwrap_or(now));
        let deadline = if seen.waiting_for == WaitingFor::Peer { self.first(limits, seen) } else { None };
        self.deadline.set(self.began, deadline);
    }

    /// The first deadline, and its reason.
    fn first(&self, limits: &Limits, seen: &Seen) -> Option<(Instant, Closing)> {
        let login = self.login_until.filter(|_| !seen.is_known).map(|at| (at, Closing::LoginDeadline));
        let line = limits.line.filter(|_| seen.line_begun);
        let line = line.map(|time| (self.since + time, Closing::LineDeadline));
        let idle = limits.idle.filter(|_| !seen.is_watching && !seen.line_begun);
        let idle = idle.map(|time| (self.since + time, Closing::Idle));
        [login, line, idle].into_iter().flatten().min_by_key(|(at, _)| *at)
    }
}

/// Starts the task that wakes connections whose deadline has passed. It ends with the server.
pub(super) fn watch(server: &Arc<Server>) {
    let server: Weak<Server> = Arc::downgrade(server);
    tokio::spawn(async move {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let Some(server) = server.upgrade() else {
                return;
            };
            server.registry.wake_overdue(server.began);
        }
    });
}
