//! [`Store`] for [`Sqlite`].
//!
//! A method locks the state for a moment to queue an op or to plan a read; what must be read from the file is read on a
//! blocking thread.

use std::{
    collections::BTreeSet,
    sync::{Arc, atomic::Ordering},
};

use rusqlite::Connection;
use tokio::{sync::oneshot, task};

use super::{
    Shared, Sqlite,
    ops::{NameId, Op},
    options::Durable,
    plan::{HistoryPlan, InboxPlan},
    postings, reader, tail,
};
use crate::{
    protocol::{MAX_REPLY, Recipient, Refusal, RoomName, Timestamp, TokenDigest, UserName},
    store::{
        BoxFuture, Cursor, Durability, Listener, Look, Membership, Message, MessageId, NewMessage, Outcome,
        Page, Position, Receipt, RoomEntry, SessionRecord, Store, Stored,
    },
};

impl Shared {
    /// Runs `read` on a blocking thread, in a read transaction. Logs an error as one of reading `what`.
    async fn read<T: Send + 'static>(
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
    fn read<T: Send + 'static>(
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
            let (sender, recipient) = {
                let state = shared.lock();
                (state.name_id(&from), state.name_id(&to))
            };
            let Some(sender) = sender else {
                return Ok(None);
            };
            let Some(mut known) = reader::find_key(connection, sender, &key)? else {
                return Ok(None);
            };
            // The file may be ahead of what is synced; a message that is still in the tail has its position there.
            if let tail::Found::Row(row) = shared.lock().tail.find(known.id) {
                known.position = shared.durability.unsettled(row.position);
            }
            Ok(Some(known.outcome(recipient, &text)))
        });
        Receipt::Late(Box::pin(async move {
            match read.await {
                Ok(known) => answer(known),
                Err(refusal) => Outcome { result: Err(refusal), position: Position::START },
            }
        }))
    }
}

impl Store for Sqlite {
    fn append(&self, message: NewMessage<'_>) -> Receipt<Stored> {
        // Allocate before taking the lock, to hold it for a shorter time.
        let text = message.text.into();
        let mut state = self.shared.lock();
        if let Some(repeated) = state.repeated(&message) {
            return Receipt::Known(repeated);
        }
        let admitted = if state.read_only {
            Err(Outcome { result: Err(Refusal::ReadOnly), position: Position::START })
        } else {
            let full = Outcome { result: Err(Refusal::InboxFull), position: state.queue.head() };
            state.admit(&message, text).ok_or(full)
        };
        let row = match admitted {
            Ok(row) => row,
            Err(refused) => {
                drop(state);
                return match message.key {
                    None => Receipt::Known(refused),
                    // A repeated message gets its first outcome, even when new ones are refused.
                    Some(_) => self.read_key(&message, move |known| known.unwrap_or(refused)),
                };
            }
        };
        let stored = Stored { id: row.id, at: row.at, duplicate: false };
        if message.key.is_none() {
            let position = self.shared.enqueue(&mut state, Op::Message(row));
            return Receipt::Known(Outcome { result: Ok(stored), position });
        }
        let (resolve, resolved) = oneshot::channel();
        let position = self.shared.enqueue(&mut state, Op::Keyed(row, resolve));
        Receipt::Late(Box::pin(async move {
            // The writer drops the sender without an answer if the message was not stored; the position has failed
            // then, with the reason.
            resolved.await.unwrap_or(Outcome { result: Err(Refusal::Internal), position })
        }))
    }

    fn find_repeated(&self, message: NewMessage<'_>) -> Receipt<Option<Stored>> {
        let some = |outcome: Outcome<Stored>| Outcome {
            result: outcome.result.map(Some),
            position: outcome.position,
        };
        let none = Outcome { result: Ok(None), position: Position::START };
        if message.key.is_none() {
            return Receipt::Known(none);
        }
        let repeated = self.shared.lock().repeated(&message);
        match repeated {
            Some(repeated) => Receipt::Known(some(repeated)),
            None => self.read_key(&message, move |known| known.map_or(none, some)),
        }
    }

