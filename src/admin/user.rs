//! `chat-server user`: asks on the terminal, changes the users file, and prints what was done.
//!
//! This module does not know how the file is edited (`users::edit` does), and does not talk to a running server:
//! the server watches the file.

use std::{
    io::{self, Write},
    path::Path,
    time::SystemTime,
};

use thiserror::Error;

use super::prompt::{self, Times};
use crate::{
    config::{Files, MaxHash},
    model::{Secret, Timestamp, UserName},
    protocol::json::is_terminal_unsafe,
    store::{self, NameUsage, OpenError},
    users::{
        self, Decision, DecisionKind, Password, User, Users, UsersFileError,
        edit::{self, EditError, NewUser},
        password_policy::{self, Weak},
    },
};

/// Why a user could not be added, changed, removed or listed. The users file is unchanged.
#[derive(Debug, Error)]
pub enum UserError {
    /// The users file cannot be read or edited.
    #[error(transparent)]
    Edit(#[from] EditError),
    /// The store cannot be searched for an earlier owner of the name.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// The password is too weak.
    #[error(transparent)]
    Weak(#[from] Weak),
    /// The password hash costs more than is allowed.
    #[error(
        "{username}'s password hash costs more than {max}\n  remedy: leave the password empty, for a new one; or take dearer ones, the server too: {remedy}"
    )]
    Dear {
        /// The user.
        username: UserName,
        /// What is allowed.
        max: MaxHash,
        /// The setting that allows it.
        remedy: String,
    },
    /// The user name has a wrong form.
    #[error("{0:?} is not a user name\n  remedy: use 1 to 32 of a-z, 0-9, '.', '_' and '-'")]
    Name(String),
    /// The full name or the country has characters that cannot be shown.
    #[error("{0:?} cannot be shown\n  remedy: leave line ends and other control characters out")]
    Hidden(String),
    /// The store has messages, rooms or sessions of an earlier owner of the name.
    #[error(
        "{username} was somebody's name before: {what}\n  \
         remedy: type one of\n    \
         chat-server user add {username} --reclaim   if it is the same person, who gets everything back\n    \
         chat-server user add {username} --fresh     if it is somebody else, whom that does not concern"
    )]
    Used {
        /// The name.
        username: UserName,
        /// What is known of it.
        what: String,
    },
    /// The terminal, standard input or standard output failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl From<UsersFileError> for UserError {
    fn from(error: UsersFileError) -> Self {
        UserError::Edit(error.into())
    }
}

/// A user to add, as given on the command line or in a CSV row.
pub(super) struct Candidate<'a> {
    pub(super) username: &'a str,
    pub(super) name: &'a str,
    pub(super) country: &'a str,
}

impl Candidate<'_> {
    /// Returns the parsed user name if every field can be stored and shown and the name is free.
    pub(super) fn check(&self, users: &Users, file: &Path) -> Result<UserName, UserError> {
        let username = UserName::parse(self.username);
        let username = username.ok_or_else(|| UserError::Name(self.username.to_owned()))?;
        if users.get(&username).is_some() {
            return Err(EditError::Exists { file: file.display().to_string(), username }.into());
        }
        for text in [self.name, self.country] {
            if text.contains(is_terminal_unsafe) {
                return Err(UserError::Hidden(text.to_owned()));
            }
        }
        if self.name.trim().is_empty() {
            return Err(UserError::Hidden(self.name.to_owned()));
        }
        Ok(username)
    }
}

/// What the store has of an earlier owner of the name; `None` if there is no store where the files say.
fn known(files: &Files, username: &UserName) -> Result<Option<NameUsage>, UserError> {
    Ok(store::name_usage(&store::database(&files.data_folder()), username)?)
}

/// The decision to write about a name that is to be added; `None` if none is needed. `kind` is what the operator says of it.
///
/// # Errors
/// [`UserError::Used`] if the operator must say who has the name.
pub(super) fn decision_to_add(
    files: &Files,
    users: &Users,
    username: &UserName,
    kind: Option<DecisionKind>,
) -> Result<Option<Decision>, UserError> {
    let (known, removed) = (known(files, username)?, users.removed(username));
    let at = time_to_decide(users, username, known.as_ref());
    if let Some(kind) = kind {
        return Ok(Some(Decision { at, kind }));
    }
    // A running server notes a removal within a second, even if it has nothing of the name.
    let has_something = |known: &NameUsage| (known.messages, known.rooms, known.sessions) != (0, 0, 0);
    let used = known.filter(|known| known.is_known && (removed.is_none() || has_something(known)));
    let what = match (used, removed) {
        (Some(NameUsage { messages, rooms, sessions, .. }), _) => {
            format!("there are {messages} messages from and to it, {rooms} rooms and {sessions} logins")
        }
        (None, Some(at)) => format!("a user of that name was removed at {at}"),
        // If the server knows the name, it asks.
        (None, None) if known.is_none() => return Ok(Some(Decision { at, kind: DecisionKind::Added })),
        (None, None) => return Ok(None),
    };
    Err(UserError::Used { username: username.clone(), what })
}

