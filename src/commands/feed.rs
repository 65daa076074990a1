//! What a connection is sent without having asked: events.
//!
//! A watcher is a cursor, not a queue: it is told that there may be something, and pulls durable messages after its own
//! position when its connection has room. So it cannot miss one, and a slow one costs nothing.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use serde::Serialize;

use super::{Reply, object::Object};
use crate::{
    protocol::{
        Refusal, Timestamp, UserName,
        reply::{self, Body, write_json},
    },
    service::{Mail, Mailbox, Notices, Presence, Service, Session, Watching},
    store::{BoxFuture, Fate, Look, MessageId, Page, Position},
};

/// So many messages are pulled at once.
const PULL: usize = 100;

/// A connection's events.
pub(super) struct Feed {
    mailbox: Arc<Mailbox>,
    watch: Option<Watch>,
}

struct Watch {
    watching: Watching,
    /// Everything up to this one was sent.
    after: MessageId,
    /// There may be something after that.
    is_behind: bool,
    /// Messages that could not be told of at once.
    pull: Option<BoxFuture<'static, Result<Page, Refusal>>>,
}

/// What has become of the connection's sessions and of its feed.
#[derive(Default)]
pub(super) struct Told {
    /// One or more events.
    pub(super) events: Option<Reply>,
    /// There may be more: ask again at once.
    pub(super) more: bool,
    /// One of the connection's sessions has.
    pub(super) session_ended: bool,
    /// It lets too much come up.
    pub(super) too_slow: bool,
}

#[derive(Serialize)]
struct Acked {
    event: &'static str,
    upto: u64,
}

#[derive(Serialize)]
struct Delivered {
    event: &'static str,
    id: u64,
    at: Timestamp,
}

#[derive(Serialize)]
struct PresenceEvent<'a> {
    event: &'static str,
    username: &'a str,
    active: bool,
    connected: bool,
    last_seen: Option<Timestamp>,
}

#[derive(Serialize)]
struct SessionEnded {
    event: &'static str,
}

fn put(event: &impl Serialize, out: &mut Vec<u8>) {
    write_json(event, out);
    out.extend_from_slice(reply::END);
}

impl Feed {
    pub(super) fn new() -> Self {
        Feed { mailbox: Arc::default(), watch: None }
    }

    pub(super) fn mailbox(&self) -> &Arc<Mailbox> {
        &self.mailbox
    }

    pub(super) fn is_watching(&self) -> bool {
        self.watch.is_some()
    }

    /// Begins to watch. If it does so already for that user, it goes on in this session.
    pub(super) fn watch(&mut self, service: &Arc<Service>, session: &Arc<Session>) {
        let same = |watch: &&mut Watch| watch.watching.session().user().username == session.user().username;
        let watching = Watching::new(service, session.clone(), self.mailbox.clone());
        match self.watch.as_mut().filter(same) {
            Some(watch) => watch.watching = watching,
            None => self.watch = Some(Watch { watching, after: MessageId(0), is_behind: true, pull: None }),
        }
    }

    pub(super) fn unwatch(&mut self) {
        self.watch = None;
    }

    /// What there is to be sent now. The task is woken when there is more.
    pub(super) fn poll(&mut self, service: &Arc<Service>, cx: &mut Context<'_>) -> Told {
        let mut told = Told::default();
        let Mail { news, notices } = self.mailbox.take(cx.waker());
        if let Some(watch) = &mut self.watch {
            watch.is_behind |= news;
        }
        if let Some(notices) = notices {
            self.open(*notices, service, &mut told);
        }
        if told.events.is_some() {
            told.more = true;
        } else {
            self.pull(service, cx, &mut told);
        }
        told
    }

    fn open(&mut self, notices: Notices, service: &Arc<Service>, told: &mut Told) {
        let Notices { acked, delivered, presence, session_ended, logged_out, overflow } = notices;
        told.too_slow = overflow;
        let (mut out, mut position) = (Vec::new(), Position::START);
        if self.watch.is_some() {
            if let Some(upto) = acked {
                put(&Acked { event: "acked", upto: upto.0 }, &mut out);
            }
            for (id, at) in delivered {
                put(&Delivered { event: "delivered", id: id.0, at }, &mut out);
            }
            for username in &presence {
                let (Presence { active, connected, left, .. }, at) = service.presence(username);
                position = position.max(at);
                let event = "presence";
                put(&PresenceEvent { event, username, active, connected, last_seen: left }, &mut out);
            }
        }
        told.session_ended = session_ended.is_some() || logged_out;
        // It may be the connection's own, that of its watch, or both.
        if told.session_ended
            && self.watch.as_ref().is_some_and(|watch| !watch.watching.session().is_live(service.now()))
        {
            self.watch = None;
        }
        if let Some(at) = session_ended {
            position = position.max(at);
            put(&SessionEnded { event: "session_ended" }, &mut out);
        }
        if !out.is_empty() {
            told.events = Some(Reply::new(Body::Rendered(out)).at(position));
        }
    }

    fn pull(&mut self, service: &Arc<Service>, cx: &mut Context<'_>, told: &mut Told) {
        let Some(watch) = &mut self.watch else {
            return;
        };
        if watch.pull.is_none() && watch.is_behind {
            watch.is_behind = false;
            let session = watch.watching.session();
            // To be told is a use; a session that has expired has none, and its end is in the mailbox then.
            if !service.touch(session, service.now()) {
                service.end_expired(session);
                told.more = true;
                return;
            }
            if let Some(page) = watch.at_hand(service) {
                watch.tell(&page, service, told);
                return;
            }
            let user = session.user().username.clone();
            watch.pull = Some(Box::pin(pull(service.clone(), user, watch.after)));
        }
        if let Some(Poll::Ready(page)) = watch.pull.as_mut().map(|pull| pull.as_mut().poll(cx)) {
            watch.pull = None;
            // What cannot be read now may be readable when the next message comes.
            if let Ok(page) = page {
                watch.tell(&page, service, told);
            }
        }
    }
}

impl Watch {
    /// The next messages, if that takes no disk and they are durable.
    fn at_hand(&self, service: &Service) -> Option<Page> {
        let user = &self.watching.session().user().username;
        let Look::Found(Ok(page)) = service.store.inbox(user, self.after, PULL) else {
            return None;
        };
        (service.store.durability().fate(page.position) == Fate::Durable).then_some(page)
    }

    /// Tells of durable messages.
    fn tell(&mut self, page: &Page, service: &Service, told: &mut Told) {
        self.is_behind |= page.more;
        told.more = self.is_behind;
        let Some(last) = page.messages.last() else {
            return;
        };
        self.after = last.id;
        let mut out = Vec::new();
        let users = service.users.now();
        for message in &page.messages {
            Object::event(message, &users).write(&mut out);
            out.extend_from_slice(reply::END);
        }
        told.events = Some(Reply::new(Body::Rendered(out)));
    }
}

/// How often what has failed to become durable is looked at again.
const PULLS: usize = 3;

/// The next messages, once they are durable.
async fn pull(service: Arc<Service>, user: UserName, after: MessageId) -> Result<Page, Refusal> {
    let mut failed = Refusal::Internal;
    for _ in 0..PULLS {
        let page = service.store.inbox(&user, after, PULL).await?;
        match service.store.durability().settled(page.position).await {
            Ok(()) => return Ok(page),
            // What fails is taken out of the inbox again: then there are others, or none.
            Err(refusal) => failed = refusal,
        }
    }
    Err(failed)
}
