//! Who is logged in.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard},
};

use super::{limiter::Bucket, mailbox::Mailbox, session::Session};
use crate::{
    protocol::{Timestamp, Token, TokenDigest, UserName},
    store::{Position, SessionRecord},
    users::User,
};

/// The most sessions that a user has; one more ends the one that was not used for the longest time.
pub(super) const MAX_SESSIONS: usize = 100;

/// All sessions. Those that expired go when somebody next looks at their user or their token.
#[derive(Default)]
pub struct Sessions(Mutex<Table>);

#[derive(Default)]
struct Table {
    by_token: HashMap<TokenDigest, Arc<Session>>,
    /// By name, because that is how they are listed. No list is empty.
    by_user: BTreeMap<UserName, Vec<Arc<Session>>>,
    /// The last number of a session of each user.
    numbers: HashMap<UserName, u32>,
    /// What each user asks for.
    buckets: HashMap<UserName, Arc<Bucket>>,
    /// What must be durable before anybody may be told of the latest change.
    position: Position,
}

impl Sessions {
    /// Begins a session that the store keeps at `position`. Returns those of the user, too, that ended by that: the
    /// expired, and the longest unused of more than there may be.
    pub(super) fn open(
        &self,
        user: &Arc<User>,
        record: &SessionRecord,
        position: Position,
        now: Timestamp,
    ) -> (Arc<Session>, Vec<Arc<Session>>) {
        let mut table = self.lock();
        let session = Session::new(user, record, table.bucket(&user.username));
        let mut displaced = table.end_expired(&user.username, now);
        while let Some(longest_unused) = table.excess(&user.username) {
            table.end(&longest_unused, None);
            displaced.push(longest_unused);
        }
        table.insert(&session);
        table.position = table.position.max(position);
        (session, displaced)
    }

    /// The number of the user's next session.
    pub(super) fn next_number(&self, user: &UserName) -> u32 {
        let mut table = self.lock();
        let number = table.numbers.entry(user.clone()).or_default();
        *number += 1;
        *number
    }

    /// The user's live sessions, the oldest first, and what must be durable before they are told.
    #[must_use]
    pub fn of_user(&self, user: &UserName, now: Timestamp) -> (Vec<Arc<Session>>, Position) {
        let table = self.lock();
        let live = table.by_user.get(user).into_iter().flatten().filter(|session| session.is_live(now));
        (live.cloned().collect(), table.position)
    }

    /// A session that the store has kept; returns whether it is live.
    pub(super) fn restore(&self, user: &Arc<User>, record: &SessionRecord, now: Timestamp) -> bool {
        let mut table = self.lock();
        let last = table.numbers.entry(user.username.clone()).or_default();
        // Sessions from before they had numbers get one.
        let number = if record.number == 0 { *last + 1 } else { record.number };
        *last = number.max(*last);
        let record = SessionRecord { number, ..record.clone() };
        let session = Session::new(user, &record, table.bucket(&user.username));
        let live = session.is_live(now);
        if live {
            table.insert(&session);
        }
        live
    }

    /// What must be durable before anybody may be told who is logged in, or not.
    #[must_use]
    pub fn position(&self) -> Position {
        self.lock().position
    }

    /// The session that the token proves, expired or not.
    #[must_use]
    pub fn find(&self, token: &Token) -> Option<Arc<Session>> {
        self.lock().by_token.get(&token.digest()).cloned()
    }

    /// Ends a session, if it has not ended yet.
    pub fn end(&self, session: &Session) {
        self.lock().end(session, None);
    }

    /// The same, because the connection of that mailbox asked for it.
    pub(super) fn end_by(&self, session: &Session, origin: Option<&Arc<Mailbox>>) {
        self.lock().end(session, origin);
    }

    /// Whether the user has a live session.
    #[must_use]
    pub fn is_active(&self, user: &UserName, now: Timestamp) -> bool {
        let table = self.lock();
        table.by_user.get(user).into_iter().flatten().any(|session| session.is_live(now))
    }

    /// The names of all who hold a live session, sorted, and what must be durable before they are told.
    #[must_use]
    pub fn active(&self, now: Timestamp) -> (Vec<UserName>, Position) {
        let table = self.lock();
        let live = table.by_user.iter().filter(|(_, own)| own.iter().any(|session| session.is_live(now)));
        (live.map(|(name, _)| name.clone()).collect(), table.position)
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().expect("nothing panics while it is held")
    }
}

impl Table {
    fn bucket(&mut self, user: &UserName) -> Arc<Bucket> {
        self.buckets.entry(user.clone()).or_default().clone()
    }

    fn insert(&mut self, session: &Arc<Session>) {
        self.by_token.insert(*session.digest(), session.clone());
        self.by_user.entry(session.user().username.clone()).or_default().push(session.clone());
    }

