//! Who comes and goes: people, not the short visits of their scripts.

use std::{collections::HashMap, time::Duration};

use tokio::time::Instant;

/// Time for which somebody must have come or gone.
const STAYS: Duration = Duration::from_secs(3);

/// Who is there, and of whom it is not said yet.
pub(super) struct Presence {
    pub(super) is_shown: bool,
    /// What was said, or known at first.
    told: HashMap<String, bool>,
    changing: HashMap<String, (bool, Instant)>,
}

impl Presence {
    pub(super) fn new() -> Self {
        Presence { is_shown: true, told: HashMap::new(), changing: HashMap::new() }
    }

    /// Notes who is there without a word.
    pub(super) fn know(&mut self, user: &str, is_there: bool) {
        self.told.insert(user.to_owned(), is_there);
    }

    pub(super) fn change(&mut self, user: &str, is_there: bool, now: Instant) {
        if self.told.get(user).copied().unwrap_or(false) == is_there {
            self.changing.remove(user);
            return;
        }
        self.changing.entry(user.to_owned()).or_insert((is_there, now + STAYS)).0 = is_there;
    }

    /// When something is to be said next.
    pub(super) fn due(&self) -> Option<Instant> {
        self.changing.values().map(|(_, due)| *due).min()
    }

    /// What is to be said now.
    pub(super) fn take_due(&mut self, now: Instant) -> Vec<(String, bool)> {
        let mut due: Vec<_> = self
            .changing
            .extract_if(|_, (_, due)| *due <= now)
            .map(|(user, (is_there, _))| (user, is_there))
            .collect();
        due.sort_unstable();
        for (user, is_there) in &due {
            self.told.insert(user.clone(), *is_there);
        }
        if self.is_shown { due } else { Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_visit_is_not_told() {
        let mut presence = Presence::new();
        let start = Instant::now();
        presence.know("messi", true);
        presence.change("henderson", true, start);
        presence.change("messi", false, start);
        presence.change("henderson", false, start + STAYS / 2);
        assert_eq!(presence.take_due(start + STAYS), [("messi".to_owned(), false)]);
        presence.change("henderson", true, start + STAYS);
        assert_eq!(presence.due(), Some(start + STAYS * 2));
        presence.is_shown = false;
        assert!(presence.take_due(start + STAYS * 2).is_empty());
        assert_eq!(presence.due(), None);
    }
}
