//! The store without a disk: everything is gone when the process ends, and nothing before.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    future::ready,
    sync::{Arc, Mutex, MutexGuard, OnceLock},
};

use foldhash::fast::RandomState;

use super::{
    Acknowledged, Change, CommitLog, Cursors, Membership, Messages, Observer, Reading, Receipt, RoomEntry,
    Rooms, SessionRecord, Sessions, Store, rooms, sorted::begin_after,
};
use crate::model::{
    At, BoxFuture, MaybeReady, Message, MessageId, NewMessage, Page, Position, Recipient, Refusal, RoomName,
    Stored, Timestamp, TokenDigest, UserName,
};

/// A map of inboxes behind a mutex.
///
/// The mutex is the standard library's: it is held for a few hundred nanoseconds, never across an `await`.
pub struct Memory {
    state: Mutex<State>,
    log: Arc<CommitLog>,
    inbox_limit: usize,
    observer: OnceLock<Arc<dyn Observer>>,
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
    rooms: rooms::Rooms,
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
        Memory { state: Mutex::default(), log: Arc::default(), inbox_limit, observer: OnceLock::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while it is held")
    }

    fn observer_wants_messages(&self) -> bool {
        self.observer.get().is_some_and(|observer| observer.wants_messages())
    }

    /// Reports a change. To be called while the state is locked, so that changes are reported in their order.
    fn report(&self, change: Change) {
        if let Some(observer) = self.observer.get() {
            observer.changed(change);
        }
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
        Page { messages, more, cursor: MessageId(0) }
    }

    fn inbox(&self, user: &UserName, asked: MessageId, limit: usize) -> Page {
        let cursor = self.inboxes.get(user).map_or(MessageId(0), Inbox::upto);
        Page { cursor, ..self.waiting(user, cursor.max(asked), limit) }
    }

    /// A page of the messages to a user after number `lower`.
    fn waiting(&self, user: &UserName, lower: MessageId, limit: usize) -> Page {
        let inbox = self.inboxes.get(user);
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

/// A write or read in memory is done at once, and depends on nothing.
fn done<T>(value: T) -> MaybeReady<'static, At<T>> {
    MaybeReady::Ready(At::start(value))
}

impl Messages for Memory {
    fn append(&self, message: NewMessage<'_>) -> Receipt<Stored> {
        // Allocate before taking the lock, to hold it for a shorter time.
        let text = message.text.into();
        let mut state = self.lock();
        let result = state.append(&message, text, self.inbox_limit);
        if matches!(result, Ok(Stored { duplicate: false, .. })) && self.observer_wants_messages() {
            self.report(Change::Stored { to: message.to.clone() });
        }
        done(result)
    }

    fn find_repeated(&self, message: NewMessage<'_>) -> Receipt<Option<Stored>> {
        done(self.lock().repeated(&message))
    }

    fn inbox<'a>(&'a self, user: &'a UserName, after: MessageId, limit: usize) -> Reading<'a, Page> {
        done(Ok(self.lock().inbox(user, after, limit)))
    }

    fn history<'a>(
        &'a self,
        user: &'a UserName,
        with: &'a Recipient,
        before: Option<MessageId>,
        limit: usize,
    ) -> Reading<'a, Page> {
        done(Ok(self.lock().history(user, with, before, limit)))
    }

    fn message(&self, id: MessageId) -> Reading<'_, Option<Message>> {
        done(Ok(self.lock().message(id).cloned()))
    }

    fn acquaintances<'a>(&'a self, user: &'a UserName) -> BoxFuture<'a, Vec<UserName>> {
        let state = self.lock();
        let mut all = state.rooms.room_mates(user);
        all.extend(state.partners.get(user).into_iter().flatten().cloned());
        all.remove(user);
        Box::pin(ready(all.into_iter().collect()))
    }

    fn inbox_limit(&self) -> usize {
        self.inbox_limit
    }
}

