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
    tail::Tail,
};
use crate::{
    protocol::{Recipient, RoomName, Timestamp, UserName},
    store::{
        Durability, Membership, Message, MessageId, NewMessage, Outcome, Position, Stored, rooms::Rooms,
        sorted::begin_after,
    },
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

pub(super) struct State {
    /// Which positions are settled: what the state holds of an earlier one is durable.
    pub(super) log: Arc<Durability>,
    names: HashMap<Box<str>, NameId, foldhash::fast::RandomState>,
    by_id: Vec<Recipient>,
    inboxes: Vec<Inbox>,
    pub(super) rooms: Rooms,
    pub(super) tail: Tail,
    /// The last message in the synced index; the tail may drop messages up to it.
    in_index: MessageId,
    /// Cursor steps that are not indexed yet, in the order in which they were queued.
    passed: VecDeque<CursorStep>,
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
            passed: VecDeque::new(),
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
        let cursor = InboxCursor { upto: MessageId(0), taken: 0, position: Position::START };
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
        self.passed.push_back(passed);
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
        let position = self.log.unsettled(row.position);
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
            position: self.queue.next(),
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

    /// Undoes [`admit`](State::admit) for a message that was not stored. Its number is not used again in this run.
    pub(super) fn withdraw(&mut self, row: &Row) {
        self.tail.withdraw(row);
        let inbox = &mut self.inboxes[row.recipient.index()];
        if let Ok(at) = inbox.tail.binary_search(&row.id) {
            inbox.tail.remove(at);
            inbox.received -= 1;
        }
    }

    /// Moves a cursor forward to `upto`, past `taken` messages that were sent to the user directly.
    ///
    /// Returns the op to queue; `None` if the cursor is at `upto` or beyond.
    pub(super) fn move_cursor(
        &mut self,
        user: &UserName,
        upto: MessageId,
        taken: u64,
        at: Timestamp,
    ) -> Option<Op> {
        let id = self.intern_user(user);
        let position = self.queue.next();
        let inbox = &mut self.inboxes[id.index()];
        if upto <= inbox.cursor.upto {
            return None;
        }
        let before = inbox.cursor;
        let after = InboxCursor { upto, taken: before.taken + taken, position };
        inbox.cursor = after;
        self.passed.push_back(CursorStep { user: id, upto, at });
        Some(Op::Cursor(CursorMove { user: id, after, at, before }))
    }

    /// Undoes a cursor move that was not stored. If the cursor has not moved on since, its messages are in the inbox again.
    pub(super) fn restore_cursor(&mut self, cursor: &CursorMove) {
        let passed = CursorStep { user: cursor.user, upto: cursor.after.upto, at: cursor.at };
        if let Some(at) = self.passed.iter().rposition(|other| *other == passed) {
            self.passed.remove(at);
        }
        let inbox = &mut self.inboxes[cursor.user.index()];
        if inbox.cursor == cursor.after {
            inbox.cursor = cursor.before;
        }
        self.queue.restore_cursor(cursor);
    }

    /// When the user's cursor passed a message, according to the steps that are not indexed yet.
    pub(super) fn passed_at(&self, user: NameId, id: MessageId) -> Option<Timestamp> {
        self.passed.iter().find(|passed| passed.user == user && passed.upto >= id).map(|passed| passed.at)
    }

    /// The position that must be durable before a reply may tell who is in a room.
    pub(super) fn rooms_position(&self) -> Position {
        self.log.unsettled(self.rooms.position)
    }

    /// Begins a stay in a room. Returns the op to queue; `None` if the user is in the room already.
    pub(super) fn join(&mut self, user: &UserName, room: &RoomName) -> Option<Op> {
        if self.rooms.membership(user, room) == Membership::Current {
            return None;
        }
        let from = self.tail.next_id();
        self.rooms.join(user, room, from);
        self.rooms.position = self.queue.next();
        let room = self.intern(room, || Recipient::Room(room.clone()));
        Some(Op::Join(Stay { room, user: self.intern_user(user), from }))
    }

    /// Ends a stay in a room. Returns the op to queue; `None` if the user is not in the room.
    pub(super) fn leave(&mut self, user: &UserName, room: &RoomName) -> Option<Op> {
        let until = self.tail.next_id();
        let from = self.rooms.leave(user, room, until)?;
        self.rooms.position = self.queue.next();
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
        self.passed.drain(..folded.min(self.passed.len()));
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
mod tests {
    use super::*;

    fn user(name: &str) -> UserName {
        UserName::parse(name).expect("a name")
    }

    fn admit(state: &mut State, to: &str, key: Option<&str>) -> Row {
        let (from, to) = (user("messi"), Recipient::parse(to).expect("a name"));
        let new = NewMessage { from: &from, to: &to, text: "a", key, at: Timestamp(0) };
        let row = state.admit(&new, "a".into()).expect("not full");
        let _ = state.enqueue(Op::Message(row.clone()));
        row
    }

    #[test]
    fn what_has_happened_since_a_batch_is_not_forgotten_with_it() {
        let mut state = State::new(10, MessageId(0));
        let henderson = user("henderson");
        for _ in 0..3 {
            admit(&mut state, "henderson", None);
        }
        for (upto, at) in [(1, 100), (2, 200)] {
            assert!(state.move_cursor(&henderson, MessageId(upto), 1, Timestamp(at)).is_some());
        }
        // The first two messages and the first cursor are in the index.
        state.is_indexed(MessageId(2), 1);
        assert_eq!(state.trim(10).len(), 2);
        let id = state.name_id("henderson").expect("known");
        assert_eq!(
            state.passed_at(id, MessageId(1)),
            Some(Timestamp(200)),
            "the index knows better of this one"
        );
        assert_eq!(state.passed_at(id, MessageId(2)), Some(Timestamp(200)));
        assert_eq!(state.inbox(id).last_indexed, MessageId(2));
        let plan = state.plan_inbox(&henderson, MessageId(0), 10, 1000);
        assert_eq!((plan.tail.len(), plan.sources.len()), (1, 0));
    }

    #[test]
    fn a_name_that_was_given_out_for_a_refused_message_is_written_with_the_next_op() {
        let mut state = State::new(1, MessageId(0));
        admit(&mut state, "henderson", None);
        state.queue.take();
        let (lineker, to) = (user("lineker"), Recipient::User(user("henderson")));
        let new = NewMessage { from: &lineker, to: &to, text: "a", key: None, at: Timestamp(0) };
        assert!(state.admit(&new, "a".into()).is_none(), "full");
        assert!(state.queue.take().names.is_empty(), "there is nothing to write");
        admit(&mut state, "lineker", None);
        let names: Vec<_> = state.queue.take().names.into_iter().map(|(_, name)| name.to_string()).collect();
        assert_eq!(names, ["lineker"]);
    }

    #[test]
    fn what_fails_is_as_if_it_had_not_been_asked_for() {
        let mut state = State::new(10, MessageId(0));
        let (henderson, lab) = (user("henderson"), RoomName::parse("#lab").expect("a name"));
        let rows = [admit(&mut state, "henderson", None), admit(&mut state, "henderson", Some("k"))];
        let joined = state.join(&henderson, &lab);
        let moved = state.move_cursor(&henderson, MessageId(1), 1, Timestamp(100));
        let left = state.leave(&henderson, &lab);
        for op in [left, moved, joined].into_iter().flatten() {
            match op {
                Op::Cursor(cursor) => state.restore_cursor(&cursor),
                Op::Join(stay) => state.take_back(stay, false),
                Op::Leave(stay, _) => state.take_back(stay, true),
                _ => {}
            }
        }
        rows.iter().rev().for_each(|row| state.withdraw(row));
        assert_eq!(state.rooms.membership(&henderson, &lab), Membership::NoRoom);
        let id = state.name_id("henderson").expect("known");
        assert_eq!((state.inbox(id).waiting(), state.inbox(id).cursor.upto), (0, MessageId(0)));
        assert_eq!(state.passed_at(id, MessageId(1)), None);
        let next = admit(&mut state, "henderson", None);
        assert_eq!(next.id, MessageId(3), "a number is never given twice");
    }
}
