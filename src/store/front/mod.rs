//! The front: everything of a store that is in memory, as one state machine.
//!
//! A write is applied to the front first: it gets its number, and every rule of the store is decided here. The result is an
//! [`Op`], which a store with a log writes there. [`Front::undo`] takes back an op that could not be written, and
//! [`Front::change`] says what a durable one has changed.
//!
//! [`Memory`](super::Memory) is a front without a log. [`Sqlite`](super::Sqlite) is a front with a log on disk; there the oldest
//! messages leave the front when they are in the index of the file.

mod changes;
mod conversations;
mod inbox;
mod keyed;
mod markers;
mod names;
pub(crate) mod ops;
pub(crate) mod overview;
mod people;
pub(crate) mod plan;
mod restore;
pub(crate) mod rooms;
mod sorted;
mod steps;
mod tail;

use std::{collections::BTreeSet, sync::Arc};

use self::{
    conversations::Conversations,
    markers::Markers,
    names::Names,
    ops::{CursorMove, CursorStep, InboxCursor, NameId, Op, Row, Stay},
    rooms::Rooms,
    steps::CursorSteps,
    tail::{Found, Tail},
};
pub(crate) use self::{
    inbox::{Inbox, Passed},
    keyed::KeyedMessage,
};
use super::{CommitLog, Membership, RoomEntry, SessionRecord};
use crate::model::{
    At, Message, MessageId, NewMessage, Outcome, Position, Recipient, RoomName, Stored, Timestamp, UserName,
};

/// Names, inboxes, rooms, and the messages that are not in an index.
///
/// Methods that write take the place that the op will have in the log. Without a log it is [`NO_PLACE`].
pub(crate) struct Front {
    /// Which positions are settled: what the front holds of an earlier one is durable.
    log: Arc<CommitLog>,
    names: Names,
    inboxes: Vec<Inbox>,
    pub(crate) rooms: Rooms,
    tail: Tail,
    conversations: Conversations,
    markers: Markers,
    /// The last message in the synced index; the tail may drop messages up to it.
    in_index: MessageId,
    /// Cursor steps that are not indexed.
    passed: CursorSteps,
    /// Time of the latest message. Times of messages never fall, even if the clock does.
    latest: Timestamp,
    inbox_limit: u64,
}

/// The place of an op that is in no log. It is settled.
pub(crate) const NO_PLACE: u64 = 0;

impl Front {
    /// A front without names, in which messages up to `indexed` are in an index.
    pub(crate) fn new(inbox_limit: usize, indexed: MessageId, log: Arc<CommitLog>) -> Self {
        Front {
            log,
            names: Names::default(),
            inboxes: Vec::new(),
            rooms: Rooms::default(),
            tail: Tail::new(indexed),
            conversations: Conversations::default(),
            markers: Markers::default(),
            in_index: indexed,
            passed: CursorSteps::default(),
            latest: Timestamp(i64::MIN),
            inbox_limit: inbox_limit as u64,
        }
    }

    pub(crate) fn inbox(&self, id: NameId) -> &Inbox {
        &self.inboxes[id.index()]
    }

    /// The position of a state whose latest change is at this place of the log.
    pub(crate) fn unsettled(&self, place: u64) -> Position {
        self.log.unsettled(Position::at(place))
    }

    /// The last message that has left the tail for the index; 0 if none has.
    pub(crate) fn indexed(&self) -> MessageId {
        self.tail.indexed()
    }

    /// Outcome of a repeated message, if its key names a message in the tail.
    pub(crate) fn repeated(&self, new: &NewMessage<'_>) -> Option<Outcome<Stored>> {
        let key = new.key?;
        Some(self.known(self.name_id(new.from)?, key)?.outcome(self.name_id(new.to), new.text))
    }

    /// Returns the confirmed message in the tail that the sender's key names.
    pub(crate) fn known(&self, sender: NameId, key: &str) -> Option<KeyedMessage> {
        let row = self.tail.known(sender, key).filter(|row| row.id > self.begins_after(sender))?;
        let text = row.text.clone();
        let position = self.unsettled(row.place);
        Some(KeyedMessage { id: row.id, at: row.at, recipient: row.recipient, text, position })
    }

    /// Assigns a message its number and puts it into the tail; `None` if the recipient's inbox is full. A room is never full.
    ///
    /// A message with a key is pending until [`confirm`](Front::confirm): its key may name a message that is in the index.
    pub(crate) fn admit(&mut self, new: &NewMessage<'_>, text: Arc<str>, place: u64) -> Option<Row> {
        let sender = self.intern_sender(new.from);
        let recipient = self.intern(new.to, || new.to.clone());
        let to_room = new.to.room().is_some();
        if !to_room && self.inboxes[recipient.index()].waiting() >= self.inbox_limit {
            return None;
        }
        let (id, key) = (self.tail.next_id(), new.key.map(Into::into));
        let at = new.at.max(self.latest);
        self.latest = at;
        let row = Row { id, at, sender, recipient, text, key, place, to_room };
        self.count_in(&row);
        self.tail.push(row.clone(), new.key.is_some());
        Some(row)
    }

