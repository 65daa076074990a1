//! `chat-server user`: asks on the terminal, changes the users file, and prints what was done.
//!
//! This module does not know how the file is edited (`users::edit` does), and does not talk to a running server:
//! the server watches the file.

use std::{
    io::{self, Write},
    path::Path,
};

use thiserror::Error;

use super::prompt::{self, Times};
use crate::{
    config::Files,
    model::{Secret, UserName},
    protocol::json::is_terminal_unsafe,
    store::{self, NameUsage, OpenError},
    users::{
        self, Password, User, Users, UsersFileError,
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
    /// The user name has a wrong form.
    #[error("{0:?} is not a user name\n  remedy: use 1 to 32 of a-z, 0-9, '.', '_' and '-'")]
    Name(String),
    /// The full name or the country has characters that cannot be shown.
    #[error("{0:?} cannot be shown\n  remedy: leave line ends and other control characters out")]
    Hidden(String),
    /// The store has messages, rooms or sessions of an earlier owner of the name.
    #[error(
        "{username} was somebody's name before: there are {messages} messages from and to it, {rooms} rooms and {sessions} logins\n  \
         remedy: type one of\n    \
         chat-server user add {username} --reclaim   if it is the same person, whose they are\n    \
         chat-server user add {username} --fresh     if it is somebody else, whom the messages do not concern"
    )]
    Used {
        /// The name.
        username: UserName,
        /// Messages from and to it.
        messages: u64,
        /// Rooms that it is or was in.
        rooms: u64,
        /// Sessions that have not ended.
        sessions: u64,
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

/// What the store has of an earlier owner of the name.
pub(super) fn known(files: &Files, username: &UserName) -> Result<Option<NameUsage>, UserError> {
    Ok(store::name_usage(&store::database(&files.data_folder()), username)?)
}

/// The error for a name that had an earlier owner, when the caller did not say whose messages those are.
pub(super) fn used(username: &UserName, known: &NameUsage) -> UserError {
    let NameUsage { messages, rooms, sessions, .. } = *known;
    UserError::Used { username: username.clone(), messages, rooms, sessions }
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
    reclaim: bool,
    fresh: bool,
) -> Result<(), UserError> {
    let file = &files.users;
    // Checked before the password is asked for.
    let username = candidate.check(&all_users(file)?, file)?;
    let known = known(files, &username)?;
    let messages_after = match &known {
        Some(known) if fresh => known.last.0,
        Some(known) if !reclaim => return Err(used(&username, known)),
        _ => 0,
    };
    let password = new_password(&username)?;
    let new = NewUser {
        username,
        name: candidate.name.to_owned(),
        country: candidate.country.to_owned(),
        hash: users::hash(&password).as_str().to_owned(),
        messages_after,
    };
    edit::add(file, std::slice::from_ref(&new))?;
    let whose = match known {
        Some(known) if fresh => format!(", without the messages up to number {}", known.last.0),
        Some(known) => format!(", with the {} messages that there are", known.messages),
        None => String::new(),
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
    let after = find(&users, file, username)?.messages_after;
    edit::remove(file, username)?;
    let limit = if after == 0 {
        String::new()
    } else {
        format!(" (to add the same person again: --reclaim, and messages_after = {after} into the table)")
    };
    done(file, &format!("{username} was removed; messages from and to {username} stay{limit}"))
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
