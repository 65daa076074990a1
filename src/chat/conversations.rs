//! Conversations: which ones a user has, how far a person has read them, and who is typing.

use std::{sync::Arc, time::Duration};

use super::{Caller, Chat, Notifier, inbox::page_size, limiter::Quota};
use crate::{
    model::{At, Message, MessageId, Outcome, ReadMarker, Recipient, Refusal, UserName},
    store::{ConversationEntry, Marked, Membership},
    users::User,
};

/// Time in which one more notice that a user is typing is told, in one conversation.
const TYPING: Duration = Duration::from_secs(3);

/// A quota of one notice.
pub(super) fn typing() -> Quota {
    Quota::new(1, TYPING)
}

/// Whether a message belongs to the user's conversation.
fn belongs(message: &Message, user: &UserName, with: &Recipient) -> bool {
    match (with, &message.to) {
        (Recipient::User(other), Recipient::User(to)) => {
            (message.from == *user && to == other) || (message.from == *other && to == user)
        }
        (room, to) => room == to,
    }
}

impl Chat {
    /// The user's conversations, newest first, and whether there are more.
    ///
    /// Refuses with [`Refusal::BadRequest`] (a limit of 0).
    pub async fn conversations(
        &self,
        user: &User,
        limit: Option<u64>,
    ) -> Outcome<(Vec<ConversationEntry>, bool)> {
        let limit = match page_size(limit) {
            Ok(limit) => limit,
            Err(refusal) => return At::refused(refusal),
        };
        self.store.conversations(&user.username, limit + 1).await.map_ok(|mut entries| {
            let more = entries.len() > limit;
            entries.truncate(limit);
            (entries, more)
        })
    }

    /// Moves the user's read marker of a conversation to a message, unless it is further on; `origin` is the connection that
    /// asks for it. Returns where the marker is then.
    ///
    /// Refuses with [`Refusal::NoSuchMessage`] if the message is not one of that conversation or the user may not know of it;
    /// with [`Refusal::NoSuchUser`], [`Refusal::NoSuchRoom`] or [`Refusal::NotAMember`] if there is no such conversation.
    pub async fn mark_read(
        &self,
        user: &User,
        with: &str,
        id: MessageId,
        origin: Option<Arc<Notifier>>,
    ) -> Outcome<ReadMarker> {
        let name = &user.username;
        let Some(with) = Recipient::parse(with) else {
            let refusal = if with.starts_with('#') { Refusal::NoSuchRoom } else { Refusal::NoSuchUser };
            return At::refused(refusal);
        };
        let found = self.store.message(id).await;
        let found = found.and_then_ok(|message| match message {
            Some(message) if belongs(&message, name, &with) => {
                self.part_in(user, &message).and_then(|part| match part {
                    Some(_) => At::start(Ok(message.at)),
                    None => self.no_message(name, &with).map(Err),
                })
            }
            _ => self.no_message(name, &with).map(Err),
        });
        let position = found.position();
        let at = match *found.peek() {
            Ok(at) => at,
            Err(refusal) => return found.map(|_| Err(refusal)),
        };
        // Before the move, which may be reported at once.
        let before = origin.as_ref().and_then(|origin| origin.reads(&with, id));
        let marker = ReadMarker { at, upto: id, moved: self.now() };
        let outcome = self.store.mark_read(name, &with, marker).await;
        if let Some(origin) = origin
            && !matches!(outcome.peek(), Ok(Marked { moved: true, .. }))
        {
            origin.did_not_read(&with, before);
        }
        outcome.map_ok(|Marked { marker, .. }| marker).after(position)
    }

    /// Why a conversation has no such message.
    fn no_message(&self, user: &UserName, with: &Recipient) -> At<Refusal> {
        match with {
            Recipient::User(other) if self.users.get(other).is_none() => At::start(Refusal::NoSuchUser),
            Recipient::User(_) => At::start(Refusal::NoSuchMessage),
            Recipient::Room(room) => self.store.membership(user, room).map(|membership| match membership {
                Membership::Current | Membership::Former => Refusal::NoSuchMessage,
                other => super::rooms::refusal(other),
            }),
        }
    }

    /// Tells those who watch that the caller is typing; at most once in three seconds in each conversation.
    ///
    /// Refuses as [`send`](Chat::send) does if there is no such recipient.
    pub fn typing(&self, caller: &Caller<'_>, to: &str) -> Outcome<()> {
        let from = &caller.user().username;
        let to = match self.recipient(to, from) {
            Ok(to) => to,
            Err(refused) => return refused.map(Err),
        };
        if self.typing.take((from.clone(), to.clone()), caller.now.uptime).is_ok() {
            let put = |notifier: &Notifier| notifier.put_typing(from, &to);
            match &to {
                Recipient::User(user) if user == from => {}
                Recipient::User(user) => self.watchers.each(user, put),
                Recipient::Room(room) => self.watchers.each_in_but(room, from, put),
            }
        }
        At::start(Ok(()))
    }
}
