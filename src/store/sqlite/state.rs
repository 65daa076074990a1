//! The store's state in memory: names, inboxes, rooms, the tail of messages that are not indexed yet, and the queue.
//!
//! One mutex guards all of it. Most methods hold it for a few look-ups in maps, and none while the disk is used.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use super::{
    keyed::KeyedMessage,
    ops::{CursorMove, CursorStep, InboxCursor, NameId, Op, Row, Stay},
    queue::Queue,
    read_pages::ReadPages,
    steps::CursorSteps,
    tail::{Found, Tail},
};
use crate::{
    model::{
        At, Message, MessageId, NewMessage, Outcome, Position, Recipient, RoomName, Stored, Timestamp,
        UserName,
    },
    store::{CommitLog, Membership, rooms::Rooms, sorted::begin_after},
};

/// Messages sent to one user or one room, and how far they were read. (The cursor of a room stays at the start.)
pub(super) struct Inbox {
    pub(super) cursor: InboxCursor,
    /// Number of messages ever sent to this recipient.
    received: u64,
    /// The last message that has left the tail for the index; 0 if there is none.
    pub(super) last_indexed: MessageId,
    /// Numbers of this recipient's messages in the tail, acknowledged or not, ascending.
    pub(super) tail: VecDeque<MessageId>,
}

impl Inbox {
    fn waiting(&self) -> u64 {
        self.received.saturating_sub(self.cursor.taken)
    }

    /// Numbers of its messages in the tail after `id`, ascending.
    pub(super) fn tail_after(&self, id: MessageId) -> impl Iterator<Item = MessageId> {
        self.tail.range(begin_after(&self.tail, id)..).copied()
    }

    /// Numbers of its messages in the tail before `id`, ascending.
    pub(super) fn tail_before(&self, id: MessageId) -> impl DoubleEndedIterator<Item = MessageId> {
        self.tail.range(..self.tail.partition_point(|other| *other < id)).copied()
    }
}

/// Messages to a user, not to rooms, that a cursor passes.
#[derive(Default)]
pub(super) struct Passed {
    pub(super) count: u64,
    /// Sender and number of each; empty if nobody wants to know.
    pub(super) delivered: Vec<(NameId, MessageId)>,
}

pub(super) struct State {
    /// Which positions are settled: what the state holds of an earlier one is durable.
    pub(super) log: Arc<CommitLog>,
    names: HashMap<Box<str>, NameId, foldhash::fast::RandomState>,
    by_id: Vec<Recipient>,
    inboxes: Vec<Inbox>,
    pub(super) rooms: Rooms,
    pub(super) tail: Tail,
    /// The last message in the synced index; the tail may drop messages up to it.
    in_index: MessageId,
    /// Cursor steps that are not indexed yet.
    passed: CursorSteps,
    pub(super) read_pages: ReadPages,
    pub(super) queue: Queue,
    inbox_limit: u64,
    pub(super) read_only: bool,
    pub(super) closing: bool,
    /// The writer sleeps and must be woken when an op is queued.
    pub(super) writer_idle: bool,
}

impl State {
    /// Returns a state without names, in which messages up to `indexed` are in the file's index.
    pub(super) fn new(inbox_limit: usize, indexed: MessageId) -> Self {
        State {
            log: Arc::default(),
            names: HashMap::default(),
            by_id: Vec::new(),
            inboxes: Vec::new(),
            rooms: Rooms::default(),
            tail: Tail::new(indexed),
            in_index: indexed,
            passed: CursorSteps::default(),
            read_pages: ReadPages::default(),
            queue: Queue::default(),
            inbox_limit: inbox_limit as u64,
            read_only: false,
            closing: false,
            writer_idle: false,
        }
    }

    /// Adds a name and assigns the next number to it. Numbers begin with 0 and have no gaps.
    pub(super) fn restore_name(&mut self, name: Recipient) -> NameId {
        let id = NameId(u32::try_from(self.by_id.len()).expect("fewer than 2³² names"));
        self.names.insert((*name).into(), id);
        self.by_id.push(name);
        let cursor = InboxCursor { upto: MessageId(0), taken: 0, place: 0 };
        self.inboxes.push(Inbox { cursor, received: 0, last_indexed: MessageId(0), tail: VecDeque::new() });
        id
    }

    /// Restores an inbox as of `state.indexed`. To be called before the tail is restored.
    pub(super) fn restore_inbox(
        &mut self,
        user: NameId,
        cursor: InboxCursor,
        received: u64,
        last: MessageId,
    ) {
        let inbox = &mut self.inboxes[user.index()];
        (inbox.cursor, inbox.received, inbox.last_indexed) = (cursor, received, last);
    }

    /// Restores a cursor step that is in the file and not indexed.
    pub(super) fn restore_passed(&mut self, passed: CursorStep) {
        self.passed.push(passed);
    }

