//! A store that resolves every receipt late, out of order between inboxes: the least that the contract allows.

use std::sync::Arc;

use chat_service::{
    protocol::{Refusal, Timestamp, TokenDigest, UserName},
    store::{
        BoxFuture, Durability, Memory, MessageId, NewMessage, Outcome, Page, Position, Receipt,
        SessionRecord, Store, Stored,
    },
};

/// Memory whose answers take their time.
pub(crate) struct Reordering(Memory);

impl Reordering {
    pub(crate) fn new(inbox_limit: usize) -> Arc<Self> {
        Arc::new(Reordering(Memory::new(inbox_limit)))
    }
}

/// The same outcome, after as many turns of the runtime as the text has an odd or even first byte.
fn late<T: Send + 'static>(receipt: Receipt<T>, turns: u8) -> Receipt<T> {
    Receipt::Late(Box::pin(async move {
        for _ in 0..turns % 5 {
            tokio::task::yield_now().await;
        }
        let outcome: Outcome<T> = match receipt {
            Receipt::Known(outcome) => outcome,
            Receipt::Late(outcome) => outcome.await,
        };
        outcome
    }))
}

impl Store for Reordering {
    fn append(&self, message: NewMessage<'_>) -> Receipt<Stored> {
        let turns = message.to.bytes().fold(0, u8::wrapping_add);
        late(self.0.append(message), turns)
    }

    fn find_repeated(&self, message: NewMessage<'_>) -> Receipt<Option<Stored>> {
        late(self.0.find_repeated(message), 3)
    }

    fn inbox<'a>(&'a self, user: &'a UserName, limit: usize) -> BoxFuture<'a, Result<Page, Refusal>> {
        Box::pin(async move {
            tokio::task::yield_now().await;
            self.0.inbox(user, limit).await
        })
    }

    fn acknowledge(&self, user: &UserName, upto: MessageId, taken: usize, at: Timestamp) -> Position {
        self.0.acknowledge(user, upto, taken, at)
    }

    fn open_session(&self, session: SessionRecord) -> Position {
        self.0.open_session(session)
    }

    fn touch_session(&self, digest: &TokenDigest, used: Timestamp) {
        self.0.touch_session(digest, used);
    }

    fn end_session(&self, digest: &TokenDigest) -> Position {
        self.0.end_session(digest)
    }

    fn sessions(&self) -> Vec<SessionRecord> {
        self.0.sessions()
    }

    fn congestion(&self) -> Option<Position> {
        self.0.congestion()
    }

    fn durability(&self) -> &Durability {
        self.0.durability()
    }

    fn describe(&self) -> String {
        "reordering".into()
    }

    fn close(&self) {}
}