    fn inbox<'a>(&'a self, user: &'a UserName, after: MessageId, limit: usize) -> Look<'a, Page> {
        let plan = self.shared.lock().plan_inbox(user, after, limit, MAX_REPLY);
        let InboxPlan { user: id, sources, indexed, tail, more, position } = plan;
        if sources.is_empty() {
            return Look::Found(Ok(Page { messages: tail, more, position }));
        }
        Look::Reading(Box::pin(async move {
            let user = id.unwrap_or(NameId(u32::MAX));
            let found = self.read("an inbox", move |connection, shared| {
                let found = reader::inbox(connection, user, &sources, indexed, limit)?;
                Ok((shared.messages(found.rows)?, found.more))
            });
            let (mut messages, cut) = found.await?;
            // If the indexed part was cut short, the page ends before the messages of the tail.
            if cut {
                return Ok(Page { messages, more: true, position });
            }
            let room = limit - messages.len();
            let more = more || tail.len() > room;
            messages.extend(tail.into_iter().take(room));
            Ok(Page { messages, more, position })
        }))
    }

    fn history<'a>(
        &'a self,
        user: &'a UserName,
        with: &'a Recipient,
        before: Option<MessageId>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Page, Refusal>> {
        let plan = self.shared.lock().plan_history(user, with, before, limit, MAX_REPLY);
        let HistoryPlan { list, stays, before, tail: mut newest, position } = plan;
        Box::pin(async move {
            let mut more = newest.len() > limit;
            newest.truncate(limit);
            let bytes: usize = newest.iter().map(|message| message.text.len()).sum();
            if let Some(list) = list.filter(|_| !more) {
                let room = limit - newest.len();
                let found = self.read("a conversation", move |connection, shared| {
                    let stays = stays.as_deref();
                    let found = reader::history(connection, list, stays, before, room, bytes)?;
                    Ok((shared.messages(found.rows)?, found.more))
                });
                let (older, cut) = found.await?;
                newest.extend(older);
                more = cut;
            }
            newest.reverse();
            Ok(Page { messages: newest, more, position })
        })
    }

