//! Logging in, and what changes who may: new passwords, people who come and go.

use std::{io, net::IpAddr, sync::Arc};

use tokio::task::spawn_blocking;

use super::{Limit, LoggedIn, Mailbox, Service, Session, end_expired, sessions::Opened};
use crate::{
    protocol::{Refusal, Secret, Token, UserName},
    store::{MessageId, Position, SessionRecord},
    users::{
        self, PasswordHash, User, Users,
        edit::{self, EditError},
        hash_in, password_policy, verify,
    },
};

/// What is answered if a new password cannot be written.
fn refusal(error: &EditError) -> Refusal {
    match error {
        EditError::Io { cause, .. } if cause.kind() == io::ErrorKind::StorageFull => Refusal::Storage,
        _ => Refusal::Internal,
    }
}

/// What a change of the users file has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Change {
    /// Users who were not there before.
    pub added: usize,
    /// Users who are not there any more.
    pub removed: usize,
    /// Users who have another password now.
    pub passwords: usize,
}

impl Service {
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
        loop {
            let user = self.verify(name, &password, from).await?;
            // Else the user has changed meanwhile, if only by a renewed hash: what is there now decides.
            if let Some((logged_in, displaced)) = self.open_session(&user, from) {
                // A session whose end cannot be stored goes on.
                self.end_sessions(&displaced, None).await.ok();
                if self.renews_hashes && user.password.is_weak() {
                    self.renew_hash(user, password);
                }
                return Ok(logged_in);
            }
        }
    }

    /// Begins a session; returns those that have to end for it, too. `None` if the user is not as they were when their
    /// password was checked.
    fn open_session(
        self: &Arc<Self>,
        user: &Arc<User>,
        from: IpAddr,
    ) -> Option<(LoggedIn, Vec<Arc<Session>>)> {
        let (token, now) = (Token::random(), self.now());
        let record = SessionRecord {
            digest: token.digest(),
            user: user.username.clone(),
            created: now,
            used: now,
            number: self.sessions.next_number(&user.username),
        };
        let position = self.store.open_session(record.clone());
        let Opened { session, expired, displaced } = self.sessions.open(user, &record, position, now);
        for expired in expired {
            end_expired(&self.store, expired.digest());
        }
        let (table, opened) = (self.sessions.clone(), session.clone());
        self.store.durability().when_settled(position, move |result| match result {
            Ok(()) => opened.set_durable(),
            Err(_) => table.end(&opened),
        });
        // A change of the file either finds the session and ends it, or is found here.
        if !self.is_current(user) {
            self.revoke(&session);
            for session in &displaced {
                session.set_ending(false);
            }
            return None;
        }
        // The connection that asked for it is bound to it now, and tells of both at once.
        tracing::info!(%from, user = %user.username, "logged in");
        Some((LoggedIn { token, session, position }, displaced))
    }

    /// The user of that name, if the password is theirs.
    async fn verify(
        self: &Arc<Self>,
        name: &str,
        password: &Secret,
        from: IpAddr,
    ) -> Result<Arc<User>, Refusal> {
        let throttle = self.throttle.as_ref();
        let may_try = || throttle.map_or(Ok(()), |throttle| throttle.check(name, from, self.now()));
        may_try().inspect_err(|_| {
            self.counts.count(Limit::LoginTries);
            tracing::warn!(%from, "login refused: too many have failed");
        })?;
        let user = self.users.get(name);
        let work = {
            let (service, name, user, password) =
                (self.clone(), name.to_owned(), user.clone(), password.clone());
            move |memory: &mut users::Memory| {
                let right = verify(user.as_ref().map(|user| &user.password), &password, memory);
                // Counted where it is found, or whoever hangs up before the answer would have guessed for nothing.
                if let (false, Some(throttle)) = (right, &service.throttle) {
                    throttle.failed(&name, from, service.now());
                }
                right
            }
        };
        let right = self.hashing.run(&self.counts, may_try, work).await?;
        // A name that nobody has may be a password typed in the wrong place: it is not logged.
        let known = user.as_ref().map(|user| user.username.clone());
        let Some(user) = user.filter(|_| right) else {
            tracing::warn!(%from, user = known.map(tracing::field::display), "login failed");
            return Err(Refusal::BadCredentials);
        };
        if let Some(throttle) = throttle {
            throttle.succeeded(name, from, self.now());
        }
        Ok(user)
    }

    /// Gives the session's user another password; all other sessions of theirs end. `origin` is the connection that asked
    /// for it.
    ///
    /// # Errors
    /// [`Refusal::BadCredentials`] if `old` is not the password, [`Refusal::WeakPassword`] if `new` should not be one,
    /// [`Refusal::RateLimited`], or what kept the change from being stored: then nothing has changed.
    pub async fn change_password(
        self: &Arc<Self>,
        session: &Arc<Session>,
        old: &Secret,
        new: Secret,
        from: IpAddr,
        origin: Option<&Arc<Mailbox>>,
    ) -> Result<(), Refusal> {
        let name = &session.user().username;
        if let Err(weak) = password_policy::check(name, &new) {
            tracing::debug!(%weak, "new password refused");
            return Err(Refusal::WeakPassword);
        }
        loop {
            let user = self.verify(name, old, from).await?;
            let hash = self.hash(new.clone()).await?;
            if self.store_password(user, hash).await? {
                break;
            }
        }
        let (mut others, _) = self.sessions.of_user(name, self.now());
        others.retain(|other| !Arc::ptr_eq(other, session));
        tracing::info!(%from, user = %name, sessions_ended = others.len(), "password changed");
        if others.is_empty() { Ok(()) } else { self.log_out(name, &others, origin).await }
    }

    /// A new hash of a password, when its turn comes.
    async fn hash(&self, password: Secret) -> Result<PasswordHash, Refusal> {
        self.hashing.run(&self.counts, || Ok(()), move |memory| hash_in(&password, memory)).await
    }

    /// Writes a password into the users file, and takes it over. `false` if the user is not as they were any more.
    async fn store_password(self: &Arc<Self>, user: Arc<User>, hash: PasswordHash) -> Result<bool, Refusal> {
        // One change at a time: a file that is being read would bring the old password back.
        let _turn = self.changing.lock().await;
        if !self.is_current(&user) {
            return Ok(false);
        }
        if let Some(file) = self.users.file().cloned() {
            let (user, hash) = (user.clone(), hash.as_str().to_owned());
            let write = move || {
                edit::set_password(&file, &user.username, Some(user.password.reveal()), &hash)
                    .inspect_err(|error| tracing::error!(%error, "cannot write the users file"))
            };
            spawn_blocking(write).await.map_err(|_| Refusal::Internal)?.map_err(|error| refusal(&error))?;
        }
        self.users.set_password(&user.username, hash);
        Ok(true)
    }

    /// Whether the user is still there, with this password.
    fn is_current(&self, user: &User) -> bool {
        self.users
            .now()
            .get(&user.username)
            .is_some_and(|now| now.password.reveal() == user.password.reveal())
    }

    /// Hashes a password again as it is done today, some time later.
    fn renew_hash(self: &Arc<Self>, user: Arc<User>, password: Secret) {
        let service = self.clone();
        tokio::spawn(async move {
            let Ok(hash) = service.hash(password).await else {
                return; // At the next login, then.
            };
            if service.store_password(user.clone(), hash).await == Ok(true) {
                tracing::info!(user = %user.username, "password hash renewed");
            }
        });
    }

    /// Reads the users file again. Sessions end of who is not there any more, or has another password; a file that cannot be
    /// used changes nothing.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub async fn reload_users(self: &Arc<Self>) -> Result<Change, users::UsersFileError> {
        let _turn = self.changing.lock().await;
        let Some(file) = self.users.file().cloned() else {
            return Ok(Change::default());
        };
        let Ok(loaded) = spawn_blocking(move || users::load(&file)).await else {
            return Ok(Change::default());
        };
        let loaded = loaded?;
        for warning in &loaded.warnings {
            tracing::warn!("{warning}");
        }
        self.begin_anew(&loaded.users).await;
        Ok(self.replace_users(loaded.users))
    }

    fn replace_users(self: &Arc<Self>, new: Users) -> Change {
        let before = self.users.replace(new);
        let now = self.users.all();
        let added = now.iter().filter(|user| before.get(&user.username).is_none()).count();
        let mut change = Change { added, ..Change::default() };
        for user in before.iter() {
            match now.get(&user.username) {
                Some(same) if same.password.reveal() == user.password.reveal() => continue,
                Some(_) => change.passwords += 1,
                None => change.removed += 1,
            }
            self.end_all(&user.username);
            self.presence_changed(&user.username);
        }
        change
    }

    fn end_all(&self, user: &UserName) {
        for session in self.sessions.of_user(user, self.now()).0 {
            self.revoke(&session);
        }
    }

    /// Whoever has the name of somebody who is gone, and is not the same person, has an empty inbox, is in no room, and nobody
    /// else is logged in as them.
    pub async fn begin_anew(&self, users: &Users) {
        for user in users.iter().filter(|user| user.messages_after > 0) {
            let upto = MessageId(user.messages_after);
            // Done once: the cursor is there then.
            while self.store.cursor(&user.username).upto < upto {
                let Ok(direct) = self.count_direct(&user.username, upto).await else {
                    break;
                };
                self.end_all(&user.username);
                self.attendance.forget(&user.username);
                let rooms = self.store.rooms(&user.username).0;
                let joined = rooms.iter().filter(|entry| entry.joined);
                let mut changes: Vec<_> =
                    joined.map(|entry| self.store.leave(&user.username, &entry.room)).collect();
                // Last, because it is what tells that all else is done.
                if self.are_durable(&changes).await {
                    changes = vec![self.store.acknowledge(&user.username, upto, direct, self.now())];
                }
                if !self.are_durable(&changes).await {
                    break;
                }
            }
        }
    }

    /// Waits until all positions are settled. Returns whether none has failed.
    async fn are_durable(&self, positions: &[Position]) -> bool {
        let mut durable = true;
        for position in positions {
            durable &= self.store.durability().settled(*position).await.is_ok();
        }
        durable
    }

    /// How many messages to the user, not to a room, wait up to that one.
    async fn count_direct(&self, user: &UserName, upto: MessageId) -> Result<usize, Refusal> {
        const PAGE: usize = 1_000;
        let (mut after, mut count) = (MessageId(0), 0);
        loop {
            let page = self.store.inbox(user, after, PAGE).await?;
            let old = page.messages.iter().take_while(|message| message.id <= upto);
            count += old.filter(|message| message.to.user().is_some()).count();
            match page.messages.last() {
                Some(last) if page.more && last.id < upto => after = last.id,
                _ => return Ok(count),
            }
        }
    }
}
