//! Inboxes: reading them, one reader at a time, and acknowledging what a reader was sent.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::sync::OwnedMutexGuard;

use super::{Chat, Notifier, binding::spawn, visibility::Part};
use crate::{
    model::{At, MAX_PAGE, MaybeReady, Message, MessageId, Outcome, Page, Position, Refusal, UserName},
    store::{Acknowledged, Receipt},
    users::User,
};

/// Default number of messages on a page.
const DEFAULT_PAGE: usize = 50;

/// Number of messages on a page, from the number that the caller has asked for.
///
/// # Errors
/// [`Refusal::BadRequest`] if it is 0.
pub(super) fn page_size(asked: Option<u64>) -> Result<usize, Refusal> {
    match asked.map(usize::try_from) {
        None => Ok(DEFAULT_PAGE),
        Some(Ok(0)) => Err(Refusal::BadRequest),
        Some(asked) => Ok(asked.unwrap_or(MAX_PAGE).min(MAX_PAGE)),
    }
}

/// Readers of inboxes. An entry stays for each user who has ever read an inbox, so the number of users is a bound.
#[derive(Default)]
pub(super) struct Inboxes(Mutex<HashMap<UserName, Arc<Turns>>>);

/// The readers of one inbox, one after the other.
#[derive(Default)]
struct Turns {
    /// An async mutex, because the wait for it lasts as long as another connection's write; it is fair.
    turn: Arc<tokio::sync::Mutex<()>>,
    /// The reader whose turn it is was sent everything, and the cursor is about to move.
    is_moving: AtomicBool,
}

impl Inboxes {
    /// Waits until nobody else reads the inbox.
    async fn lease(&self, user: &UserName, chat: Arc<Chat>) -> Lease {
        let turns = {
            let mut all = self.0.lock().expect("nothing panics while it is held");
            all.entry(user.clone()).or_default().clone()
        };
        let turn = turns.turn.clone().lock_owned().await;
        Lease { turns, _turn: turn, chat, user: user.clone() }
    }

    /// Waits until the cursor has moved past messages that were taken out of the inbox, if it is about to.
    async fn moved(&self, user: &UserName) {
        let turns = self.0.lock().expect("nothing panics while it is held").get(user).cloned();
        if let Some(turns) = turns.filter(|turns| turns.is_moving.load(Ordering::Acquire)) {
            drop(turns.turn.lock().await);
        }
    }
}

/// The right to take messages out of one inbox. The next reader gets it when it is dropped.
struct Lease {
    turns: Arc<Turns>,
    _turn: OwnedMutexGuard<()>,
    chat: Arc<Chat>,
    user: UserName,
}

impl Lease {
    /// Moves the cursor; `origin` is the connection that asks for it.
    fn acknowledge(
        &self,
        from: MessageId,
        upto: MessageId,
        origin: Option<Arc<Notifier>>,
    ) -> Receipt<Acknowledged> {
        // Before the move, which may be reported at once.
        let before = origin.as_ref().map(|origin| origin.acknowledges(upto));
        let receipt = self.chat.store.acknowledge(&self.user, from, upto, self.chat.now());
        receipt.map(move |outcome| {
            let moved = matches!(outcome.peek(), Ok(Acknowledged { moved: true, .. }));
            if let (Some(origin), Some(before), false) = (origin, before, moved) {
                origin.did_not_acknowledge(before);
            }
            outcome
        })
    }
}

/// Messages that are being sent to a reader. When it is dropped before they were written, they stay in the inbox.
pub struct Delivery {
    lease: Lease,
    from: MessageId,
    upto: MessageId,
    origin: Option<Arc<Notifier>>,
}

impl Delivery {
    /// Acknowledges the messages, because the last byte of them was written; then the next reader has its turn.
    pub fn written(self) {
        let Delivery { lease, from, upto, origin } = self;
        // Nobody is told: whatever shows the move depends on its position by itself.
        if let MaybeReady::Late(outcome) = lease.acknowledge(from, upto, origin) {
            lease.turns.is_moving.store(true, Ordering::Release);
            spawn(async move {
                let _ = outcome.await;
                lease.turns.is_moving.store(false, Ordering::Release);
                drop(lease);
            });
        }
    }
}

/// Messages taken out of an inbox.
pub struct TakenPage {
    /// The messages, oldest first.
    pub messages: Vec<Message>,
    /// To be told when they were written; `None` if there are none.
    pub delivery: Option<Box<Delivery>>,
}