    fn message(&self, id: MessageId) -> BoxFuture<'_, Result<(Option<Message>, Position), Refusal>> {
        let (found, indexed) = {
            let state = self.shared.lock();
            let found = match state.tail.find(id) {
                tail::Found::Row(row) => {
                    state.message(row).map(|message| (message, state.log.unsettled(row.position)))
                }
                tail::Found::Nothing | tail::Found::Pending => None,
            };
            (found, id <= state.tail.indexed())
        };
        Box::pin(async move {
            match found {
                Some((message, position)) => Ok((Some(message), position)),
                None if indexed => {
                    let read = self.read("a message", move |connection, shared| {
                        shared.messages(reader::message(connection, id)?.into_iter().collect())
                    });
                    Ok((read.await?.pop(), Position::START))
                }
                None => Ok((None, Position::START)),
            }
        })
    }

    fn acknowledge(&self, user: &UserName, upto: MessageId, direct: usize, at: Timestamp) -> Position {
        let mut state = self.shared.lock();
        match state.move_cursor(user, upto, direct as u64, at) {
            Some(op) => self.shared.enqueue(&mut state, op),
            None => Position::START,
        }
    }

    fn cursor(&self, user: &UserName) -> Cursor {
        let state = self.shared.lock();
        let cursor = state.name_id(user).map(|id| state.inbox(id).cursor);
        cursor.map_or(Cursor { upto: MessageId(0), position: Position::START }, |cursor| Cursor {
            upto: cursor.upto,
            position: state.log.unsettled(cursor.position),
        })
    }

    fn acknowledged_at<'a>(
        &'a self,
        user: &'a UserName,
        id: MessageId,
    ) -> BoxFuture<'a, Result<Option<Timestamp>, Refusal>> {
        Box::pin(async move {
            // Look in memory before the file: a step that leaves memory meanwhile is already in the index. An indexed
            // step is earlier than any in memory, so it takes precedence.
            let (user, lately) = {
                let state = self.shared.lock();
                let user = state.name_id(user).filter(|user| state.inbox(*user).cursor.upto >= id);
                let Some(user) = user else {
                    return Ok(None);
                };
                (user, state.passed_at(user, id))
            };
            let indexed = self.read("a cursor", move |connection, _| reader::passed_at(connection, user, id));
            Ok(indexed.await?.or(lately))
        })
    }

    fn join(&self, user: &UserName, room: &RoomName) -> Position {
        let mut state = self.shared.lock();
        match state.join(user, room) {
            Some(op) => self.shared.enqueue(&mut state, op),
            None => state.rooms_position(),
        }
    }

    fn leave(&self, user: &UserName, room: &RoomName) -> Position {
        let mut state = self.shared.lock();
        match state.leave(user, room) {
            Some(op) => self.shared.enqueue(&mut state, op),
            None => state.rooms_position(),
        }
    }

    fn membership(&self, user: &UserName, room: &RoomName) -> (Membership, Position) {
        let state = self.shared.lock();
        (state.rooms.membership(user, room), state.rooms_position())
    }

    fn count_rooms(&self, user: &UserName) -> usize {
        self.shared.lock().rooms.count(user)
    }

    fn rooms(&self, user: &UserName) -> (Vec<RoomEntry>, Position) {
        let state = self.shared.lock();
        (state.rooms.list(user), state.rooms_position())
    }

    fn members(&self, room: &RoomName, at: Option<MessageId>) -> (Vec<UserName>, Position) {
        let state = self.shared.lock();
        (state.rooms.members(room, at), state.rooms_position())
    }

    fn acquaintances<'a>(&'a self, user: &'a UserName) -> BoxFuture<'a, Vec<UserName>> {
        Box::pin(async move {
            let Some(id) = self.shared.lock().name_id(user) else {
                return Vec::new();
            };
            // Look in the tail before the file: a message that leaves the tail meanwhile is already in the index.
            let (mut partners, mut part) = (BTreeSet::new(), Some(MessageId(0)));
            while let Some(after) = part {
                part = self.shared.lock().partners_after(after, id, &mut partners);
                task::yield_now().await;
            }
            let read = self.read("partners", move |connection, _| postings::partners(connection, id));
            partners.extend(read.await.unwrap_or_default());
            let state = self.shared.lock();
            let mut all = state.rooms.room_mates(user);
            all.extend(partners.into_iter().filter_map(|id| state.user(id).cloned()));
            all.remove(user);
            all.into_iter().collect()
        })
    }

    fn subscribe(&self, listener: Arc<dyn Listener>) {
        self.shared.listener.set(listener).ok();
    }

    fn promise(&self) -> &'static str {
        match self.durable {
            Durable::Fsync => "fsync",
            Durable::Os => "os",
        }
    }

    fn inbox_limit(&self) -> usize {
        self.inbox_limit
    }

    fn open_session(&self, session: SessionRecord) -> Position {
        let mut state = self.shared.lock();
        let user = state.intern_user(&session.user);
        self.shared.enqueue(&mut state, Op::OpenSession(user, session))
    }

    fn touch_session(&self, digest: &TokenDigest, used: Timestamp) {
        let mut state = self.shared.lock();
        // A use that is lost makes a session expire an hour early at most.
        let _ = self.shared.enqueue(&mut state, Op::TouchSession(*digest, used));
    }

    fn end_session(&self, digest: &TokenDigest) -> Position {
        let mut state = self.shared.lock();
        self.shared.enqueue(&mut state, Op::EndSession(*digest))
    }

    fn sessions(&self) -> Vec<SessionRecord> {
        self.sessions.clone()
    }

    fn durability(&self) -> &Arc<Durability> {
        &self.shared.durability
    }

    fn congestion(&self) -> Option<Position> {
        let position = self.shared.congested.load(Ordering::Relaxed);
        (position > 0).then_some(Position(position))
    }

    fn describe(&self) -> String {
        self.described.clone()
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
