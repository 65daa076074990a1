//! Sending and looking up messages.

use super::{
    Caller, Chat, Limit, Notifier, allowance::Allowance, inbox::page_size, limiter::Quota, shares::Shares,
    visibility,
};
use crate::{
    model::{
        At, MAX_KEY, MAX_MESSAGE, MaybeReady, Message, MessageId, NewMessage, Outcome, Page, Recipient,
        Refusal, Stored, Timestamp, Uptime, UserName, saturated,
    },
    store::{Membership, Receipt},
    users::User,
};

/// A message to send.
#[derive(Clone, Copy)]
pub struct Send<'a> {
    /// Name of a user, or of a room with its `#`.
    pub to: &'a str,
    /// The text.
    pub text: &'a str,
    /// The idempotency key.
    pub key: Option<&'a str>,
}

/// A part of a conversation to read.
#[derive(Clone, Copy)]
pub struct History<'a> {
    /// Name of a user, or of a room with its `#`.
    pub with: &'a str,
    /// Most messages to return; `None` for the default.
    pub limit: Option<u64>,
    /// Only messages before this one.
    pub before: Option<MessageId>,
}

/// What a sender or recipient may know of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageStatus {
    /// Its number.
    pub id: MessageId,
    /// When the server received it.
    pub at: Timestamp,
    /// How far its recipients are.
    pub state: DeliveryState,
    /// Who has read it: people, apart from what was acknowledged.
    pub read: ReadState,
}

/// Whether people have read a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadState {
    /// Whether the user to whom it was sent has read it: when the user's marker came to where it is now, which is the time or
    /// later.
    At(Option<Timestamp>),
    /// It was sent to a room: number of recipients who have read it.
    By(usize),
}

/// How far the recipients of a message are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryState {
    /// It waits in the inbox of the user to whom it was sent.
    Stored,
    /// The user to whom it was sent has acknowledged it; the time is `None` if it is not known any more.
    Acknowledged(Option<Timestamp>),
    /// It was sent to a room.
    Room {
        /// Number of recipients.
        recipients: usize,
        /// Number of recipients who have acknowledged it.
        acknowledged: usize,
    },
}

/// Unit in which a day's bytes are counted. With smaller ones, the time for one would be less than a microsecond.
const UNIT: u32 = 64;

/// What a message takes in the store beside its text, in bytes: about as much as it does.
const AROUND: usize = 128;

/// What a user may send in a day.
#[derive(Clone, Copy)]
pub(super) struct Daily {
    mib: u32,
    /// In units.
    quota: Quota,
}

impl Daily {
    pub(super) fn new(mib: u32) -> Self {
        Daily { mib, quota: Quota::daily(i64::from(mib) * i64::from(1024 * 1024 / UNIT)) }
    }
}

/// What a message costs, in units.
fn cost(text: &str) -> i64 {
    i64::from(saturated(AROUND + text.len()).div_ceil(UNIT))
}

/// What is counted for a message.
struct Count {
    daily: Option<Daily>,
    /// In units.
    cost: i64,
    now: Uptime,
}

impl Count {
    /// Counts a message for its sender if it was stored, and not before.
    fn stored(
        &self,
        outcome: &Outcome<Stored>,
        sender: &Allowance,
        shares: Option<&Shares>,
        from: &UserName,
        to: &Recipient,
    ) {
        let Ok(Stored { id, duplicate: false, .. }) = *outcome.peek() else {
            return;
        };
        if let Some(daily) = self.daily {
            sender.sent.count(self.now, daily.quota, self.cost);
        }
        match (shares, to.user()) {
            (Some(shares), Some(to)) if to != from => shares.stored(to, from, id),
            _ => {}
        }
    }
}

