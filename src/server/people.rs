//! `chat-server user`: asks on the terminal, has the users file changed, and says what was done.
//!
//! How the file is changed is not known here, and a running server is not talked to: it watches the file.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
};

use thiserror::Error;

use super::{
    import,
    prompt::{self, Times},
};
use crate::{
    config::{Files, UserCommand},
    protocol::{Secret, UserName, reply::is_hidden},
    store::{self, NameUsage, OpenError},
    users::{
        self, Password, User, Users, UsersFileError,
        edit::{self, EditError, NewUser},
        password_policy::{self, Weak},
    },
};

/// Why it was not done. The users file is as it was.
#[derive(Debug, Error)]
pub enum PeopleError {
    /// The users file.
    #[error(transparent)]
    Edit(#[from] EditError),
    /// What is stored.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// The password.
    #[error(transparent)]
    Weak(#[from] Weak),
    /// The user name.
    #[error("{0:?} is not a user name\n  remedy: use 1 to 32 of a-z, 0-9, '.', '_' and '-'")]
    Name(String),
    /// The full name or the country.
    #[error("{0:?} cannot be shown\n  remedy: leave line ends and other control characters out")]
    Hidden(String),
    /// Somebody had the name before.
    #[error(
        "{username} was somebody's name before: there are {messages} messages from and to it, {rooms} rooms and {sessions} logins\n  \
         remedy: type one of\n    \
         chat-server user add {username} --reclaim   if it is the same person, whose they are\n    \
         chat-server user add {username} --fresh     if it is somebody else, whom the messages do not concern"
    )]
    Used {
        /// The name.
        username: UserName,
        /// From and to it.
        messages: u64,
        /// That it is or was in.
        rooms: u64,
        /// That have not ended.
        sessions: u64,
    },
    /// What is imported cannot be read.
    #[error("{}: {cause}\n  remedy: name a CSV file, or - for standard input", path.display())]
    Unreadable {
        /// As it was named.
        path: PathBuf,
        /// The system's reason.
        cause: io::Error,
    },
    /// A line of what is imported.
    #[error("{file}:{line}: {problem}\n  nobody was added")]
    Line {
        /// As it was named.
        file: String,
        /// From 1.
        line: u64,
        /// What is wrong, and what to do.
        problem: String,
    },
    /// They are there, and nobody has their passwords.
    #[error(
        "all were added, but their new passwords could not be printed: {0}\n  remedy: give each another with: chat-server user passwd NAME"
    )]
    Unprinted(io::Error),
    /// Input or output.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl From<UsersFileError> for PeopleError {
    fn from(error: UsersFileError) -> Self {
        PeopleError::Edit(error.into())
    }
}

/// Does it, and prints a line that says what was done.
pub(super) fn run(command: &UserCommand) -> Result<(), PeopleError> {
    match command {
        UserCommand::Add { files, username, name, country, reclaim, fresh } => {
            let person = Person { username, name: name.as_deref().unwrap_or(username), country };
            add(files, &person, *reclaim, *fresh)
        }
        UserCommand::Passwd { files, username } => passwd(&files.users, username),
        UserCommand::Remove { files, username } => remove(&files.users, username),
        UserCommand::List { files } => list(&files.users),
        UserCommand::Import { files, csv } => import::import(files, csv),
    }
}

/// Somebody as they were given to the program.
pub(super) struct Person<'a> {
    pub(super) username: &'a str,
    pub(super) name: &'a str,
    pub(super) country: &'a str,
}

impl Person<'_> {
    /// The user name, if all can be put into the file and shown, and nobody there has the name.
    pub(super) fn check(&self, users: &Users, file: &Path) -> Result<UserName, PeopleError> {
        let username = UserName::parse(self.username);
        let username = username.ok_or_else(|| PeopleError::Name(self.username.to_owned()))?;
        if users.get(&username).is_some() {
            return Err(EditError::Exists { file: file.display().to_string(), username }.into());
        }
        for text in [self.name, self.country] {
            if text.contains(is_hidden) {
                return Err(PeopleError::Hidden(text.to_owned()));
            }
        }
        if self.name.trim().is_empty() {
            return Err(PeopleError::Hidden(self.name.to_owned()));
        }
        Ok(username)
    }
}

/// What is stored of somebody who had the name before.
pub(super) fn known(files: &Files, username: &UserName) -> Result<Option<NameUsage>, PeopleError> {
    Ok(store::name_usage(&store::database(&files.data_folder()), username)?)
}

/// The refusal to give a name to somebody without a word on who had it.
pub(super) fn used(username: &UserName, known: &NameUsage) -> PeopleError {
    let NameUsage { messages, rooms, sessions, .. } = *known;
    PeopleError::Used { username: username.clone(), messages, rooms, sessions }
}

/// Everybody in the file; nobody if there is none.
pub(super) fn everybody(file: &Path) -> Result<Users, PeopleError> {
    match users::load(file) {
        Err(UsersFileError::Read { cause, .. }) if cause.kind() == io::ErrorKind::NotFound => {
            Ok(Users::default())
        }
        loaded => Ok(loaded?.users),
    }
}

fn add(files: &Files, person: &Person<'_>, reclaim: bool, fresh: bool) -> Result<(), PeopleError> {
    let file = &files.users;
    // Before anybody types a password in vain.
    let username = person.check(&everybody(file)?, file)?;
    let known = known(files, &username)?;
    let messages_after = match &known {
        Some(known) if fresh => known.last.0,
        Some(known) if !reclaim => return Err(used(&username, known)),
        _ => 0,
    };
    let password = new_password(&username)?;
    let new = NewUser {
        username,
        name: person.name.to_owned(),
        country: person.country.to_owned(),
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

fn passwd(file: &Path, username: &str) -> Result<(), PeopleError> {
    let users = users::load(file)?.users;
    let user = find(&users, file, username)?;
    let hash = users::hash(&new_password(&user.username)?);
    edit::set_password(file, username, None, hash.as_str())?;
    done(file, &format!("{username} has a new password"))
}

fn remove(file: &Path, username: &str) -> Result<(), PeopleError> {
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

fn new_password(username: &UserName) -> Result<Secret, PeopleError> {
    let password = prompt::password(&format!("Password for {username}: "), Times::Twice)?;
    password_policy::check(username, &password)?;
    Ok(password)
}

fn done(file: &Path, what: &str) -> Result<(), PeopleError> {
    Ok(writeln!(io::stdout(), "{}: {what}; {PICKED_UP}", file.display())?)
}

/// What need not be done.
pub(super) const PICKED_UP: &str = "a running server picks it up by itself";

fn list(file: &Path) -> Result<(), PeopleError> {
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

/// A text without what a terminal would obey.
fn shown(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if is_hidden(c) {
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
