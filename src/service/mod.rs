//! What the server knows while it runs: who is logged in, who is here, who watches, who is reading which inbox.
//!
//! State is behind small methods of one owner each; no lock is held across an `await`. How bytes come and go is
//! not known here.

mod account;
mod binding;
mod clock;
mod counts;
mod delivery;
mod limiter;
mod login;
mod mailbox;
mod presence;
mod session;
mod sessions;
mod throttle;
mod watchers;

use std::sync::Arc;

pub use account::Change;
pub use binding::{Binding, Watching};
pub use clock::Clock;
pub use counts::{Counts, Limit};
pub use delivery::{Delivery, Lease, Taken};
pub use limiter::Rate;
pub use login::spare_cores;
pub use mailbox::{Mail, Mailbox, Notices};
pub use presence::Presence;
pub use session::{Session, SessionEntry};
pub use sessions::Sessions;
pub use throttle::{Origin, Tries};
pub use watchers::Watchers;

use self::{delivery::Inboxes, login::Hashing, presence::Attendance, throttle::Throttle};
use crate::{
    config::defaults,
    protocol::{Refusal, Timestamp, Token, UserName},
    store::{Position, Store},
    users::Directory,
};

/// The one service that all connections share.
pub struct Service {
    /// Who exists.
    pub users: Directory,
    /// Who is logged in.
    pub sessions: Sessions,
    /// What survives.
    pub store: Arc<dyn Store>,
    /// Who is told as things happen.
    pub watchers: Arc<Watchers>,
    /// How often limits were reached.
    pub counts: Counts,
    clock: Clock,
    hashing: Hashing,
    inboxes: Inboxes,
    attendance: Attendance,
    requests: Option<Rate>,
    throttle: Option<Throttle>,
    renews_hashes: bool,
    /// Held by who changes who exists; across an `await`, because it takes a file's writing.
    changing: tokio::sync::Mutex<()>,
}

/// What one user, or one who tries to be one, may ask for.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Requests of each user, over all sessions; `None` is no limit.
    pub requests: Option<Rate>,
    /// How many tries to log in may fail; `None` is any number.
    pub tries: Option<Tries>,
    /// Passwords that may wait to be checked.
    pub logins_waiting: usize,
    /// Whether weak hashes are renewed when somebody logs in.
    pub renews_hashes: bool,
}

impl Limits {
    /// None at all, for load tests.
    pub const NONE: Limits =
        Limits { requests: None, tries: None, logins_waiting: usize::MAX, renews_hashes: false };
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            requests: Some(Rate { per_second: defaults::REQUEST_RATE, burst: defaults::REQUEST_BURST }),
            tries: Some(Tries::default()),
            logins_waiting: defaults::LOGIN_QUEUE,
            renews_hashes: true,
        }
    }
}

/// A login that succeeded.
pub struct LoggedIn {
    /// Shown once, to the one who logged in.
    pub token: Token,
    /// The session that the token proves.
    pub session: Arc<Session>,
    /// What must be durable before the token is shown.
    pub position: Position,
}

impl Service {
    /// A service in which those are logged in whose sessions the store has kept.
    #[must_use]
    pub fn new(users: impl Into<Directory>, store: Arc<dyn Store>, clock: Clock, limits: Limits) -> Self {
        let (users, sessions) = (users.into(), Sessions::default());
        for record in store.sessions() {
            // Who is not in the users file any more is not logged in.
            let live =
                users.get(&record.user).is_some_and(|user| sessions.restore(&user, &record, clock.now()));
            if !live {
                store.end_session(&record.digest);
            }
        }
        let watchers = Arc::new(Watchers::default());
        watchers.set_store(&store);
        store.subscribe(watchers.clone());
        Service {
            users,
            sessions,
            store,
            watchers,
            counts: Counts::default(),
            clock,
            hashing: Hashing::new(limits.logins_waiting),
            inboxes: Inboxes::default(),
            attendance: Attendance::default(),
            requests: limits.requests,
            throttle: limits.tries.map(Throttle::new),
            renews_hashes: limits.renews_hashes,
            changing: tokio::sync::Mutex::default(),
        }
    }

    /// What time it is.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The live session that the token proves.
    #[must_use]
    pub fn find_session(&self, token: &Token, now: Timestamp) -> Option<Arc<Session>> {
        let session = self.sessions.find(token)?;
        if !session.is_live(now) {
            self.end_expired(&session);
            return None;
        }
        Some(session)
    }

    /// Ends a session that is not live any more, if nobody has; its connections are told.
    pub fn end_expired(&self, session: &Session) {
        self.store.end_session(session.digest());
        self.sessions.end(session);
    }

    /// Ends sessions of a user, once their ends are stored; `origin` is the connection that asked for it.
    ///
    /// # Errors
    /// What kept their ends from being stored: they go on.
    pub async fn log_out(
        self: &Arc<Self>,
        user: &UserName,
        sessions: &[Arc<Session>],
        origin: Option<&Arc<Mailbox>>,
    ) -> Result<(), Refusal> {
        let ends: Vec<_> = sessions.iter().map(|session| self.store.end_session(session.digest())).collect();
        for (session, position) in sessions.iter().zip(ends) {
            self.store.durability().settled(position).await?;
            self.sessions.end_by(session, origin);
        }
        self.presence_changed(user);
        tracing::info!(%user, sessions = sessions.len(), "logged out");
        Ok(())
    }

    /// How a user is shown to others, and what must be durable before that is told.
    #[must_use]
    pub fn presence(&self, user: &UserName) -> (Presence, Position) {
        let now = self.now();
        let (sessions, position) = self.sessions.of_user(user, now);
        let mut presence = self.attendance.presence(user, sessions.len());
        let last_use = sessions.iter().map(|session| session.entry().used).max();
        // Who was not connected since the server started was last seen when a session was used.
        presence.left = if presence.connected { presence.left } else { presence.left.or(last_use) };
        (presence, position)
    }

    /// Counts a request of a session's user.
    ///
    /// # Errors
    /// [`Refusal::RateLimited`] if there were too many.
    pub fn count_request(&self, session: &Session, now: Timestamp) -> Result<(), Refusal> {
        let taken = self.requests.map_or(Ok(()), |rate| session.requests().take(now, rate));
        taken.inspect_err(|_| self.counts.count(Limit::RequestRate))
    }

    /// Puts off a session's expiry, if it is live; returns whether it is. The store hears of it once an hour.
    #[must_use]
    pub fn touch(&self, session: &Session, now: Timestamp) -> bool {
        let live = session.touch(now);
        if live && session.is_use_news(now) {
            self.store.touch_session(session.digest(), now);
        }
        live
    }

    /// There may be messages for the user that nobody told of.
    pub fn look_again(&self, user: &UserName) {
        self.watchers.news(user);
    }

    /// Waits until nobody else reads the user's inbox, and keeps everybody else waiting as long as the lease lives.
    pub async fn lease_inbox(self: &Arc<Self>, user: &UserName) -> Lease {
        self.inboxes.lease(user, self.clone()).await
    }
}
