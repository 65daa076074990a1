//! The events of one connection.
//!
//! A subscription is a cursor, not a queue: it is notified that there may be new messages, and reads durable messages after its
//! own position when its connection has room. So it cannot miss a message, and a slow one costs no memory.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use super::{Chat, Notices, Notifier, Presence, Session, binding::Watching, notifier::Pending};
use crate::{
    model::{
        At, BoxFuture, MaybeReady, Message, MessageId, Page, Position, Recipient, Refusal, RoomName,
        Timestamp, UserName,
    },
    store::Scope,
};

/// Most messages that are read at once.
const BATCH: usize = 100;

/// Most bytes of events that are made at once. Many connections may watch one inbox without reading.
const MAX_EVENTS: usize = 192 * 1024;

/// A byte of text can become as many on the wire.
const LONGEST: usize = 6;

/// What an event has beside its text, in bytes, as a rule: display names may be longer.
const AROUND: usize = 160;

/// Most bytes that the event of a message can have.
fn most_bytes(message: &Message) -> usize {
    AROUND + LONGEST * message.text.len()
}

/// Most messages that are read for this room.
fn batch(room: usize) -> usize {
    (room / AROUND).clamp(1, BATCH)
}

/// Something that a connection is told without having asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A message in the user's inbox.
    Message(Message),
    /// Another connection of the user has acknowledged messages.
    Acked {
        /// The cursor.
        upto: MessageId,
    },
    /// A recipient has acknowledged a message of the user.
    Delivered {
        /// Number of the message.
        id: MessageId,
        /// When it was acknowledged.
        at: Timestamp,
    },
    /// Another user has come or gone.
    Presence {
        /// The other user.
        user: UserName,
        /// The user's presence now.
        presence: Presence,
    },
    /// A user has joined a room that the user is in.
    Joined {
        /// The room.
        room: RoomName,
        /// Who has joined.
        user: UserName,
    },
    /// A user has left a room that the user is in, or was in until now.
    Left {
        /// The room.
        room: RoomName,
        /// Who has left.
        user: UserName,
    },
    /// A conversation was read.
    Read {
        /// With whom the conversation is, or in which room.
        with: Recipient,
        /// The last message that was read.
        upto: MessageId,
        /// Who has read it: the user, on any device, or the other user.
        by: UserName,
    },
    /// Another user is typing.
    Typing {
        /// Who.
        from: UserName,
        /// To whom: the user, or a room.
        to: Recipient,
    },
    /// A session of the connection has ended.
    SessionEnded,
}

/// The events of one connection, and the end of its sessions.
#[derive(Default)]
pub struct Subscription {
    notifier: Arc<Notifier>,
    watch: Option<Watch>,
}

/// Where a subscription begins, and what it shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Start {
    /// The last message that is not shown; `None` begins with the messages in the inbox, and `Some` shows those that have left it,
    /// too.
    pub after: Option<MessageId>,
    /// Shows messages of the user, too, unless this connection has sent them.
    pub shows_own: bool,
}

impl Start {
    fn scope(self) -> Scope {
        match self {
            Start { shows_own: true, .. } => Scope::All,
            Start { after: Some(_), .. } => Scope::Received,
            Start { after: None, .. } => Scope::Inbox,
        }
    }
}

struct Watch {
    watching: Watching,
    start: Start,
    /// Messages up to this one were sent.
    after: MessageId,
    /// There may be messages after that.
    is_behind: bool,
    /// A read of messages that could not be sent at once.
    read: Option<BoxFuture<'static, Result<Page, Refusal>>>,
    /// Messages that wait for room, because the first one may need more than there is.
    kept: Option<Page>,
}

/// What a connection has to do for its subscription.
pub struct Pushed {
    /// Events to send, when their position is durable.
    pub events: At<Vec<Event>>,
    /// There may be more: poll again.
    pub more: bool,
    /// Room that the next message may need; 0 if there is enough.
    pub needs: usize,
    /// A session of the connection has ended.
    pub session_ended: bool,
    /// The connection does not read its events fast enough.
    pub too_slow: bool,
}

