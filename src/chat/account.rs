//! Logins, and new passwords.

use std::{io, sync::Arc};

use tokio::task::spawn_blocking;

use super::{
    Caller, Chat, Limit, LoggedIn, Seat, Session, Source,
    fair_queue::Class,
    sessions::Opened,
    throttle::{Throttle, Try},
};
use crate::{
    model::{At, NotedPassword, Outcome, Refusal, Secret, Token, TokenDigest, UserName},
    store::{PersonRecord, Receipt, SessionRecord},
    users::{
        self, PasswordHash, User,
        edit::{self, EditError},
        hash_in, password_policy, verify,
    },
};

/// The refusal if a new password cannot be written.
fn refusal(error: &EditError) -> Refusal {
    match error {
        EditError::Io { cause, .. } if cause.kind() == io::ErrorKind::StorageFull => Refusal::Storage,
        _ => Refusal::Internal,
    }
}

impl Chat {
    /// Verifies a password, on a thread for that, and opens a session.
    ///
    /// Refuses with [`Refusal::BadCredentials`], after the same time whether the user or the password is wrong, with
    /// [`Refusal::RateLimited`] before anything is verified, or with [`Refusal::TooManyConnections`]. `shown` is a session that was shown on the connection; if it is a live one
    /// of that user, the limits of account and address do not apply.
    pub async fn log_in(
        self: &Arc<Self>,
        name: &str,
        password: Secret,
        from: Source,
        shown: Option<&Arc<Session>>,
    ) -> Outcome<LoggedIn> {
        let is_own = |shown: &&Arc<Session>| *shown.user().username == *name && shown.is_live(self.now());
        let session = shown.filter(is_own).map(|shown| *shown.digest());
        loop {
            let user = match self.verify(name, session, from, &password).await {
                Ok(user) => user,
                Err(refusal) => return At::refused(refusal),
            };
            let seat = match session {
                Some(_) => None,
                None => match self.seat_of(&user.username, from) {
                    Ok(seat) => Some(seat),
                    Err(refusal) => {
                        // It was the right password, and has cost a hash.
                        self.logins.count(name, self.uptime());
                        return At::refused(refusal);
                    }
                },
            };
            // Otherwise the user has changed meanwhile, if only by a renewed hash: the password is checked again.
            if let Some((logged_in, displaced)) = self.open_session(&user, from, seat).await {
                self.logins.count(name, self.uptime());
                // A session whose end cannot be stored goes on.
                if !displaced.is_empty() {
                    self.end_durably(&user.username, displaced, None).await.ok();
                }
                if self.limits.renews_hashes && user.password.is_weak() {
                    self.renew_hash(user, password);
                }
                return logged_in;
            }
        }
    }

    /// Opens a session. Returns it, and the sessions that have to end for it; `None` if the user has changed since the password
    /// was checked.
    async fn open_session(
        self: &Arc<Self>,
        user: &Arc<User>,
        from: Source,
        seat: Option<Seat>,
    ) -> Option<(Outcome<LoggedIn>, Vec<Arc<Session>>)> {
        let (token, now) = (Token::random(), self.now());
        let record = SessionRecord {
            digest: token.digest(),
            user: user.username.clone(),
            created: now,
            used: now,
            number: self.sessions.next_number(&user.username),
            device: None,
        };
        self.note_password(user);
        let stored = self.store.open_session(record.clone()).await;
        let position = stored.position();
        let ends_expired = self.believes_clock();
        let Opened { session, expired, displaced } =
            self.sessions.open(user, &record, position, now, ends_expired);
        for expired in expired {
            self.forget_session(expired.digest());
        }
        let (table, opened) = (self.sessions.clone(), session.clone());
        self.store.log().when_settled(position, move |result| match result {
            Ok(()) => opened.set_durable(),
            Err(_) => table.end(&opened),
        });
        // A login reads the directory after it has registered its session, and a reload ends sessions after it has replaced the
        // directory: whichever is second sees the first.
        if !self.is_current(user) {
            self.revoke(&session);
            for session in &displaced {
                session.cancel_end();
            }
            return None;
        }
        let Source { address, connection } = from;
        tracing::info!(from = %address, connection, user = %user.username, session = session.number(), "logged in");
        Some((stored.map_ok(|()| LoggedIn { token, session, seat }), displaced))
    }

