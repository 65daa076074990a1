//! The tail: messages that are not in the file's index yet. (The memtable of the LSM tree; see [the store](super).)

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
    /// Keys of confirmed messages, by sender.
    keys: HashMap<(NameId, Arc<str>), MessageId>,
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

    /// Returns the confirmed messages in the first `most` slots after `id`, and the id of the last of these slots; `None` if
    /// no slot follows it.
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

    /// Returns the confirmed message that the sender's key names.
    pub(super) fn known(&self, sender: NameId, key: &str) -> Option<&Row> {
        match self.find(*self.keys.get(&(sender, key.into()))?) {
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
            self.keys.insert((row.sender, key.clone()), row.id);
        }
    }

    /// Removes a message that was not stored. Its slot stays, so that later numbers keep theirs.
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

    /// Removes the first slot, if there is one. Returns its message, unless that was refused.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Timestamp;

    #[test]
    fn the_tail_is_read_in_parts_and_nothing_is_left_out() {
        let mut tail = Tail::new(MessageId(7));
        let (sender, recipient) = (NameId(0), NameId(1));
        for id in 8..=32 {
            let (id, at, place) = (MessageId(id), Timestamp(0), 0);
            let text = "a".into();
            tail.push(Row { id, at, sender, recipient, text, key: None, place, to_room: false }, id.0 == 9);
        }
        let (mut part, mut seen, mut parts) = (Some(MessageId(0)), Vec::new(), 0);
        while let Some(after) = part {
            let (rows, next) = tail.rows_after(after, 10);
            let ids: Vec<_> = rows.map(|row| row.id.0).collect();
            assert!(ids.len() <= 10, "{ids:?}");
            seen.extend(ids);
            (part, parts) = (next, parts + 1);
        }
        let confirmed: Vec<_> = (8..=32).filter(|id| *id != 9).collect();
        assert_eq!((seen, parts), (confirmed, 3));
    }
}