impl Chat {
    /// Stores a message in its recipient's inbox.
    ///
    /// Refuses with [`Refusal::BadRequest`] (key too long), [`Refusal::NoSuchUser`], [`Refusal::NoSuchRoom`],
    /// [`Refusal::NotAMember`], [`Refusal::MessageTooLong`], [`Refusal::Quota`], [`Refusal::InboxFull`] (the sender's share), or as [`append`](crate::store::Messages::append) does.
    pub fn send(&self, caller: &Caller<'_>, Send { to, text, key }: Send<'_>) -> Receipt<Stored> {
        if key.is_some_and(|key| key.len() > MAX_KEY) {
            return MaybeReady::Ready(At::refused(Refusal::BadRequest));
        }
        let from = &caller.user().username;
        let message = |to| NewMessage { from, to, text, key, at: caller.now.at };
        let refused: Outcome<Option<Stored>> = match self.recipient(to, from) {
            Ok(to) => match self.may_send(caller, &to, text) {
                Ok(()) => {
                    let sending = caller.notifier.and_then(Notifier::sends);
                    let receipt = self.append(caller, message(&to));
                    return match sending {
                        None => receipt,
                        Some(sending) => sending.until_known(receipt),
                    };
                }
                Err(refusal) => At::refused(refusal),
            },
            Err(refused) => refused.map(Err),
        };
        let refused = refused.map_ok(|_| Stored { id: MessageId(0), at: caller.now.at, duplicate: false });
        // A repeated message gets its first outcome, whatever has changed since.
        match Recipient::parse(to) {
            Some(to) if key.is_some() => self.store.find_by_key(message(&to)).map(move |found| {
                found.and_then(|found| match found {
                    Ok(Some(stored)) => At::start(Ok(stored)),
                    Ok(None) => refused,
                    Err(refusal) => At::refused(refusal),
                })
            }),
            _ => MaybeReady::Ready(refused),
        }
    }

    /// Whether a text may be sent: its length, what the sender has sent today, and the sender's share of the inbox.
    fn may_send(&self, caller: &Caller<'_>, to: &Recipient, text: &str) -> Result<(), Refusal> {
        if text.len() > MAX_MESSAGE {
            return Err(Refusal::MessageTooLong { got: saturated(text.len()) });
        }
        if let Some(daily) = self.daily {
            let sent = &caller.session.allowance().sent;
            sent.check(caller.now.uptime, daily.quota, cost(text)).map_err(|retry_after| {
                self.note_limit(Limit::Daily, caller.from, Some(caller.session));
                Refusal::Quota { mib: daily.mib, retry_after }
            })?;
        }
        match (&self.shares, to.user()) {
            // The own inbox is nobody else's.
            (Some(shares), Some(user)) if *user != caller.user().username => {
                shares.check(user, &caller.user().username).inspect_err(|_| self.note_full(caller))
            }
            _ => Ok(()),
        }
    }

    /// Stores a message, and counts it for its sender if it is a new one.
    fn append(&self, caller: &Caller<'_>, message: NewMessage<'_>) -> Receipt<Stored> {
        let (allowance, shares) = (caller.session.allowance(), &self.shares);
        let count = Count { daily: self.daily, cost: cost(message.text), now: caller.now.uptime };
        match self.store.append(message) {
            MaybeReady::Ready(outcome) => {
                if let Err(Refusal::InboxFull { .. }) = outcome.peek() {
                    self.note_full(caller);
                }
                if self.daily.is_some() || shares.is_some() {
                    count.stored(&outcome, allowance, shares.as_deref(), message.from, message.to);
                }
                MaybeReady::Ready(outcome)
            }
            MaybeReady::Late(outcome) => {
                let (allowance, shares) = (allowance.clone(), shares.clone());
                let (from, to) = (message.from.clone(), message.to.clone());
                MaybeReady::Late(Box::pin(async move {
                    let outcome = outcome.await;
                    count.stored(&outcome, &allowance, shares.as_deref(), &from, &to);
                    outcome
                }))
            }
        }
    }

    fn note_full(&self, caller: &Caller<'_>) {
        self.note_limit(Limit::Inbox, caller.from, Some(caller.session));
    }

