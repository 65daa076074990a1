//! Changes of the users: who is added, removed or missing, and who has a name that somebody had before.

use std::sync::Arc;

use tokio::task::spawn_blocking;

use super::{
    Chat,
    owners::{Claim, Obstacle},
};
use crate::{
    model::{At, MessageId, Refusal, Timestamp, UserName},
    store::{PersonRecord, Receipt, SessionRecord},
    users::{self, User, Users},
};

/// What has changed in the users file, by user name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Change {
    /// New users, and those who can log in again.
    pub added: Vec<UserName>,
    /// Users who are not there any more, or cannot log in until the operator decides about their names.
    pub removed: Vec<UserName>,
    /// Users with another password.
    pub passwords: Vec<UserName>,
}

impl Chat {
    /// Reads the users file again. Ends the sessions of users who were removed or have another password.
    ///
    /// # Errors
    /// [`UsersFileError`](users::UsersFileError) if the file cannot be used. Nothing changes then.
    pub async fn reload_users(self: &Arc<Self>) -> Result<Change, users::UsersFileError> {
        let _turn = self.changing.lock().await;
        let Some(file) = self.users.file().cloned() else {
            return Ok(Change::default());
        };
        let (path, max) = (file.clone(), self.users.max_hash());
        let Ok(loaded) = spawn_blocking(move || users::load_within(&path, max)).await else {
            return Ok(Change::default());
        };
        let loaded = loaded?;
        if loaded.users.names_nobody() && !self.users.all().is_empty() {
            return Err(users::UsersFileError::Blank { file: file.display().to_string() });
        }
        for warning in &loaded.warnings {
            tracing::warn!("{warning}");
        }
        Ok(self.admit(loaded.users).await)
    }

    /// Lets these users log in, and no others. What the operator has decided about names that somebody had before is carried out.
    pub async fn admit_users(self: &Arc<Self>, users: Users) -> Change {
        let _turn = self.changing.lock().await;
        self.admit(users).await
    }

    /// Leaves those out of the directory about whose names something must be done or decided.
    pub(super) fn leave_out_claimed(&self) {
        let (all, now) = (self.users.all(), self.moment());
        let claim = |user: &User| self.owners.judge(user, all.removed(&user.username), now);
        let is_plain = |user: &User| {
            matches!(claim(user), Claim::Same | Claim::New(_) | Claim::Returned | Claim::Reclaimed(_))
        };
        let kept = all.iter().filter(|user| is_plain(user)).map(|user| self.with_begin(user));
        self.users.replace(kept.collect());
    }

    /// Makes a session live again that the store has kept, unless it was opened with another password.
    pub(super) fn restore_session(&self, user: &Arc<User>, record: &SessionRecord) {
        let noted = self.owners.record(&record.user).password;
        if noted.is_some_and(|noted| !noted.is(user.password.digest())) {
            self.refuse_session(record.digest);
        } else if !self.sessions.restore(user, record, self.now(), !self.believes_clock()) {
            self.forget_session(&record.digest);
        }
    }

    /// Stores what is known of a name.
    pub(super) fn note(&self, record: PersonRecord) -> Receipt<()> {
        self.owners.note(record.clone(), self.uptime());
        self.store.set_person(record)
    }

    async fn admit(self: &Arc<Self>, users: Users) -> Change {
        let now = self.moment();
        let (mut admitted, mut returning, mut fresh) = (Users::default(), Vec::new(), Vec::new());
        for user in users.iter() {
            let name = &user.username;
            match self.owners.judge(user, users.removed(name), now) {
                Claim::Same => admitted.insert(self.with_begin(user)),
                // If this cannot be stored, the next start finds the same. That holds for the next two, too.
                Claim::New(decided) => {
                    let _ = self.note(PersonRecord { decided, ..self.owners.record(name) });
                    admitted.insert(self.with_begin(user));
                }
                Claim::Returned => {
                    let _ = self.note(PersonRecord { absence: None, ..self.owners.record(name) });
                    admitted.insert(self.with_begin(user));
                    returning.push(name.clone());
                }
                Claim::Reclaimed(decided) => {
                    self.note_removal(name, users.removed(name));
                    let record = self.owners.record(name);
                    let _ = self.note(PersonRecord { absence: None, decided, ..record });
                    admitted.insert(self.with_begin(user));
                    returning.push(name.clone());
                }
                Claim::Fresh(decided) => fresh.push((user.clone(), Some(decided), None)),
                Claim::FreshAfter(after) => fresh.push((user.clone(), None, Some(after))),
                Claim::Blocked(why) => {
                    self.note_removal(name, users.removed(name));
                    self.tell_of_obstacle(name, why);
                }
            }
        }
        let mut change = self.replace_users(admitted, &users);
        for record in
            self.owners.missing(|name| users.get(name).is_some(), |name| users.removed(name), now.at)
        {
            if record.absence.is_some_and(|absence| absence.is_removal) {
                self.end_all(&record.user);
            }
            let _ = self.note(record);
        }
        for name in returning {
            if let Some(user) = self.users.get(&name) {
                self.sessions
                    .take_suspended(&name)
                    .iter()
                    .for_each(|record| self.restore_session(&user, record));
                self.presence_changed(&name);
            }
        }
        for (user, decided, after) in fresh {
            let name = user.username.clone();
            match self.begin_anew(&name, decided, after).await {
                Ok(()) => {
                    let mut all = Users::clone(&self.users.now());
                    all.insert(self.with_begin(&user));
                    self.users.replace(all);
                    change.removed.retain(|removed| *removed != name);
                    change.added.push(name);
                }
                Err(refusal) => {
                    tracing::error!(user = %name, ?refusal, "cannot clear what the previous owner of the name has left: it cannot log in");
                }
            }
        }
        change
    }

