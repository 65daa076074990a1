//! Plans for reads: the part of a page that is in memory, and where in the file the rest is.

use std::collections::BTreeSet;

use super::{list::List, ops::NameId, state::State, tail::Found};
use crate::{
    model::{Message, MessageId, Position, Recipient, UserName},
    store::rooms::Span,
};

/// Most slots of the tail that are read under one lock of the state: a few microseconds.
const TAIL_PART: usize = 1024;

/// Plan for reading a page of an inbox.
pub(super) struct InboxPlan {
    pub(super) user: Option<NameId>,
    /// Indexed messages that may be on the page: those to the user, and those to rooms during the user's stays.
    pub(super) sources: Vec<Source>,
    /// The last message that was indexed when the plan was made.
    pub(super) indexed: MessageId,
    /// Messages of the tail; they follow all indexed ones.
    pub(super) tail: Vec<Message>,
    /// The tail has more messages of this inbox than `tail`.
    pub(super) more: bool,
    /// The user's cursor.
    pub(super) cursor: MessageId,
    /// Messages up to this one are not on the page.
    pub(super) after: MessageId,
    pub(super) position: Position,
}

/// The part of a posting list that belongs to a page.
#[derive(Debug, Clone, Copy)]
pub(super) struct Source {
    pub(super) list: List,
    /// Lower bound, not included.
    pub(super) after: MessageId,
    /// Upper bound, included.
    pub(super) upto: MessageId,
    /// It is a room's list; the reader must skip messages that the user has sent.
    pub(super) is_room: bool,
}

/// Plan for reading a page of a conversation.
pub(super) struct HistoryPlan {
    /// The list of the indexed messages; `None` if none can be on the page.
    pub(super) list: Option<List>,
    /// The user's stays in a room, which limit the messages on the page; `None` between two users.
    pub(super) stays: Option<Vec<Span>>,
    /// Upper bound of indexed messages, not included.
    pub(super) before: MessageId,
    /// Messages of the tail, newest first; they follow all indexed ones.
    pub(super) tail: Vec<Message>,
    pub(super) position: Position,
}

impl State {
    /// Plans a read of the oldest messages of an inbox after `after`.
    pub(super) fn plan_inbox(
        &self,
        user: &UserName,
        after: MessageId,
        limit: usize,
        max_bytes: usize,
    ) -> InboxPlan {
        let indexed = self.tail.indexed();
        let id = self.name_id(user);
        let cursor = id.map(|id| self.inbox(id).cursor);
        let lower = cursor.map_or(after, |cursor| cursor.upto.max(after));
        let mut plan = InboxPlan {
            user: id,
            sources: Vec::new(),
            indexed,
            tail: Vec::new(),
            more: false,
            position: cursor.map_or(Position::START, |cursor| self.unsettled(cursor.place)),
            cursor: cursor.map_or(MessageId(0), |cursor| cursor.upto),
            after: lower,
        };
        let mut waiting = Vec::new();
        if let Some(id) = id {
            let inbox = self.inbox(id);
            if inbox.last_indexed > lower {
                plan.sources.push(Source { list: List::to(id), after: lower, upto: indexed, is_room: false });
            }
            waiting.extend(inbox.tail_after(lower).take(limit + 1));
        }
        let direct = waiting.len();
        for (room, span) in self.rooms.stays_past(user, lower) {
            let Some(room) = self.name_id(room) else {
                continue;
            };
            let inbox = self.inbox(room);
            let after = lower.max(MessageId(span.from.0 - 1));
            let upto = span.until.map_or(indexed, |until| indexed.min(MessageId(until.0 - 1)));
            if inbox.last_indexed > after && after < upto {
                plan.sources.push(Source { list: List::to(room), after, upto, is_room: true });
            }
            let others = |message: &MessageId| match self.tail.find(*message) {
                Found::Row(row) => Some(row.sender) != id,
                Found::Nothing | Found::Pending => true,
            };
            let within = inbox.tail_after(after).take_while(|message| span.contains(*message));
            waiting.extend(within.filter(others).take(limit + 1));
        }
        if waiting.len() > direct {
            waiting.sort_unstable();
        }
        if self.rooms.knows(user) {
            plan.position = plan.position.and(self.rooms_position());
        }
        self.fill_from_tail(&mut plan, &waiting, limit, max_bytes);
        plan
    }

