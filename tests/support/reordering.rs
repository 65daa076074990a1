//! A store that resolves every receipt late, out of order between inboxes: the least that the contract allows.

use std::sync::Arc;

use chat_service::{
    protocol::{Recipient, Refusal, RoomName, Timestamp, TokenDigest, UserName},
    store::{
        BoxFuture, Cursor, Durability, Listener, Look, Membership, Memory, Message, MessageId, NewMessage,
        Outcome, Page, Position, Receipt, RoomEntry, SessionRecord, Store, Stored,
    },
};

use super::forward::forward;

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

    fn inbox<'a>(&'a self, user: &'a UserName, after: MessageId, limit: usize) -> Look<'a, Page> {
        Look::Reading(Box::pin(async move {
            tokio::task::yield_now().await;
            self.0.inbox(user, after, limit).await
        }))
    }

    forward!(0: acknowledge, congestion, sessions, reads, rooms, subscribe, durability, facts);
}
