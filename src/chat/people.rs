//! Who is there: users, their presence, and their sessions.

use std::sync::Arc;

use super::{Caller, Chat, Presence, Session, SessionEntry, Source};
use crate::{
    model::{At, Outcome, Refusal, Timestamp, UserName},
    users::User,
};

/// A user, as shown to others.
pub struct Person {
    /// The user.
    pub user: Arc<User>,
    /// The user's presence.
    pub presence: Presence,
}

/// Sessions of the caller to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// The caller's own session.
    Own,
    /// The session of that number.
    Number(u64),
    /// All sessions.
    All,
}

impl Chat {
    /// All users, by name.
    pub fn who(&self) -> At<Vec<Person>> {
        let all = self.users.now();
        let mut users: Vec<_> = all.iter().collect();
        users.sort_unstable_by(|a, b| a.username.cmp(&b.username));
        let mut people = At::start(Vec::with_capacity(users.len()));
        for user in users {
            let presence = self.presence(&user.username);
            people = people.zip(presence).map(|(mut people, presence)| {
                people.push(Person { user: user.clone(), presence });
                people
            });
        }
        people
    }

    /// Names of the users who have a live session, sorted.
    pub fn active(&self, now: Timestamp) -> At<Vec<UserName>> {
        self.sessions.active(now)
    }

    /// Presence of a user, as shown to others.
    pub fn presence(&self, user: &UserName) -> At<Presence> {
        self.sessions.of_user(user, self.now()).map(|sessions| {
            let mut presence = self.presences.presence(user, sessions.len());
            let last_use = sessions.iter().map(|session| session.entry().used).max();
            // A user who was not connected since the server started was last seen when a session was used.
            presence.left = if presence.connected { presence.left } else { presence.left.or(last_use) };
            presence
        })
    }

    /// Sessions of the caller, oldest first, and whether each is the caller's own.
    pub fn own_sessions(&self, caller: &Caller<'_>) -> At<Vec<(SessionEntry, bool)>> {
        self.sessions.of_user(&caller.user().username, caller.now.at).map(|sessions| {
            let entry = |session: &Arc<Session>| (session.entry(), Arc::ptr_eq(session, caller.session));
            sessions.iter().map(entry).collect()
        })
    }

    /// Notes from where a session is used, and what its client has called the device.
    pub fn note_place(&self, session: &Session, from: Source, device: Option<&str>) {
        if let (true, Some(device)) = (session.note_place(from.address, device), device) {
            self.store.label_session(session.digest(), device);
        }
    }

    /// Ends sessions of the caller. The future completes when their ends are durable.
    ///
    /// Refuses with [`Refusal::NoSuchSession`] if there is no session of that number.
    pub fn log_out(
        self: &Arc<Self>,
        caller: &Caller<'_>,
        which: Which,
    ) -> impl Future<Output = Outcome<()>> + std::marker::Send + 'static {
        let user = caller.user().username.clone();
        let all = self.sessions.of_user(&user, caller.now.at);
        let chosen = match which {
            Which::Own => Ok(vec![caller.session.clone()]),
            Which::All => Ok(all.peek().clone()),
            Which::Number(number) => {
                let is_it = |session: &&Arc<Session>| u64::from(session.number()) == number;
                let found = all.peek().iter().find(is_it).cloned();
                found.map(|session| vec![session]).ok_or_else(|| all.map(|_| Err(Refusal::NoSuchSession)))
            }
        };
        let (chat, origin) = (self.clone(), caller.notifier.cloned());
        async move {
            match chosen {
                Ok(sessions) => At::start(chat.end_durably(&user, sessions, origin).await),
                Err(refused) => refused,
            }
        }
    }
}
