//! What the store knows in memory: inboxes, the tail of messages that are not indexed yet, and the writer's queue.
//!
//! All of it is behind one mutex, which is held for as long as a map is looked up in and never while a disk is used.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use tokio::sync::oneshot;

use super::reader::Known;
use crate::{
    protocol::{Timestamp, TokenDigest, UserName},
    store::{Message, MessageId, NewMessage, Outcome, Position, SessionRecord, Stored},
};

/// A user's number in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct NameId(pub(super) u32);

impl NameId {
    pub(super) fn index(self) -> usize {
        self.0 as usize
    }
}

/// A message as the writer and the tail hold it.
pub(super) struct Row {
    pub(super) id: MessageId,
    pub(super) at: Timestamp,
    pub(super) sender: NameId,
    pub(super) recipient: NameId,
    pub(super) text: Arc<str>,
    pub(super) key: Option<Box<str>>,
    pub(super) position: Position,
}

/// One thing to be written. Each has a position of its own, in the order of the queue.
pub(super) enum Op {
    Message(Arc<Row>),
    /// A message whose key may have been used before: only the writer can know. Its place is kept until it does.
    Keyed(Arc<Row>, oneshot::Sender<Outcome<Stored>>),
    Cursor(Cursor),
    OpenSession(NameId, SessionRecord),
    TouchSession(TokenDigest, Timestamp),
    EndSession(TokenDigest),
    /// A message that turned out to be a duplicate.
    Nothing,
}

/// Messages leave an inbox.
pub(super) struct Cursor {
    pub(super) user: NameId,
    pub(super) after: InboxCursor,
    pub(super) at: Timestamp,
    /// What is put back if this cannot be written.
    before: InboxCursor,
}

/// How far an inbox was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct InboxCursor {
    /// The last message that was taken out.
    pub(super) upto: MessageId,
    /// How many were taken out, of all time.
    pub(super) taken: u64,
    /// What must be durable before anybody may be told of it.
    pub(super) position: Position,
}

/// One user's inbox: what waits after the cursor.
struct Inbox {
    cursor: InboxCursor,
    /// How many were put in, of all time.
    received: u64,
    /// The numbers of this inbox's messages in the tail, taken out or not.
    tail: VecDeque<MessageId>,
}

impl Inbox {
    fn waiting(&self) -> u64 {
        self.received.saturating_sub(self.cursor.taken)
    }

    /// Where in the tail those begin that wait.
    fn first_waiting(&self) -> usize {
        self.tail.partition_point(|id| *id <= self.cursor.upto)
    }

    /// Whether any wait that are indexed already.
    fn waits_in_index(&self) -> bool {
        self.waiting() > (self.tail.len() - self.first_waiting()) as u64
    }
}

/// A place in the tail.
struct Slot {
    /// Nothing, if the message was refused after its place was given out.
    row: Option<Arc<Row>>,
    /// Whether its key was used before is not known yet.
    pending: bool,
}

/// What a reader needs to make a page of an inbox.
pub(super) struct Plan {
    pub(super) user: Option<NameId>,
    pub(super) after: MessageId,
    /// Messages up to this one are in the index, if any of those wait.
    pub(super) indexed: Option<MessageId>,
    pub(super) tail: Vec<Message>,
    pub(super) position: Position,
}

/// What the writer takes.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) ops: Vec<Op>,
    pub(super) names: Vec<(NameId, UserName)>,
    /// The position of the first op.
    pub(super) first: Position,
}

impl Batch {
    /// The position of the `index`th op.
    pub(super) fn position(&self, index: usize) -> Position {
        Position(self.first.0 + index as u64)
    }
}

pub(super) struct State {
    names: HashMap<UserName, NameId>,
    by_id: Vec<UserName>,
    inboxes: Vec<Inbox>,
    tail: VecDeque<Slot>,
    /// The number of the first message in the tail; all before it are indexed.
    tail_begin: MessageId,
    /// Keys of messages in the tail that are known to be new.
    keys: HashMap<(NameId, Box<str>), MessageId>,
    queue: Vec<Op>,
    new_names: Vec<(NameId, UserName)>,
    queued_bytes: usize,
    /// The position of the last op that was queued.
    head: Position,
    inbox_limit: u64,
    pub(super) read_only: bool,
    pub(super) closing: bool,
    /// The writer waits to be woken.
    pub(super) writer_idle: bool,
}

impl State {
    /// A state in which everything up to `indexed` is in the file's index.
    pub(super) fn new(inbox_limit: usize, indexed: MessageId) -> Self {
        State {
            names: HashMap::new(),
            by_id: Vec::new(),
            inboxes: Vec::new(),
            tail: VecDeque::new(),
            tail_begin: MessageId(indexed.0 + 1),
            keys: HashMap::new(),
            queue: Vec::new(),
            new_names: Vec::new(),
            queued_bytes: 0,
            head: Position::START,
            inbox_limit: inbox_limit as u64,
            read_only: false,
            closing: false,
            writer_idle: false,
        }
    }

