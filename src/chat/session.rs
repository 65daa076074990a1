//! Sessions: one login of one user each.

use std::{
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use super::{allowance::Allowance, notifier::Notifier};
use crate::{
    model::{Position, Timestamp, TokenDigest},
    store::SessionRecord,
    users::User,
};

const DAY: Duration = Duration::from_hours(24);

/// Time after which an unused session expires.
pub(super) const IDLE: Duration = DAY.saturating_mul(30);

/// Time after which every session expires.
pub(super) const LIFETIME: Duration = DAY.saturating_mul(90);

/// Accuracy of the time of last use in the store.
const HOUR: Duration = Duration::from_hours(1);

/// One login of one user.
pub struct Session {
    digest: TokenDigest,
    user: Arc<User>,
    created: Timestamp,
    used_ms: AtomicI64,
    /// The time of last use that the store knows.
    stored_used_ms: AtomicI64,
    ended: AtomicBool,
    /// Its end was asked for and is not durable yet.
    ending: AtomicBool,
    /// Last place of the position that must be durable before anybody is told of the session; 0 if it is.
    opened: AtomicU64,
    number: u32,
    /// Number of connections that are bound to it.
    connections: AtomicUsize,
    /// Connections to notify when it ends.
    notifiers: Mutex<Notifiers>,
    /// The device.
    place: Mutex<Place>,
    /// What the user has used of the limits, over all sessions.
    allowance: Arc<Allowance>,
}

/// Where a session is used.
#[derive(Debug, Default, Clone)]
struct Place {
    /// What the client has called the device.
    device: Option<Box<str>>,
    /// Address of the last connection; `None` before the first one in this process.
    address: Option<IpAddr>,
}

/// The connections of a session.
#[derive(Default)]
struct Notifiers {
    all: Vec<Arc<Notifier>>,
    /// The one that has asked for the end of the session.
    origin: Option<Arc<Notifier>>,
}

/// A session, as shown to its user.
#[derive(Debug, Clone)]
pub struct SessionEntry {
    /// Its number among the user's sessions.
    pub number: u32,
    /// When it was opened.
    pub created: Timestamp,
    /// When it was last used.
    pub used: Timestamp,
    /// When it expires if it is not used again.
    pub expires: Timestamp,
    /// Number of connections that are bound to it.
    pub connections: usize,
    /// What its client has called the device.
    pub device: Option<Box<str>>,
    /// Address of its last connection; `None` if it had none since the server started.
    pub address: Option<IpAddr>,
}

impl Session {
    pub(super) fn new(
        user: &Arc<User>,
        record: &SessionRecord,
        opened: Position,
        allowance: Arc<Allowance>,
    ) -> Arc<Self> {
        Arc::new(Session {
            digest: record.digest,
            user: user.clone(),
            created: record.created,
            used_ms: AtomicI64::new(record.used.0),
            stored_used_ms: AtomicI64::new(record.used.0),
            ended: AtomicBool::new(false),
            ending: AtomicBool::new(false),
            opened: AtomicU64::new(opened.last()),
            number: record.number,
            connections: AtomicUsize::new(0),
            notifiers: Mutex::default(),
            place: Mutex::new(Place { device: record.device.clone(), address: None }),
            allowance,
        })
    }

    /// The user who has logged in.
    #[must_use]
    pub fn user(&self) -> &Arc<User> {
        &self.user
    }

    /// Digest of its token.
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

    /// Notes a use, which puts off the expiry. Returns whether the session is live.
    #[must_use]
    pub fn touch(&self, now: Timestamp) -> bool {
        let live = self.is_live(now);
        // Most requests come within a millisecond of another one. Without a write, the cache line stays shared between cores.
        // A clock that was set back for a while must not make the session look unused afterwards.
        if live && self.used_ms.load(Ordering::Relaxed) < now.0 {
            self.used_ms.fetch_max(now.0, Ordering::Relaxed);
        }
        live
    }

    /// Its number among the user's sessions. It is not a secret.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.number
    }

    /// The session as shown to its user.
    #[must_use]
    pub fn entry(&self) -> SessionEntry {
        let used = self.used();
        let Place { device, address } = self.place().clone();
        let ms = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        SessionEntry {
            number: self.number,
            created: self.created,
            used,
            expires: Timestamp((used.0 + ms(IDLE)).min(self.created.0 + ms(LIFETIME))),
            connections: self.connections.load(Ordering::Relaxed),
            device,
            address,
        }
    }

    /// Notes where the session is used. Returns whether the device is news.
    pub(super) fn note_place(&self, address: IpAddr, device: Option<&str>) -> bool {
        let mut place = self.place();
        place.address = Some(address);
        let is_news = device.is_some_and(|device| place.device.as_deref() != Some(device));
        if is_news {
            place.device = device.map(Into::into);
        }
        is_news
    }

    fn place(&self) -> MutexGuard<'_, Place> {
        self.place.lock().expect("nothing panics while it is held")
    }

    /// The session as the store keeps it.
    pub(super) fn record(&self) -> SessionRecord {
        SessionRecord {
            digest: self.digest,
            user: self.user.username.clone(),
            created: self.created,
            used: self.used(),
            number: self.number,
            device: self.place().device.clone(),
        }
    }

    pub(super) fn allowance(&self) -> &Arc<Allowance> {
        &self.allowance
    }

    pub(super) fn connect(&self) {
        self.connections.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn disconnect(&self) {
        self.connections.fetch_sub(1, Ordering::Relaxed);
    }

    /// The position that must be durable before anybody is told of the session.
    pub(super) fn opened(&self) -> Position {
        Position::at(self.opened.load(Ordering::Relaxed))
    }

    /// Notes that the session is durable.
    pub(super) fn set_durable(&self) {
        self.opened.store(0, Ordering::Relaxed);
    }

    /// Whether its end was asked for.
    pub(super) fn is_ending(&self) -> bool {
        self.ending.load(Ordering::Relaxed)
    }

    /// Notes that its end was asked for, by the connection `origin` if it was a connection.
    pub(super) fn begin_end(&self, origin: Option<&Arc<Notifier>>) {
        self.ending.store(true, Ordering::Relaxed);
        self.notifiers().origin = origin.cloned();
    }

    /// Notes that it goes on: its end could not be stored.
    pub(super) fn cancel_end(&self) {
        self.ending.store(false, Ordering::Relaxed);
        self.notifiers().origin = None;
    }

    /// When it was last used.
    pub(super) fn used(&self) -> Timestamp {
        Timestamp(self.used_ms.load(Ordering::Relaxed))
    }

    /// Ends it, if it has not ended yet. Its connections are told when `position` is durable, except for the one that has asked
    /// for the end.
    pub(super) fn end(&self, position: Position) {
        if self.ended.swap(true, Ordering::SeqCst) {
            return;
        }
        let Notifiers { all, origin } = &mut *self.notifiers();
        for notifier in all.iter() {
            if origin.as_ref().is_some_and(|origin| Arc::ptr_eq(origin, notifier)) {
                notifier.put(|notices| notices.logged_out = true);
            } else {
                notifier.put(|notices| notices.session_ended = Some(position));
            }
        }
        *origin = None;
    }

    /// Adds a connection that is notified when the session ends.
    pub(super) fn add_notifier(&self, notifier: &Arc<Notifier>) {
        self.notifiers().all.push(notifier.clone());
        // If it has ended meanwhile, nobody else notifies the connection.
        if self.ended.load(Ordering::SeqCst) {
            notifier.put(|notices| notices.session_ended = Some(Position::START));
        }
    }

    pub(super) fn remove_notifier(&self, notifier: &Arc<Notifier>) {
        let all = &mut self.notifiers().all;
        if let Some(at) = all.iter().position(|other| Arc::ptr_eq(other, notifier)) {
            all.swap_remove(at);
        }
    }

    fn notifiers(&self) -> MutexGuard<'_, Notifiers> {
        self.notifiers.lock().expect("nothing panics while it is held")
    }

    /// Whether the store should be told of a use: once an hour. Only one of several callers gets `true`.
    pub(super) fn is_use_news(&self, now: Timestamp) -> bool {
        let stored = self.stored_used_ms.load(Ordering::Relaxed);
        now.since(Timestamp(stored)) >= HOUR
            && self
                .stored_used_ms
                .compare_exchange(stored, now.0, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }
}
