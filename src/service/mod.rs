//! What the server knows while it runs: who is logged in, who is here, who watches, who is reading which inbox.
//!
//! State is behind small methods of one owner each; no lock is held across an `await`. How bytes come and go is
//! not known here.

mod binding;
mod clock;
mod delivery;
mod login;
mod mailbox;
mod presence;
mod rate;
mod session;
mod sessions;
mod throttle;
mod watchers;

use std::{net::IpAddr, sync::Arc};

pub use binding::{Binding, Watching};
pub use clock::Clock;
pub use delivery::{Delivery, Lease, Taken};
pub use mailbox::{Mail, Mailbox};
pub use presence::Presence;
pub use rate::Rate;
pub use session::{Session, SessionEntry};
pub use sessions::Sessions;
pub use throttle::Origin;
pub use watchers::Watchers;

use self::{delivery::Inboxes, login::Hashing, presence::Attendance, throttle::Throttle};
use crate::{
    protocol::{Recipient, Refusal, Secret, Timestamp, Token, UserName},
    store::{Position, SessionRecord, Store},
    users::{User, Users},
};

/// The one service that all connections share.
pub struct Service {
    /// Who exists.
    pub users: Users,
    /// Who is logged in.
    pub sessions: Sessions,
    /// What survives.
    pub store: Arc<dyn Store>,
    /// Who is told as things happen.
    pub watchers: Arc<Watchers>,
    clock: Clock,
    hashing: Hashing,
    inboxes: Inboxes,
    attendance: Attendance,
    requests: Option<Rate>,
    throttle: Option<Throttle>,
}

/// What one user, or one who tries to be one, may ask for.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Requests of each user, over all sessions; `None` is no limit.
    pub requests: Option<Rate>,
    /// Whether tries to log in are limited, for each account and each address.
    pub tries: bool,
    /// Passwords that may wait to be checked.
    pub logins_waiting: usize,
}

impl Limits {
    /// None at all, for load tests.
    pub const NONE: Limits = Limits { requests: None, tries: false, logins_waiting: usize::MAX };
}

impl Default for Limits {
    fn default() -> Self {
        let requests = Some(Rate { per_second: 1_000, burst: 10_000 });
        Limits { requests, tries: true, logins_waiting: 1_000 }
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
    pub fn new(users: Users, store: Arc<dyn Store>, clock: Clock, limits: Limits) -> Self {
        let sessions = Sessions::default();
        for record in store.sessions() {
            // Who is not in the users file any more is not logged in.
            let live =
                users.get(&record.user).is_some_and(|user| sessions.restore(user, &record, clock.now()));
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
            clock,
            hashing: Hashing::new(limits.logins_waiting),
            inboxes: Inboxes::default(),
            attendance: Attendance::default(),
            requests: limits.requests,
            throttle: limits.tries.then(Throttle::default),
        }
    }

    /// What time it is.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Checks a password off the runtime's threads, and begins a session.
    ///
    /// # Errors
    /// [`Refusal::BadCredentials`], the same and after the same time whether the user or the password is wrong;
    /// [`Refusal::RateLimited`], before anything is checked.
    pub async fn log_in(
        self: &Arc<Self>,
        name: &str,
        password: Secret,
        from: IpAddr,
    ) -> Result<LoggedIn, Refusal> {
        let throttle = self.throttle.as_ref();
        let may_try = || throttle.map_or(Ok(()), |throttle| throttle.check(name, from, self.now()));
        may_try().inspect_err(|_| tracing::warn!(%from, "login refused: too many have failed"))?;
        let user = self.users.get(name);
        // Counted where it is found, or whoever hangs up before the answer would have guessed for nothing.
        let failed = {
            let (service, name) = (self.clone(), name.to_owned());
            move || {
                if let Some(throttle) = &service.throttle {
                    throttle.failed(&name, from, service.now());
                }
            }
        };
        let Some(user) = self.hashing.verify(user.cloned(), password, may_try, failed).await? else {
            // A name that nobody has may be a password typed in the wrong place: it is not logged.
            let known = user.map(|user| &user.username);
            tracing::warn!(%from, user = known.map(tracing::field::display), "login failed");
            return Err(Refusal::BadCredentials);
        };
        let (token, now) = (Token::random(), self.now());
        if let Some(throttle) = throttle {
            throttle.succeeded(name, from, now);
        }
        let record = SessionRecord {
            digest: token.digest(),
            user: user.username.clone(),
            created: now,
            used: now,
            number: self.sessions.next_number(&user.username),
        };
        let position = self.store.open_session(record.clone());
        let (session, displaced) = self.sessions.open(&user, &record, position, now);
        for displaced in displaced {
            self.store.end_session(displaced.digest());
        }
        self.presence_changed(&user.username);
        tracing::info!(%from, user = %user.username, "logged in");
        Ok(LoggedIn { token, session, position })
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
        self.requests.map_or(Ok(()), |rate| session.requests().take(now, rate))
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

    /// What others are shown as the name of a recipient.
    #[must_use]
    pub fn display_recipient<'a>(&'a self, recipient: &'a Recipient) -> &'a str {
        match recipient {
            Recipient::User(user) => self.display_name(user),
            Recipient::Room(room) => room,
        }
    }

    /// What others are shown as the name of a user; the user name if there is no such user any more.
    #[must_use]
    pub fn display_name<'a>(&'a self, username: &'a UserName) -> &'a str {
        self.users.get(username).map_or(username, |user: &Arc<User>| &user.name)
    }
}
