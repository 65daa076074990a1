//! Plans for reads: the part of a page that is in memory, and where in the index the rest is.

use std::collections::VecDeque;

use super::{Front, ops::NameId, rooms::Span, tail::Found};
use crate::{
    model::{Message, MessageId, Page, Position, Recipient, UserName},
    store::Scope,
};

/// Plan for reading a page of an inbox, or of all messages of a user.
pub(crate) struct InboxPlan {
    pub(crate) user: Option<NameId>,
    /// Indexed messages that may be on the page: those to the user, and those to rooms during the user's stays.
    pub(crate) sources: Vec<Source>,
    /// The last message that was indexed when the plan was made.
    pub(crate) indexed: MessageId,
    /// The page without indexed messages, which come before all others.
    pub(crate) page: Page,
    /// Messages up to this one are not on the page.
    pub(crate) after: MessageId,
    pub(crate) position: Position,
}

/// Indexed messages that belong to a page: those to one user or room, in a range of numbers. Of those to a room, the reader
/// must skip those that the user has sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Source {
    pub(crate) to: NameId,
    /// Lower bound, not included.
    pub(crate) after: MessageId,
    /// Upper bound, included.
    pub(crate) upto: MessageId,
}

/// Messages in a room, or between two users.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Conversation {
    Room(NameId),
    Between(NameId, NameId),
}

impl Conversation {
    /// With whom the user has it, or the room.
    pub(crate) fn with(self, user: NameId) -> NameId {
        match self {
            Conversation::Room(room) => room,
            Conversation::Between(one, other) if one == user => other,
            Conversation::Between(one, _) => one,
        }
    }
}

/// Plan for reading a page of a conversation.
pub(crate) struct HistoryPlan {
    /// The conversation whose indexed messages may be on the page; `None` if none can be.
    pub(crate) indexed: Option<Conversation>,
    /// The user's stays in a room, which limit the messages on the page; `None` between two users.
    pub(crate) stays: Option<Vec<Span>>,
    /// Upper bound of indexed messages, not included.
    pub(crate) before: MessageId,
    /// Messages of the tail, newest first; they follow all indexed ones.
    pub(crate) newest: Vec<Message>,
    /// The tail has older ones, for which the page has no room.
    pub(crate) more: bool,
    pub(crate) position: Position,
}

impl Front {
    /// Plans a read of the oldest messages of a user after `after`.
    pub(crate) fn plan_feed(
        &self,
        user: &UserName,
        after: MessageId,
        limit: usize,
        max_bytes: usize,
        scope: Scope,
    ) -> InboxPlan {
        let indexed = self.tail.indexed();
        let id = self.name_id(user);
        let cursor = id.map(|id| self.inbox(id).cursor);
        let begin = id.map_or(MessageId(0), |id| self.begins_after(id));
        let waits_after = cursor.filter(|_| scope == Scope::Inbox).map_or(MessageId(0), |cursor| cursor.upto);
        let lower = waits_after.max(after).max(begin);
        let mut plan = InboxPlan {
            user: id,
            sources: Vec::new(),
            indexed,
            page: Page {
                messages: Vec::new(),
                more: false,
                cursor: cursor.map_or(MessageId(0), |cursor| cursor.upto),
            },
            position: cursor.map_or(Position::START, |cursor| self.unsettled(cursor.place)),
            after: lower,
        };
        let inbox = id.map(|id| self.inbox(id));
        if let Some((id, inbox)) = id.zip(inbox)
            && inbox.last_indexed > lower
        {
            plan.sources.push(Source { to: id, after: lower, upto: indexed });
        }
        let shows_own = scope == Scope::All;
        if !self.rooms.knows(user) && !shows_own {
            if let Some(inbox) = inbox {
                self.fill_from_tail(&mut plan, inbox.tail_after(lower), limit, max_bytes);
            }
            return plan;
        }
        plan.position = plan.position.and(self.rooms_position());
        let mut waiting = Vec::new();
        if let Some(inbox) = inbox {
            waiting.extend(inbox.tail_after(lower).take(limit + 1));
        }
        for (room, span) in self.rooms.stays_past(user, lower) {
            let Some(room) = self.name_id(room) else {
                continue;
            };
            let inbox = self.inbox(room);
            let after = lower.max(MessageId(span.from.0 - 1));
            let upto = span.until.map_or(indexed, |until| indexed.min(MessageId(until.0 - 1)));
            if inbox.last_indexed > after && after < upto {
                plan.sources.push(Source { to: room, after, upto });
            }
            let within = inbox.tail_after(after).take_while(|message| span.contains(*message));
            let shown = within.filter(|message| shows_own || self.is_by(*message, id) != Some(true));
            waiting.extend(shown.take(limit + 1));
        }
        if let (true, Some(id)) = (shows_own, id) {
            for partner in self.conversations.partners(id).filter(|partner| *partner != id) {
                let between = self.conversations.between(id, partner).into_iter();
                let later =
                    between.flat_map(|ids| ids.range(ids.partition_point(|message| *message <= lower)..));
                let own = later.copied().filter(|message| self.is_by(*message, Some(id)) != Some(false));
                waiting.extend(own.take(limit + 1));
            }
        }
        waiting.sort_unstable();
        self.fill_from_tail(&mut plan, waiting.into_iter(), limit, max_bytes);
        plan
    }

