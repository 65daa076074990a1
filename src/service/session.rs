//! One login of one user.

use std::{
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use super::{mailbox::Mailbox, rate::Bucket};
use crate::{
    protocol::{Timestamp, TokenDigest},
    store::{Position, SessionRecord},
    users::User,
};

const DAY: Duration = Duration::from_hours(24);

/// A session that nobody uses ends after this time,
pub(super) const IDLE: Duration = DAY.saturating_mul(30);

/// and every session after this one.
pub(super) const LIFETIME: Duration = DAY.saturating_mul(90);

/// How exactly the store knows when a session was used last.
const HOUR: Duration = Duration::from_hours(1);

/// One login of one user: a device.
pub struct Session {
    digest: TokenDigest,
    user: Arc<User>,
    created: Timestamp,
    used_ms: AtomicI64,
    /// What the store knows of that.
    stored_used_ms: AtomicI64,
    ended: AtomicBool,
    /// Its end was asked for and is not stored yet.
    ending: AtomicBool,
    /// What must be durable before anybody may be told that it is there: a [`Position`].
    opened: AtomicU64,
    number: u32,
    /// Connections that are bound to it.
    connections: AtomicUsize,
    /// Who is to be told when it ends.
    mailboxes: Mutex<Vec<Arc<Mailbox>>>,
    /// What the user asks for, over all sessions.
    requests: Arc<Bucket>,
}

/// A session, as its user is shown it.
#[derive(Debug, Clone, Copy)]
pub struct SessionEntry {
    /// Its number among the user's.
    pub number: u32,
    /// When it began.
    pub created: Timestamp,
    /// When it was used last.
    pub used: Timestamp,
    /// When it ends if it is not used again.
    pub expires: Timestamp,
    /// Connections that are bound to it.
    pub connections: usize,
}

impl Session {
    pub(super) fn new(
        user: &Arc<User>,
        record: &SessionRecord,
        opened: Position,
        requests: Arc<Bucket>,
    ) -> Arc<Self> {
        Arc::new(Session {
            digest: record.digest,
            user: user.clone(),
            created: record.created,
            used_ms: AtomicI64::new(record.used.0),
            stored_used_ms: AtomicI64::new(record.used.0),
            ended: AtomicBool::new(false),
            ending: AtomicBool::new(false),
            opened: AtomicU64::new(opened.0),
            number: record.number,
            connections: AtomicUsize::new(0),
            mailboxes: Mutex::default(),
            requests,
        })
    }

    /// Whose it is.
    #[must_use]
    pub fn user(&self) -> &Arc<User> {
        &self.user
    }

    /// What it is kept under.
    #[must_use]
    pub fn digest(&self) -> &TokenDigest {
        &self.digest
    }

    /// Whether it has neither ended nor expired.
    #[must_use]
    pub fn is_live(&self, now: Timestamp) -> bool {
        !self.ended.load(Ordering::Acquire)
            && now.since(self.used()) < IDLE
            && now.since(self.created) < LIFETIME
    }

    /// Puts off its expiry, if it is live; returns whether it is.
    #[must_use]
    pub fn touch(&self, now: Timestamp) -> bool {
        let live = self.is_live(now);
        // Most requests come within a millisecond of another: the cache line stays shared between the cores.
        if live && self.used_ms.load(Ordering::Relaxed) != now.0 {
            self.used_ms.store(now.0, Ordering::Relaxed);
        }
        live
    }

    /// Its number among the user's: small, and never a secret.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.number
    }

    /// What its user is shown.
    #[must_use]
    pub fn entry(&self) -> SessionEntry {
        let used = self.used();
        let ms = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        SessionEntry {
            number: self.number,
            created: self.created,
            used,
            expires: Timestamp((used.0 + ms(IDLE)).min(self.created.0 + ms(LIFETIME))),
            connections: self.connections.load(Ordering::Relaxed),
        }
    }

    pub(super) fn requests(&self) -> &Bucket {
        &self.requests
    }

    pub(super) fn connect(&self) {
        self.connections.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn disconnect(&self) {
        self.connections.fetch_sub(1, Ordering::Relaxed);
    }

    /// What must be durable before anybody may be told that it is there.
    pub(super) fn opened(&self) -> Position {
        Position(self.opened.load(Ordering::Relaxed))
    }

    /// It is durable that it is there.
    pub(super) fn set_durable(&self) {
        self.opened.store(Position::START.0, Ordering::Relaxed);
    }

    /// Whether its end was asked for.
    pub(super) fn is_ending(&self) -> bool {
        self.ending.load(Ordering::Relaxed)
    }

    /// From now on its end was asked for, or was not.
    pub(super) fn set_ending(&self, ending: bool) {
        self.ending.store(ending, Ordering::Relaxed);
    }

    /// When it was used last.
    pub(super) fn used(&self) -> Timestamp {
        Timestamp(self.used_ms.load(Ordering::Relaxed))
    }

    /// Ends it, if it has not ended yet: its connections are told, but for the one that asked for it, when `position` is
    /// durable.
    pub(super) fn end(&self, position: Position, origin: Option<&Arc<Mailbox>>) {
        if self.ended.swap(true, Ordering::SeqCst) {
            return;
        }
        for mailbox in self.mailboxes().iter() {
            if origin.is_some_and(|origin| Arc::ptr_eq(origin, mailbox)) {
                mailbox.put(|notices| notices.logged_out = true);
            } else {
                mailbox.put(|notices| notices.session_ended = Some(position));
            }
        }
    }

    /// From now on the mailbox is told when the session ends.
    pub(super) fn add_mailbox(&self, mailbox: &Arc<Mailbox>) {
        self.mailboxes().push(mailbox.clone());
        // Ended meanwhile, or before: nobody else would tell.
        if self.ended.load(Ordering::SeqCst) {
            mailbox.put(|notices| notices.session_ended = Some(Position::START));
        }
    }

    pub(super) fn remove_mailbox(&self, mailbox: &Arc<Mailbox>) {
        let mut mailboxes = self.mailboxes();
        if let Some(at) = mailboxes.iter().position(|other| Arc::ptr_eq(other, mailbox)) {
            mailboxes.swap_remove(at);
        }
    }

    fn mailboxes(&self) -> MutexGuard<'_, Vec<Arc<Mailbox>>> {
        self.mailboxes.lock().expect("nothing panics while it is held")
    }

    /// Whether the store should hear of its use: once an hour, for one caller of many.
    pub(super) fn is_use_news(&self, now: Timestamp) -> bool {
        let stored = self.stored_used_ms.load(Ordering::Relaxed);
        now.since(Timestamp(stored)) >= HOUR
            && self
                .stored_used_ms
                .compare_exchange(stored, now.0, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }
}
