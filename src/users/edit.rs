//! Changes the users file in place: every byte that a change does not concern stays as it is.
//!
//! All who change the file (the subcommands, a running server) take one lock and replace it as a whole: a reader finds
//! the old file or the new one, and so does a reader after a power cut. This module prints nothing, and no password in
//! clear comes in.
//!
//! `toml_edit` says where in the text a user stands, and the text is changed there. It does not write the whole file,
//! because it would write every line end as LF and put the lines of dotted keys together.

mod forms;

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use thiserror::Error;
use toml_edit::{Document, DocumentMut, InlineTable, Item, TableLike, Value};
use zeroize::Zeroizing;

use self::forms::{append, insert, quoted, with_removed};
use super::{
    Decision, User, Users, UsersFileError,
    lines::{lines_of, set_beside_password, with, without},
    parse,
};
use crate::{
    files::{self, AsOwner, ReplaceError},
    model::{Timestamp, UserName},
};

/// Why the file was not changed. It is as it was.
#[derive(Debug, Error)]
pub enum EditError {
    /// It cannot be read, or the server could not use it.
    #[error(transparent)]
    File(#[from] UsersFileError),
    /// It cannot be locked or written.
    #[error("{}: cannot {doing}: {cause}\n  remedy: {}", path.display(), remedy(cause))]
    Io {
        /// The file that it is about.
        path: PathBuf,
        /// What was tried.
        doing: &'static str,
        /// The system's reason.
        cause: io::Error,
    },
    /// The name is taken.
    #[error(
        "{file}: {username} is there already\n  remedy: take another name, or give this one a new password with: chat-server user passwd {username}"
    )]
    Exists {
        /// As it was named.
        file: String,
        /// Who.
        username: UserName,
    },
    /// There is no such user.
    #[error(
        "{file}: there is no user {username:?}\n  remedy: `chat-server user list` shows who is there; another file is named with --users FILE"
    )]
    Unknown {
        /// As it was named.
        file: String,
        /// Who was asked for.
        username: String,
    },
    /// The password is not the expected one any more.
    #[error(
        "{file}: somebody else has changed {username}'s password meanwhile\n  remedy: log in with that one, and change it again if need be"
    )]
    Changed {
        /// As it was named.
        file: String,
        /// Whose.
        username: String,
    },
    /// The changed file would not say what was meant. It was not written.
    #[error("{file}: {problem}\n  remedy: make that change with an editor")]
    Form {
        /// As it was named.
        file: String,
        /// What stands in the way.
        problem: String,
    },
}

fn remedy(cause: &io::Error) -> &'static str {
    match cause.kind() {
        io::ErrorKind::PermissionDenied => {
            "run it as the user that the file and its folder belong to, or as root"
        }
        io::ErrorKind::NotFound => "make the folder, or name another file with --users FILE",
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            "make space on that disk, and try again"
        }
        _ => "see to the disk, or name another file with --users FILE",
    }
}

impl From<ReplaceError> for EditError {
    fn from(ReplaceError { path, doing, cause }: ReplaceError) -> Self {
        EditError::Io { path, doing, cause }
    }
}

fn failed(path: &Path, doing: &'static str) -> impl FnOnce(io::Error) -> EditError {
    move |cause| EditError::Io { path: path.to_owned(), doing, cause }
}

/// Somebody who is to be there.
#[derive(Debug, Clone)]
pub struct NewUser {
    /// What they log in with.
    pub username: UserName,
    /// What others are shown.
    pub name: String,
    /// Where they are from; may be empty.
    pub country: String,
    /// The hash of their password.
    pub hash: String,
    /// The operator's decision about the name, if somebody had it before.
    pub decision: Option<Decision>,
}

/// Adds all of them, or none. Makes the file, for its owner only, if there is none.
///
/// # Errors
/// If one of them is there already, or the file cannot be used or written.
pub fn add(file: &Path, people: &[NewUser]) -> Result<(), EditError> {
    let added = |before: &Users, after: &Users| {
        after.len() == before.len() + people.len()
            && people.iter().all(|new| {
                after.get(&new.username).is_some_and(|user| {
                    user.password.reveal() == new.hash
                        && (&user.name, &user.country, user.decision)
                            == (&new.name, &new.country, new.decision)
                })
            })
    };
    change(file, true, added, |current| {
        for new in people {
            if current.users.get(&new.username).is_some() {
                return Err(EditError::Exists { file: current.file(), username: new.username.clone() });
            }
        }
        let document = current.document()?;
        // No table can be added to an inline one.
        if let Some(Item::Value(Value::InlineTable(_))) = document.get(USERS) {
            return current
                .with_inline_users(&document, |users| people.iter().for_each(|new| insert(users, new)));
        }
        let mut text = current.text.to_owned();
        for new in people {
            append(&mut text, new);
        }
        Ok(text)
    })
}