    fn count_in(&mut self, row: &Row) {
        self.inboxes[row.recipient.index()].receive(row.id);
        self.conversations.add(row);
    }

    /// Confirms a pending message: its key was not used before.
    pub(crate) fn confirm(&mut self, row: &Row) {
        self.tail.confirm(row);
    }

    /// Takes back a message that was not stored. Its number is not used again. Returns whether a cursor has passed it.
    pub(crate) fn withdraw(&mut self, row: &Row) -> bool {
        self.tail.withdraw(row);
        self.conversations.remove(row);
        self.inboxes[row.recipient.index()].withdraw(row)
    }

    /// Number up to which a move of the user's cursor from `from` to `upto` passes messages that only the index has; `None` if
    /// it passes none.
    pub(crate) fn passes_indexed(&self, user: NameId, from: MessageId, upto: MessageId) -> Option<MessageId> {
        (self.inbox(user).last_indexed > from && from < upto).then(|| self.tail.indexed().min(upto))
    }

    /// Moves a cursor from `from` to `upto`, unless it is not at `from` or is not before `upto`.
    ///
    /// `indexed` are the messages to the user that it passes and that only the index has.
    pub(crate) fn move_cursor(
        &mut self,
        user: NameId,
        (from, upto): (MessageId, MessageId),
        at: Timestamp,
        indexed: Passed,
        wants_deliveries: bool,
        place: u64,
    ) -> Option<Op> {
        let before = self.inbox(user).cursor;
        if before.upto != from || upto <= from {
            return None;
        }
        let Passed { mut count, mut delivered } = indexed;
        if !wants_deliveries {
            delivered = Vec::new();
        }
        for id in self.inbox(user).tail_after(from).take_while(|id| *id <= upto) {
            if let Found::Row(row) = self.tail.find(id) {
                count += 1;
                if wants_deliveries {
                    delivered.push((row.sender, id));
                }
            }
        }
        let after = InboxCursor { upto, taken: before.taken + count, place };
        self.inboxes[user.index()].cursor = after;
        self.passed.push(CursorStep { user, upto, at });
        Some(Op::Cursor(CursorMove { user, after, at, before, delivered }))
    }

    /// Undoes a cursor move. If the cursor has not moved on since, its messages are in the inbox again.
    fn undo_cursor(&mut self, cursor: &CursorMove) {
        self.passed.undo(CursorStep { user: cursor.user, upto: cursor.after.upto, at: cursor.at });
        let inbox = &mut self.inboxes[cursor.user.index()];
        if inbox.cursor.place == cursor.after.place {
            inbox.cursor = cursor.before;
        }
    }

    /// The user's cursor.
    pub(crate) fn cursor(&self, user: NameId) -> At<MessageId> {
        let InboxCursor { upto, place, .. } = self.inbox(user).cursor;
        At::new(upto, self.unsettled(place))
    }

    /// When the user's cursor passed a message, according to the steps that are not indexed.
    pub(crate) fn passed_at(&self, user: NameId, id: MessageId) -> Option<Timestamp> {
        self.passed.passed_at(user, id)
    }

    /// The position that must be durable before a reply may tell who is in a room.
    pub(crate) fn rooms_position(&self) -> Position {
        self.unsettled(self.rooms.place)
    }

    pub(crate) fn membership(&self, user: &UserName, room: &RoomName) -> At<Membership> {
        let membership = match self.rooms.membership(user, room) {
            // The previous owner of the name was there.
            Membership::Former if self.own_stays(user, room).next().is_none() => Membership::Never,
            membership => membership,
        };
        At::new(membership, self.rooms_position())
    }

    pub(crate) fn joined_rooms(&self, user: &UserName) -> At<Vec<RoomName>> {
        At::new(self.rooms.joined(user), self.rooms_position())
    }

    pub(crate) fn list_rooms(
        &self,
        user: &UserName,
        after: Option<&RoomName>,
        limit: usize,
    ) -> At<Vec<RoomEntry>> {
        At::new(self.rooms.list(user, after, limit), self.rooms_position())
    }

    /// Users who are in the room or, if `at` is given, who were in it when that message came; by name.
    pub(crate) fn members(&self, room: &RoomName, at: Option<MessageId>) -> At<Vec<UserName>> {
        At::new(self.rooms.members(room, at), self.rooms_position())
    }

