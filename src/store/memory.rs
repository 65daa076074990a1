//! The store without a disk: everything is gone when the process ends, and nothing before.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    future::ready,
    sync::{Arc, Mutex, MutexGuard, OnceLock},
};

use foldhash::fast::RandomState;

use super::{
    BoxFuture, Cursor, Durability, Listener, Look, Membership, Message, MessageId, NewMessage, Outcome, Page,
    Position, Receipt, RoomEntry, SessionRecord, Store, Stored, rooms::Rooms, sorted::begin_after,
};
use crate::protocol::{Recipient, Refusal, RoomName, Timestamp, TokenDigest, UserName};

/// A map of inboxes behind a mutex.
///
/// The mutex is the standard library's: it is held for a few hundred nanoseconds, never across an `await`.
pub struct Memory {
    state: Mutex<State>,
    durability: Arc<Durability>,
    inbox_limit: usize,
    listener: OnceLock<Arc<dyn Listener>>,
}

#[derive(Default)]
struct State {
    /// Every message; its index is its number less one. Messages stay when they leave an inbox: they are history,
    /// and their keys live as long as they do.
    messages: Vec<Message>,
    inboxes: HashMap<UserName, Inbox, RandomState>,
    /// Numbers of the messages between two users, whose names are in order.
    conversations: HashMap<(UserName, UserName), Vec<MessageId>, RandomState>,
    /// Who has ever exchanged a message with whom.
    partners: HashMap<UserName, HashSet<UserName>>,
    room_messages: HashMap<RoomName, Vec<MessageId>>,
    rooms: Rooms,
    keys: HashMap<UserName, HashMap<Box<str>, MessageId>>,
}

#[derive(Default)]
struct Inbox {
    /// Messages to the user that wait.
    direct: VecDeque<MessageId>,
    /// Every place that the cursor has had, and when it came there.
    cursors: Vec<(MessageId, Timestamp)>,
}

impl Inbox {
    fn upto(&self) -> MessageId {
        self.cursors.last().map_or(MessageId(0), |(upto, _)| *upto)
    }
}

/// Two names in order.
fn pair(one: &UserName, other: &UserName) -> (UserName, UserName) {
    if one <= other { (one.clone(), other.clone()) } else { (other.clone(), one.clone()) }
}

/// Those of sorted numbers that come after one.
fn after(ids: &[MessageId], id: MessageId) -> &[MessageId] {
    &ids[ids.partition_point(|other| *other <= id)..]
}

impl Memory {
    /// An empty store that refuses a message when `inbox_limit` wait in its recipient's inbox.
    #[must_use]
    pub fn new(inbox_limit: usize) -> Self {
        Memory { state: Mutex::default(), durability: Arc::default(), inbox_limit, listener: OnceLock::new() }
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
        let id = self.next_id();
        match new.to {
            Recipient::User(to) => {
                let inbox = self.inboxes.entry(to.clone()).or_default();
                if inbox.direct.len() >= inbox_limit {
                    return Err(Refusal::InboxFull);
                }
                inbox.direct.push_back(id);
                let conversation = self.conversations.entry(pair(new.from, to)).or_default();
                if conversation.is_empty() {
                    self.partners.entry(new.from.clone()).or_default().insert(to.clone());
                    self.partners.entry(to.clone()).or_default().insert(new.from.clone());
                }
                conversation.push(id);
            }
            Recipient::Room(room) => self.room_messages.entry(room.clone()).or_default().push(id),
        }
        if let Some(key) = new.key {
            self.keys.entry(new.from.clone()).or_default().insert(key.into(), id);
        }
        self.messages.push(Message { id, at: new.at, from: new.from.clone(), to: new.to.clone(), text });
        Ok(Stored { id, at: new.at, duplicate: false })
    }

    fn next_id(&self) -> MessageId {
        MessageId(self.messages.len() as u64 + 1)
    }

    /// A page of what `ids` names, one more having been looked for than it may have.
    fn page(&self, ids: impl Iterator<Item = MessageId>, limit: usize) -> Page {
        let mut messages: Vec<_> = ids.take(limit + 1).filter_map(|id| self.message(id)).cloned().collect();
        let more = messages.len() > limit;
        messages.truncate(limit);
        Page { messages, more, position: Position::START }
    }

    fn inbox(&self, user: &UserName, asked: MessageId, limit: usize) -> Page {
        let inbox = self.inboxes.get(user);
        let lower = inbox.map_or(MessageId(0), Inbox::upto).max(asked);
        let direct = inbox.map(|Inbox { direct, .. }| direct.range(begin_after(direct, lower)..).copied());
        let mut stays = self.rooms.stays_past(user, lower).peekable();
        if let (Some(direct), None) = (direct.clone(), stays.peek()) {
            return self.page(direct, limit);
        }
        let mut ids: Vec<_> = direct.into_iter().flatten().take(limit + 1).collect();
        for (room, span) in stays {
            let all = self.room_messages.get(room).map_or(&[][..], |ids| after(ids, lower));
            let others = |id: &MessageId| self.message(*id).is_some_and(|message| message.from != *user);
            ids.extend(all.iter().filter(|id| span.contains(**id)).filter(|id| others(id)).take(limit + 1));
        }
        ids.sort_unstable();
        self.page(ids.into_iter(), limit)
    }

