//! What the server knows while it runs: who is logged in, who is here, who watches, who is reading which inbox.
//!
//! State is behind small methods of one owner each; no lock is held across an `await`. How bytes come and go is
//! not known here.

mod account;
mod binding;
mod clock;
mod counts;
mod delivery;
mod login;
mod mailbox;
mod presence;
mod rate;
mod session;
mod sessions;
mod throttle;
mod visibility;
mod watchers;

use std::{future::Future, sync::Arc};

use tokio::sync::oneshot;

pub use account::Change;
pub use binding::{Binding, Watching};
pub use clock::Clock;
pub use counts::{Counts, Limit};
pub use delivery::{Delivery, Lease, Taken};
pub use login::spare_cores;
pub use mailbox::{Mail, Mailbox, Notices};
pub use presence::Presence;
pub use rate::Rate;
pub use session::{Session, SessionEntry};
pub use sessions::Sessions;
pub use throttle::{Origin, Tries};
pub use visibility::Part;
pub use watchers::Watchers;

use self::{delivery::Inboxes, login::Hashing, presence::Attendance, throttle::Throttle};
use crate::{
    protocol::{Refusal, Timestamp, Token, TokenDigest, UserName},
    store::{Position, Store},
    users::Directory,
};

/// The one service that all connections share.
pub struct Service {
    /// Who exists.
    pub users: Directory,
    /// Who is logged in.
    pub sessions: Arc<Sessions>,
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
        let requests = Some(Rate { per_second: 1_000, burst: 10_000 });
        Limits { requests, tries: Some(Tries::default()), logins_waiting: 1_000, renews_hashes: true }
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

/// Ends an expired session in the store.
fn end_expired(store: &Arc<dyn Store>, session: &TokenDigest) {
    // That it is not live rests on the clock alone, before and after a restart.
    let _ = store.end_session(session);
}

/// Ends a session in the store that is refused from now on. Until that is durable, whoever shows its token is told nothing:
/// after a crash it would be live again.
fn end_refused(store: &Arc<dyn Store>, sessions: &Arc<Sessions>, session: TokenDigest) {
    let position = store.end_session(&session);
    sessions.refuse(&session, position);
    let sessions = sessions.clone();
    store.durability().when_settled(position, move |result| {
        if result.is_ok() {
            sessions.forget_refused(&session);
        }
    });
}

impl Service {
    /// A service in which those are logged in whose sessions the store has kept.
    #[must_use]
    pub fn new(users: impl Into<Directory>, store: Arc<dyn Store>, clock: Clock, limits: Limits) -> Self {
        let (users, sessions) = (users.into(), Arc::<Sessions>::default());
        for record in store.sessions() {
            match users.get(&record.user) {
                // A user who is not in the users file any more is not logged in.
                None => end_refused(&store, &sessions, record.digest),
                Some(user) if sessions.restore(&user, &record, clock.now()) => {}
                Some(_) => end_expired(&store, &record.digest),
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

    /// Ends a session that has expired, if nobody has; its connections are told.
    pub fn end_expired(&self, session: &Session) {
        end_expired(&self.store, session.digest());
        self.sessions.end(session);
    }

    /// Ends a session at once, whether or not its end can be stored; its connections are told when that is durable.
    pub(super) fn revoke(&self, session: &Session) {
        end_refused(&self.store, &self.sessions, *session.digest());
        self.sessions.end(session);
    }

    /// Ends sessions, each when its end is stored, even if nobody waits for that; `origin` is the connection that asked for
    /// it. Until then they are live, and nobody is told anything else.
    ///
    /// # Errors
    /// What kept an end from being stored: that session goes on.
    pub(super) fn end_sessions(
        &self,
        sessions: &[Arc<Session>],
        origin: Option<&Arc<Mailbox>>,
    ) -> impl Future<Output = Result<(), Refusal>> + Send + use<> {
        let end = |session: &Arc<Session>| {
            let (done, ended) = oneshot::channel();
            let (table, session, origin) = (self.sessions.clone(), session.clone(), origin.cloned());
            let position = self.store.end_session(session.digest());
            self.store.durability().when_settled(position, move |result| {
                match result {
                    Ok(()) => table.end_by(&session, origin.as_ref()),
                    Err(_) => session.set_ending(false),
                }
                done.send(result).ok();
            });
            ended
        };
        let ends: Vec<_> = sessions.iter().map(end).collect();
        async move {
            let mut result = Ok(());
            for end in ends {
                result = result.and(end.await.unwrap_or(Err(Refusal::Internal)));
            }
            result
        }
    }

    /// Ends sessions of a user, once their ends are stored; `origin` is the connection that asked for it.
    ///
    /// # Errors
    /// What kept an end from being stored: that session goes on.
    pub async fn log_out(
        self: &Arc<Self>,
        user: &UserName,
        sessions: &[Arc<Session>],
        origin: Option<&Arc<Mailbox>>,
    ) -> Result<(), Refusal> {
        let ended = self.end_sessions(sessions, origin).await;
        self.presence_changed(user);
        ended?;
        tracing::info!(%user, sessions = sessions.len(), "logged out");
        Ok(())
    }

    /// How a user is shown to others, and what must be durable before that is told.
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