    /// A name as the file has it: numbers are given out from 0 without gaps.
    pub(super) fn restore_name(&mut self, name: UserName) -> NameId {
        let id = NameId(u32::try_from(self.by_id.len()).expect("fewer than 2³² names"));
        self.names.insert(name.clone(), id);
        self.by_id.push(name);
        let cursor = InboxCursor { upto: MessageId(0), taken: 0, position: Position::START };
        self.inboxes.push(Inbox { cursor, received: 0, tail: VecDeque::new() });
        id
    }

    /// An inbox as the file has it, before the tail is restored.
    pub(super) fn restore_inbox(&mut self, user: NameId, upto: MessageId, taken: u64, received: u64) {
        let inbox = &mut self.inboxes[user.index()];
        inbox.cursor = InboxCursor { upto, taken, position: Position::START };
        inbox.received = received;
    }

    /// A message of the file that is not indexed, in the order of their numbers.
    pub(super) fn restore_row(&mut self, row: Arc<Row>) {
        while self.next_id() < row.id {
            self.tail.push_back(Slot { row: None, pending: false });
        }
        if let Some(key) = &row.key {
            self.keys.insert((row.sender, key.clone()), row.id);
        }
        self.place(row, false);
    }

    pub(super) fn name(&self, id: NameId) -> Option<&UserName> {
        self.by_id.get(id.index())
    }

    pub(super) fn name_id(&self, name: &UserName) -> Option<NameId> {
        self.names.get(name).copied()
    }

    /// The number of a name, given out if it has none.
    pub(super) fn intern(&mut self, name: &UserName) -> NameId {
        if let Some(id) = self.names.get(name) {
            return *id;
        }
        let id = self.restore_name(name.clone());
        self.new_names.push((id, name.clone()));
        id
    }

    fn next_id(&self) -> MessageId {
        MessageId(self.tail_begin.0 + self.tail.len() as u64)
    }

    fn slot_index(&self, id: MessageId) -> Option<usize> {
        usize::try_from(id.0.checked_sub(self.tail_begin.0)?).ok()
    }

    fn row(&self, id: MessageId) -> Option<&Arc<Row>> {
        self.tail.get(self.slot_index(id)?)?.row.as_ref()
    }

    /// What the sender's key names in the tail.
    pub(super) fn repeated(&self, new: &NewMessage<'_>) -> Option<Outcome<Stored>> {
        let sender = self.name_id(new.from)?;
        Some(self.known(sender, new.key?)?.outcome(self.name_id(new.to), new.text))
    }

    /// The message in the tail that the sender's key is known to name.
    pub(super) fn known(&self, sender: NameId, key: &str) -> Option<Known> {
        let row = self.row(*self.keys.get(&(sender, key.into()))?)?;
        let text = row.text.clone();
        Some(Known { id: row.id, at: row.at, recipient: row.recipient, text, position: row.position })
    }

    pub(super) fn is_full(&self, to: &UserName) -> bool {
        let waiting = self.name_id(to).map_or(0, |id| self.inboxes[id.index()].waiting());
        waiting >= self.inbox_limit
    }

    /// The position of the last op that was queued.
    pub(super) fn head(&self) -> Position {
        self.head
    }

    /// Gives a message its number and its place. Its op is the caller's to queue.
    pub(super) fn admit(&mut self, new: &NewMessage<'_>, text: Arc<str>) -> Arc<Row> {
        let (sender, recipient) = (self.intern(new.from), self.intern(new.to));
        let row = Arc::new(Row {
            id: self.next_id(),
            at: new.at,
            sender,
            recipient,
            text,
            key: new.key.map(Into::into),
            position: Position(self.head.0 + 1),
        });
        self.place(row.clone(), new.key.is_some());
        row
    }

    fn place(&mut self, row: Arc<Row>, pending: bool) {
        let inbox = &mut self.inboxes[row.recipient.index()];
        inbox.tail.push_back(row.id);
        inbox.received += 1;
        self.tail.push_back(Slot { row: Some(row), pending });
    }

    /// Queues an op; returns its position, and whether the writer has to be woken.
    pub(super) fn enqueue(&mut self, op: Op) -> (Position, bool) {
        self.queued_bytes += match &op {
            Op::Message(row) | Op::Keyed(row, _) => row.text.len() + 64,
            Op::Cursor(_) | Op::OpenSession(..) | Op::TouchSession(..) | Op::EndSession(_) | Op::Nothing => {
                64
            }
        };
        self.queue.push(op);
        self.head.0 += 1;
        (self.head, std::mem::take(&mut self.writer_idle))
    }

    /// How many bytes wait to be written.
    pub(super) fn queued_bytes(&self) -> usize {
        self.queued_bytes
    }

