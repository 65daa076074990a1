//! The store without a disk: everything is gone when the process ends, and nothing before.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard},
};

use super::{
    BoxFuture, Durability, Message, MessageId, NewMessage, Outcome, Page, Position, Receipt, SessionRecord,
    Store, Stored,
};
use crate::protocol::{Refusal, Timestamp, TokenDigest, UserName};

/// A map of inboxes behind a mutex.
///
/// The mutex is the standard library's: it is held for a few hundred nanoseconds, never across an `await`.
pub struct Memory {
    state: Mutex<State>,
    durability: Durability,
    inbox_limit: usize,
}

#[derive(Default)]
struct State {
    /// Every message; its index is its number less one. Messages stay when they leave an inbox: they are history,
    /// and their keys live as long as they do.
    messages: Vec<Message>,
    inboxes: HashMap<UserName, VecDeque<MessageId>>,
    keys: HashMap<UserName, HashMap<Box<str>, MessageId>>,
}

impl Memory {
    /// An empty store that refuses a message when `inbox_limit` wait in its recipient's inbox.
    #[must_use]
    pub fn new(inbox_limit: usize) -> Self {
        Memory { state: Mutex::default(), durability: Durability::default(), inbox_limit }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while it is held")
    }
}

impl State {
    fn message(&self, id: MessageId) -> Option<&Message> {
        self.messages.get(usize::try_from(id.0).ok()?.checked_sub(1)?)
    }

    /// The message that the sender's key names, if it names one.
    fn repeated(&self, new: &NewMessage<'_>) -> Result<Option<Stored>, Refusal> {
        let named = new.key.and_then(|key| self.keys.get(new.from)?.get(key));
        let Some(known) = named.and_then(|id| self.message(*id)) else {
            return Ok(None);
        };
        if known.to != *new.to || *known.text != *new.text {
            return Err(Refusal::KeyReused);
        }
        Ok(Some(Stored { id: known.id, at: known.at, duplicate: true }))
    }

    fn append(
        &mut self,
        new: &NewMessage<'_>,
        text: Arc<str>,
        inbox_limit: usize,
    ) -> Result<Stored, Refusal> {
        if let Some(stored) = self.repeated(new)? {
            return Ok(stored);
        }
        let id = MessageId(self.messages.len() as u64 + 1);
        match self.inboxes.get_mut(new.to) {
            Some(inbox) if inbox.len() >= inbox_limit => return Err(Refusal::InboxFull),
            Some(inbox) => inbox.push_back(id),
            None if inbox_limit == 0 => return Err(Refusal::InboxFull),
            None => {
                self.inboxes.insert(new.to.clone(), VecDeque::from([id]));
            }
        }
        if let Some(key) = new.key {
            self.keys.entry(new.from.clone()).or_default().insert(key.into(), id);
        }
        self.messages.push(Message { id, at: new.at, from: new.from.clone(), to: new.to.clone(), text });
        Ok(Stored { id, at: new.at, duplicate: false })
    }
}

/// Nothing in memory waits for a disk.
fn known<T>(result: Result<T, Refusal>) -> Receipt<T> {
    Receipt::Known(Outcome { result, position: Position::START })
}

impl Store for Memory {
    fn append(&self, message: NewMessage<'_>) -> Receipt<Stored> {
        // Allocated before the lock is taken.
        let text = message.text.into();
        known(self.lock().append(&message, text, self.inbox_limit))
    }

    fn find_repeated(&self, message: NewMessage<'_>) -> Receipt<Option<Stored>> {
        known(self.lock().repeated(&message))
    }

    fn inbox<'a>(&'a self, user: &'a UserName, limit: usize) -> BoxFuture<'a, Result<Page, Refusal>> {
        let state = self.lock();
        let ids = state.inboxes.get(user).into_iter().flatten().take(limit);
        let messages = ids.filter_map(|id| state.message(*id)).cloned().collect();
        Box::pin(std::future::ready(Ok(Page { messages, position: Position::START })))
    }

    fn acknowledge(&self, user: &UserName, upto: MessageId, _: usize, _: Timestamp) -> Position {
        if let Some(inbox) = self.lock().inboxes.get_mut(user) {
            let taken = inbox.partition_point(|id| *id <= upto);
            inbox.drain(..taken);
        }
        Position::START
    }

    // A session does not outlive the process, and while it runs the service holds it.
    fn open_session(&self, _: SessionRecord) -> Position {
        Position::START
    }

    fn touch_session(&self, _: &TokenDigest, _: Timestamp) {}

    fn end_session(&self, _: &TokenDigest) -> Position {
        Position::START
    }

    fn sessions(&self) -> Vec<SessionRecord> {
        Vec::new()
    }

    fn congestion(&self) -> Option<Position> {
        None
    }

    fn durability(&self) -> &Durability {
        &self.durability
    }

    fn describe(&self) -> String {
        "memory (messages and sessions are gone when the server ends)".into()
    }

    fn close(&self) {}
}