impl Pushed {
    fn nothing() -> Self {
        Pushed { events: At::start(Vec::new()), more: false, needs: 0, session_ended: false, too_slow: false }
    }
}

impl Subscription {
    /// Where the notifications of the connection are put.
    #[must_use]
    pub fn notifier(&self) -> &Arc<Notifier> {
        &self.notifier
    }

    /// Whether events are streamed.
    #[must_use]
    pub fn is_watching(&self) -> bool {
        self.watch.is_some()
    }

    /// Starts to stream events, first the messages at `start`. If the events of that user are streamed already, they go on in this
    /// session, unless `start` is another one than the default.
    pub fn watch(&mut self, chat: &Arc<Chat>, session: &Arc<Session>, start: Start) {
        let same = |watch: &&mut Watch| watch.watching.session().user().username == session.user().username;
        match self.watch.as_mut().filter(same) {
            Some(watch) if start == Start::default() => {
                let shows_own = watch.start.shows_own;
                watch.watching = Watching::new(chat, session.clone(), self.notifier.clone(), shows_own);
            }
            _ => {
                // Own messages have no inbox: the stream has those after what was acknowledged.
                let cursor = || *chat.store.cursor(&session.user().username).peek();
                let after = start.after.or_else(|| start.shows_own.then(cursor)).unwrap_or(MessageId(0));
                let watching = Watching::new(chat, session.clone(), self.notifier.clone(), start.shows_own);
                let (read, kept) = (None, None);
                self.watch = Some(Watch { watching, start, after, is_behind: true, read, kept });
            }
        }
    }

    /// Stops to stream events.
    pub fn unwatch(&mut self) {
        self.watch = None;
        self.notifier.set_wants_own(false);
    }

    /// Events to send now: of messages, as many as there is `room` for, in bytes. The task is woken when there are more.
    pub fn poll(&mut self, chat: &Arc<Chat>, cx: &mut Context<'_>, room: usize) -> Pushed {
        let mut pushed = Pushed::nothing();
        let Pending { messages, notices } = self.notifier.take(cx.waker());
        if let Some(watch) = &mut self.watch {
            watch.is_behind |= messages;
        }
        if let Some(notices) = notices {
            self.push_notices(*notices, chat, &mut pushed);
        }
        if pushed.events.peek().is_empty() {
            self.push_messages(chat, cx, room, &mut pushed);
        } else {
            pushed.more = true;
        }
        pushed
    }

    fn push_notices(&mut self, notices: Notices, chat: &Arc<Chat>, pushed: &mut Pushed) {
        let Notices { acked, delivered, presence, rooms, read, typing, session_ended, logged_out, overflow } =
            notices;
        pushed.too_slow = overflow;
        let (mut events, mut position) = (Vec::new(), Position::START);
        if self.watch.is_some() {
            events.extend(acked.map(|upto| Event::Acked { upto }));
            events.extend(delivered.into_iter().map(|(id, at)| Event::Delivered { id, at }));
            for user in presence {
                let presence = chat.presence(&user);
                position = position.and(presence.position());
                events.push(Event::Presence { user, presence: *presence.peek() });
            }
            for (room, user, joined) in rooms {
                events.push(if joined { Event::Joined { room, user } } else { Event::Left { room, user } });
            }
            events.extend(read.into_iter().map(|((by, with), upto)| Event::Read { with, upto, by }));
            events.extend(typing.into_iter().map(|(from, to)| Event::Typing { from, to }));
        }
        pushed.session_ended = session_ended.is_some() || logged_out;
        // It may be the session of the connection, that of the watch, or both.
        if pushed.session_ended
            && self.watch.as_ref().is_some_and(|watch| !watch.watching.session().is_live(chat.now()))
        {
            self.unwatch();
        }
        if let Some(at) = session_ended {
            position = position.and(at);
            events.push(Event::SessionEnded);
        }
        pushed.events = At::new(events, position);
    }

