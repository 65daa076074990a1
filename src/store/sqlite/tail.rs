//! The tail: messages that are not in the file's index yet.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use super::ops::{NameId, Row};
use crate::store::MessageId;

/// A place in the tail.
struct Slot {
    /// Nothing, if the message was refused after its place was given out.
    row: Option<Row>,
    /// Whether its key was used before is not known yet.
    pending: bool,
}

/// What is at a place in the tail.
pub(super) enum Found<'a> {
    /// A message.
    Row(&'a Row),
    /// Nothing, or what is not in the tail.
    Nothing,
    /// A message, if its key turns out to be new.
    Pending,
}

/// Messages by their numbers, without gaps, and what their keys name.
pub(super) struct Tail {
    slots: VecDeque<Slot>,
    /// The number of the first message; all before it are indexed.
    begin: MessageId,
    /// Keys of messages that are known to be new.
    keys: HashMap<(NameId, Arc<str>), MessageId>,
}

impl Tail {
    /// An empty tail after the message `indexed`.
    pub(super) fn new(indexed: MessageId) -> Self {
        Tail { slots: VecDeque::new(), begin: MessageId(indexed.0 + 1), keys: HashMap::new() }
    }

    /// The last message that is indexed.
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

    /// What is at the place of that number.
    pub(super) fn find(&self, id: MessageId) -> Found<'_> {
        match self.index(id).and_then(|index| self.slots.get(index)) {
            Some(Slot { pending: true, .. }) => Found::Pending,
            Some(Slot { row: Some(row), .. }) => Found::Row(row),
            _ => Found::Nothing,
        }
    }

    /// The messages after `id` that are known to be there, among at most `most` places. With them the last of these places;
    /// `None` if there is none after it.
    pub(super) fn rows_after(
        &self,
        id: MessageId,
        most: usize,
    ) -> (impl Iterator<Item = &Row>, Option<MessageId>) {
        let begin = self.index(MessageId(id.0 + 1)).unwrap_or(0).min(self.slots.len());
        let end = self.slots.len().min(begin + most);
        let rows =
            self.slots.range(begin..end).filter(|slot| !slot.pending).filter_map(|slot| slot.row.as_ref());
        (rows, (end < self.slots.len()).then_some(MessageId(self.begin.0 + end as u64 - 1)))
    }

    /// The message that the sender's key is known to name.
    pub(super) fn known(&self, sender: NameId, key: &str) -> Option<&Row> {
        match self.find(*self.keys.get(&(sender, key.into()))?) {
            Found::Row(row) => Some(row),
            Found::Nothing | Found::Pending => None,
        }
    }

    /// Puts a message at the end; its number is the next.
    pub(super) fn push(&mut self, row: Row, pending: bool) {
        self.slots.push_back(Slot { row: Some(row), pending });
    }

    /// A message that the file has, in the order of their numbers: there may be gaps.
    pub(super) fn restore(&mut self, row: Row) {
        while self.next_id() < row.id {
            self.slots.push_back(Slot { row: None, pending: false });
        }
        self.remember_key(&row);
        self.push(row, false);
    }

    /// It is known that the message's key was not used before.
    pub(super) fn confirm(&mut self, row: &Row) {
        if let Some(slot) = self.slot_mut(row.id) {
            slot.pending = false;
        }
        self.remember_key(row);
    }

    fn remember_key(&mut self, row: &Row) {
        if let Some(key) = &row.key {
            self.keys.insert((row.sender, key.clone()), row.id);
        }
    }

    /// The message was not stored after all.
    pub(super) fn withdraw(&mut self, row: &Row) {
        if let Some(slot) = self.slot_mut(row.id) {
            *slot = Slot { row: None, pending: false };
        }
        if let Some(key) = &row.key {
            let entry = (row.sender, key.clone());
            if self.keys.get(&entry) == Some(&row.id) {
                self.keys.remove(&entry);
            }
        }
    }

    /// Lets go of the first place, which is there. Returns its message, unless that was refused.
    pub(super) fn pop(&mut self) -> Option<Row> {
        let slot = self.slots.pop_front()?;
        self.begin.0 += 1;
        if let Some(row) = &slot.row
            && let Some(key) = &row.key
        {
            self.keys.remove(&(row.sender, key.clone()));
        }
        slot.row
    }
}
