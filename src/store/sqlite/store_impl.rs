//! The contract of a [`Store`], for [`Sqlite`].
//!
//! A method locks the state for a moment to queue an op or to plan a read; what must be read from the file is read on a
//! blocking thread.

use std::{
    collections::BTreeSet,
    sync::{Arc, atomic::Ordering},
};

use rusqlite::Connection;
use tokio::{sync::oneshot, task};

use super::{Shared, Sqlite, options::Durable, postings, queue::Queued, reader, state::State};
use crate::{
    model::{
        At, BoxFuture, MAX_REPLY, MaybeReady, Message, MessageId, NewMessage, Outcome, Page, Position,
        Recipient, Refusal, RoomName, Stored, Timestamp, TokenDigest, UserName, saturated,
    },
    store::{
        CommitLog, Membership, Messages, Observer, People, PersonRecord, Reading, Receipt, RoomEntry, Rooms,
        Scope, SessionRecord, Sessions, Store, TrustRecord,
        front::{
            ops::{NameId, Op},
            plan::{HistoryPlan, InboxPlan},
        },
    },
};

impl Shared {
    /// Runs `read` on a blocking thread, in a read transaction. Logs an error as one of reading `what`.
    pub(super) async fn read<T: Send + 'static>(
        self: Arc<Self>,
        what: &'static str,
        read: impl FnOnce(&Connection, &Shared) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Refusal> {
        let done =
            task::spawn_blocking(move || self.readers.read(|connection| read(connection, &self))).await;
        match done {
            Ok(Ok(found)) => Ok(found),
            Ok(Err(error)) => {
                tracing::error!(%error, "{what} cannot be read");
                Err(Refusal::Internal)
            }
            Err(_) => Err(Refusal::Internal),
        }
    }
}

impl Sqlite {
    pub(super) fn read<T: Send + 'static>(
        &self,
        what: &'static str,
        read: impl FnOnce(&Connection, &Shared) -> rusqlite::Result<T> + Send + 'static,
    ) -> impl Future<Output = Result<T, Refusal>> + Send + 'static {
        self.shared.clone().read(what, read)
    }

    /// Looks up in the file which message the new message's key names, and passes its outcome to `answer`: `None` if the
    /// key names no indexed message.
    fn read_key<T: Send + 'static>(
        &self,
        message: &NewMessage<'_>,
        answer: impl FnOnce(Option<Outcome<Stored>>) -> Outcome<T> + Send + 'static,
    ) -> Receipt<T> {
        let (from, to) = (message.from.clone(), message.to.clone());
        let (text, key): (String, String) = (message.text.into(), message.key.unwrap_or_default().into());
        let read = self.read("a key", move |connection, shared| {
            let (sender, recipient, begin) = {
                let front = &shared.lock().front;
                let sender = front.name_id(&from);
                (sender, front.name_id(&to), sender.map(|id| front.begins_after(id)))
            };
            let Some((sender, begin)) = sender.zip(begin) else {
                return Ok(None);
            };
            let Some(mut known) = reader::find_key(connection, sender, &key, begin)? else {
                return Ok(None);
            };
            // The file may be ahead of what is synced; a message that is still in the tail has its position there.
            known.position = shared.lock().front.message_position(known.id);
            Ok(Some(known.outcome(recipient, &text)))
        });
        MaybeReady::Late(Box::pin(async move {
            match read.await {
                Ok(known) => answer(known),
                Err(refusal) => At::refused(refusal),
            }
        }))
    }

    /// Queues an op; the receipt is ready at once.
    fn write(&self, state: &mut State, op: Op) -> Receipt<()> {
        MaybeReady::Ready(At::new(Ok(()), self.shared.enqueue(state, Queued::Op(op))))
    }
}

impl Messages for Sqlite {
    fn append(&self, message: NewMessage<'_>) -> Receipt<Stored> {
        // Allocate before taking the lock, to hold it for a shorter time.
        let text = message.text.into();
        let mut state = self.shared.lock();
        if let Some(repeated) = state.front.repeated(&message) {
            return MaybeReady::Ready(repeated);
        }
        let admitted = if state.read_only {
            Err(At::refused(Refusal::ReadOnly))
        } else {
            let full =
                At::new(Err(Refusal::InboxFull { limit: saturated(self.inbox_limit()) }), state.queue.head());
            let place = state.next_place();
            state.front.admit(&message, text, place).ok_or(full)
        };
        let row = match admitted {
            Ok(row) => row,
            Err(refused) => {
                drop(state);
                return match message.key {
                    None => MaybeReady::Ready(refused),
                    // A repeated message gets its first outcome, even when new ones are refused.
                    Some(_) => self.read_key(&message, move |known| known.unwrap_or(refused)),
                };
            }
        };
        let stored = Stored { id: row.id, at: row.at, duplicate: false };
        if message.key.is_none() {
            let position = self.shared.enqueue(&mut state, Queued::Op(Op::Message(row)));
            return MaybeReady::Ready(At::new(Ok(stored), position));
        }
        let (resolve, resolved) = oneshot::channel();
        let position = self.shared.enqueue(&mut state, Queued::Keyed(row, resolve));
        MaybeReady::Late(Box::pin(async move {
            // The writer drops the sender without an answer if the message was not stored; the position has failed
            // then, with the reason.
            resolved.await.unwrap_or(At::new(Err(Refusal::Internal), position))
        }))
    }