    /// Whether that user has sent a message of the tail; `None` if it is not known yet which message it is.
    fn is_by(&self, message: MessageId, user: Option<NameId>) -> Option<bool> {
        match self.tail.find(message) {
            Found::Row(row) => Some(Some(row.sender) == user),
            Found::Nothing | Found::Pending => None,
        }
    }

    /// Adds messages of the tail to a page until it is full.
    fn fill_from_tail(
        &self,
        plan: &mut InboxPlan,
        waiting: impl Iterator<Item = MessageId>,
        limit: usize,
        max_bytes: usize,
    ) {
        let mut bytes = 0;
        for id in waiting {
            match self.tail.find(id) {
                Found::Nothing => {}
                // Later messages must wait until the writer has decided about this one: acknowledging them would move
                // the cursor past it.
                Found::Pending => break,
                Found::Row(_) if plan.page.messages.len() == limit || bytes > max_bytes => {
                    plan.page.more = true;
                    break;
                }
                Found::Row(row) => {
                    plan.position = plan.position.and(self.unsettled(row.place));
                    bytes += row.text.len();
                    plan.page.messages.extend(self.named(row));
                }
            }
        }
    }

    /// Plans a read of the newest messages of a conversation before `before`.
    pub(crate) fn plan_history(
        &self,
        user: &UserName,
        with: &Recipient,
        before: Option<MessageId>,
        limit: usize,
        max_bytes: usize,
    ) -> HistoryPlan {
        let before = before.unwrap_or(MessageId(u64::MAX));
        let indexed_before = before.min(MessageId(self.tail.indexed().0 + 1));
        let stays: Option<Vec<Span>> = with.room().map(|room| self.own_stays(user, room).collect());
        let conversation = match (self.name_id(user), self.name_id(with)) {
            (_, Some(room)) if stays.is_some() => Some(Conversation::Room(room)),
            (Some(user), Some(other)) => Some(Conversation::Between(user, other)),
            _ => None,
        };
        let mut plan = HistoryPlan {
            indexed: conversation.filter(|_| indexed_before > MessageId(1)),
            position: if stays.is_some() { self.rooms_position() } else { Position::START },
            stays,
            before: indexed_before,
            newest: Vec::new(),
            more: false,
        };
        let stays = plan.stays.as_deref();
        let mut bytes = 0;
        for id in conversation.into_iter().flat_map(|conversation| self.newest(conversation, stays, before)) {
            let Found::Row(row) = self.tail.find(id) else {
                continue;
            };
            if plan.newest.len() == limit || bytes > max_bytes {
                plan.more = true;
                break;
            }
            plan.position = plan.position.and(self.unsettled(row.place));
            bytes += row.text.len();
            plan.newest.extend(self.named(row));
        }
        plan
    }

    /// The numbers of a conversation's messages in the tail before `before`, newest first. `stays` limit those of a room.
    pub(super) fn newest(
        &self,
        conversation: Conversation,
        stays: Option<&[Span]>,
        before: MessageId,
    ) -> impl Iterator<Item = MessageId> {
        let ids = match conversation {
            Conversation::Room(room) => Some(&self.inbox(room).tail),
            Conversation::Between(user, other) => self.conversations.between(user, other),
        };
        let spans = stays.unwrap_or(&[ALWAYS]).iter().rev();
        ids.into_iter().flat_map(move |ids| spans.clone().flat_map(move |span| within(ids, *span, before)))
    }
}

/// The span of a conversation between two users.
const ALWAYS: Span = Span { from: MessageId(0), until: None };

/// The numbers of a span before `before`, newest first.
fn within(ids: &VecDeque<MessageId>, span: Span, before: MessageId) -> impl Iterator<Item = MessageId> {
    let end = span.until.map_or(before, |until| until.min(before));
    let end = ids.partition_point(|id| *id < end);
    let begin = ids.partition_point(|id| *id < span.from).min(end);
    ids.range(begin..end).rev().copied()
}