/// Messages that a user has acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Acked {
    /// Number of messages that have left the inbox.
    pub count: usize,
    /// The cursor.
    pub upto: MessageId,
}

impl Chat {
    /// Takes the oldest messages out of a user's inbox: as many as `fitting` returns, which must be at least one. They leave the
    /// inbox when [`Delivery::written`] is called.
    pub async fn take_inbox(
        self: &Arc<Self>,
        user: &User,
        origin: Option<Arc<Notifier>>,
        fitting: impl FnOnce(&[Message]) -> usize,
    ) -> Outcome<TakenPage> {
        let lease = self.inboxes.lease(&user.username, self.clone()).await;
        let page = self.store.inbox(&user.username, MessageId(0), MAX_PAGE).await;
        let take = || {
            page.map_ok(|Page { mut messages, cursor, .. }| {
                messages.truncate(fitting(&messages));
                let last = messages.last().map(|message| message.id);
                let delivery = last.map(|upto| Box::new(Delivery { lease, from: cursor, upto, origin }));
                TakenPage { messages, delivery }
            })
        };
        self.in_turn(take).await
    }

    /// Reads the oldest messages of a user's inbox and leaves them there.
    pub async fn fetch(&self, user: &User, limit: Option<u64>) -> Outcome<Page> {
        let limit = match page_size(limit) {
            Ok(limit) => limit,
            Err(refusal) => return At::refused(refusal),
        };
        // Another device may have taken the oldest ones just now.
        self.inboxes.moved(&user.username).await;
        self.store.inbox(&user.username, MessageId(0), limit).await
    }

    /// Acknowledges the messages of a user's inbox up to and including `id`, which must be the number of one of them or of one
    /// that has left the inbox before.
    pub async fn acknowledge(
        self: &Arc<Self>,
        user: &User,
        id: MessageId,
        origin: Option<Arc<Notifier>>,
    ) -> Outcome<Acked> {
        if id == MessageId(0) {
            return At::refused(Refusal::NoSuchMessage);
        }
        let lease = self.inboxes.lease(&user.username, self.clone()).await;
        loop {
            let (found, position) = match self.find_waiting(user, id).await {
                Ok(found) => found,
                Err(refused) => return refused,
            };
            let Some(Waiting { cursor, count }) = found else {
                return self.was_acknowledged(user, id).await.after(position);
            };
            let moved = lease.acknowledge(cursor, id, origin.clone()).await;
            // With a shared store another process may have been faster: then the inbox is another one.
            if !matches!(moved.peek(), Ok(Acknowledged { moved: false, .. })) {
                return moved.map_ok(|_| Acked { count, upto: id }).after(position);
            }
        }
    }

    /// Looks for a message in an inbox: counts the messages up to it.
    async fn find_waiting(
        &self,
        user: &User,
        id: MessageId,
    ) -> Result<(Option<Waiting>, Position), Outcome<Acked>> {
        let (mut count, mut after, mut first, mut position) = (0, MessageId(0), None, Position::START);
        loop {
            let page = self.store.inbox(&user.username, after, MAX_PAGE).await;
            position = position.and(page.position());
            let Ok(Page { messages, more, cursor }) = page.peek() else {
                return Err(page.map_ok(|_| Acked { count: 0, upto: id }));
            };
            let cursor = *first.get_or_insert(*cursor);
            for message in messages.iter().take_while(|message| message.id <= id) {
                count += 1;
                after = message.id;
            }
            if !more || messages.last().is_none_or(|last| last.id >= id) {
                return Ok(((after == id).then_some(Waiting { cursor, count }), position));
            }
        }
    }

    /// The outcome for a message that is not in the inbox: it may have left it before.
    async fn was_acknowledged(&self, user: &User, id: MessageId) -> Outcome<Acked> {
        let cursor = self.store.cursor(&user.username);
        if id > *cursor.peek() {
            return cursor.map(|_| Err(Refusal::NoSuchMessage));
        }
        let message = self.store.message(id).await;
        let part = message.and_then_ok(|message| match message {
            Some(message) => self.part_in(user, &message).map(Ok),
            None => At::start(Ok(None)),
        });
        cursor.and_then(|upto| {
            part.map(|part| match part? {
                Some(Part::Recipient) => Ok(Acked { count: 0, upto }),
                Some(Part::Sender) | None => Err(Refusal::NoSuchMessage),
            })
        })
    }
}

/// A message that was found in an inbox.
struct Waiting {
    /// The user's cursor.
    cursor: MessageId,
    /// Number of messages up to it.
    count: usize,
}
