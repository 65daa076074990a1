//! What a chat server does: logging in, sending, reading, rooms, presence, events.
//!
//! The use cases are methods of [`Chat`]. Each takes a [`Caller`] and typed values, and returns a typed outcome with the
//! position that it depends on. This module knows neither bytes nor disks: a wire parses requests and renders outcomes, and a
//! [`Store`] keeps what must survive.
//!
//! **Invariant:** every rule of the product stands here, once. **Invariant:** no lock is held across an `await`.

mod account;
mod admission;
mod allowance;
mod binding;
mod changes;
mod clock;
mod conversations;
mod counts;
mod fair_queue;
mod hash_pool;
mod inbox;
mod limiter;
mod limits;
mod logins;
mod messages;
mod notifier;
mod owners;
mod people;
mod presence;
mod reply_memory;
mod rooms;
mod session;
mod sessions;
mod shares;
mod similar;
mod source;
mod subscription;
mod throttle;
mod visibility;
mod watchers;

use std::{
    io,
    sync::{Arc, Mutex},
};

pub use admission::Change;
pub use allowance::Seat;
pub use binding::Binding;
pub use clock::Clock;
pub use counts::{Counts, Limit};
pub use hash_pool::spare_cores;
pub use inbox::{Acked, Delivery, TakenPage};
pub use limiter::Rate;
pub use limits::Limits;
pub use messages::{DeliveryState, History, MessageStatus, ReadState, Send};
pub use notifier::{Notices, Notifier, Pending};
pub use people::{Person, Which};
pub use presence::Presence;
pub use reply_memory::{PAGE_MEMORY, ReplyMemory, Reserved};
pub use session::{Session, SessionEntry};
pub use source::Source;
pub use subscription::{Event, Pushed, Start, Subscription};
pub use throttle::{Origin, Tries};

use self::{
    binding::spawn, changes::Reactions, hash_pool::HashPool, inbox::Inboxes, limiter::Limiter,
    logins::Logins, messages::Daily, owners::Owners, presence::PresenceTable, sessions::Sessions,
    shares::Shares, throttle::Throttle, watchers::Watchers,
};
use tokio::sync::Semaphore;

use crate::{
    model::{
        ClockTrust, MaybeReady, Moment, Outcome, Position, Recipient, Refusal, Timestamp, Token, TokenDigest,
        Uptime, UserName,
    },
    store::{CommitLog, Store},
    users::{Directory, User},
};

/// The use cases, and the state that they share. One instance serves all connections.
pub struct Chat {
    users: Arc<Directory>,
    sessions: Arc<Sessions>,
    store: Arc<dyn Store>,
    watchers: Arc<Watchers>,
    owners: Owners,
    counts: Counts,
    clock: Clock,
    /// What outlives the process ends by a clock that is believed only.
    clock_trust: Mutex<ClockTrust>,
    hash_pool: HashPool,
    inboxes: Inboxes,
    presences: PresenceTable,
    limits: Limits,
    /// Memory for replies to all users, in KiB.
    reply_memory: Option<Arc<Semaphore>>,
    /// Turns to make large replies.
    large_turns: Option<Arc<Semaphore>>,
    shares: Option<Arc<Shares>>,
    daily: Option<Daily>,
    anonymous: Option<Limiter<Origin>>,
    throttle: Option<Throttle>,
    logins: Arc<Logins>,
    new_rooms: Option<Limiter<UserName>>,
    /// By who is typing, and to whom.
    typing: Limiter<(UserName, Recipient)>,
    /// Held while the set of users is changed; across an `await`, because a change writes a file.
    changing: tokio::sync::Mutex<()>,
}

/// Who makes a request, and from where.
#[derive(Clone, Copy)]
pub struct Caller<'a> {
    /// The session, which is live.
    pub session: &'a Arc<Session>,
    /// Notifications of the connection, if it takes any. It is not told what it has done itself.
    pub notifier: Option<&'a Arc<Notifier>>,
    /// The connection.
    pub from: Source,
    /// When the request came.
    pub now: Moment,
}

impl<'a> Caller<'a> {
    /// The user.
    #[must_use]
    pub fn user(&self) -> &'a Arc<User> {
        self.session.user()
    }
}

/// Result of a login.
pub struct LoggedIn {
    /// The token. Only the user who has logged in may see it.
    pub token: Token,
    /// The session that it proves.
    pub session: Arc<Session>,
    /// Counts the connection; `None` if a session of the same user was shown on it before.
    pub seat: Option<Seat>,
}