    /// The session that has to make room for another of the same user.
    fn excess(&self, name: &UserName) -> Option<Arc<Session>> {
        let own = self.by_user.get(name).filter(|own| own.len() >= MAX_SESSIONS)?;
        own.iter().min_by_key(|session| session.used()).cloned()
    }

    fn end(&mut self, session: &Session, origin: Option<&Arc<Mailbox>>) {
        session.end(self.position, origin);
        self.by_token.remove(session.digest());
        let name = &session.user().username;
        if let Some(own) = self.by_user.get_mut(name) {
            own.retain(|other| other.digest() != session.digest());
            if own.is_empty() {
                self.by_user.remove(name);
            }
        }
    }

    fn end_expired(&mut self, name: &UserName, now: Timestamp) -> Vec<Arc<Session>> {
        let own = self.by_user.get(name).into_iter().flatten();
        let expired: Vec<_> = own.filter(|session| !session.is_live(now)).cloned().collect();
        for session in &expired {
            self.end(session, None);
        }
        expired
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        protocol::Secret,
        service::session::{IDLE, LIFETIME},
        users::Password,
    };

    fn user(name: &str) -> Arc<User> {
        Arc::new(User {
            username: UserName::parse(name).expect("a name"),
            name: name.to_owned(),
            country: String::new(),
            password: Password::Plain(Secret::new("surabaya".into())),
            messages_after: 0,
        })
    }

    /// Logs in without a store.
    fn open(
        sessions: &Sessions,
        user: &Arc<User>,
        now: Timestamp,
    ) -> (Token, Arc<Session>, Option<Arc<Session>>) {
        let token = Token::random();
        let record = SessionRecord {
            digest: token.digest(),
            user: user.username.clone(),
            created: now,
            used: now,
            number: 1,
        };
        let (session, displaced) = sessions.open(user, &record, Position::START, now);
        let mut live = displaced.into_iter().filter(|session| now.since(session.entry().created) < IDLE);
        (token, session, live.next())
    }

    fn after(time: Duration) -> Timestamp {
        Timestamp(i64::try_from(time.as_millis()).expect("in range"))
    }

    fn active(sessions: &Sessions, now: Timestamp) -> Vec<String> {
        sessions.active(now).0.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_token_finds_its_session_until_it_ends() {
        let sessions = Sessions::default();
        let now = Timestamp(0);
        let (token, session, _) = open(&sessions, &user("messi"), now);
        let found = sessions.find(&token).expect("live");
        assert!(Arc::ptr_eq(&found, &session));
        assert!(sessions.find(&Token::random()).is_none());
        sessions.end(&session);
        assert!(sessions.find(&token).is_none());
        assert!(!session.touch(now));
        assert_eq!(active(&sessions, now), [""; 0]);
    }

    #[test]
    fn a_session_expires_when_unused_and_at_the_end_of_its_life() {
        let sessions = Sessions::default();
        let (token, session, _) = open(&sessions, &user("messi"), Timestamp(0));
        let tick = Duration::from_millis(1);
        assert!(session.touch(after(IDLE.checked_sub(tick).unwrap())));
        assert!(session.touch(after(2 * IDLE.checked_sub(tick).unwrap())));
        assert!(session.touch(after(LIFETIME.checked_sub(4 * tick).unwrap())));
        assert_eq!(active(&sessions, after(LIFETIME.checked_sub(tick).unwrap())), ["messi"]);
        assert_eq!(active(&sessions, after(LIFETIME)), [""; 0]);
        assert!(!sessions.find(&token).expect("not looked at yet").is_live(after(LIFETIME)));

        let (_, session, _) = open(&sessions, &user("messi"), Timestamp(0));
        assert!(!session.is_live(after(IDLE)));
    }

    #[test]
    fn the_longest_unused_session_makes_room() {
        let sessions = Sessions::default();
        let messi = user("messi");
        let held: Vec<_> = (0..100).map(|i| open(&sessions, &messi, Timestamp(i))).collect();
        assert!(held[0].1.touch(Timestamp(500)));
        let (.., displaced) = open(&sessions, &messi, Timestamp(1000));
        assert!(Arc::ptr_eq(&displaced.expect("one"), &held[1].1));
        let live = held.iter().filter(|(token, ..)| sessions.find(token).is_some()).count();
        assert_eq!(live, 99);
        assert!(open(&sessions, &user("henderson"), Timestamp(1000)).2.is_none());
        assert_eq!(active(&sessions, Timestamp(1000)), ["henderson", "messi"]);
    }

    #[test]
    fn expired_sessions_make_room_first() {
        let sessions = Sessions::default();
        let messi = user("messi");
        let old: Vec<_> = (0..100).map(|_| open(&sessions, &messi, Timestamp(0))).collect();
        let (.., displaced) = open(&sessions, &messi, after(IDLE));
        assert!(displaced.is_none());
        assert_eq!(sessions.lock().by_token.len(), 1);
        drop(old);
    }
}