    /// Verifies a password and returns its user.
    async fn verify(
        self: &Arc<Self>,
        name: &str,
        session: Option<TokenDigest>,
        source: Source,
        password: &Secret,
    ) -> Result<Arc<User>, Refusal> {
        let Source { address: from, connection } = source;
        let may_try = {
            let (chat, name) = (self.clone(), name.to_owned());
            move || {
                if let Some(throttle) = &chat.throttle {
                    throttle.check(Try { name: &name, from, session }, chat.moment()).inspect_err(|_| {
                        chat.counts.count(Limit::LoginTries);
                        tracing::warn!(%from, connection, "login refused: too many have failed");
                    })?;
                }
                chat.logins
                    .check(&name, chat.uptime())
                    .inspect_err(|_| chat.note_limit(Limit::LoginRate, source, None))
            }
        };
        may_try()?;
        let is_known = |throttle: &Throttle| throttle.is_known(Try { name, from, session }, self.now());
        let class = if self.throttle.as_ref().is_some_and(is_known) { Class::Known } else { Class::Other };
        let _waiting = self
            .logins
            .wait(class, name)
            .inspect_err(|_| self.note_limit(Limit::LoginQueue, source, None))?;
        let (user, price) = {
            let users = self.users.now();
            (users.get(name).cloned(), users.price())
        };
        let work = {
            let (chat, name, user, password) =
                (self.clone(), name.to_owned(), user.clone(), password.clone());
            move |memory: &mut users::Memory| {
                let right = verify(user.as_ref().map(|user| &user.password), &password, price, memory);
                // Counted here, because a client that hangs up before the answer has guessed, too.
                if let (false, Some(throttle)) = (right, &chat.throttle) {
                    throttle.failed(Try { name: &name, from, session }, chat.moment());
                }
                right
            }
        };
        let right = self.hash_pool.run((class, name), &self.counts, may_try, work).await?;
        // An unknown name is not logged, because it may be a password in the wrong place.
        let known = user.as_ref().map(|user| user.username.clone());
        let Some(user) = user.filter(|_| right) else {
            tracing::warn!(%from, connection, user = known.map(tracing::field::display), "login failed");
            return Err(Refusal::BadCredentials);
        };
        let news =
            self.throttle.as_ref().and_then(|throttle| throttle.succeeded(&user.username, from, self.now()));
        if let Some(news) = news {
            self.store.trust(news);
        }
        Ok(user)
    }