    fn fill_from_tail(&self, plan: &mut InboxPlan, waiting: &[MessageId], limit: usize, max_bytes: usize) {
        let mut bytes = 0;
        for id in waiting {
            match self.tail.find(*id) {
                Found::Nothing => {}
                // Later messages must wait until the writer has decided about this one: acknowledging them would move
                // the cursor past it.
                Found::Pending => break,
                Found::Row(_) if plan.tail.len() == limit || bytes > max_bytes => {
                    plan.more = true;
                    break;
                }
                Found::Row(row) => {
                    plan.position = plan.position.and(self.unsettled(row.place));
                    bytes += row.text.len();
                    plan.tail.extend(self.message(row));
                }
            }
        }
    }

    /// Plans a read of the newest messages of a conversation before `before`.
    pub(super) fn plan_history(
        &self,
        user: &UserName,
        with: &Recipient,
        before: Option<MessageId>,
        limit: usize,
        max_bytes: usize,
    ) -> HistoryPlan {
        let before = before.unwrap_or(MessageId(u64::MAX));
        let indexed_before = before.min(MessageId(self.tail.indexed().0 + 1));
        let stays = with.room().map(|room| self.rooms.stays(user, room).to_vec());
        let ids = (self.name_id(user), self.name_id(with));
        let list = match (ids, &stays) {
            ((_, Some(room)), Some(_)) => Some(List::to(room)),
            ((Some(user), Some(other)), None) => Some(List::between(user, other)),
            _ => None,
        };
        let mut plan = HistoryPlan {
            list: list.filter(|_| indexed_before > MessageId(1)),
            stays,
            before: indexed_before,
            tail: Vec::new(),
            position: self.rooms_position(),
        };
        if plan.stays.is_none() {
            plan.position = Position::START;
        }
        let mut bytes = 0;
        for id in self.tail_of_conversation(ids, plan.stays.is_some(), before) {
            let Found::Row(row) = self.tail.find(id) else {
                continue;
            };
            if plan.stays.as_ref().is_some_and(|stays| !stays.iter().any(|span| span.contains(id))) {
                continue;
            }
            if plan.tail.len() > limit || bytes > max_bytes {
                break;
            }
            plan.position = plan.position.and(self.unsettled(row.place));
            bytes += row.text.len();
            plan.tail.extend(self.message(row));
        }
        plan
    }

    /// Numbers before `before` of messages in the tail, newest first: those to a room, or those between two users.
    fn tail_of_conversation(
        &self,
        (user, with): (Option<NameId>, Option<NameId>),
        is_room: bool,
        before: MessageId,
    ) -> impl Iterator<Item = MessageId> {
        let sent = move |to: Option<NameId>, sender: Option<NameId>| {
            let tail = to.map(|to| self.inbox(to).tail_before(before).rev()).into_iter().flatten();
            let by_sender = move |id: &MessageId| match self.tail.find(*id) {
                Found::Row(row) => sender.is_none_or(|sender| row.sender == sender),
                Found::Nothing | Found::Pending => false,
            };
            tail.filter(by_sender)
        };
        // Messages to oneself have one direction only.
        let back = user.filter(|_| !is_room && user != with && with.is_some());
        let there = with.filter(|_| is_room || user.is_some());
        let mut one = sent(there, user.filter(|_| !is_room)).peekable();
        let mut other = sent(back, with).peekable();
        std::iter::from_fn(move || {
            if one.peek() > other.peek() { one.next() } else { other.next().or_else(|| one.next()) }
        })
    }

    /// Adds the users with whom `user` has exchanged messages, from the next [`TAIL_PART`] slots of the tail after `id`.
    /// Returns the last message of that part; `None` if it was the last part.
    ///
    /// The tail holds tens of thousands of messages, and every request waits for the lock: so it is read in parts.
    pub(super) fn partners_after(
        &self,
        id: MessageId,
        user: NameId,
        partners: &mut BTreeSet<NameId>,
    ) -> Option<MessageId> {
        let (rows, next) = self.tail.rows_after(id, TAIL_PART);
        partners.extend(rows.filter(|row| !row.to_room).filter_map(|row| {
            match (row.sender, row.recipient) {
                (sender, other) if sender == user => Some(other),
                (other, recipient) if recipient == user => Some(other),
                _ => None,
            }
        }));
        next
    }
}
