//! Plans for the list of a user's conversations: what is in memory of each, and what must be looked for in the index.

use std::{collections::BTreeSet, ops::ControlFlow};

use super::{Front, ops::NameId, plan::Conversation, rooms::Span, tail::Found};
use crate::{
    model::{Message, MessageId, Position, Recipient, UserName},
    store::{ConversationEntry, MAX_LOOKED_AT, MAX_UNREAD},
};

/// The conversations of a user, as far as they are in memory.
pub(crate) struct Overview {
    pub(crate) user: NameId,
    /// The last message that was indexed when the plan was made.
    pub(crate) indexed: MessageId,
    pub(crate) talks: Vec<Talk>,
    pub(crate) position: Position,
}

/// One conversation: its last message, and how many messages are unread, as far as was looked.
pub(crate) struct Talk {
    pub(crate) with: Recipient,
    pub(crate) conversation: Conversation,
    /// Limits the messages of a room to the user's stays.
    pub(crate) stays: Option<Vec<Span>>,
    pub(crate) last: Option<Message>,
    /// Messages up to this one were read.
    read_upto: MessageId,
    /// Messages up to this one belong to a previous owner of the user's name.
    begin: MessageId,
    unread: usize,
    looked_at: usize,
    is_counted: bool,
}

impl Talk {
    /// Whether the user may see a message of the conversation.
    pub(crate) fn shows(&self, id: MessageId) -> bool {
        let is_within = |stays: &Vec<Span>| stays.iter().any(|span| span.contains(id));
        id > self.begin && self.stays.as_ref().is_none_or(is_within)
    }

    /// The first message that the user can see.
    pub(crate) fn begins_at(&self) -> MessageId {
        let first =
            self.stays.as_ref().and_then(|stays| stays.first()).map_or(MessageId(0), |stay| stay.from);
        first.max(MessageId(self.begin.0 + 1))
    }

    /// Whether all unread messages are counted.
    pub(crate) fn is_counted(&self) -> bool {
        self.is_counted
    }

    /// Looks at the next message, from the newest one on. Breaks when no older one matters.
    pub(crate) fn look_at(&mut self, id: MessageId, is_own: bool) -> ControlFlow<()> {
        self.is_counted = id <= self.read_upto.max(self.begin);
        if !self.is_counted {
            self.looked_at += 1;
            self.unread += usize::from(!is_own);
            self.is_counted = self.unread == MAX_UNREAD || self.looked_at == MAX_LOOKED_AT;
        }
        if self.is_counted { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    /// Sorts conversations, the newest first, and keeps `limit` of them. Those with nobody, without a message, are left out.
    pub(crate) fn newest(talks: &mut Vec<Talk>, limit: usize) {
        talks.retain(|talk| talk.last.is_some() || talk.stays.is_some());
        talks.sort_by(|a, b| {
            let last = |talk: &Talk| talk.last.as_ref().map(|message| message.id);
            last(b).cmp(&last(a)).then_with(|| (*a.with).cmp(&*b.with))
        });
        talks.truncate(limit);
    }

    pub(crate) fn entry(self) -> ConversationEntry {
        let Talk { with, last, unread, read_upto, .. } = self;
        ConversationEntry { with, last, unread, read_upto }
    }
}

impl Front {
    /// The user's rooms, and conversations with messages in the tail; `None` if nothing is known of the user.
    pub(crate) fn overview(&self, user: &UserName) -> Option<Overview> {
        let id = self.name_id(user)?;
        let joined = self.rooms.joined(user);
        let rooms = joined.iter().filter_map(|room| self.name_id(room));
        let with: BTreeSet<_> = self.conversations.partners(id).chain(rooms).collect();
        let mut overview = Overview {
            user: id,
            indexed: self.tail.indexed(),
            talks: Vec::with_capacity(with.len()),
            position: self.rooms_position(),
        };
        for with in with {
            self.add_talk(&mut overview, with);
            let Some(talk) = overview.talks.last_mut() else { continue };
            let stays = talk.stays.clone();
            for message in self.newest(talk.conversation, stays.as_deref(), MessageId(u64::MAX)) {
                let Found::Row(row) = self.tail.find(message) else { continue };
                if row.id <= talk.begin {
                    break;
                }
                if talk.last.is_none() {
                    talk.last = self.named(row);
                    overview.position = overview.position.and(self.unsettled(row.place));
                }
                if talk.look_at(row.id, row.sender == id).is_break() {
                    break;
                }
            }
        }
        Some(overview)
    }

    /// Adds a conversation of which nothing was looked at.
    pub(crate) fn add_talk(&self, overview: &mut Overview, id: NameId) {
        let user = overview.user;
        let (Some(name), Some(with)) = (self.user(user), self.name(id).cloned()) else {
            return;
        };
        let stays = with.room().map(|room| self.own_stays(name, room).collect::<Vec<_>>());
        let placed = self.markers.get(user, id);
        if let Some(placed) = placed {
            overview.position = overview.position.and(self.unsettled(placed.place));
        }
        overview.talks.push(Talk {
            conversation: if stays.is_some() {
                Conversation::Room(id)
            } else {
                Conversation::Between(user, id)
            },
            with,
            stays,
            last: None,
            read_upto: placed.map_or(MessageId(0), |placed| placed.marker.upto),
            begin: self.begins_after(user),
            unread: 0,
            looked_at: 0,
            is_counted: false,
        });
    }
}