    /// All that is queued.
    pub(super) fn take_batch(&mut self) -> Batch {
        let ops = std::mem::take(&mut self.queue);
        self.queued_bytes = 0;
        let first = Position(self.head.0 + 1 - ops.len() as u64);
        Batch { ops, names: std::mem::take(&mut self.new_names), first }
    }

    /// The writer knows that the key of a message was not used before.
    pub(super) fn confirm(&mut self, row: &Row) {
        if let Some(slot) = self.slot_index(row.id).and_then(|index| self.tail.get_mut(index)) {
            slot.pending = false;
        }
        if let Some(key) = &row.key {
            self.keys.insert((row.sender, key.clone()), row.id);
        }
    }

    /// A message was not stored after all.
    pub(super) fn withdraw(&mut self, row: &Row) {
        if let Some(slot) = self.slot_index(row.id).and_then(|index| self.tail.get_mut(index)) {
            *slot = Slot { row: None, pending: false };
        }
        if let Some(key) = &row.key {
            let entry = (row.sender, key.clone());
            if self.keys.get(&entry) == Some(&row.id) {
                self.keys.remove(&entry);
            }
        }
        let inbox = &mut self.inboxes[row.recipient.index()];
        if let Ok(at) = inbox.tail.binary_search(&row.id) {
            inbox.tail.remove(at);
            inbox.received -= 1;
        }
    }

    /// Moves a cursor forward over `taken` messages. `None` if it is there already.
    pub(super) fn move_cursor(
        &mut self,
        user: &UserName,
        upto: MessageId,
        taken: u64,
        at: Timestamp,
    ) -> Option<Op> {
        let id = self.name_id(user)?;
        let position = Position(self.head.0 + 1);
        let inbox = &mut self.inboxes[id.index()];
        if upto <= inbox.cursor.upto {
            return None;
        }
        let before = inbox.cursor;
        let after = InboxCursor { upto, taken: before.taken + taken, position };
        inbox.cursor = after;
        Some(Op::Cursor(Cursor { user: id, after, at, before }))
    }

    /// A cursor was not stored after all: unless it was moved on since, the messages are back.
    pub(super) fn restore_cursor(&mut self, cursor: &Cursor) {
        let inbox = &mut self.inboxes[cursor.user.index()];
        if inbox.cursor == cursor.after {
            inbox.cursor = cursor.before;
        }
        for op in &mut self.queue {
            if let Op::Cursor(later) = op
                && later.user == cursor.user
                && later.before == cursor.after
            {
                later.before = cursor.before;
            }
        }
    }

    /// What a reader of the front of an inbox has to do.
    pub(super) fn plan(&self, user: &UserName, limit: usize, max_bytes: usize) -> Plan {
        let Some(id) = self.name_id(user) else {
            let (after, position) = (MessageId(0), Position::START);
            return Plan { user: None, after, indexed: None, tail: Vec::new(), position };
        };
        let inbox = &self.inboxes[id.index()];
        let mut position = inbox.cursor.position;
        let (mut tail, mut bytes) = (Vec::new(), 0);
        for id in inbox.tail.range(inbox.first_waiting()..).copied().take(limit) {
            let Some(slot) = self.slot_index(id).and_then(|index| self.tail.get(index)) else {
                continue;
            };
            // What comes after it must not be taken out before it is known to be there or not.
            if slot.pending || bytes > max_bytes {
                break;
            }
            if let Some(message) = slot.row.as_ref().and_then(|row| self.message(row)) {
                position = position.max(slot.row.as_ref().map_or(Position::START, |row| row.position));
                bytes += message.text.len();
                tail.push(message);
            }
        }
        let indexed = inbox.waits_in_index().then_some(MessageId(self.tail_begin.0 - 1));
        Plan { user: Some(id), after: inbox.cursor.upto, indexed, tail, position }
    }

    fn message(&self, row: &Row) -> Option<Message> {
        Some(Message {
            id: row.id,
            at: row.at,
            from: self.name(row.sender)?.clone(),
            to: self.name(row.recipient)?.clone(),
            text: row.text.clone(),
        })
    }

    /// Everything up to `indexed` is in the index: the tail lets go of it. Returns what is to be dropped, which is
    /// better done without the lock.
    pub(super) fn trim(&mut self, indexed: MessageId) -> Vec<Arc<Row>> {
        let mut dropped = Vec::new();
        while self.tail_begin <= indexed {
            let Some(slot) = self.tail.pop_front() else {
                break;
            };
            self.tail_begin.0 += 1;
            if let Some(row) = &slot.row {
                let inbox = &mut self.inboxes[row.recipient.index()];
                debug_assert_eq!(inbox.tail.front(), Some(&row.id));
                inbox.tail.pop_front();
                if let Some(key) = &row.key {
                    self.keys.remove(&(row.sender, key.clone()));
                }
            }
            dropped.extend(slot.row);
        }
        dropped
    }
}