    /// Gives the caller another password. All other sessions of the caller end; the future completes when their ends are durable.
    ///
    /// # Errors
    /// [`Refusal::BadCredentials`] if `old` is not the password, [`Refusal::WeakPassword`] if `new` is too weak,
    /// [`Refusal::RateLimited`], or the reason why the change cannot be stored. The password is unchanged then.
    pub fn change_password(
        self: &Arc<Self>,
        caller: &Caller<'_>,
        old: Secret,
        new: Secret,
    ) -> impl Future<Output = Result<(), Refusal>> + std::marker::Send + 'static {
        let (chat, session, from) = (self.clone(), caller.session.clone(), caller.from);
        let origin = caller.notifier.cloned();
        async move {
            let name = &session.user().username;
            if let Err(weak) = password_policy::check(name, &new) {
                tracing::debug!(user = %name, connection = from.connection, %weak, "new password refused");
                return Err(Refusal::WeakPassword { length: weak.length(&new) });
            }
            loop {
                let user = chat.verify(name, Some(*session.digest()), from, &old).await?;
                let hash = chat.hash(name, new.clone()).await?;
                chat.logins.count(name, chat.uptime());
                if chat.store_password(&user, hash, false).await? {
                    break;
                }
            }
            let mut others = chat.sessions.of_user(name, chat.now()).peek().clone();
            others.retain(|other| !Arc::ptr_eq(other, &session));
            let Source { address, connection } = from;
            let (number, ended) = (session.number(), others.len());
            tracing::info!(from = %address, connection, user = %name, session = number, sessions_ended = ended, "password changed");
            if !others.is_empty() {
                chat.end_durably(name, others, origin).await?;
            }
            // Not before: a restart ends the sessions that were opened with a password that is not noted.
            chat.note_password_durably(name).await;
            Ok(())
        }
    }

    /// Hashes a password of an account, when its turn comes.
    async fn hash(&self, account: &str, password: Secret) -> Result<PasswordHash, Refusal> {
        self.hash_pool
            .run((Class::Known, account), &self.counts, || Ok(()), move |memory| hash_in(&password, memory))
            .await
    }

    /// Writes a password into the users file and the directory. Returns `false` if the user has changed meanwhile.
    ///
    /// A restart before [`note_password_durably`](Self::note_password_durably) ends the user's sessions, except if the
    /// hash `is_renewed`: one of the same password.
    async fn store_password(
        self: &Arc<Self>,
        user: &Arc<User>,
        hash: PasswordHash,
        is_renewed: bool,
    ) -> Result<bool, Refusal> {
        // One change at a time, because a file that is being read would bring the old password back.
        let turn = self.changing.lock().await;
        if !self.is_current(user) {
            return Ok(false);
        }
        if is_renewed {
            let password = NotedPassword { now: user.password.digest(), next: Some(hash.digest()) };
            let record = PersonRecord { password: Some(password), ..self.owners.record(&user.username) };
            self.store.log().durable(self.note(record).await).await?;
        }
        if let Some(file) = self.users.file().cloned() {
            let (user, hash) = (user.clone(), hash.as_str().to_owned());
            let write =
                move || edit::set_password(&file, &user.username, Some(user.password.reveal()), &hash);
            match spawn_blocking(write).await.map_err(|_| Refusal::Internal)? {
                Ok(()) => {}
                // The operator was faster: the new password counts.
                Err(EditError::Changed { .. }) => {
                    drop(turn);
                    return self.reload_users().await.map(|_| false).map_err(|_| Refusal::Internal);
                }
                Err(error) => {
                    tracing::error!(%error, "cannot write the users file");
                    return Err(refusal(&error));
                }
            }
        }
        self.users.set_password(&user.username, hash);
        Ok(true)
    }

    /// Notes with which password the user's sessions are opened, if that is new.
    fn note_password(&self, user: &User) -> Option<Receipt<()>> {
        let (record, now) = (self.owners.record(&user.username), user.password.digest());
        let is_noted = record.password.is_some_and(|noted| noted.now == now);
        let password = Some(NotedPassword { now, next: None });
        (!is_noted).then(|| self.note(PersonRecord { password, ..record }))
    }

    /// Notes the user's password as it is now, durably. If that fails, a restart ends the sessions.
    async fn note_password_durably(&self, name: &UserName) {
        if let Some(user) = self.users.get(name)
            && let Some(noted) = self.note_password(&user)
        {
            self.store.log().durable(noted.await).await.ok();
        }
    }

    /// Whether the user still exists with this password.
    fn is_current(&self, user: &User) -> bool {
        self.users
            .now()
            .get(&user.username)
            .is_some_and(|now| now.password.reveal() == user.password.reveal())
    }

    /// Hashes a password again with the current parameters, in the background.
    fn renew_hash(self: &Arc<Self>, user: Arc<User>, password: Secret) {
        let chat = self.clone();
        tokio::spawn(async move {
            let Ok(hash) = chat.hash(&user.username, password).await else {
                return; // At the next login, then.
            };
            if chat.store_password(&user, hash, true).await == Ok(true) {
                chat.note_password_durably(&user.username).await;
                tracing::info!(user = %user.username, "password hash renewed");
            }
        });
    }
}