    fn tell_of_obstacle(&self, name: &UserName, why: Obstacle) {
        if self.owners.tell(name, why) {
            tracing::error!(
                user = %name,
                "this name cannot log in: {why}; remedy: `chat-server user reclaim {name}` if it is the same person, \
                 `chat-server user fresh {name}` if it is somebody else"
            );
        }
    }

    /// The user, who may know of nothing that the previous owners of the name have left.
    fn with_begin(&self, user: &Arc<User>) -> Arc<User> {
        let after = self.owners.record(&user.username).after;
        if after.0 <= user.messages_after {
            return user.clone();
        }
        Arc::new(User { messages_after: after.0, ..User::clone(user) })
    }

    /// Replaces the directory. Sessions end of users who have another password, and of those who were removed, according to the
    /// users file. Sessions of others who are not there are suspended.
    fn replace_users(self: &Arc<Self>, new: Users, file: &Users) -> Change {
        let before = self.users.replace(new);
        let now = self.users.all();
        let is_new = |user: &&Arc<User>| before.get(&user.username).is_none();
        let added = now.iter().filter(is_new).map(|user| user.username.clone()).collect();
        let mut change = Change { added, ..Change::default() };
        for user in before.iter() {
            let name = &user.username;
            match now.get(name) {
                Some(same) if same.password.reveal() == user.password.reveal() => continue,
                Some(_) => {
                    change.passwords.push(name.clone());
                    self.end_all(name);
                }
                None => {
                    change.removed.push(name.clone());
                    // Something may be stored of the name from now on, even if nothing was noted.
                    if !self.owners.knows(name) {
                        self.owners.note(self.owners.record(name), self.uptime());
                    }
                    match file.removed(name).and_then(|at| self.owners.removal(name, at)) {
                        Some(_) => self.end_all(name),
                        None => self.sessions.suspend(name),
                    }
                }
            }
            self.presence_changed(name);
        }
        for names in [&mut change.added, &mut change.removed, &mut change.passwords] {
            names.sort_unstable();
        }
        change
    }

    /// Ends the sessions of a user who was removed, and is in the users file again before that was noticed.
    fn note_removal(&self, name: &UserName, removed: Option<Timestamp>) {
        if let Some(record) = removed.and_then(|removed| self.owners.removal(name, removed)) {
            self.end_all(name);
            let _ = self.note(record);
        }
    }

    /// Ends all sessions of a user, suspended or not, for good.
    fn end_all(&self, user: &UserName) {
        for session in self.sessions.of_user(user, self.now()).peek() {
            self.revoke(session);
        }
        for record in self.sessions.take_suspended(user) {
            self.refuse_session(record.digest);
        }
    }

    /// Gives a name to another person: what the previous owner has left is cleared, and that is noted, durably.
    ///
    /// The name must not be in the directory. `decided` is when the operator has decided it, and `after` the last message of the
    /// previous owner, if the users file says so.
    async fn begin_anew(
        &self,
        user: &UserName,
        decided: Option<Timestamp>,
        after: Option<MessageId>,
    ) -> Result<(), Refusal> {
        let record = self.owners.record(user);
        let mut begin = record.after;
        // Of a name that the store does not know, there is nothing to clear.
        if self.owners.knows(user) || after.is_some() {
            begin = after.unwrap_or_else(|| self.store.last_message()).max(record.after);
            // By an earlier program, the cursor told that everything was cleared.
            if after.is_none() || *self.store.cursor(user).peek() < begin {
                self.clear_name(user, begin).await?;
            }
        }
        let decided = decided.unwrap_or(record.decided);
        let record =
            PersonRecord { decided, after: begin, absence: None, password: None, user: user.clone() };
        self.store.log().durable(self.store.set_person(record.clone()).await).await?;
        self.owners.note(record, self.uptime());
        Ok(())
    }

    /// Ends the sessions of a name, leaves its rooms, and takes the messages up to `upto` out of its inbox.
    async fn clear_name(&self, user: &UserName, upto: MessageId) -> Result<(), Refusal> {
        self.end_all(user);
        self.presences.forget(user);
        if let Some(throttle) = &self.throttle {
            throttle.forget(user);
        }
        let joined = self.store.joined(user);
        let left: Vec<_> = joined.peek().iter().map(|room| self.store.leave(user, room)).collect();
        for left in left {
            self.store.log().durable(left.await).await?;
        }
        loop {
            let from = *self.store.cursor(user).peek();
            if from >= upto {
                return Ok(());
            }
            let moved: At<_> = self.store.acknowledge(user, from, upto, self.now()).await;
            self.store.log().durable(moved).await?;
        }
    }
}
