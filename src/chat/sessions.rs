//! The table of all sessions.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard},
};

use super::{Limits, allowance::Allowance, session::Session};
use crate::{
    model::{At, Position, Timestamp, Token, TokenDigest, UserName},
    store::SessionRecord,
    users::{Directory, User},
};

/// Most sessions of a user. Another login ends the session that was not used for the longest time.
pub(super) const MAX_SESSIONS: usize = 100;

/// All sessions. An expired one is removed when its user logs in or its token is looked up.
pub(super) struct Sessions(Mutex<Table>);

struct Table {
    limits: Limits,
    by_token: HashMap<TokenDigest, Arc<Session>>,
    /// Sorted by name, because they are listed so. No list is empty.
    by_user: BTreeMap<UserName, Vec<Arc<Session>>>,
    /// Last session number of each user.
    numbers: HashMap<UserName, u32>,
    /// What each user has used of the limits.
    allowances: HashMap<UserName, Arc<Allowance>>,
    /// Sessions of users who are not in the directory. They are refused, and live again when their user returns.
    suspended: HashMap<UserName, Vec<SessionRecord>>,
    /// Sessions that are refused although their ends are not durable, with the positions of the ends.
    refused: HashMap<TokenDigest, Position>,
}

/// A session that was opened, and sessions that end for it.
pub(super) struct Opened {
    pub(super) session: Arc<Session>,
    /// Expired sessions of the user, which have ended already.
    pub(super) expired: Vec<Arc<Session>>,
    /// Sessions beyond the limit, which must be ended when their ends are durable.
    pub(super) displaced: Vec<Arc<Session>>,
}

impl Sessions {
    /// No sessions, of users with these limits.
    pub(super) fn new(limits: Limits) -> Self {
        Sessions(Mutex::new(Table {
            limits,
            by_token: HashMap::new(),
            by_user: BTreeMap::new(),
            numbers: HashMap::new(),
            allowances: HashMap::new(),
            suspended: HashMap::new(),
            refused: HashMap::new(),
        }))
    }

    /// Adds a session that the store has at `position`, and ends expired sessions of the user if `ends_expired`.
    pub(super) fn open(
        &self,
        user: &Arc<User>,
        record: &SessionRecord,
        position: Position,
        now: Timestamp,
        ends_expired: bool,
    ) -> Opened {
        let mut table = self.lock();
        let expired = if ends_expired { table.end_expired(&user.username, now) } else { Vec::new() };
        // The store may have reported it already.
        let reported = table.by_token.get(&record.digest).cloned();
        let session = reported.unwrap_or_else(|| {
            let session = Session::new(user, record, position, table.allowance(&user.username));
            table.insert(&session);
            session
        });
        let displaced = table.displace(&user.username, &session);
        Opened { session, expired, displaced }
    }

    /// Handles a session that the store has reported as opened, by this process or another one.
    pub(super) fn opened(&self, users: &Directory, record: &SessionRecord) {
        let mut table = self.lock();
        if let Some(session) = table.by_token.get(&record.digest) {
            session.set_durable();
        } else if table.is_suspended(&record.digest) {
            // It was told already.
        } else if let Some(user) = users.get(&record.user) {
            let last = table.numbers.entry(record.user.clone()).or_default();
            *last = record.number.max(*last);
            let session = Session::new(&user, record, Position::START, table.allowance(&record.user));
            table.insert(&session);
        }
    }

    /// Handles a session that the store has reported as ended, by this process or another one.
    pub(super) fn ended(&self, digest: &TokenDigest) {
        let mut table = self.lock();
        table.refused.remove(digest);
        for suspended in table.suspended.values_mut() {
            suspended.retain(|record| record.digest != *digest);
        }
        if let Some(session) = table.by_token.get(digest).cloned() {
            table.end(&session);
        }
    }

    /// What the user has used of the limits.
    pub(super) fn allowance(&self, user: &UserName) -> Arc<Allowance> {
        self.lock().allowance(user)
    }

