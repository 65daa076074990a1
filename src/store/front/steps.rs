//! Cursor steps that are not indexed yet: when each user's cursor passed which messages.

use std::collections::{HashMap, VecDeque};

use super::ops::{CursorStep, NameId};
use crate::model::{MessageId, Timestamp};

/// Cursor steps in the order in which they were queued, and by user.
#[derive(Default)]
pub(super) struct CursorSteps {
    /// The user of each step.
    users: VecDeque<NameId>,
    /// The steps of each user, oldest first. No list is empty.
    by_user: HashMap<NameId, VecDeque<(MessageId, Timestamp)>>,
}

impl CursorSteps {
    /// Adds a step, the latest of its user.
    pub(super) fn push(&mut self, CursorStep { user, upto, at }: CursorStep) {
        self.users.push_back(user);
        self.by_user.entry(user).or_default().push_back((upto, at));
    }

    /// When the user's cursor passed a message, according to these steps.
    pub(super) fn passed_at(&self, user: NameId, id: MessageId) -> Option<Timestamp> {
        let steps = self.by_user.get(&user)?;
        steps.get(steps.partition_point(|(upto, _)| *upto < id)).map(|(_, at)| *at)
    }

    /// Removes a step that was not stored.
    pub(super) fn undo(&mut self, CursorStep { user, upto, at }: CursorStep) {
        let Some(steps) = self.by_user.get_mut(&user) else {
            return;
        };
        let Some(index) = steps.iter().rposition(|step| *step == (upto, at)) else {
            return;
        };
        let later = steps.len() - 1 - index;
        steps.remove(index);
        if steps.is_empty() {
            self.by_user.remove(&user);
        }
        let own = self.users.iter().enumerate().rev().filter(|(_, other)| **other == user);
        if let Some((place, _)) = own.map(|(place, user)| (place, *user)).nth(later) {
            self.users.remove(place);
        }
    }

    /// Removes the oldest steps, which are in the index now.
    pub(super) fn drop_oldest(&mut self, count: usize) {
        for user in self.users.drain(..count.min(self.users.len())) {
            if let Some(steps) = self.by_user.get_mut(&user) {
                steps.pop_front();
                if steps.is_empty() {
                    self.by_user.remove(&user);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(user: u32, upto: u64) -> CursorStep {
        CursorStep {
            user: NameId(user),
            upto: MessageId(upto),
            at: Timestamp(i64::try_from(upto * 10).expect("small")),
        }
    }

    #[test]
    fn steps_of_users_are_found_undone_and_dropped_apart() {
        let mut steps = CursorSteps::default();
        for (user, upto) in [(1, 3), (2, 4), (1, 7), (2, 8), (1, 9)] {
            steps.push(step(user, upto));
        }
        let at = |steps: &CursorSteps, user, id| steps.passed_at(NameId(user), MessageId(id)).map(|at| at.0);
        assert_eq!((at(&steps, 1, 3), at(&steps, 1, 4), at(&steps, 2, 4)), (Some(30), Some(70), Some(40)));
        assert_eq!((at(&steps, 1, 10), at(&steps, 3, 1)), (None, None));
        steps.undo(step(1, 7));
        assert_eq!((at(&steps, 1, 4), at(&steps, 1, 3)), (Some(90), Some(30)));
        // The first step of each is in the index.
        steps.drop_oldest(2);
        assert_eq!((at(&steps, 1, 3), at(&steps, 2, 4)), (Some(90), Some(80)));
        steps.drop_oldest(1);
        assert_eq!((at(&steps, 1, 3), at(&steps, 2, 4)), (Some(90), None));
        steps.drop_oldest(9);
        assert!(steps.by_user.is_empty() && steps.users.is_empty());
    }
}
