//! What the server knows while it runs: who is logged in, and who is reading which inbox.
//!
//! State is behind small methods of one owner each; no lock is held across an `await`. How bytes come and go is
//! not known here.

mod clock;
mod delivery;
mod login;
mod sessions;

use std::{net::IpAddr, sync::Arc};

pub use clock::Clock;
pub use delivery::{Delivery, Lease};
pub use sessions::{Session, Sessions};

use self::{delivery::Inboxes, login::Hashing};
use crate::{
    protocol::{Refusal, Secret, Timestamp, Token, UserName},
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
    clock: Clock,
    hashing: Hashing,
    inboxes: Inboxes,
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
    pub fn new(users: Users, store: Arc<dyn Store>, clock: Clock) -> Self {
        let sessions = Sessions::default();
        for record in store.sessions() {
            // Who is not in the users file any more is not logged in.
            let live =
                users.get(&record.user).is_some_and(|user| sessions.restore(user, &record, clock.now()));
            if !live {
                store.end_session(&record.digest);
            }
        }
        Service { users, sessions, store, clock, hashing: Hashing::default(), inboxes: Inboxes::default() }
    }

    /// What time it is.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Checks a password off the runtime's threads, and begins a session.
    ///
    /// # Errors
    /// [`Refusal::BadCredentials`], the same and after the same time whether the user or the password is wrong.
    pub async fn log_in(&self, name: &str, password: Secret, from: IpAddr) -> Result<LoggedIn, Refusal> {
        let user = self.users.get(name);
        let Some(user) = self.hashing.verify(user.cloned(), password).await? else {
            // A name that nobody has may be a password typed in the wrong place: it is not logged.
            let known = user.map(|user| &user.username);
            tracing::warn!(%from, user = known.map(tracing::field::display), "login failed");
            return Err(Refusal::BadCredentials);
        };
        let (token, now) = (Token::random(), self.now());
        let record =
            SessionRecord { digest: token.digest(), user: user.username.clone(), created: now, used: now };
        let position = self.store.open_session(record.clone());
        let (session, displaced) = self.sessions.open(&user, &record, position, now);
        for displaced in displaced {
            self.store.end_session(displaced.digest());
        }
        tracing::info!(%from, user = %user.username, "logged in");
        Ok(LoggedIn { token, session, position })
    }

    /// The live session that the token proves.
    #[must_use]
    pub fn find_session(&self, token: &Token, now: Timestamp) -> Option<Arc<Session>> {
        let session = self.sessions.find(token)?;
        if !session.is_live(now) {
            self.store.end_session(session.digest());
            self.sessions.end(&session);
            return None;
        }
        Some(session)
    }

    /// Ends a session, once its end is stored.
    ///
    /// # Errors
    /// What kept its end from being stored: the session goes on.
    pub async fn log_out(&self, session: &Session) -> Result<(), Refusal> {
        let position = self.store.end_session(session.digest());
        self.store.durability().settled(position).await?;
        self.sessions.end(session);
        tracing::info!(user = %session.user().username, "logged out");
        Ok(())
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

    /// Waits until nobody else reads the user's inbox, and keeps everybody else waiting as long as the lease lives.
    pub async fn lease_inbox(&self, user: &UserName) -> Lease {
        self.inboxes.lease(user, self.store.clone(), self.clock.clone()).await
    }

    /// What others are shown as the name of a user; the user name if there is no such user any more.
    #[must_use]
    pub fn display_name<'a>(&'a self, username: &'a UserName) -> &'a str {
        self.users.get(username).map_or(username, |user: &Arc<User>| &user.name)
    }
}