    /// The number of the user's next session.
    pub(super) fn next_number(&self, user: &UserName) -> u32 {
        let mut table = self.lock();
        let number = table.numbers.entry(user.clone()).or_default();
        *number += 1;
        *number
    }

    /// The user's live sessions, oldest first.
    pub(super) fn of_user(&self, user: &UserName, now: Timestamp) -> At<Vec<Arc<Session>>> {
        let table = self.lock();
        let live = table.by_user.get(user).into_iter().flatten().filter(|session| session.is_live(now));
        let live: Vec<_> = live.cloned().collect();
        let opened = live.iter().map(|session| session.opened());
        let position = opened.fold(Position::START, Position::and);
        At::new(live, position)
    }

    /// Adds a session that the store has kept, if it is live or `keeps_expired`. Returns whether it was added.
    pub(super) fn restore(
        &self,
        user: &Arc<User>,
        record: &SessionRecord,
        now: Timestamp,
        keeps_expired: bool,
    ) -> bool {
        let mut table = self.lock();
        let last = table.numbers.entry(user.username.clone()).or_default();
        // A session from a time without numbers gets one.
        let number = if record.number == 0 { *last + 1 } else { record.number };
        *last = number.max(*last);
        let record = SessionRecord { number, ..record.clone() };
        let session = Session::new(user, &record, Position::START, table.allowance(&user.username));
        let is_kept = keeps_expired || session.is_live(now);
        if is_kept {
            table.insert(&session);
        }
        is_kept
    }

    /// Keeps a session of a user who is not in the directory.
    pub(super) fn suspend_record(&self, record: &SessionRecord) {
        self.lock().suspended.entry(record.user.clone()).or_default().push(record.clone());
    }

    /// Suspends all sessions of a user: they are refused, and their connections are told that they have ended. The store keeps
    /// them.
    pub(super) fn suspend(&self, user: &UserName) {
        let mut table = self.lock();
        let own = table.by_user.get(user).cloned().unwrap_or_default();
        for session in own {
            table.suspended.entry(user.clone()).or_default().push(session.record());
            table.end(&session);
        }
    }

    /// Takes the suspended sessions of a user.
    pub(super) fn take_suspended(&self, user: &UserName) -> Vec<SessionRecord> {
        self.lock().suspended.remove(user).unwrap_or_default()
    }

    /// Refuses a session from now on, although its end at `position` is not durable.
    pub(super) fn refuse(&self, session: &TokenDigest, position: Position) {
        self.lock().refused.insert(*session, position);
    }

    /// The position that must be durable before anybody is told that the session is not live.
    pub(super) fn end_position(&self, session: &TokenDigest) -> Position {
        self.lock().refused.get(session).copied().unwrap_or_default()
    }

    /// The session that the token proves, expired or not.
    #[must_use]
    pub(super) fn find(&self, token: &Token) -> Option<Arc<Session>> {
        self.lock().by_token.get(&token.digest()).cloned()
    }

    /// Ends a session, if it has not ended yet.
    pub(super) fn end(&self, session: &Session) {
        self.lock().end(session);
    }

    /// Whether the user has a live session.
    #[must_use]
    pub(super) fn is_active(&self, user: &UserName, now: Timestamp) -> bool {
        let table = self.lock();
        table.by_user.get(user).into_iter().flatten().any(|session| session.is_live(now))
    }

    /// Names of the users who have a live session, sorted.
    pub(super) fn active(&self, now: Timestamp) -> At<Vec<UserName>> {
        let (table, mut position) = (self.lock(), Position::START);
        let mut names = Vec::new();
        for (name, own) in &table.by_user {
            // The name depends on one of its sessions only: on one that is durable, if there is one.
            let live = own.iter().filter(|session| session.is_live(now)).map(|session| session.opened());
            if let Some(opened) = live.min_by_key(|opened| opened.last()) {
                position = position.and(opened);
                names.push(name.clone());
            }
        }
        At::new(names, position)
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().expect("nothing panics while it is held")
    }
}