    fn history(&self, user: &UserName, with: &Recipient, before: Option<MessageId>, limit: usize) -> Page {
        let ids = match with {
            Recipient::User(other) => self.conversations.get(&pair(user, other)),
            Recipient::Room(room) => self.room_messages.get(room),
        };
        let ids = ids.map_or(&[][..], Vec::as_slice);
        let end = before.map_or(ids.len(), |before| ids.partition_point(|id| *id < before));
        let stays = with.room().map(|room| self.rooms.stays(user, room));
        let seen = |id: &MessageId| stays.is_none_or(|stays| stays.iter().any(|span| span.contains(*id)));
        let mut page = self.page(ids[..end].iter().rev().copied().filter(seen), limit);
        page.messages.reverse();
        page
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
        let result = self.lock().append(&message, text, self.inbox_limit);
        if matches!(result, Ok(Stored { duplicate: false, .. }))
            && let Some(listener) = self.listener.get().filter(|listener| listener.is_listening())
        {
            listener.stored(message.to);
        }
        known(result)
    }

    fn find_repeated(&self, message: NewMessage<'_>) -> Receipt<Option<Stored>> {
        known(self.lock().repeated(&message))
    }

    fn inbox<'a>(&'a self, user: &'a UserName, after: MessageId, limit: usize) -> Look<'a, Page> {
        Look::Found(Ok(self.lock().inbox(user, after, limit)))
    }

    fn history<'a>(
        &'a self,
        user: &'a UserName,
        with: &'a Recipient,
        before: Option<MessageId>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Page, Refusal>> {
        Box::pin(ready(Ok(self.lock().history(user, with, before, limit))))
    }

    fn message(&self, id: MessageId) -> BoxFuture<'_, Result<(Option<Message>, Position), Refusal>> {
        Box::pin(ready(Ok((self.lock().message(id).cloned(), Position::START))))
    }

    fn acknowledge(&self, user: &UserName, upto: MessageId, _: usize, at: Timestamp) -> Position {
        let mut state = self.lock();
        let inbox = state.inboxes.entry(user.clone()).or_default();
        if inbox.upto() < upto {
            inbox.cursors.push((upto, at));
            let taken = inbox.direct.partition_point(|id| *id <= upto);
            inbox.direct.drain(..taken);
        }
        Position::START
    }

    fn cursor(&self, user: &UserName) -> Cursor {
        let upto = self.lock().inboxes.get(user).map_or(MessageId(0), Inbox::upto);
        Cursor { upto, position: Position::START }
    }

    fn acknowledged_at<'a>(
        &'a self,
        user: &'a UserName,
        id: MessageId,
    ) -> BoxFuture<'a, Result<Option<Timestamp>, Refusal>> {
        let state = self.lock();
        let cursors = state.inboxes.get(user).map_or(&[][..], |inbox| &inbox.cursors);
        let at = cursors.get(cursors.partition_point(|(upto, _)| *upto < id)).map(|(_, at)| *at);
        Box::pin(ready(Ok(at)))
    }

    fn join(&self, user: &UserName, room: &RoomName) -> Position {
        let mut state = self.lock();
        if state.rooms.membership(user, room) != Membership::Current {
            let from = state.next_id();
            state.rooms.join(user, room, from);
        }
        Position::START
    }

    fn leave(&self, user: &UserName, room: &RoomName) -> Position {
        let mut state = self.lock();
        let until = state.next_id();
        state.rooms.leave(user, room, until);
        Position::START
    }

    fn membership(&self, user: &UserName, room: &RoomName) -> (Membership, Position) {
        (self.lock().rooms.membership(user, room), Position::START)
    }

    fn count_rooms(&self, user: &UserName) -> usize {
        self.lock().rooms.count(user)
    }

    fn rooms(&self, user: &UserName) -> (Vec<RoomEntry>, Position) {
        (self.lock().rooms.list(user), Position::START)
    }

    fn members(&self, room: &RoomName, at: Option<MessageId>) -> (Vec<UserName>, Position) {
        (self.lock().rooms.members(room, at), Position::START)
    }

    fn acquaintances<'a>(&'a self, user: &'a UserName) -> BoxFuture<'a, Vec<UserName>> {
        let state = self.lock();
        let mut all = state.rooms.room_mates(user);
        all.extend(state.partners.get(user).into_iter().flatten().cloned());
        all.remove(user);
        Box::pin(ready(all.into_iter().collect()))
    }

    fn subscribe(&self, listener: Arc<dyn Listener>) {
        self.listener.set(listener).ok();
    }

    fn promise(&self) -> &'static str {
        "none"
    }

    fn inbox_limit(&self) -> usize {
        self.inbox_limit
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

    fn durability(&self) -> &Arc<Durability> {
        &self.durability
    }

    fn describe(&self) -> String {
        "memory (messages and sessions are gone when the server ends)".into()
    }

    fn close(&self) {}
}
