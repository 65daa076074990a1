//! Turns of connections on a thread.

use std::time::{Duration, Instant};

/// Most time for which one connection is served without a pause, so that others on the thread have their turn soon.
const TURN: Duration = Duration::from_micros(500);

/// What is left of a turn.
pub(super) struct Turn {
    ends: Instant,
}

impl Turn {
    /// A turn that begins now.
    pub(super) fn begin() -> Self {
        Turn { ends: Instant::now() + TURN }
    }

    /// Whether others should have their turn now.
    pub(super) fn is_over(&self) -> bool {
        Instant::now() >= self.ends
    }
}
