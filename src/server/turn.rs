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
    is_over: Cell<bool>,
}

impl Turn {
    /// Whether others should have their turn now. To be asked after each piece of work that may take some microseconds. Whoever was
    /// told so has left work behind, so it stays true.
    pub(super) fn is_over(&self) -> bool {
        let asked = self.asked.get() + 1;
        self.asked.set(asked);
        if !self.is_over.get() && asked.is_multiple_of(BETWEEN_LOOKS) {
            let now = Instant::now();
            let ends = self.ends.get().unwrap_or(now + TURN);
            self.ends.set(Some(ends));
            self.is_over.set(now >= ends);
        }
        self.is_over.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_that_is_over_stays_over_and_is_noticed_soon() {
        let turn = Turn::default();
        assert!((0..BETWEEN_LOOKS).all(|_| !turn.is_over()), "it has just begun");
        turn.ends.set(Some(Instant::now()));
        assert!((0..BETWEEN_LOOKS).any(|_| turn.is_over()));
        assert!((0..10).all(|_| turn.is_over()));
    }
}