    /// Restores a message that is in the file and not indexed. To be called in the order of their numbers.
    pub(super) fn restore_row(&mut self, row: Row) {
        self.count_in(&row);
        self.tail.restore(row);
    }

    /// Makes the next message number greater than every number that a cursor or a stay refers to. To be called last.
    ///
    /// The message with such a number may not be in the file: it was refused, but by then the number was taken. If another
    /// message got it now, it would count as acknowledged, or as sent while somebody was, or was not, in a room.
    pub(super) fn skip_used_numbers(&mut self) {
        let cursors = self.inboxes.iter().map(|inbox| MessageId(inbox.cursor.upto.0 + 1));
        let next = cursors.max().max(self.rooms.last_bound());
        self.tail.skip_to(next.unwrap_or(MessageId(0)));
    }

    pub(super) fn name(&self, id: NameId) -> Option<&Recipient> {
        self.by_id.get(id.index())
    }

    pub(super) fn user(&self, id: NameId) -> Option<&UserName> {
        self.name(id)?.user()
    }

    pub(super) fn name_id(&self, name: &str) -> Option<NameId> {
        self.names.get(name).copied()
    }

    pub(super) fn inbox(&self, id: NameId) -> &Inbox {
        &self.inboxes[id.index()]
    }

    /// Returns the number of a name. A new name gets the next number, and is written with the next op.
    pub(super) fn intern(&mut self, name: &str, whole: impl FnOnce() -> Recipient) -> NameId {
        if let Some(id) = self.names.get(name) {
            return *id;
        }
        let name = whole();
        let id = self.restore_name(name.clone());
        self.queue.name(id, name);
        id
    }

    pub(super) fn intern_user(&mut self, user: &UserName) -> NameId {
        self.intern(user, || Recipient::User(user.clone()))
    }

    /// Outcome of a repeated message, if its key names a message in the tail.
    pub(super) fn repeated(&self, new: &NewMessage<'_>) -> Option<Outcome<Stored>> {
        let key = new.key?;
        Some(self.known(self.name_id(new.from)?, key)?.outcome(self.name_id(new.to), new.text))
    }

    /// Returns the confirmed message in the tail that the sender's key names.
    pub(super) fn known(&self, sender: NameId, key: &str) -> Option<KeyedMessage> {
        let row = self.tail.known(sender, key)?;
        let text = row.text.clone();
        let position = self.unsettled(row.place);
        Some(KeyedMessage { id: row.id, at: row.at, recipient: row.recipient, text, position })
    }

    /// Assigns a message its number and puts it into the tail; `None` if the recipient's inbox is full. A room is never full.
    ///
    /// The caller must queue the message's op under the same lock.
    pub(super) fn admit(&mut self, new: &NewMessage<'_>, text: Arc<str>) -> Option<Row> {
        let sender = self.intern_user(new.from);
        let recipient = self.intern(new.to, || new.to.clone());
        if new.to.user().is_some() && self.inboxes[recipient.index()].waiting() >= self.inbox_limit {
            return None;
        }
        let row = Row {
            id: self.tail.next_id(),
            at: new.at,
            sender,
            recipient,
            text,
            key: new.key.map(Into::into),
            place: self.queue.next_place(),
            to_room: new.to.room().is_some(),
        };
        self.count_in(&row);
        self.tail.push(row.clone(), new.key.is_some());
        Some(row)
    }

    fn count_in(&mut self, row: &Row) {
        let inbox = &mut self.inboxes[row.recipient.index()];
        inbox.tail.push_back(row.id);
        inbox.received += 1;
    }

    /// Queues an op. Returns its position, and whether the caller must wake the writer.
    pub(super) fn enqueue(&mut self, op: Op) -> (Position, bool) {
        (self.queue.push(op), std::mem::take(&mut self.writer_idle))
    }

    /// Undoes [`admit`](State::admit) for a message that was not stored. Its number is not used again.
    pub(super) fn withdraw(&mut self, row: &Row) {
        self.tail.withdraw(row);
        let inbox = &mut self.inboxes[row.recipient.index()];
        let Ok(at) = inbox.tail.binary_search(&row.id) else {
            return;
        };
        inbox.tail.remove(at);
        inbox.received -= 1;
        if row.to_room || inbox.cursor.upto < row.id {
            return;
        }
        // A cursor has passed it, and must not count it.
        let uncount = |cursor: &mut InboxCursor| {
            if cursor.upto >= row.id {
                cursor.taken = cursor.taken.saturating_sub(1);
            }
        };
        uncount(&mut inbox.cursor);
        for moved in self.queue.cursor_moves(row.recipient) {
            uncount(&mut moved.before);
            uncount(&mut moved.after);
        }
    }

    /// Number up to which a move of the user's cursor from `from` to `upto` passes messages that only the file has; `None` if
    /// it passes none.
    pub(super) fn passes_indexed(&self, user: NameId, from: MessageId, upto: MessageId) -> Option<MessageId> {
        let inbox = self.inbox(user);
        (inbox.last_indexed > from && from < upto).then(|| self.tail.indexed().min(upto))
    }