    fn find_by_key(&self, message: NewMessage<'_>) -> Receipt<Option<Stored>> {
        if message.key.is_none() {
            return MaybeReady::Ready(At::start(Ok(None)));
        }
        let repeated = self.shared.lock().front.repeated(&message);
        match repeated {
            Some(repeated) => MaybeReady::Ready(repeated.map_ok(Some)),
            None => {
                self.read_key(&message, |known| known.map_or(At::start(Ok(None)), |known| known.map_ok(Some)))
            }
        }
    }

    fn inbox<'a>(&'a self, user: &'a UserName, after: MessageId, limit: usize) -> Reading<'a, Page> {
        self.feed(user, after, limit, Scope::Inbox)
    }

    fn feed<'a>(
        &'a self,
        user: &'a UserName,
        after: MessageId,
        limit: usize,
        scope: Scope,
    ) -> Reading<'a, Page> {
        let plan = self.shared.lock().front.plan_feed(user, after, limit, MAX_REPLY, scope);
        let has_own = scope == Scope::All && plan.after < plan.indexed;
        if plan.sources.is_empty() && !has_own {
            return MaybeReady::Ready(At::new(Ok(plan.page), plan.position));
        }
        let InboxPlan {
            user: id,
            sources,
            indexed,
            after,
            page: Page { messages: tail, more, cursor },
            position,
        } = plan;
        MaybeReady::Late(Box::pin(async move {
            let user = id.unwrap_or(NameId(u32::MAX));
            let found = self.read("an inbox", move |connection, shared| {
                let found = reader::feed(connection, user, &sources, (after, indexed), limit, scope)?;
                if scope != Scope::Inbox {
                    return Ok((shared.messages(found.rows)?, found.more));
                }
                let last = found.rows.last().map_or(after, |row| row.id);
                let upto = if found.more { last } else { indexed };
                let direct = found.rows.iter().filter(|row| row.recipient == user);
                let direct = direct.map(|row| (row.sender, row.id));
                shared.lock().read_pages.put(user, cursor, (after, upto), direct);
                Ok((shared.messages(found.rows)?, found.more))
            });
            let page = found.await.map(|(mut messages, cut)| {
                // If the indexed part was cut short, the page ends before the messages of the tail.
                if cut {
                    return Page { messages, more: true, cursor };
                }
                let room = limit - messages.len();
                let more = more || tail.len() > room;
                messages.extend(tail.into_iter().take(room));
                Page { messages, more, cursor }
            });
            At::new(page, position)
        }))
    }

    fn history<'a>(
        &'a self,
        user: &'a UserName,
        with: &'a Recipient,
        before: Option<MessageId>,
        limit: usize,
    ) -> Reading<'a, Page> {
        let plan = self.shared.lock().front.plan_history(user, with, before, limit, MAX_REPLY);
        let HistoryPlan { indexed, stays, before, mut newest, mut more, position } = plan;
        MaybeReady::Late(Box::pin(async move {
            let cursor = MessageId(0);
            let bytes: usize = newest.iter().map(|message| message.text.len()).sum();
            if let Some(conversation) = indexed.filter(|_| !more) {
                let room = limit - newest.len();
                let found = self.read("a conversation", move |connection, shared| {
                    let stays = stays.as_deref();
                    let found = reader::history(connection, conversation.into(), stays, before, room, bytes)?;
                    Ok((shared.messages(found.rows)?, found.more))
                });
                match found.await {
                    Ok((older, cut)) => {
                        newest.extend(older);
                        more = cut;
                    }
                    Err(refusal) => return At::refused(refusal),
                }
            }
            newest.reverse();
            At::new(Ok(Page { messages: newest, more, cursor }), position)
        }))
    }

    fn message(&self, id: MessageId) -> Reading<'_, Option<Message>> {
        if let Some(message) = self.shared.lock().front.message(id) {
            return MaybeReady::Ready(message.map(Ok));
        }
        MaybeReady::Late(Box::pin(async move {
            let read = self.read("a message", move |connection, shared| {
                shared.messages(reader::message(connection, id)?.into_iter().collect())
            });
            At::start(read.await.map(|mut found| found.pop()))
        }))
    }

    fn contacts<'a>(&'a self, user: &'a UserName) -> BoxFuture<'a, Vec<UserName>> {
        Box::pin(async move {
            let Some(id) = self.shared.lock().front.name_id(user) else {
                return Vec::new();
            };
            // Look in the tail before the file: a message that leaves the tail meanwhile is already in the index.
            let lately = self.shared.lock().front.contacts(id);
            let read = self.read("partners", move |connection, _| postings::partners(connection, id));
            let partners = read.await.unwrap_or_default();
            let front = &self.shared.lock().front;
            let mut all: BTreeSet<_> =
                partners.into_iter().filter_map(|id| front.user(id).cloned()).collect();
            all.extend(lately);
            all.remove(user);
            all.into_iter().collect()
        })
    }

    fn inbox_limit(&self) -> usize {
        self.inbox_limit
    }
}