    /// Begins a stay in a room; `None` if the user is in the room already.
    pub(crate) fn join(&mut self, user: &UserName, room: &RoomName, place: u64) -> Option<Op> {
        if self.rooms.membership(user, room) == Membership::Current {
            return None;
        }
        let from = self.tail.next_id();
        self.rooms.join(user, room, from);
        self.rooms.place = place;
        let room = self.intern(room, || Recipient::Room(room.clone()));
        Some(Op::Join(Stay { room, user: self.intern_user(user), from }))
    }

    /// Ends a stay in a room; `None` if the user is not in the room.
    pub(crate) fn leave(&mut self, user: &UserName, room: &RoomName, place: u64) -> Option<Op> {
        let until = self.tail.next_id();
        let from = self.rooms.leave(user, room, until)?;
        self.rooms.place = place;
        let room = self.intern(room, || Recipient::Room(room.clone()));
        Some(Op::Leave(Stay { room, user: self.intern_user(user), from }, until))
    }

    fn undo_stay(&mut self, stay: Stay, ended: bool) {
        let (Some(user), Some(room)) =
            (self.user(stay.user).cloned(), self.name(stay.room).and_then(Recipient::room).cloned())
        else {
            return;
        };
        if ended {
            self.rooms.undo_leave(&user, &room, stay.from);
        } else {
            self.rooms.undo_join(&user, &room, stay.from);
        }
    }

    /// Opens a session.
    pub(crate) fn open_session(&mut self, session: SessionRecord) -> Op {
        Op::OpenSession(self.intern_user(&session.user), session)
    }

    /// The greatest message number that was assigned; 0 if there was none.
    pub(crate) fn last_message(&self) -> MessageId {
        MessageId(self.tail.next_id().0 - 1)
    }

    /// Undoes an op that was not stored. To be called for the newest one first.
    pub(crate) fn undo(&mut self, op: &Op) {
        match op {
            Op::Message(row) => {
                self.withdraw(row);
            }
            Op::Cursor(cursor) => self.undo_cursor(cursor),
            Op::Join(stay) => self.undo_stay(*stay, false),
            Op::Leave(stay, _) => self.undo_stay(*stay, true),
            Op::Read(moved) => self.undo_read(moved),
            Op::Person(set) => self.undo_person(set),
            // The front does not keep sessions, and no networks.
            Op::OpenSession(..)
            | Op::TouchSession(..)
            | Op::LabelSession(..)
            | Op::EndSession(_)
            | Op::Trust(..) => {}
        }
    }

    /// The message of that number, `None` if there is none. Returns nothing at all if only the index knows.
    pub(crate) fn message(&self, id: MessageId) -> Option<At<Option<Message>>> {
        if let Found::Row(row) = self.tail.find(id) {
            return Some(At::new(self.named(row), self.unsettled(row.place)));
        }
        (id > self.tail.indexed()).then_some(At::start(None))
    }

    /// The position of a message; [`Position::START`] if it is not in the tail.
    pub(crate) fn message_position(&self, id: MessageId) -> Position {
        match self.tail.find(id) {
            Found::Row(row) => self.unsettled(row.place),
            Found::Nothing | Found::Pending => Position::START,
        }
    }

    /// Converts a row of the tail into a message, with names instead of numbers.
    fn named(&self, row: &Row) -> Option<Message> {
        Some(Message {
            id: row.id,
            at: row.at,
            from: self.user(row.sender)?.clone(),
            to: self.name(row.recipient)?.clone(),
            text: row.text.clone(),
        })
    }

    /// Users with whom the user is in a room or has a conversation in the tail.
    pub(crate) fn contacts(&self, user: NameId) -> BTreeSet<UserName> {
        let Some(name) = self.user(user) else {
            return BTreeSet::new();
        };
        let mut all = self.rooms.room_mates(name);
        all.extend(self.conversations.partners(user).filter_map(|id| self.user(id).cloned()));
        all.remove(name);
        all
    }

    /// Records that messages up to `upto` and the oldest `folded` cursor steps are in the synced index.
    pub(crate) fn is_indexed(&mut self, upto: MessageId, folded: usize) {
        self.in_index = self.in_index.max(upto);
        self.passed.drop_oldest(folded);
    }

    /// Removes at most `most` indexed messages from the tail; the more, the longer other callers wait for the lock.
    ///
    /// Returns the removed rows, so that the caller can drop them after it has released the lock.
    pub(crate) fn trim(&mut self, most: usize) -> Vec<Row> {
        let mut dropped = Vec::new();
        while dropped.len() < most
            && let Some(row) = self.tail.pop(self.in_index)
        {
            self.inboxes[row.recipient.index()].drop_oldest(row.id);
            self.conversations.remove(&row);
            dropped.push(row);
        }
        dropped
    }
}

#[cfg(test)]
mod tests;