impl Chat {
    /// Opens a chat over a store. Sessions that the store has kept are live again.
    ///
    /// Of the users, those about whose names the operator has decided something, or must decide, are left out until
    /// [`admit_users`](Chat::admit_users).
    #[must_use]
    pub fn new(users: impl Into<Directory>, store: Arc<dyn Store>, clock: Clock, limits: Limits) -> Self {
        let (users, sessions) = (Arc::new(users.into()), Arc::new(Sessions::new(limits)));
        let watchers = Arc::new(Watchers::default());
        let shares = limits.inbox_share.map(|most| Arc::new(Shares::new(most)));
        let reactions = Reactions {
            users: users.clone(),
            sessions: sessions.clone(),
            watchers: watchers.clone(),
            shares: shares.clone(),
        };
        store.subscribe(Arc::new(reactions));
        let (owners, seen) = (Owners::new(store.people()), store.seen());
        let chat = Chat {
            users,
            sessions,
            store,
            watchers,
            owners,
            counts: Counts::default(),
            clock_trust: Mutex::new(ClockTrust::new(seen, clock.moment())),
            hash_pool: HashPool::new(limits.logins_waiting, clock.is_beside_simulated()),
            clock,
            inboxes: Inboxes::default(),
            presences: PresenceTable::default(),
            limits,
            reply_memory: limits.reply_memory.map(|memory| reply_memory::pot(memory.all)),
            large_turns: limits.reply_memory.map(|_| Arc::new(Semaphore::new(spare_cores()))),
            shares,
            daily: limits.daily.map(Daily::new),
            anonymous: limits.anonymous.map(|rate| Limiter::new(rate.into())),
            throttle: limits.tries.map(Throttle::new),
            logins: Arc::new(Logins::new(limits.logins)),
            new_rooms: limits.new_rooms.map(|most| Limiter::new(rooms::new_rooms(most))),
            typing: Limiter::new(conversations::typing()),
            changing: tokio::sync::Mutex::default(),
        };
        if let Some(throttle) = &chat.throttle {
            throttle.restore(chat.store.trusted());
        }
        chat.leave_out_claimed();
        for record in chat.store.sessions() {
            match chat.users.get(&record.user) {
                None => chat.sessions.suspend_record(&record),
                Some(user) => chat.restore_session(&user, &record),
            }
        }
        chat
    }

    /// The time by the wall clock.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The time since the process began.
    #[must_use]
    pub fn uptime(&self) -> Uptime {
        self.clock.uptime()
    }

    /// The time by both clocks.
    #[must_use]
    pub fn moment(&self) -> Moment {
        self.clock.moment()
    }

    /// The users.
    #[must_use]
    pub fn users(&self) -> &Directory {
        &self.users
    }

    /// The limits.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The system's error if there is no thread to hash passwords on, so that nobody can log in.
    #[must_use]
    pub fn lacks_hash_thread(&self) -> Option<&io::Error> {
        self.hash_pool.lacks_thread()
    }

    /// How often each limit was reached.
    #[must_use]
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Reports which positions are durable.
    #[must_use]
    pub fn log(&self) -> &Arc<CommitLog> {
        self.store.log()
    }

    /// The position that must be settled before more should be asked for; `None` if there is room.
    #[must_use]
    pub fn backpressure(&self) -> Option<Position> {
        self.store.backpressure()
    }

