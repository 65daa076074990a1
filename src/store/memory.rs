//! The store without a disk: everything is gone when the process ends, and nothing before.

use std::{
    future::ready,
    sync::{Arc, Mutex, MutexGuard, OnceLock},
};

use super::{
    Acknowledged, Change, CommitLog, ConversationEntry, Conversations, Cursors, Marked, Membership, Messages,
    Observer, People, PersonRecord, Reading, Receipt, RoomEntry, Rooms, Scope, SessionRecord, Sessions,
    Store, TrustRecord,
    front::{Front, NO_PLACE, Passed, ops::Op, overview::Talk},
};
use crate::model::{
    At, BoxFuture, MAX_REPLY, MaybeReady, Message, MessageId, NewMessage, Page, Position, ReadMarker,
    Recipient, Refusal, RoomName, Stored, Timestamp, TokenDigest, UserName, saturated,
};

/// A front without a log, behind a mutex. What is written is settled at once, and no message leaves the front.
///
/// The mutex is the standard library's: it is held for a few hundred nanoseconds, never across an `await`.
pub struct Memory {
    front: Mutex<Front>,
    log: Arc<CommitLog>,
    inbox_limit: usize,
    observer: OnceLock<Arc<dyn Observer>>,
}

impl Memory {
    /// An empty store that refuses a message when `inbox_limit` wait in its recipient's inbox.
    #[must_use]
    pub fn new(inbox_limit: usize) -> Self {
        let log: Arc<CommitLog> = Arc::default();
        let front = Mutex::new(Front::new(inbox_limit, MessageId(0), log.clone()));
        Memory { front, log, inbox_limit, observer: OnceLock::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Front> {
        self.front.lock().expect("nothing panics while it is held")
    }

    fn observer_wants_messages(&self) -> bool {
        self.observer.get().is_some_and(|observer| observer.wants_messages())
    }

    /// Reports a change. To be called while the front is locked, so that changes are reported in their order.
    fn report(&self, change: Change) {
        if let Some(observer) = self.observer.get() {
            observer.changed(change);
        }
    }

    /// Reports what an op has changed, if there was one.
    fn report_op(&self, front: &Front, op: Option<&Op>) {
        if let Some(change) = op.and_then(|op| front.change(op)) {
            self.report(change);
        }
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
        let mut front = self.lock();
        if let Some(repeated) = front.repeated(&message) {
            return MaybeReady::Ready(repeated);
        }
        let Some(row) = front.admit(&message, text, NO_PLACE) else {
            return done(Err(Refusal::InboxFull { limit: saturated(self.inbox_limit()) }));
        };
        if message.key.is_some() {
            // All keys are in the tail, and it has just been asked.
            front.confirm(&row);
        }
        if self.observer_wants_messages() {
            self.report(Change::Stored { to: message.to.clone() });
            if self.observer.get().is_some_and(|observer| observer.wants_sent()) {
                self.report(Change::Sent { from: message.from.clone() });
            }
        }
        done(Ok(Stored { id: row.id, at: row.at, duplicate: false }))
    }

    fn find_by_key(&self, message: NewMessage<'_>) -> Receipt<Option<Stored>> {
        let repeated = self.lock().repeated(&message);
        repeated.map_or(done(Ok(None)), |repeated| MaybeReady::Ready(repeated.map_ok(Some)))
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
        done(Ok(self.lock().plan_feed(user, after, limit, MAX_REPLY, scope).page))
    }

    fn history<'a>(
        &'a self,
        user: &'a UserName,
        with: &'a Recipient,
        before: Option<MessageId>,
        limit: usize,
    ) -> Reading<'a, Page> {
        let plan = self.lock().plan_history(user, with, before, limit, MAX_REPLY);
        let messages = plan.newest.into_iter().rev().collect();
        done(Ok(Page { messages, more: plan.more, cursor: MessageId(0) }))
    }

    fn message(&self, id: MessageId) -> Reading<'_, Option<Message>> {
        let message = self.lock().message(id);
        done(Ok(message.and_then(|message| message.peek().clone())))
    }

    fn contacts<'a>(&'a self, user: &'a UserName) -> BoxFuture<'a, Vec<UserName>> {
        let front = self.lock();
        let all = front.name_id(user).map(|user| front.contacts(user));
        Box::pin(ready(all.into_iter().flatten().collect()))
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
        let mut front = self.lock();
        let id = front.intern_user(user);
        let (none, wants) = (Passed::default(), self.observer_wants_messages());
        let moved = front.move_cursor(id, (from, upto), at, none, wants, NO_PLACE);
        self.report_op(&front, moved.as_ref());
        let moved = moved.is_some();
        MaybeReady::Ready(front.cursor(id).map(|cursor| Ok(Acknowledged { moved, cursor })))
    }

    fn cursor(&self, user: &UserName) -> At<MessageId> {
        let front = self.lock();
        front.name_id(user).map_or(At::start(MessageId(0)), |id| front.cursor(id))
    }

    fn acknowledged_at<'a>(&'a self, user: &'a UserName, id: MessageId) -> Reading<'a, Option<Timestamp>> {
        let front = self.lock();
        done(Ok(front.name_id(user).and_then(|user| front.passed_at(user, id))))
    }
}