impl Table {
    fn is_suspended(&self, digest: &TokenDigest) -> bool {
        self.suspended.values().flatten().any(|record| record.digest == *digest)
    }

    fn allowance(&mut self, user: &UserName) -> Arc<Allowance> {
        let new = || Arc::new(Allowance::new(&self.limits));
        self.allowances.entry(user.clone()).or_insert_with(new).clone()
    }

    fn insert(&mut self, session: &Arc<Session>) {
        self.by_token.insert(*session.digest(), session.clone());
        self.by_user.entry(session.user().username.clone()).or_default().push(session.clone());
    }

    /// The user's sessions beyond [`MAX_SESSIONS`], those that were not used for the longest time, now marked as ending. `new`
    /// is not among them.
    fn displace(&self, name: &UserName, new: &Arc<Session>) -> Vec<Arc<Session>> {
        let own = self.by_user.get(name).into_iter().flatten();
        let mut own: Vec<_> =
            own.filter(|session| !session.is_ending() && !Arc::ptr_eq(session, new)).collect();
        own.sort_by_key(|session| session.used());
        let displaced = own.into_iter().rev().skip(MAX_SESSIONS - 1).cloned();
        displaced.inspect(|session| session.begin_end(None)).collect()
    }

    fn end(&mut self, session: &Session) {
        let position = self.refused.get(session.digest()).copied().unwrap_or_default();
        session.end(position);
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
            self.end(session);
        }
        expired
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        chat::session::{IDLE, LIFETIME},
        model::Secret,
        users::Password,
    };

    fn user(name: &str) -> Arc<User> {
        Arc::new(User {
            username: UserName::parse(name).expect("a name"),
            name: name.to_owned(),
            country: String::new(),
            password: Password::Plain(Secret::new("surabaya".into())),
            messages_after: 0,
            decision: None,
        })
    }

    /// Logs in without a store.
    fn open(
        sessions: &Sessions,
        user: &Arc<User>,
        now: Timestamp,
    ) -> (Token, Arc<Session>, Vec<Arc<Session>>) {
        let token = Token::random();
        let record = SessionRecord {
            digest: token.digest(),
            user: user.username.clone(),
            created: now,
            used: now,
            number: 1,
            device: None,
        };
        let opened = sessions.open(user, &record, Position::START, now, true);
        for displaced in &opened.displaced {
            sessions.end(displaced);
        }
        (token, opened.session, opened.displaced)
    }

    fn after(time: Duration) -> Timestamp {
        Timestamp(i64::try_from(time.as_millis()).expect("in range"))
    }

    fn active(sessions: &Sessions, now: Timestamp) -> Vec<String> {
        sessions.active(now).peek().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_token_finds_its_session_until_it_ends() {
        let sessions = Sessions::new(Limits::NONE);
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
        let sessions = Sessions::new(Limits::NONE);
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
        let sessions = Sessions::new(Limits::NONE);
        let messi = user("messi");
        let held: Vec<_> = (0..100).map(|i| open(&sessions, &messi, Timestamp(i))).collect();
        assert!(held[0].1.touch(Timestamp(500)));
        let (.., displaced) = open(&sessions, &messi, Timestamp(1000));
        assert!(displaced.len() == 1 && Arc::ptr_eq(&displaced[0], &held[1].1));
        let live = held.iter().filter(|(token, ..)| sessions.find(token).is_some()).count();
        assert_eq!(live, 99);
        assert!(open(&sessions, &user("henderson"), Timestamp(1000)).2.is_empty());
        assert_eq!(active(&sessions, Timestamp(1000)), ["henderson", "messi"]);
    }

    #[test]
    fn expired_sessions_make_room_first() {
        let sessions = Sessions::new(Limits::NONE);
        let messi = user("messi");
        let old: Vec<_> = (0..100).map(|_| open(&sessions, &messi, Timestamp(0))).collect();
        let (.., displaced) = open(&sessions, &messi, after(IDLE));
        assert!(displaced.is_empty());
        assert_eq!(sessions.lock().by_token.len(), 1);
        drop(old);
    }
}
