//! Until when a connection has to do something. One task looks at all of them, once a second: a timer for each would
//! be a good part of what an idle connection costs.

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

/// How often deadlines are looked at: so late can one be noticed.
const TICK: Duration = Duration::from_secs(1);

/// One connection's deadline: milliseconds since the server began to watch, and in the lowest bits why.
#[derive(Default)]
pub(super) struct Deadline(AtomicU64);

/// None is set.
const NEVER: u64 = 0;

const REASONS: [Closing; 3] = [Closing::LoginDeadline, Closing::LineDeadline, Closing::Idle];

/// The bits that say why.
const REASON_BITS: u32 = 2;

impl Deadline {
    /// From now on it is this one.
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

    /// Why the connection is to be ended, if it is over the deadline.
    pub(super) fn passed(&self, began: Instant) -> Option<Closing> {
        let value = self.0.load(Ordering::Relaxed);
        let ms = Duration::from_millis(value >> REASON_BITS);
        let reason = REASONS.get(usize::try_from(value & ((1 << REASON_BITS) - 1)).unwrap_or(0));
        reason.copied().filter(|_| value != NEVER && Instant::now() >= began + ms)
    }
}

/// Who has to do something next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// The peer waits for a reply that is not known yet.
    Service,
    /// There is something to be written: the disk, or the rule for slow readers, decides.
    Output,
    /// Everything that the peer asked for is done.
    Peer,
}

/// What a connection has come to.
pub(super) struct Seen {
    pub(super) turn: Turn,
    /// A line has begun and has no end yet.
    pub(super) line_begun: bool,
    /// Somebody has logged in, or shown a token.
    pub(super) is_known: bool,
    pub(super) is_watching: bool,
}

/// How long a connection is waited for.
pub(super) struct Patience {
    deadline: Arc<Deadline>,
    /// When the server began to watch.
    began: Instant,
    /// Until when somebody has to log in; moved by the time that is spent on it.
    login_until: Option<Instant>,
    /// Since when a password is being checked.
    answering_since: Option<Instant>,
    /// Since when a line is not finished, or nothing is asked.
    since: Instant,
    line_begun: bool,
    /// Something was read since that was looked at.
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

    /// The peer has sent something.
    pub(super) fn was_read(&mut self) {
        self.was_read = true;
    }

    /// Why the connection is to be ended, if it is over its deadline.
    pub(super) fn ended(&self) -> Option<Closing> {
        self.deadline.passed(self.began)
    }

    /// Until when the peer has to do something, now that the server has done everything that it could.
    pub(super) fn update(&mut self, limits: &Limits, seen: &Seen) {
        if (limits.login, limits.line, limits.idle) == (None, None, None) {
            return;
        }
        let now = Instant::now();
        if self.was_read || seen.line_begun != self.line_begun {
            // Bytes that do not finish a line put nothing off.
            if !(seen.line_begun && self.line_begun) {
                self.since = now;
            }
            self.line_begun = seen.line_begun;
            self.was_read = false;
        }
        let is_answering = seen.turn == Turn::Service;
        if let (Some(began), false) = (self.answering_since, is_answering) {
            self.login_until = self.login_until.map(|until| until + (now - began));
        }
        self.answering_since = is_answering.then(|| self.answering_since.unwrap_or(now));
        let deadline = if seen.turn == Turn::Peer { self.first(limits, seen) } else { None };
        self.deadline.set(self.began, deadline);
    }

    /// What comes first, and when.
    fn first(&self, limits: &Limits, seen: &Seen) -> Option<(Instant, Closing)> {
        let login = self.login_until.filter(|_| !seen.is_known).map(|at| (at, Closing::LoginDeadline));
        let line = limits.line.filter(|_| seen.line_begun);
        let line = line.map(|time| (self.since + time, Closing::LineDeadline));
        let idle = limits.idle.filter(|_| !seen.is_watching && !seen.line_begun);
        let idle = idle.map(|time| (self.since + time, Closing::Idle));
        [login, line, idle].into_iter().flatten().min_by_key(|(at, _)| *at)
    }
}

/// Wakes connections over their deadline, as long as the server is there.
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