impl Rooms for Sqlite {
    fn join(&self, user: &UserName, room: &RoomName) -> Receipt<()> {
        let mut state = self.shared.lock();
        let place = state.next_place();
        match state.front.join(user, room, place) {
            Some(op) => self.write(&mut state, op),
            None => MaybeReady::Ready(At::new(Ok(()), state.front.rooms_position())),
        }
    }

    fn leave(&self, user: &UserName, room: &RoomName) -> Receipt<()> {
        let mut state = self.shared.lock();
        let place = state.next_place();
        match state.front.leave(user, room, place) {
            Some(op) => self.write(&mut state, op),
            None => MaybeReady::Ready(At::new(Ok(()), state.front.rooms_position())),
        }
    }

    fn membership(&self, user: &UserName, room: &RoomName) -> At<Membership> {
        self.shared.lock().front.membership(user, room)
    }

    fn count_rooms(&self, user: &UserName) -> usize {
        self.shared.lock().front.rooms.count(user)
    }

    fn joined(&self, user: &UserName) -> At<Vec<RoomName>> {
        self.shared.lock().front.joined_rooms(user)
    }

    fn rooms(&self, user: &UserName, after: Option<&RoomName>, limit: usize) -> At<Vec<RoomEntry>> {
        self.shared.lock().front.list_rooms(user, after, limit)
    }

    fn members(&self, room: &RoomName, at: Option<MessageId>) -> At<Vec<UserName>> {
        self.shared.lock().front.members(room, at)
    }
}

impl Sessions for Sqlite {
    fn open_session(&self, session: SessionRecord) -> Receipt<()> {
        let mut state = self.shared.lock();
        let opened = state.front.open_session(session);
        self.write(&mut state, opened)
    }

    fn touch_session(&self, digest: &TokenDigest, used: Timestamp) {
        let mut state = self.shared.lock();
        // A use that is lost makes a session expire an hour early at most.
        let _ = self.shared.enqueue(&mut state, Queued::Op(Op::TouchSession(*digest, used)));
    }

    fn label_session(&self, digest: &TokenDigest, device: &str) {
        let mut state = self.shared.lock();
        let _ = self.shared.enqueue(&mut state, Queued::Op(Op::LabelSession(*digest, device.into())));
    }

    fn end_session(&self, digest: &TokenDigest) -> Receipt<()> {
        let mut state = self.shared.lock();
        self.write(&mut state, Op::EndSession(*digest))
    }

    fn sessions(&self) -> Vec<SessionRecord> {
        self.sessions.clone()
    }
}

impl People for Sqlite {
    fn people(&self) -> Vec<PersonRecord> {
        self.people.clone()
    }

    fn set_person(&self, person: PersonRecord) -> Receipt<()> {
        let mut state = self.shared.lock();
        let op = state.front.set_person(person);
        self.write(&mut state, op)
    }

    fn trusted(&self) -> Vec<TrustRecord> {
        self.trusted.clone()
    }

    fn trust(&self, record: TrustRecord) {
        let mut state = self.shared.lock();
        let user = state.front.intern_user(&record.user);
        let _ = self.shared.enqueue(&mut state, Queued::Op(Op::Trust(user, record)));
    }

    fn last_message(&self) -> MessageId {
        self.shared.lock().front.last_message()
    }
}

impl Store for Sqlite {
    fn subscribe(&self, observer: Arc<dyn Observer>) {
        self.shared.observer.set(observer).ok();
    }

    fn log(&self) -> &Arc<CommitLog> {
        &self.shared.log
    }

    fn backpressure(&self) -> Option<Position> {
        let place = self.shared.congested.load(Ordering::Relaxed);
        (place > 0).then_some(Position::at(place))
    }

    fn durability_level(&self) -> &'static str {
        match self.durable {
            Durable::Fsync => "fsync",
            Durable::Os => "os",
        }
    }

    fn describe(&self) -> String {
        self.described.clone()
    }

    fn seen(&self) -> Option<Timestamp> {
        self.seen
    }

    fn close(&self) {
        self.shared.lock().closing = true;
        self.shared.wake_writer.notify_one();
        let writer = self.writer.lock().expect("nothing panics while it is held").take();
        if let Some(writer) = writer
            && writer.join().is_err()
        {
            tracing::error!("the store's writer panicked");
        }
    }
}
