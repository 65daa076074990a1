//! The tail: messages that are not in an index. (The memtable of the LSM tree of the store on disk.)

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use super::ops::{NameId, Row};
use crate::model::MessageId;

/// What the tail holds for one message number.
struct Slot {
    /// `None` if the message was refused after it had got its number, or if the file has none with this number.
    row: Option<Row>,
    /// The writer has not looked up yet whether its key was used before.
    pending: bool,
}

/// Result of a look-up in the tail.
pub(super) enum Found<'a> {
    /// The message.
    Row(&'a Row),
    /// No message: the number is outside the tail, or its message was refused.
    Nothing,
    /// A message that will be stored if its key turns out to be new.
    Pending,
}

/// Messages by number, with one slot for every number, and their keys.
pub(super) struct Tail {
    slots: VecDeque<Slot>,
    /// Number of the first slot; all messages before it are indexed.
    begin: MessageId,
    /// Keys of confirmed messages, by sender. No map is empty.
    keys: HashMap<NameId, HashMap<Arc<str>, MessageId>>,
}

impl Tail {
    /// Returns an empty tail that begins after the message `indexed`.
    pub(super) fn new(indexed: MessageId) -> Self {
        Tail { slots: VecDeque::new(), begin: MessageId(indexed.0 + 1), keys: HashMap::new() }
    }

    /// Number before the first slot: the last message that has left the tail.
    pub(super) fn indexed(&self) -> MessageId {
        MessageId(self.begin.0 - 1)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// The number of the next message.
    pub(super) fn next_id(&self) -> MessageId {
        MessageId(self.begin.0 + self.slots.len() as u64)
    }

    fn index(&self, id: MessageId) -> Option<usize> {
        usize::try_from(id.0.checked_sub(self.begin.0)?).ok()
    }

    fn slot_mut(&mut self, id: MessageId) -> Option<&mut Slot> {
        let index = self.index(id)?;
        self.slots.get_mut(index)
    }

    /// Looks up a message by its number.
    pub(super) fn find(&self, id: MessageId) -> Found<'_> {
        match self.index(id).and_then(|index| self.slots.get(index)) {
            Some(Slot { pending: true, .. }) => Found::Pending,
            Some(Slot { row: Some(row), .. }) => Found::Row(row),
            _ => Found::Nothing,
        }
    }

    /// Returns the confirmed message that the sender's key names.
    pub(super) fn known(&self, sender: NameId, key: &str) -> Option<&Row> {
        match self.find(*self.keys.get(&sender)?.get(key)?) {
            Found::Row(row) => Some(row),
            Found::Nothing | Found::Pending => None,
        }
    }

    /// Appends a message; its number must be [`next_id`](Tail::next_id).
    pub(super) fn push(&mut self, row: Row, pending: bool) {
        self.slots.push_back(Slot { row: Some(row), pending });
    }

    /// Appends a message of the file. To be called in the order of their numbers, which may have gaps.
    pub(super) fn restore(&mut self, row: Row) {
        self.skip_to(row.id);
        self.remember_key(&row);
        self.push(row, false);
    }

    /// Leaves out the numbers before `id` that are not assigned yet.
    pub(super) fn skip_to(&mut self, id: MessageId) {
        while self.next_id() < id {
            self.slots.push_back(Slot { row: None, pending: false });
        }
    }

    /// Confirms a pending message: its key was not used before.
    pub(super) fn confirm(&mut self, row: &Row) {
        if let Some(slot) = self.slot_mut(row.id) {
            slot.pending = false;
        }
        self.remember_key(row);
    }

    fn remember_key(&mut self, row: &Row) {
        if let Some(key) = &row.key {
            self.keys.entry(row.sender).or_default().insert(key.clone(), row.id);
        }
    }

    /// Forgets the key of a message, unless it names another one.
    fn forget_key(&mut self, row: &Row) {
        let (Some(key), Some(keys)) = (&row.key, self.keys.get_mut(&row.sender)) else {
            return;
        };
        if keys.get(key) == Some(&row.id) {
            keys.remove(key);
        }
        if keys.is_empty() {
            self.keys.remove(&row.sender);
        }
    }

    /// Removes a message that was not stored. Its slot stays, so that later numbers keep theirs.
    pub(super) fn withdraw(&mut self, row: &Row) {
        if let Some(slot) = self.slot_mut(row.id) {
            *slot = Slot { row: None, pending: false };
        }
        self.forget_key(row);
    }

    /// Removes the first slot, if there is one. Returns its message, unless that was refused.
    pub(super) fn pop(&mut self) -> Option<Row> {
        let slot = self.slots.pop_front()?;
        self.begin.0 += 1;
        if let Some(row) = &slot.row {
            self.forget_key(row);
        }
        slot.row
    }
}