/// Puts a new password hash in the place of a user's password. If `expected` is given, that text (of a hash, or a
/// password in clear) must still be there.
///
/// # Errors
/// [`EditError::Changed`] if another one is there; or if there is no such user, or the file cannot be used or written.
pub fn set_password(
    file: &Path,
    username: &str,
    expected: Option<&str>,
    new_hash: &str,
) -> Result<(), EditError> {
    let set = |before: &Users, after: &Users| {
        after.len() == before.len()
            && after.get(username).is_some_and(|user| user.password.reveal() == new_hash)
    };
    change(file, false, set, |current| {
        let user = current.user(username)?;
        if expected.is_some_and(|expected| user.password.reveal() != expected) {
            return Err(EditError::Changed { file: current.file(), username: username.to_owned() });
        }
        let document = current.document()?;
        let password = users_of(&document).and_then(|users| users.get(username)?.get("password")?.span());
        let password = password.ok_or_else(|| current.form())?;
        Ok(with(current.text, password, &quoted(new_hash)))
    })
}

/// Writes a decision about the names of users who are there.
///
/// # Errors
/// If one of them is not there, or the file cannot be used or written.
pub fn decide(file: &Path, all: &[(UserName, Decision)]) -> Result<(), EditError> {
    let decided = |before: &Users, after: &Users| {
        after.len() == before.len()
            && all.iter().all(|(username, decision)| {
                after.get(username).is_some_and(|user| user.decision == Some(*decision))
            })
    };
    change(file, false, decided, |current| {
        let mut text = Zeroizing::new(current.text.to_owned());
        for (username, Decision { at, kind }) in all {
            current.user(username)?;
            let document = Document::parse(text.as_str()).map_err(|_| current.form())?;
            let set = users_of(&document).and_then(|users| {
                let is_inline = matches!(document.get(USERS), Some(Item::Value(_)));
                set_beside_password(&text, users, is_inline, username, (kind.key(), &at.to_string()))
            });
            let set = set.ok_or_else(|| current.form())?;
            drop(document);
            *text = set;
        }
        Ok(text.to_string())
    })
}

/// Removes a user and the comment that stands right above, and notes the time of that: the server must not take the next user of
/// that name for the same person.
///
/// # Errors
/// If there is no such user, or the file cannot be used or written.
pub fn remove(file: &Path, username: &UserName, at: Timestamp) -> Result<(), EditError> {
    let removed = |before: &Users, after: &Users| {
        after.len() + 1 == before.len()
            && after.get(username).is_none()
            && after.removed(username) == Some(at)
    };
    change(file, false, removed, |current| {
        current.user(username)?;
        let document = current.document()?;
        let text = if let Some(Item::Value(Value::InlineTable(_))) = document.get(USERS) {
            current.with_inline_users(&document, |users| {
                users.remove(username);
            })?
        } else {
            let users = users_of(&document).ok_or_else(|| current.form())?;
            let lines = lines_of(users, username).ok_or_else(|| current.form())?;
            without(current.text, lines)
        };
        let document = Document::parse(text.as_str()).map_err(|_| current.form())?;
        with_removed(&text, &document, username, &at.to_string()).ok_or_else(|| current.form())
    })
}

/// The table in which all users stand.
const USERS: &str = "users";

/// The table of the users who were removed.
const REMOVED: &str = "removed";

/// The file before a change.
struct Current<'a> {
    path: &'a Path,
    text: &'a str,
    users: &'a Users,
}

impl<'a> Current<'a> {
    fn file(&self) -> String {
        self.path.display().to_string()
    }

    fn form(&self) -> EditError {
        EditError::Form { file: self.file(), problem: "this change is not possible in place".to_owned() }
    }

    fn user(&self, username: &str) -> Result<&User, EditError> {
        let unknown = || EditError::Unknown { file: self.file(), username: username.to_owned() };
        self.users.get(username).map(|user| &**user).ok_or_else(unknown)
    }