/// The time of a decision about a name: now, but later than all earlier ones, even if the clock was set back.
fn time_to_decide(users: &Users, username: &UserName, known: Option<&NameUsage>) -> Timestamp {
    let earlier = [
        users.get(username).and_then(|user| user.decision).map(|decision| decision.at),
        users.removed(username),
        known.map(|known| known.decided),
    ];
    let after = earlier.into_iter().flatten().max().map_or(Timestamp(0), |at| Timestamp(at.0 + 1));
    Timestamp::from(SystemTime::now()).max(after)
}

/// Writes who has names that somebody had before.
pub(super) fn decide(files: &Files, usernames: &[String], kind: DecisionKind) -> Result<(), UserError> {
    let file = &files.users;
    let users = users::load(file)?.users;
    let mut all = Vec::new();
    for username in usernames {
        let user = find(&users, file, username)?;
        let known = known(files, &user.username)?;
        let at = time_to_decide(&users, &user.username, known.as_ref());
        all.push((user.username.clone(), Decision { at, kind }));
    }
    edit::decide(file, &all)?;
    let names = usernames.join(", ");
    let said = match kind {
        DecisionKind::Fresh => "somebody else has the name now, and gets nothing of what there was",
        _ => "the same person has the name, and gets everything back",
    };
    done(file, &format!("{names}: {said}"))
}

/// All users in the file; none if the file does not exist.
pub(super) fn all_users(file: &Path) -> Result<Users, UserError> {
    match users::load(file) {
        Err(UsersFileError::Read { cause, .. }) if cause.kind() == io::ErrorKind::NotFound => {
            Ok(Users::default())
        }
        loaded => Ok(loaded?.users),
    }
}

/// Adds one user, and asks for the password.
pub(super) fn add(
    files: &Files,
    candidate: &Candidate<'_>,
    kind: Option<DecisionKind>,
) -> Result<(), UserError> {
    let file = &files.users;
    // Checked before the password is asked for.
    let users = all_users(file)?;
    let username = candidate.check(&users, file)?;
    let decision = decision_to_add(files, &users, &username, kind)?;
    let password = new_password(&username)?;
    let new = NewUser {
        username,
        name: candidate.name.to_owned(),
        country: candidate.country.to_owned(),
        hash: users::hash(&password).as_str().to_owned(),
        decision,
    };
    edit::add(file, std::slice::from_ref(&new))?;
    let whose = match kind {
        Some(DecisionKind::Fresh) => ", who gets nothing of what there was",
        Some(_) => ", who gets everything back",
        None => "",
    };
    done(file, &format!("{} was added{whose}", new.username))
}

/// Asks for a new password and stores its hash.
pub(super) fn set_password(file: &Path, username: &str) -> Result<(), UserError> {
    let users = users::load(file)?.users;
    let user = find(&users, file, username)?;
    let hash = users::hash(&new_password(&user.username)?);
    edit::set_password(file, username, None, hash.as_str())?;
    done(file, &format!("{username} has a new password"))
}

/// Removes a user; messages stay.
pub(super) fn remove(file: &Path, username: &str) -> Result<(), UserError> {
    let users = users::load(file)?.users;
    let username = &find(&users, file, username)?.username;
    edit::remove(file, username, time_to_decide(&users, username, None))?;
    done(file, &format!("{username} was removed; messages from and to {username} stay"))
}

fn find<'a>(users: &'a Users, file: &Path, username: &str) -> Result<&'a User, EditError> {
    let unknown = || EditError::Unknown { file: file.display().to_string(), username: username.to_owned() };
    users.get(username).map(|user| &**user).ok_or_else(unknown)
}

fn new_password(username: &UserName) -> Result<Secret, UserError> {
    let password = prompt::password(&format!("Password for {username}: "), Times::Twice)?;
    password_policy::check(username, &password)?;
    Ok(password)
}

fn done(file: &Path, what: &str) -> Result<(), UserError> {
    Ok(writeln!(io::stdout(), "{}: {what}; {PICKED_UP}", file.display())?)
}

/// Tells the operator that no restart or signal is needed.
pub(super) const PICKED_UP: &str = "a running server picks it up by itself";

/// Prints all users and how each password is kept.
pub(super) fn list(file: &Path) -> Result<(), UserError> {
    let users = users::load(file)?.users;
    let mut all: Vec<_> = users.iter().collect();
    all.sort_unstable_by(|a, b| a.username.cmp(&b.username));
    let mut out = io::stdout().lock();
    for user in all {
        let (name, country) = (shown(&user.name), shown(&user.country));
        writeln!(out, "{}\t{name}\t{country}\t{}", user.username, kept(&user.password))?;
    }
    Ok(())
}

/// How a password is kept.
fn kept(password: &Password) -> &'static str {
    match password {
        password if password_policy::is_sample(password) => "sample",
        Password::Plain(_) => "clear",
        Password::Hashed(hash) if hash.is_cheap() => "weak hash",
        Password::Hashed(_) => "hashed",
    }
}

/// The text with every character escaped that a terminal would act on.
fn shown(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if is_terminal_unsafe(c) {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_escaped() {
        assert_eq!(shown("a\tb\u{1b}[31m\u{202e}é"), "a\\tb\\u{1b}[31m\\u{202e}é");
    }
}