impl Conversations for Memory {
    fn mark_read(&self, user: &UserName, with: &Recipient, marker: ReadMarker) -> Receipt<Marked> {
        let mut front = self.lock();
        let moved = front.mark_read(user, with, marker, NO_PLACE);
        self.report_op(&front, moved.as_ref());
        let marker = front.read_marker(user, with).peek().unwrap_or(marker);
        done(Ok(Marked { moved: moved.is_some(), marker }))
    }

    fn read_marker(&self, user: &UserName, with: &Recipient) -> At<Option<ReadMarker>> {
        self.lock().read_marker(user, with)
    }

    fn conversations<'a>(&'a self, user: &'a UserName, limit: usize) -> Reading<'a, Vec<ConversationEntry>> {
        let mut talks = self.lock().overview(user).map_or(Vec::new(), |overview| overview.talks);
        Talk::newest(&mut talks, limit);
        done(Ok(talks.into_iter().map(Talk::entry).collect()))
    }
}

impl Rooms for Memory {
    fn join(&self, user: &UserName, room: &RoomName) -> Receipt<()> {
        let mut front = self.lock();
        let joined = front.join(user, room, NO_PLACE);
        self.report_op(&front, joined.as_ref());
        done(Ok(()))
    }

    fn leave(&self, user: &UserName, room: &RoomName) -> Receipt<()> {
        let mut front = self.lock();
        let left = front.leave(user, room, NO_PLACE);
        self.report_op(&front, left.as_ref());
        done(Ok(()))
    }

    fn membership(&self, user: &UserName, room: &RoomName) -> At<Membership> {
        self.lock().membership(user, room)
    }

    fn count_rooms(&self, user: &UserName) -> usize {
        self.lock().rooms.count(user)
    }

    fn joined(&self, user: &UserName) -> At<Vec<RoomName>> {
        self.lock().joined_rooms(user)
    }

    fn rooms(&self, user: &UserName, after: Option<&RoomName>, limit: usize) -> At<Vec<RoomEntry>> {
        self.lock().list_rooms(user, after, limit)
    }

    fn members(&self, room: &RoomName, at: Option<MessageId>) -> At<Vec<UserName>> {
        self.lock().members(room, at)
    }
}

/// Sessions do not outlive the process, so nothing is stored: they are only reported.
impl Sessions for Memory {
    fn open_session(&self, session: SessionRecord) -> Receipt<()> {
        let _front = self.lock();
        self.report(Change::SessionOpened(session));
        done(Ok(()))
    }

    fn touch_session(&self, _: &TokenDigest, _: Timestamp) {}

    fn label_session(&self, _: &TokenDigest, _: &str) {}

    fn end_session(&self, digest: &TokenDigest) -> Receipt<()> {
        let _front = self.lock();
        self.report(Change::SessionEnded(*digest));
        done(Ok(()))
    }

    fn sessions(&self) -> Vec<SessionRecord> {
        Vec::new()
    }
}

impl People for Memory {
    fn people(&self) -> Vec<PersonRecord> {
        Vec::new()
    }

    fn set_person(&self, person: PersonRecord) -> Receipt<()> {
        // Nothing of it matters but where the owner begins, and a name without an owner before takes no space.
        if person.after > MessageId(0) {
            self.lock().set_person(person);
        }
        done(Ok(()))
    }

    fn trusted(&self) -> Vec<TrustRecord> {
        Vec::new()
    }

    fn trust(&self, _: TrustRecord) {}

    fn last_message(&self) -> MessageId {
        self.lock().last_message()
    }
}

impl Store for Memory {
    fn subscribe(&self, observer: Arc<dyn Observer>) {
        self.observer.set(observer).ok();
    }

    fn log(&self) -> &Arc<CommitLog> {
        &self.log
    }

    fn backpressure(&self) -> Option<Position> {
        None
    }

    fn durability_level(&self) -> &'static str {
        "none"
    }

    fn describe(&self) -> String {
        "memory (messages and sessions are gone when the server ends)".into()
    }

    fn close(&self) {}
}