    /// What an OK promises: `fsync`, `os` or `none`.
    #[must_use]
    pub fn durability_level(&self) -> &'static str {
        self.store.durability_level()
    }

    /// Most messages that may wait in one inbox, those to rooms not counted.
    #[must_use]
    pub fn inbox_limit(&self) -> usize {
        self.store.inbox_limit()
    }

    /// The live session that the token proves.
    #[must_use]
    pub fn find_session(&self, token: &Token, now: Timestamp) -> Option<Arc<Session>> {
        let session = self.sessions.find(token)?;
        if !session.is_live(now) {
            if self.believes_clock() {
                self.end_expired(&session);
            }
            return None;
        }
        Some(session)
    }

    /// The position that must be durable before anybody is told that this session is not live.
    pub fn end_position(&self, session: &TokenDigest) -> Position {
        self.sessions.end_position(session)
    }

    /// Counts a request of a session's user.
    ///
    /// # Errors
    /// [`Refusal::RateLimited`] if there were too many.
    pub fn count_request(&self, session: &Session, from: Source, now: Uptime) -> Result<(), Refusal> {
        let taken = self.limits.requests.map_or(Ok(()), |rate| session.allowance().requests.take(now, rate));
        taken.inspect_err(|_| self.note_limit(Limit::RequestRate, from, Some(session)))
    }

    /// Counts a request that came without a live session from an address.
    ///
    /// # Errors
    /// [`Refusal::RateLimited`] if there were too many.
    pub fn count_anonymous(&self, from: Source, now: Uptime) -> Result<(), Refusal> {
        let origin = Origin::of(from.address);
        let taken = self.anonymous.as_ref().map_or(Ok(()), |anonymous| anonymous.take(origin, now));
        taken.inspect_err(|_| self.note_limit(Limit::AnonymousRate, from, None))
    }

    /// Notes a use of a session, which puts off its expiry. Returns whether it is live.
    #[must_use]
    pub fn touch(&self, session: &Session, now: Timestamp) -> bool {
        let live = session.touch(now);
        // The store is told once an hour.
        if live && session.is_use_news(now) {
            self.store.touch_session(session.digest(), now);
        }
        live
    }

    /// Whether the clock is believed. Otherwise expired sessions are refused, but kept.
    fn believes_clock(&self) -> bool {
        let now = self.moment();
        self.clock_trust.lock().expect("nothing panics while it is held").observe(now)
    }

    /// Ends a session that has expired; its connections are notified.
    fn end_expired(&self, session: &Session) {
        self.forget_session(session.digest());
        self.sessions.end(session);
    }

    /// Removes a session that has expired from the store.
    fn forget_session(&self, session: &TokenDigest) {
        // Whether it is live depends on the clock alone, before and after a restart: nobody has to wait for the store.
        if let MaybeReady::Late(ended) = self.store.end_session(session) {
            spawn(async move {
                let _ = ended.await;
            });
        }
    }

    /// Ends a session at once, whether or not its end can be stored; its connections are told when that is durable.
    fn revoke(&self, session: &Session) {
        self.refuse_session(*session.digest());
        self.sessions.end(session);
    }

    /// Ends a session in the store that is refused from now on. Until that is durable, a peer that shows its token gets no reply:
    /// after a crash the session would be live again.
    fn refuse_session(&self, session: TokenDigest) {
        let (sessions, log) = (self.sessions.clone(), self.store.log().clone());
        let refuse = move |ended: Outcome<()>| {
            sessions.refuse(&session, ended.position());
            log.when_settled(ended.position(), move |result| {
                if result.is_ok() {
                    sessions.ended(&session);
                }
            });
        };
        match self.store.end_session(&session) {
            MaybeReady::Ready(ended) => refuse(ended),
            MaybeReady::Late(ended) => spawn(async move { refuse(ended.await) }),
        }
    }

    /// Ends sessions of a user: each ends when its end is durable, even if the future is dropped. Until then it is live, and
    /// nobody is told anything else. `origin` is the connection that asks for it.
    ///
    /// # Errors
    /// The reason why an end cannot be stored. That session goes on.
    async fn end_durably(
        self: &Arc<Self>,
        user: &UserName,
        sessions: Vec<Arc<Session>>,
        origin: Option<Arc<Notifier>>,
    ) -> Result<(), Refusal> {
        let numbers: Vec<_> = sessions.iter().map(|session| session.number().to_string()).collect();
        let chat = self.clone();
        let ending = tokio::spawn(async move {
            let mut result = Ok(());
            let receipts: Vec<_> = sessions
                .into_iter()
                .map(|session| {
                    session.begin_end(origin.as_ref());
                    (chat.store.end_session(session.digest()), session)
                })
                .collect();
            for (receipt, session) in receipts {
                match chat.store.log().durable(receipt.await).await {
                    // The store reports it, too, but perhaps later.
                    Ok(()) => chat.sessions.end(&session),
                    Err(refusal) => {
                        session.cancel_end();
                        result = result.and(Err(refusal));
                    }
                }
            }
            result
        });
        let ended = ending.await.unwrap_or(Err(Refusal::Internal));
        self.presence_changed(user);
        ended?;
        if !numbers.is_empty() {
            tracing::info!(%user, sessions = numbers.join(","), "logged out");
        }
        Ok(())
    }
}
