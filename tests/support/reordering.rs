//! A store that resolves every receipt late, and out of order between inboxes: the weakest order that the contract allows.

use std::sync::Arc;

use chat_service::{
    model::{
        At, BoxFuture, MaybeReady, Message, MessageId, NewMessage, Page, Position, ReadMarker, Recipient,
        RoomName, Stored, Timestamp, TokenDigest, UserName,
    },
    store::{
        Acknowledged, CommitLog, ConversationEntry, Conversations, Cursors, Marked, Membership, Memory,
        Messages, Observer, People, PersonRecord, Reading, Receipt, RoomEntry, Rooms, Scope, SessionRecord,
        Sessions, Store, TrustRecord,
    },
};

use super::forward::forward;

/// A store in memory whose outcomes are late.
pub(crate) struct Reordering(Memory);

impl Reordering {
    pub(crate) fn new(inbox_limit: usize) -> Arc<Self> {
        Arc::new(Reordering(Memory::new(inbox_limit)))
    }
}

/// Delays an outcome by some turns of the runtime.
fn late<'a, T: Send + 'a>(value: MaybeReady<'a, T>, turns: u8) -> MaybeReady<'a, T> {
    MaybeReady::Late(Box::pin(async move {
        for _ in 0..turns % 5 {
            tokio::task::yield_now().await;
        }
        value.await
    }))
}

/// Returns a number of turns that depends on a name.
fn turns(name: &str) -> u8 {
    name.bytes().fold(0, u8::wrapping_add)
}

impl Messages for Reordering {
    fn append(&self, message: NewMessage<'_>) -> Receipt<Stored> {
        late(self.0.append(message), turns(message.to))
    }

    fn inbox<'a>(&'a self, user: &'a UserName, after: MessageId, limit: usize) -> Reading<'a, Page> {
        late(self.0.inbox(user, after, limit), 1)
    }

    fn feed<'a>(
        &'a self,
        user: &'a UserName,
        after: MessageId,
        limit: usize,
        scope: Scope,
    ) -> Reading<'a, Page> {
        late(self.0.feed(user, after, limit, scope), 1)
    }

    forward!(@ 0 message);
    forward!(@ 0 reads);
}

impl Cursors for Reordering {
    fn acknowledge(
        &self,
        user: &UserName,
        from: MessageId,
        upto: MessageId,
        at: Timestamp,
    ) -> Receipt<Acknowledged> {
        late(self.0.acknowledge(user, from, upto, at), turns(user))
    }

    fn cursor(&self, user: &UserName) -> At<MessageId> {
        self.0.cursor(user)
    }

    fn acknowledged_at<'a>(&'a self, user: &'a UserName, id: MessageId) -> Reading<'a, Option<Timestamp>> {
        late(self.0.acknowledged_at(user, id), 2)
    }
}

impl Conversations for Reordering {
    fn mark_read(&self, user: &UserName, with: &Recipient, marker: ReadMarker) -> Receipt<Marked> {
        late(self.0.mark_read(user, with, marker), turns(with))
    }

    forward!(@ 0 conversation_reads);
}

impl Rooms for Reordering {
    fn join(&self, user: &UserName, room: &RoomName) -> Receipt<()> {
        late(self.0.join(user, room), turns(room))
    }

    fn leave(&self, user: &UserName, room: &RoomName) -> Receipt<()> {
        late(self.0.leave(user, room), turns(room) + 1)
    }

    forward!(@ 0 room_reads);
}

impl Sessions for Reordering {
    fn open_session(&self, session: SessionRecord) -> Receipt<()> {
        late(self.0.open_session(session), 3)
    }

    fn touch_session(&self, digest: &TokenDigest, used: Timestamp) {
        self.0.touch_session(digest, used);
    }

    fn label_session(&self, digest: &TokenDigest, device: &str) {
        self.0.label_session(digest, device);
    }

    fn end_session(&self, digest: &TokenDigest) -> Receipt<()> {
        late(self.0.end_session(digest), 2)
    }

    fn sessions(&self) -> Vec<SessionRecord> {
        self.0.sessions()
    }
}

impl People for Reordering {
    fn people(&self) -> Vec<PersonRecord> {
        self.0.people()
    }

    fn set_person(&self, person: PersonRecord) -> Receipt<()> {
        late(self.0.set_person(person), 2)
    }

    fn trusted(&self) -> Vec<TrustRecord> {
        self.0.trusted()
    }

    fn trust(&self, record: TrustRecord) {
        self.0.trust(record);
    }

    fn last_message(&self) -> MessageId {
        self.0.last_message()
    }
}

impl Store for Reordering {
    fn subscribe(&self, observer: Arc<dyn Observer>) {
        self.0.subscribe(observer);
    }

    fn log(&self) -> &Arc<CommitLog> {
        self.0.log()
    }

    fn backpressure(&self) -> Option<Position> {
        self.0.backpressure()
    }

    forward!(@ 0 facts);
}