impl Cursors for Memory {
    fn acknowledge(
        &self,
        user: &UserName,
        from: MessageId,
        upto: MessageId,
        at: Timestamp,
    ) -> Receipt<Acknowledged> {
        let mut state = self.lock();
        let inbox = state.inboxes.entry(user.clone()).or_default();
        let cursor = inbox.upto();
        if cursor != from || upto <= from {
            return done(Ok(Acknowledged { moved: false, cursor }));
        }
        inbox.cursors.push((upto, at));
        let taken = inbox.direct.partition_point(|id| *id <= upto);
        let taken: Vec<_> = inbox.direct.drain(..taken).collect();
        let delivered = if self.observer_wants_messages() {
            let messages = taken.iter().filter_map(|id| state.message(*id));
            messages.map(|message| (message.from.clone(), message.id)).collect()
        } else {
            Arc::default()
        };
        self.report(Change::Acknowledged { user: user.clone(), upto, at, delivered });
        done(Ok(Acknowledged { moved: true, cursor: upto }))
    }

    fn cursor(&self, user: &UserName) -> At<MessageId> {
        At::start(self.lock().inboxes.get(user).map_or(MessageId(0), Inbox::upto))
    }

    fn acknowledged_at<'a>(&'a self, user: &'a UserName, id: MessageId) -> Reading<'a, Option<Timestamp>> {
        let state = self.lock();
        let cursors = state.inboxes.get(user).map_or(&[][..], |inbox| &inbox.cursors);
        done(Ok(cursors.get(cursors.partition_point(|(upto, _)| *upto < id)).map(|(_, at)| *at)))
    }
}

impl Rooms for Memory {
    fn join(&self, user: &UserName, room: &RoomName) -> Receipt<()> {
        let mut state = self.lock();
        if state.rooms.membership(user, room) != Membership::Current {
            let from = state.next_id();
            state.rooms.join(user, room, from);
            self.report(Change::Joined { user: user.clone(), room: room.clone() });
        }
        done(Ok(()))
    }

    fn leave(&self, user: &UserName, room: &RoomName) -> Receipt<()> {
        let mut state = self.lock();
        let until = state.next_id();
        if state.rooms.leave(user, room, until).is_some() {
            self.report(Change::Left { user: user.clone(), room: room.clone() });
        }
        done(Ok(()))
    }

    fn membership(&self, user: &UserName, room: &RoomName) -> At<Membership> {
        At::start(self.lock().rooms.membership(user, room))
    }

    fn count_rooms(&self, user: &UserName) -> usize {
        self.lock().rooms.count(user)
    }

    fn rooms(&self, user: &UserName) -> At<Vec<RoomEntry>> {
        At::start(self.lock().rooms.list(user))
    }

    fn members(&self, room: &RoomName, at: Option<MessageId>) -> At<Vec<UserName>> {
        At::start(self.lock().rooms.members(room, at))
    }
}

/// Sessions do not outlive the process, so nothing is stored: they are only reported.
impl Sessions for Memory {
    fn open_session(&self, session: SessionRecord) -> Receipt<()> {
        let _state = self.lock();
        self.report(Change::SessionOpened(session));
        done(Ok(()))
    }

    fn touch_session(&self, _: &TokenDigest, _: Timestamp) {}

    fn end_session(&self, digest: &TokenDigest) -> Receipt<()> {
        let _state = self.lock();
        self.report(Change::SessionEnded(*digest));
        done(Ok(()))
    }

    fn sessions(&self) -> Vec<SessionRecord> {
        Vec::new()
    }
}

impl Store for Memory {
    fn subscribe(&self, observer: Arc<dyn Observer>) {
        self.observer.set(observer).ok();
    }

    fn log(&self) -> &Arc<CommitLog> {
        &self.log
    }

    fn congestion(&self) -> Option<Position> {
        None
    }

    fn promise(&self) -> &'static str {
        "none"
    }

    fn describe(&self) -> String {
        "memory (messages and sessions are gone when the server ends)".into()
    }

    fn close(&self) {}
}
