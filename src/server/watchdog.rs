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

use super::Server;
use crate::protocol::Closing;

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
