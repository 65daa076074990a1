//! Changing the users file in place: every byte that a change does not concern stays as it is.
//!
//! All who change the file (the subcommands, a running server) take one lock, and replace it as a whole: a reader finds
//! either the old file or the new one, and so does who comes after a power cut. Nothing here asks or tells anybody
//! anything, and no password in clear comes in.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use thiserror::Error;
use zeroize::Zeroizing;

use super::{
    Users, UsersFileError,
    file::{Place, parse, parse_with_places},
};
use crate::{
    files::{self, ReplaceError},
    protocol::UserName,
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
    /// It is right, but not laid out so that it can be changed.
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
    /// Messages up to this number are not theirs; 0 if all are.
    pub messages_after: u64,
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
                        && (&user.name, &user.country, user.messages_after)
                            == (&new.name, &new.country, new.messages_after)
                })
            })
    };
    change(file, true, added, |current| {
        let mut text = current.text.to_owned();
        for new in people {
            if current.users.get(&new.username).is_some() {
                return Err(EditError::Exists { file: current.file(), username: new.username.clone() });
            }
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
        let place = current.place(username)?;
        let user = current.users.get(username);
        if expected.is_some_and(|expected| user.is_some_and(|user| user.password.reveal() != expected)) {
            return Err(EditError::Changed { file: current.file(), username: username.to_owned() });
        }
        let text = current.text;
        Ok([&text[..place.password.start], &quoted(new_hash), &text[place.password.end..]].concat())
    })
}

/// Removes a user: the table, and the comment that stands right above it.
///
/// # Errors
/// If there is no such user, it does not stand in a table of its own, or the file cannot be used or written.
pub fn remove(file: &Path, username: &str) -> Result<(), EditError> {
    let removed =
        |before: &Users, after: &Users| after.len() + 1 == before.len() && after.get(username).is_none();
    change(file, false, removed, |current| {
        let place = current.place(username)?;
        without(current.text, place).ok_or_else(|| EditError::Form {
            file: current.file(),
            problem: format!("{username} does not stand in a table of its own, [users.{username}]"),
        })
    })
}

/// The file as it is before a change.
struct Current<'a> {
    path: &'a Path,
    text: &'a str,
    users: &'a Users,
    places: &'a [Place],
}

impl<'a> Current<'a> {
    fn file(&self) -> String {
        self.path.display().to_string()
    }

    fn place(&self, username: &str) -> Result<&'a Place, EditError> {
        let unknown = || EditError::Unknown { file: self.file(), username: username.to_owned() };
        self.places.iter().find(|place| *place.username == *username).ok_or_else(unknown)
    }
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
    let (loaded, places) = parse_with_places(&text, &name)?;
    let current = Current { path: file, text: &text, users: &loaded.users, places: &places };
    let changed = Zeroizing::new(edit(&current)?);
    // Whatever somebody's TOML looks like: nothing is written that does not say what was meant.
    if !parse(&changed, &name).is_ok_and(|after| is_done(&loaded.users, &after.users)) {
        let problem = "its users do not stand in tables [users.NAME]".to_owned();
        return Err(EditError::Form { file: name, problem });
    }
    Ok(files::replace(&lock.target, changed.as_bytes())?)
}

/// TOML for a text.
fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

/// Puts a user's table at the end.
fn append(text: &mut String, new: &NewUser) {
    let end = if text.contains("\r\n") { "\r\n" } else { "\n" };
    if !text.is_empty() {
        if !text.ends_with('\n') {
            text.push_str(end);
        }
        text.push_str(end);
    }
    let NewUser { username, name, country, hash, messages_after } = new;
    // A name with a dot in it would be two.
    let key = if username.contains('.') { format!("\"{username}\"") } else { username.to_string() };
    let mut line = |line: String| text.extend([line.as_str(), end]);
    line(format!("[users.{key}]"));
    line(format!("name = {}", quoted(name)));
    if !country.is_empty() {
        line(format!("country = {}", quoted(country)));
    }
    line(format!("password = {}", quoted(hash)));
    if *messages_after > 0 {
        line(format!("messages_after = {messages_after}"));
    }
}

/// The text without somebody's table and the comment right above it; `None` if it is no such table.
fn without(text: &str, place: &Place) -> Option<String> {
    let line_start = |at: usize| text[..at].rfind('\n').map_or(0, |end| end + 1);
    let line_end = |at: usize| text[at..].find('\n').map_or(text.len(), |end| at + end + 1);
    let header = line_start(place.key.start);
    if !text[header..].trim_start().starts_with('[') {
        return None;
    }
    let mut begin = header;
    while begin > 0 {
        let above = line_start(begin - 1);
        if !text[above..begin].trim_start().starts_with('#') {
            break;
        }
        begin = above;
    }
    // What the file begins with is about all of it.
    if begin == 0 {
        begin = header;
    }
    let mut end = line_end(place.end);
    while end < text.len() && text[end..line_end(end)].trim().is_empty() {
        end = line_end(end);
    }
    if end == text.len() {
        // The blank lines that set the last one off.
        while begin > 0 && text[line_start(begin - 1)..begin].trim().is_empty() {
            begin = line_start(begin - 1);
        }
    }
    Some([&text[..begin], &text[end..]].concat())
}

/// The right to change a users file, as long as it lives.
pub struct Lock {
    /// The file itself, where links lead.
    target: PathBuf,
    _file: File,
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
    let is_new = !path.exists();
    let lock = files::private().read(true).open(&path).map_err(failed(&path, doing))?;
    if let Ok(owner) = fs::metadata(&target)
        // Made by root for a server that is not: it must be able to take it, too.
        && let Err(cause) = files::take_owner(&lock, &owner)
    {
        if is_new {
            fs::remove_file(&path).ok();
        }
        return Err(failed(&path, doing)(cause));
    }
    lock.lock().map_err(failed(&path, doing))?;
    Ok(Lock { target, _file: lock })
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
