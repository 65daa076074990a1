//! Who is logged in.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::Duration,
};

use crate::{
    protocol::{Timestamp, Token, TokenDigest, UserName},
    users::User,
};

/// The most sessions that a user has; one more ends the one that was not used for the longest time.
pub(super) const MAX_SESSIONS: usize = 100;

const DAY: Duration = Duration::from_hours(24);

/// A session that nobody uses ends after this time,
pub(super) const IDLE: Duration = DAY.saturating_mul(30);

/// and every session after this one.
pub(super) const LIFETIME: Duration = DAY.saturating_mul(90);

/// One login of one user: a device.
#[derive(Debug)]
pub struct Session {
    digest: TokenDigest,
    user: Arc<User>,
    created: Timestamp,
    used_ms: AtomicI64,
    ended: AtomicBool,
}

impl Session {
    /// Whose it is.
    #[must_use]
    pub fn user(&self) -> &Arc<User> {
        &self.user
    }

    /// When it began.
    #[must_use]
    pub fn created(&self) -> Timestamp {
        self.created
    }

    /// What it is kept under.
    #[must_use]
    pub fn digest(&self) -> &TokenDigest {
        &self.digest
    }

    /// Whether it has neither ended nor expired.
    #[must_use]
    pub fn is_live(&self, now: Timestamp) -> bool {
        let used = Timestamp(self.used_ms.load(Ordering::Relaxed));
        !self.ended.load(Ordering::Acquire) && now.since(used) < IDLE && now.since(self.created) < LIFETIME
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
}

/// All sessions. Those that expired go when somebody next looks at their user or their token.
#[derive(Default)]
pub struct Sessions(Mutex<Table>);

#[derive(Default)]
struct Table {
    by_token: HashMap<TokenDigest, Arc<Session>>,
    /// By name, because that is how they are listed. No list is empty.
    by_user: BTreeMap<UserName, Vec<Arc<Session>>>,
}

impl Sessions {
    /// Begins a session. Returns the one that it displaced, too, if the user had as many as there may be.
    pub fn open(&self, user: &Arc<User>, now: Timestamp) -> (Token, Arc<Session>, Option<Arc<Session>>) {
        let token = Token::random();
        let session = Arc::new(Session {
            digest: token.digest(),
            user: user.clone(),
            created: now,
            used_ms: AtomicI64::new(now.0),
            ended: AtomicBool::new(false),
        });
        let mut table = self.lock();
        table.forget_expired(&user.username, now);
        let displaced = table.by_user.get(&user.username).filter(|own| own.len() >= MAX_SESSIONS);
        let displaced =
            displaced.and_then(|own| own.iter().min_by_key(|s| s.used_ms.load(Ordering::Relaxed)).cloned());
        if let Some(displaced) = &displaced {
            table.end(displaced);
        }
        table.by_token.insert(session.digest, session.clone());
        table.by_user.entry(user.username.clone()).or_default().push(session.clone());
        (token, session, displaced)
    }

    /// The live session that the token proves.
    #[must_use]
    pub fn find(&self, token: &Token, now: Timestamp) -> Option<Arc<Session>> {
        let mut table = self.lock();
        let session = table.by_token.get(&token.digest())?.clone();
        if !session.is_live(now) {
            table.end(&session);
            return None;
        }
        Some(session)
    }

    /// Ends a session, if it has not ended yet.
    pub fn end(&self, session: &Session) {
        self.lock().end(session);
    }

    /// The names of all who hold a live session, sorted.
    #[must_use]
    pub fn active(&self, now: Timestamp) -> Vec<UserName> {
        let table = self.lock();
        let live = table.by_user.iter().filter(|(_, own)| own.iter().any(|session| session.is_live(now)));
        live.map(|(name, _)| name.clone()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().expect("nothing panics while it is held")
    }
}

impl Table {
    fn end(&mut self, session: &Session) {
        session.ended.store(true, Ordering::Release);
        self.by_token.remove(&session.digest);
        let name = &session.user.username;
        if let Some(own) = self.by_user.get_mut(name) {
            own.retain(|other| other.digest != session.digest);
            if own.is_empty() {
                self.by_user.remove(name);
            }
        }
    }

    fn forget_expired(&mut self, name: &UserName, now: Timestamp) {
        let own = self.by_user.get(name).into_iter().flatten();
        let expired: Vec<_> = own.filter(|session| !session.is_live(now)).cloned().collect();
        for session in expired {
            self.end(&session);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{protocol::Secret, users::Password};

    fn user(name: &str) -> Arc<User> {
        Arc::new(User {
            username: UserName::parse(name).expect("a name"),
            name: name.to_owned(),
            country: String::new(),
            password: Password::Plain(Secret::new("surabaya".into())),
        })
    }

    fn after(time: Duration) -> Timestamp {
        Timestamp(i64::try_from(time.as_millis()).expect("in range"))
    }

    fn active(sessions: &Sessions, now: Timestamp) -> Vec<String> {
        sessions.active(now).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_token_finds_its_session_until_it_ends() {
        let sessions = Sessions::default();
        let now = Timestamp(0);
        let (token, session, _) = sessions.open(&user("messi"), now);
        let found = sessions.find(&token, now).expect("live");
        assert!(Arc::ptr_eq(&found, &session));
        assert!(sessions.find(&Token::random(), now).is_none());
        sessions.end(&session);
        assert!(sessions.find(&token, now).is_none());
        assert!(!session.touch(now));
        assert_eq!(active(&sessions, now), [""; 0]);
    }

    #[test]
    fn a_session_expires_when_unused_and_at_the_end_of_its_life() {
        let sessions = Sessions::default();
        let (token, session, _) = sessions.open(&user("messi"), Timestamp(0));
        let tick = Duration::from_millis(1);
        assert!(session.touch(after(IDLE.checked_sub(tick).unwrap())));
        assert!(session.touch(after(2 * IDLE.checked_sub(tick).unwrap())));
        assert!(session.touch(after(LIFETIME.checked_sub(4 * tick).unwrap())));
        assert_eq!(active(&sessions, after(LIFETIME.checked_sub(tick).unwrap())), ["messi"]);
        assert_eq!(active(&sessions, after(LIFETIME)), [""; 0]);
        assert!(sessions.find(&token, after(LIFETIME)).is_none());

        let (token, ..) = sessions.open(&user("messi"), Timestamp(0));
        assert!(sessions.find(&token, after(IDLE)).is_none());
    }

    #[test]
    fn the_longest_unused_session_makes_room() {
        let sessions = Sessions::default();
        let messi = user("messi");
        let held: Vec<_> = (0..100).map(|i| sessions.open(&messi, Timestamp(i))).collect();
        assert!(held[0].1.touch(Timestamp(500)));
        let (.., displaced) = sessions.open(&messi, Timestamp(1000));
        assert!(Arc::ptr_eq(&displaced.expect("one"), &held[1].1));
        let live = held.iter().filter(|(token, ..)| sessions.find(token, Timestamp(1000)).is_some()).count();
        assert_eq!(live, 99);
        assert!(sessions.open(&user("henderson"), Timestamp(1000)).2.is_none());
        assert_eq!(active(&sessions, Timestamp(1000)), ["henderson", "messi"]);
    }

    #[test]
    fn expired_sessions_make_room_first() {
        let sessions = Sessions::default();
        let messi = user("messi");
        let old: Vec<_> = (0..100).map(|_| sessions.open(&messi, Timestamp(0))).collect();
        let (.., displaced) = sessions.open(&messi, after(IDLE));
        assert!(displaced.is_none());
        assert_eq!(sessions.lock().by_token.len(), 1);
        drop(old);
    }
}