    /// Finds the recipient of a message: a user who exists, or a room that the sender is in.
    #[inline(always)]
    #[expect(
        clippy::inline_always,
        reason = "every message passes it, and the compiler does not inline it by itself"
    )]
    pub(super) fn recipient(&self, to: &str, from: &UserName) -> Result<Recipient, At<Refusal>> {
        if !to.starts_with('#') {
            let users = self.users.now();
            let user = users.get(to).ok_or(At::start(Refusal::NoSuchUser))?;
            return Ok(Recipient::User(user.username.clone()));
        }
        self.room_of(to, from)
    }

    /// Finds the room of a message.
    fn room_of(&self, to: &str, from: &UserName) -> Result<Recipient, At<Refusal>> {
        let (room, membership) = self.named_room(to, from)?;
        match *membership.peek() {
            Membership::Current => Ok(Recipient::Room(room)),
            other => Err(membership.map(|_| super::rooms::refusal(other))),
        }
    }

    /// Reads the newest messages of a conversation.
    ///
    /// Refuses with [`Refusal::BadRequest`] (a limit of 0), [`Refusal::NoSuchUser`], [`Refusal::NoSuchRoom`] or
    /// [`Refusal::NotAMember`].
    pub async fn history(&self, user: &User, asked: History<'_>) -> Outcome<Page> {
        let limit = match page_size(asked.limit) {
            Ok(limit) => limit,
            Err(refusal) => return At::refused(refusal),
        };
        let with = match Recipient::parse(asked.with) {
            Some(with) => with,
            None if asked.with.starts_with('#') => return At::refused(Refusal::NoSuchRoom),
            None => return At::refused(Refusal::NoSuchUser),
        };
        if let Some(room) = with.room() {
            let membership = self.store.membership(&user.username, room);
            // A user who has left may read the messages from before.
            if let other @ (Membership::NoRoom | Membership::Never) = *membership.peek() {
                return membership.map(|_| Err(super::rooms::refusal(other)));
            }
        }
        let page = self.store.history(&user.username, &with, asked.before, limit).await;
        page.map(|page| {
            let mut page = page?;
            visibility::cut(&mut page, user);
            // Messages from and to a user who does not exist any more can still be read.
            let is_nobody = with.user().is_some_and(|user| self.users.get(user).is_none());
            if is_nobody && page.messages.is_empty() { Err(Refusal::NoSuchUser) } else { Ok(page) }
        })
    }

    /// How far the recipients of a message are.
    ///
    /// Refuses with [`Refusal::NoSuchMessage`] if the user may not know of it.
    pub async fn status(&self, user: &User, id: MessageId) -> Outcome<MessageStatus> {
        let found = self.store.message(id).await;
        let found = found.and_then_ok(|message| match message {
            Some(message) => {
                let part = self.part_in(user, &message);
                part.map(|part| if part.is_some() { Ok(message) } else { Err(Refusal::NoSuchMessage) })
            }
            None => At::refused(Refusal::NoSuchMessage),
        });
        let Ok(message) = found.peek().clone() else {
            return found.and_then_ok(|_| At::refused(Refusal::NoSuchMessage));
        };
        let state = self.delivery_state(&message).await;
        let (read, at) = (self.read_state(&message), message.at);
        let status = state.and_then_ok(|state| read.map(|read| Ok(MessageStatus { id, at, state, read })));
        status.after(found.position())
    }

    fn read_state(&self, message: &Message) -> At<ReadState> {
        let Message { id, from, to, .. } = message;
        let read_at = |reader: &UserName, with: &Recipient| {
            let marker = self.store.read_marker(reader, with);
            marker.map(|marker| marker.filter(|marker| marker.upto >= *id).map(|marker| marker.moved))
        };
        match to {
            // Who has the name now may not have had it then.
            Recipient::User(user) if visibility::may_tell_sender(&self.users, user, *id) => {
                read_at(user, &Recipient::User(from.clone())).map(ReadState::At)
            }
            Recipient::User(_) => At::start(ReadState::At(None)),
            Recipient::Room(room) => self.store.members(room, Some(*id)).and_then(|members| {
                let others = members.iter().filter(|member| *member != from);
                let read = others.map(|member| read_at(member, to)).fold(At::start(0), |count, at| {
                    count.zip(at).map(|(count, at)| count + usize::from(at.is_some()))
                });
                read.map(ReadState::By)
            }),
        }
    }

    async fn delivery_state(&self, message: &Message) -> Outcome<DeliveryState> {
        let id = message.id;
        match &message.to {
            Recipient::User(to) => {
                let cursor = self.store.cursor(to);
                if *cursor.peek() < id {
                    return cursor.map(|_| Ok(DeliveryState::Stored));
                }
                let at = self.store.acknowledged_at(to, id).await;
                at.map_ok(DeliveryState::Acknowledged).after(cursor.position())
            }
            Recipient::Room(room) => self.store.members(room, Some(id)).and_then(|mut members| {
                members.retain(|member| *member != message.from);
                let cursors = members.iter().map(|member| self.store.cursor(member));
                let counted = cursors
                    .filter(|cursor| *cursor.peek() >= id)
                    .fold(At::start(0), |counted, cursor| counted.zip(cursor).map(|(count, _)| count + 1));
                let recipients = members.len();
                counted.map(|acknowledged| Ok(DeliveryState::Room { recipients, acknowledged }))
            }),
        }
    }
}