    /// The text with the place of every key and value. The parser's own error shows a line of the file, which may be a
    /// password, so it is dropped.
    fn document(&self) -> Result<Document<&'a str>, EditError> {
        Document::parse(self.text).map_err(|_| self.form())
    }

    /// The text in which the inline table `users = { … }` is changed, and nothing else.
    fn with_inline_users(
        &self,
        document: &Document<&str>,
        change: impl FnOnce(&mut InlineTable),
    ) -> Result<String, EditError> {
        let place = document.get(USERS).and_then(Item::span).ok_or_else(|| self.form())?;
        let mut document: DocumentMut = self.text.parse().map_err(|_| self.form())?;
        let users = document.get_mut(USERS).and_then(Item::as_inline_table_mut).ok_or_else(|| self.form())?;
        change(users);
        // What surrounds it stands in the text.
        users.decor_mut().clear();
        // The editor writes every line end as LF.
        let mut changed = users.to_string();
        if self.text[place.clone()].contains("\r\n") {
            changed = changed.replace("\r\n", "\n").replace('\n', "\r\n");
        }
        Ok(with(self.text, place, &changed))
    }
}

/// The table of users in the document, whatever its form.
fn users_of<'a>(document: &'a Document<&str>) -> Option<&'a dyn TableLike> {
    document.get(USERS)?.as_table_like()
}

/// Locks, reads, changes, reads what came of it (`is_done` compares), and replaces.
fn change(
    file: &Path,
    make: bool,
    is_done: impl Fn(&Users, &Users) -> bool,
    edit: impl FnOnce(&Current<'_>) -> Result<String, EditError>,
) -> Result<(), EditError> {
    let name = file.display().to_string();
    if !make && let Err(cause) = fs::metadata(file) {
        return Err(UsersFileError::Read { file: name, cause }.into());
    }
    let lock = lock(file)?;
    // It may hold passwords in clear.
    let text = match fs::read_to_string(&lock.target) {
        Ok(text) => Zeroizing::new(text),
        Err(cause) if make && cause.kind() == io::ErrorKind::NotFound => Zeroizing::default(),
        Err(cause) => return Err(UsersFileError::Read { file: name, cause }.into()),
    };
    let loaded = parse(&text, &name)?;
    let current = Current { path: file, text: &text, users: &loaded.users };
    let changed = Zeroizing::new(edit(&current)?);
    // Whatever somebody's TOML looks like: nothing is written that does not say what was meant.
    if !parse(&changed, &name).is_ok_and(|after| is_done(&loaded.users, &after.users)) {
        return Err(current.form());
    }
    Ok(files::replace(&lock.target, changed.as_bytes())?)
}

/// The right to change a users file, as long as it lives.
pub struct Lock {
    /// The file itself, where links lead.
    target: PathBuf,
    _file: File,
    /// As root, who writes in somebody else's folder.
    _acting: AsOwner,
}

/// Waits for the right to change the users file. (The functions of this module take it themselves.)
///
/// The lock is on `users.toml.lock` beside the file, not on the file, which every change replaces. It is never removed:
/// who waits for it would otherwise lock another one than who comes next.
///
/// # Errors
/// If it cannot be opened or made.
pub fn lock(file: &Path) -> Result<Lock, EditError> {
    let target = resolve(file).map_err(failed(file, "find it"))?;
    let path = files::with_suffix(&target, ".lock");
    let doing = "lock the users file";
    let acting = AsOwner::of(&target).map_err(failed(&path, doing))?;
    let is_new = !path.is_symlink() && !path.exists();
    let lock = files::open_own(&path).map_err(failed(&path, doing))?;
    if is_new
        && let Ok(owner) = fs::metadata(&target)
        // Made by root for a server that is not: it must be able to take it, too.
        && let Err(cause) = files::take_owner(&lock, &owner)
    {
        fs::remove_file(&path).ok();
        return Err(failed(&path, doing)(cause));
    }
    lock.lock().map_err(failed(&path, doing))?;
    Ok(Lock { target, _file: lock, _acting: acting })
}

/// Where links lead, also if nothing is there yet.
fn resolve(file: &Path) -> io::Result<PathBuf> {
    match fs::canonicalize(file) {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => match fs::read_link(file) {
            Ok(link) => resolve(&files::parent(file).join(link)),
            Err(_) => Ok(file.to_owned()),
        },
        resolved => resolved,
    }
}

#[cfg(test)]
mod tests;