    fn push_messages(&mut self, chat: &Arc<Chat>, cx: &mut Context<'_>, room: usize, pushed: &mut Pushed) {
        let Some(watch) = &mut self.watch else {
            return;
        };
        if let Some(page) = watch.kept.take() {
            watch.push(page, room, &self.notifier, pushed);
            return;
        }
        if watch.read.is_none() && watch.is_behind {
            watch.is_behind = false;
            let session = watch.watching.session();
            // Sending events is a use of the session. A session that has expired sends none, and its end is notified then.
            if !chat.touch(session, chat.now()) {
                if chat.believes_clock() {
                    chat.end_expired(session);
                    pushed.more = true;
                } else {
                    watch.is_behind = true;
                }
                return;
            }
            if let Some(page) = watch.at_hand(chat, batch(room)) {
                watch.push(page, room, &self.notifier, pushed);
                return;
            }
            let (user, scope) = (session.user().username.clone(), watch.start.scope());
            watch.read = Some(Box::pin(read_durable(chat.clone(), user, watch.after, batch(room), scope)));
        }
        if let Some(Poll::Ready(page)) = watch.read.as_mut().map(|read| read.as_mut().poll(cx)) {
            watch.read = None;
            // If it cannot be read now, it is tried again when the next message comes.
            if let Ok(page) = page {
                watch.push(page, room, &self.notifier, pushed);
            }
        }
    }
}

impl Watch {
    /// The next messages, if they are in memory and durable.
    fn at_hand(&self, chat: &Chat, limit: usize) -> Option<Page> {
        let user = &self.watching.session().user().username;
        let MaybeReady::Ready(page) = chat.store.feed(user, self.after, limit, self.start.scope()) else {
            return None;
        };
        chat.store.log().durable_now(page).ok()
    }

    fn push(&mut self, mut page: Page, room: usize, notifier: &Notifier, pushed: &mut Pushed) {
        if self.start.shows_own {
            self.leave_out_own(&mut page, notifier);
        }
        let mut bytes = 0;
        let fits = page.messages.iter().take_while(|message| {
            bytes += most_bytes(message);
            bytes <= room.min(MAX_EVENTS)
        });
        let fitting = fits.count();
        if let (0, Some(first)) = (fitting, page.messages.first()) {
            pushed.needs = most_bytes(first);
            self.kept = Some(page);
            return;
        }
        page.more |= fitting < page.messages.len();
        page.messages.truncate(fitting);
        self.is_behind |= page.more;
        pushed.more = self.is_behind;
        if let Some(last) = page.messages.last() {
            self.after = last.id;
            pushed.events = At::start(page.messages.into_iter().map(Event::Message).collect());
        }
    }
}

impl Watch {
    /// Leaves out what the connection itself has sent. If that is not known yet, the page ends there.
    fn leave_out_own(&mut self, page: &mut Page, notifier: &Notifier) {
        let user = &self.watching.session().user().username;
        let is_own = |message: &Message| message.from == *user;
        if notifier.is_sending()
            && let Some(first) = page.messages.iter().position(is_own)
        {
            // It is read again when the number of the message is known.
            page.messages.truncate(first);
            page.more = false;
        }
        let last = page.messages.last().map(|last| last.id);
        page.messages.retain(|message| !is_own(message) || !notifier.has_sent(message.id));
        if let (true, Some(last)) = (page.messages.is_empty(), last) {
            self.after = last;
        }
        notifier.forget_sent(self.after);
    }
}

/// Most reads in a row that fail because a message on the page was not stored.
const READS: usize = 3;

/// Reads the next messages, and waits until they are durable.
async fn read_durable(
    chat: Arc<Chat>,
    user: UserName,
    after: MessageId,
    limit: usize,
    scope: Scope,
) -> Result<Page, Refusal> {
    let mut failed = Refusal::Internal;
    for _ in 0..READS {
        let page = chat.store.feed(&user, after, limit, scope).await;
        if let Err(refusal) = page.peek() {
            return Err(*refusal);
        }
        match chat.store.log().durable(page).await {
            Ok(page) => return Ok(page),
            // A message that was not stored is no longer in the inbox: the next page is another one.
            Err(refusal) => failed = refusal,
        }
    }
    Err(failed)
}
