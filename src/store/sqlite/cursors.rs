//! The contract of [`Cursors`], for [`Sqlite`].
//!
//! A cursor moves at once if the messages that it passes are in memory, or were shown to the reader lately. Otherwise they are counted
//! in the file first.

use std::sync::Arc;

use super::{Shared, Sqlite, queue::Queued, reader, state::State};
use crate::{
    model::{At, MaybeReady, MessageId, Outcome, Timestamp, UserName},
    store::{
        Acknowledged, Cursors, Reading, Receipt,
        front::{Passed, ops::NameId},
    },
};

impl Shared {
    /// Moves a cursor, or finds that it must not be moved.
    fn move_cursor(
        &self,
        state: &mut State,
        user: NameId,
        range: (MessageId, MessageId),
        at: Timestamp,
        indexed: Passed,
    ) -> Outcome<Acknowledged> {
        match state.move_cursor(user, range, at, indexed, self.observer_wants_messages()) {
            Some(op) => {
                let position = self.enqueue(state, Queued::Op(op));
                At::new(Ok(Acknowledged { moved: true, cursor: range.1 }), position)
            }
            None => state.front.cursor(user).map(|cursor| Ok(Acknowledged { moved: false, cursor })),
        }
    }

    /// Moves a cursor past messages that only the file has: `part` is how far it must be read.
    async fn move_cursor_past_indexed(
        self: Arc<Self>,
        user: NameId,
        (from, upto): (MessageId, MessageId),
        at: Timestamp,
        mut part: Option<MessageId>,
    ) -> Outcome<Acknowledged> {
        let (mut passed, mut after) = (Passed::default(), from);
        loop {
            // Messages that leave the tail meanwhile are read in another turn.
            if let Some(until) = part {
                let read = self.clone().read("an inbox", move |connection, shared| {
                    reader::passed(connection, user, (after, until), shared.observer_wants_messages())
                });
                match read.await {
                    Ok(Passed { count, delivered }) => {
                        passed.count += count;
                        passed.delivered.extend(delivered);
                        after = until;
                    }
                    Err(refusal) => return At::refused(refusal),
                }
            }
            let mut state = self.lock();
            part = state.front.passes_indexed(user, after, upto);
            if part.is_none() {
                return self.move_cursor(&mut state, user, (from, upto), at, passed);
            }
        }
    }
}

impl Cursors for Sqlite {
    fn acknowledge(
        &self,
        user: &UserName,
        from: MessageId,
        upto: MessageId,
        at: Timestamp,
    ) -> Receipt<Acknowledged> {
        let mut state = self.shared.lock();
        let id = state.front.intern_user(user);
        let part = state.front.passes_indexed(id, from, upto);
        let part = part.filter(|_| state.front.inbox(id).cursor.upto == from);
        let passed = match part {
            None => Some(Passed::default()),
            Some(_) => state.read_pages.passed(id, (from, upto), state.front.indexed()),
        };
        if let Some(passed) = passed {
            return MaybeReady::Ready(self.shared.move_cursor(&mut state, id, (from, upto), at, passed));
        }
        drop(state);
        let shared = self.shared.clone();
        MaybeReady::Late(Box::pin(shared.move_cursor_past_indexed(id, (from, upto), at, part)))
    }

    fn cursor(&self, user: &UserName) -> At<MessageId> {
        let front = &self.shared.lock().front;
        front.name_id(user).map_or(At::start(MessageId(0)), |id| front.cursor(id))
    }

    fn acknowledged_at<'a>(&'a self, user: &'a UserName, id: MessageId) -> Reading<'a, Option<Timestamp>> {
        // Look in memory before the file: a step that leaves memory meanwhile is already in the index. An indexed
        // step is earlier than any in memory, so it takes precedence.
        let state = self.shared.lock();
        let front = &state.front;
        let Some(user) = front.name_id(user).filter(|user| front.inbox(*user).cursor.upto >= id) else {
            return MaybeReady::Ready(At::start(Ok(None)));
        };
        let (lately, position) = (front.passed_at(user, id), front.cursor(user).position());
        drop(state);
        MaybeReady::Late(Box::pin(async move {
            let indexed = self.read("a cursor", move |connection, _| reader::passed_at(connection, user, id));
            At::new(indexed.await.map(|indexed| indexed.or(lately)), position)
        }))
    }
}