    /// Moves a cursor from `from` to `upto`, unless it is not at `from` or is not before `upto`.
    ///
    /// `indexed` are the messages to the user that it passes and that only the file has. Returns the op to queue.
    pub(super) fn move_cursor(
        &mut self,
        user: NameId,
        (from, upto): (MessageId, MessageId),
        at: Timestamp,
        indexed: Passed,
        wants_deliveries: bool,
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
        let after = InboxCursor { upto, taken: before.taken + count, place: self.queue.next_place() };
        self.inboxes[user.index()].cursor = after;
        self.read_pages.remove(user);
        self.passed.push(CursorStep { user, upto, at });
        Some(Op::Cursor(CursorMove { user, after, at, before, delivered }))
    }

    /// Undoes a cursor move that was not stored. If the cursor has not moved on since, its messages are in the inbox again.
    pub(super) fn restore_cursor(&mut self, cursor: &CursorMove) {
        self.passed.undo(CursorStep { user: cursor.user, upto: cursor.after.upto, at: cursor.at });
        let inbox = &mut self.inboxes[cursor.user.index()];
        if inbox.cursor.place == cursor.after.place {
            inbox.cursor = cursor.before;
        }
        // A later move starts where this one started.
        for later in self.queue.cursor_moves(cursor.user) {
            if later.before.place == cursor.after.place {
                later.before = cursor.before;
            }
        }
    }

    /// The user's cursor.
    pub(super) fn cursor(&self, user: NameId) -> At<MessageId> {
        let InboxCursor { upto, place, .. } = self.inbox(user).cursor;
        At::new(upto, self.unsettled(place))
    }

    /// The position of a state whose latest change is at this place of the log.
    pub(super) fn unsettled(&self, place: u64) -> Position {
        self.log.unsettled(Position::at(place))
    }

    /// When the user's cursor passed a message, according to the steps that are not indexed yet.
    pub(super) fn passed_at(&self, user: NameId, id: MessageId) -> Option<Timestamp> {
        self.passed.passed_at(user, id)
    }

    /// The position that must be durable before a reply may tell who is in a room.
    pub(super) fn rooms_position(&self) -> Position {
        self.unsettled(self.rooms.place)
    }

    /// Begins a stay in a room. Returns the op to queue; `None` if the user is in the room already.
    pub(super) fn join(&mut self, user: &UserName, room: &RoomName) -> Option<Op> {
        if self.rooms.membership(user, room) == Membership::Current {
            return None;
        }
        let from = self.tail.next_id();
        self.rooms.join(user, room, from);
        self.rooms.place = self.queue.next_place();
        let room = self.intern(room, || Recipient::Room(room.clone()));
        Some(Op::Join(Stay { room, user: self.intern_user(user), from }))
    }

    /// Ends a stay in a room. Returns the op to queue; `None` if the user is not in the room.
    pub(super) fn leave(&mut self, user: &UserName, room: &RoomName) -> Option<Op> {
        let until = self.tail.next_id();
        let from = self.rooms.leave(user, room, until)?;
        self.rooms.place = self.queue.next_place();
        let room = self.intern(room, || Recipient::Room(room.clone()));
        Some(Op::Leave(Stay { room, user: self.intern_user(user), from }, until))
    }

    /// Undoes a join that was not stored or, if `ended`, a leave.
    pub(super) fn take_back(&mut self, stay: Stay, ended: bool) {
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

    /// Converts a row of the tail into a message, with names instead of numbers.
    pub(super) fn message(&self, row: &Row) -> Option<Message> {
        Some(Message {
            id: row.id,
            at: row.at,
            from: self.user(row.sender)?.clone(),
            to: self.name(row.recipient)?.clone(),
            text: row.text.clone(),
        })
    }

    /// Records that messages up to `upto` and the oldest `folded` cursor steps are in the synced index.
    pub(super) fn is_indexed(&mut self, upto: MessageId, folded: usize) {
        self.in_index = self.in_index.max(upto);
        self.passed.drop_oldest(folded);
    }

    /// Removes at most `most` indexed messages from the tail; the more, the longer other callers wait for the lock.
    ///
    /// Returns the removed rows, so that the caller can drop them after it has released the lock.
    pub(super) fn trim(&mut self, most: usize) -> Vec<Row> {
        let mut dropped = Vec::new();
        while self.tail.indexed() < self.in_index && !self.tail.is_empty() && dropped.len() < most {
            let Some(row) = self.tail.pop() else {
                continue;
            };
            let inbox = &mut self.inboxes[row.recipient.index()];
            debug_assert_eq!(inbox.tail.front(), Some(&row.id));
            inbox.tail.pop_front();
            inbox.last_indexed = row.id;
            dropped.push(row);
        }
        dropped
    }
}

#[cfg(test)]
mod tests;
