//! Turns of connections on a thread.

use std::{
    cell::Cell,
    time::{Duration, Instant},
};

/// Most time for which one connection is served without a pause, so that others on the thread have their turn soon.
const TURN: Duration = Duration::from_micros(500);

/// Number of questions without a look at the clock. Almost every turn ends before.
const BETWEEN_LOOKS: u32 = 4;

/// What is left of a turn.
#[derive(Default)]
pub(super) struct Turn {
    asked: Cell<u32>,
    ends: Cell<Option<Instant>>,
}

impl Turn {
    /// Whether others should have their turn now. To be asked after each piece of work that may take some microseconds.
    pub(super) fn is_over(&self) -> bool {
        let asked = self.asked.get() + 1;
        self.asked.set(asked);
        if !asked.is_multiple_of(BETWEEN_LOOKS) {
            return false;
        }
        let now = Instant::now();
        let ends = self.ends.get().unwrap_or(now + TURN);
        self.ends.set(Some(ends));
        now >= ends
    }
}
