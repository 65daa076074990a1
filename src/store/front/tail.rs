//! The tail: messages that are not in an index. (The memtable of the LSM tree of the store on disk.)

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use super::ops::{NameId, Row};
use crate::model::MessageId;

/// A message of the tail.
struct Slot {
    row: Row,
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

/// Messages in the order of their numbers, and their keys.
///
/// Numbers have gaps: a message that is refused after it has got its number takes no space, so that a full disk does not fill the
/// memory, too.
pub(super) struct Tail {
    slots: VecDeque<Slot>,
    /// The last message that has left the tail for the index; all messages up to it are indexed.
    indexed: MessageId,
    /// The number of the next message.
    next: MessageId,
    /// Keys of confirmed messages, by sender. No map is empty.
    keys: HashMap<NameId, HashMap<Arc<str>, MessageId>>,
}

impl Tail {
    /// Returns an empty tail that begins after the message `indexed`.
    pub(super) fn new(indexed: MessageId) -> Self {
        Tail { slots: VecDeque::new(), indexed, next: MessageId(indexed.0 + 1), keys: HashMap::new() }
    }

    /// The last message that has left the tail for the index; 0 if none has.
    pub(super) fn indexed(&self) -> MessageId {
        self.indexed
    }

    /// The number of the next message.
    pub(super) fn next_id(&self) -> MessageId {
        self.next
    }

    fn index(&self, id: MessageId) -> Option<usize> {
        let first = self.slots.front()?.row.id;
        let index = usize::try_from(id.0.checked_sub(first.0)?).ok()?;
        // Without gaps the message is there. With gaps it is before that place.
        match self.slots.get(index) {
            Some(slot) if slot.row.id == id => Some(index),
            _ => self.slots.binary_search_by_key(&id, |slot| slot.row.id).ok(),
        }
    }

    /// Looks up a message by its number.
    pub(super) fn find(&self, id: MessageId) -> Found<'_> {
        match self.index(id).map(|index| &self.slots[index]) {
            Some(Slot { pending: true, .. }) => Found::Pending,
            Some(Slot { row, .. }) => Found::Row(row),
            None => Found::Nothing,
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
        self.next = MessageId(row.id.0 + 1);
        self.slots.push_back(Slot { row, pending });
    }

    /// Appends a message of the file. To be called in the order of their numbers, which may have gaps.
    pub(super) fn restore(&mut self, row: Row) {
        self.remember_key(&row);
        self.push(row, false);
    }

    /// Leaves out the numbers before `id` that are not assigned yet.
    pub(super) fn skip_to(&mut self, id: MessageId) {
        self.next = self.next.max(id);
    }

    /// Confirms a pending message: its key was not used before.
    pub(super) fn confirm(&mut self, row: &Row) {
        if let Some(index) = self.index(row.id) {
            self.slots[index].pending = false;
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

    /// Removes a message that was not stored. Its number is not used again.
    pub(super) fn withdraw(&mut self, row: &Row) {
        if let Some(index) = self.index(row.id) {
            self.slots.remove(index);
        }
        self.forget_key(row);
    }

    /// Removes the first message if its number is not greater than `upto`.
    pub(super) fn pop(&mut self, upto: MessageId) -> Option<Row> {
        let slot = self.slots.pop_front_if(|slot| slot.row.id <= upto)?;
        self.indexed = slot.row.id;
        self.forget_key(&slot.row);
        Some(slot.row)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Timestamp;

    fn row(id: u64) -> Row {
        let (id, at, sender, recipient) = (MessageId(id), Timestamp(0), NameId(0), NameId(1));
        Row { id, at, sender, recipient, text: "a".into(), key: None, place: 0, to_room: false }
    }

    fn is_there(tail: &Tail, id: u64) -> bool {
        matches!(tail.find(MessageId(id)), Found::Row(row) if row.id == MessageId(id))
    }

    #[test]
    fn a_refused_message_leaves_a_gap_that_takes_no_space() {
        let mut tail = Tail::new(MessageId(7));
        (8..=12).for_each(|id| tail.push(row(id), false));
        for id in [9, 10] {
            tail.withdraw(&row(id));
        }
        assert_eq!(tail.slots.len(), 3);
        let there: Vec<_> = (0..20).filter(|id| is_there(&tail, *id)).collect();
        assert_eq!((there, tail.next_id()), (vec![8, 11, 12], MessageId(13)));
        tail.withdraw(&row(12));
        assert_eq!(tail.next_id(), MessageId(13), "a number is never given twice");
        tail.skip_to(MessageId(20));
        tail.push(row(20), false);
        assert!(is_there(&tail, 20) && !is_there(&tail, 13));
        let popped: Vec<_> = std::iter::from_fn(|| tail.pop(MessageId(12))).map(|row| row.id.0).collect();
        assert_eq!((popped, tail.indexed(), tail.next_id()), (vec![8, 11], MessageId(11), MessageId(21)));
        assert!(is_there(&tail, 20) && !is_there(&tail, 11));
    }
}
