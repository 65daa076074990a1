//! The users file: `[users.NAME]` with `name`, `country`, `password`, `fresh_since`, `reclaimed` or `added`; and `[removed]`, with the time
//! at which each user was removed.

use std::{
    collections::BTreeMap,
    fs::{File, Metadata},
    io::{self, Read},
    ops::Range,
    path::Path,
};

use serde::Deserialize;
use thiserror::Error;
use toml::{Spanned, value::Datetime};

use super::{Decision, DecisionKind, Password, PasswordHash, User, Users};
use crate::{
    config::MaxHash,
    files,
    model::{Secret, Timestamp, UserName},
};

/// Why a users file cannot be used. It never shows text of the file, which may be a password.
#[derive(Debug, Error)]
pub enum UsersFileError {
    /// The file cannot be read.
    #[error(
        "{file}: {cause}\n  remedy: name the users file with --users FILE, or make one like the sample users.toml"
    )]
    Read {
        /// Path as it was given.
        file: String,
        /// Error of the operating system.
        cause: std::io::Error,
    },
    /// The file has become blank while there are users.
    #[error(
        "{file}: the file is empty\n  remedy: write it again; to remove a user: chat-server user remove NAME"
    )]
    Blank {
        /// Path as it was given.
        file: String,
    },
    /// The file can be read, but line `line` is wrong.
    #[error("{file}:{line}: {problem}\n  remedy: {remedy}")]
    Line {
        /// Path as it was given.
        file: String,
        /// Number of the line, from 1.
        line: usize,
        /// What is wrong on that line.
        problem: String,
        /// How the operator can fix it.
        remedy: String,
    },
}

/// The contents of a users file that can be used, with warnings about what should be changed in it.
#[derive(Debug)]
pub struct Loaded {
    /// All users in the file.
    pub users: Users,
    /// Warnings for the operator, one line each.
    pub warnings: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(default)]
    users: BTreeMap<Spanned<String>, Entry>,
    #[serde(default)]
    removed: BTreeMap<Spanned<String>, Spanned<Datetime>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: Spanned<String>,
    country: Option<String>,
    password: Spanned<String>,
    messages_after: Option<u64>,
    fresh_since: Option<Spanned<Datetime>>,
    reclaimed: Option<Spanned<Datetime>>,
    added: Option<Spanned<Datetime>>,
}

/// Reads the users file at `path`.
///
/// # Errors
/// [`UsersFileError`] if it cannot be read, or for the first mistake in it.
pub fn load(path: &Path) -> Result<Loaded, UsersFileError> {
    read(path, None)
}

/// Reads the users file at `path`, which must not have a hash dearer than `max`.
///
/// # Errors
/// [`UsersFileError`] if it cannot be read, or for the first mistake in it.
pub fn load_within(path: &Path, max: MaxHash) -> Result<Loaded, UsersFileError> {
    read(path, Some(max))
}

fn read(path: &Path, max: Option<MaxHash>) -> Result<Loaded, UsersFileError> {
    let file = path.display().to_string();
    let read = || -> io::Result<(String, Metadata)> {
        let mut opened = File::open(path)?;
        let mut text = String::new();
        opened.read_to_string(&mut text)?;
        Ok((text, opened.metadata()?))
    };
    let (text, found) = read().map_err(|cause| UsersFileError::Read { file: file.clone(), cause })?;
    let mut loaded = Source { text: &text, file: &file, max }.parse()?;
    if files::is_open_to_others(&found) {
        loaded
            .warnings
            .push(format!("{file}: others can read it, or the group can; remedy: chmod 600 {file}"));
    }
    Ok(loaded)
}

/// Parses the text of a users file; `file` is its name in errors and warnings.
///
/// # Errors
/// [`UsersFileError::Line`] for the first mistake in it.
pub fn parse(text: &str, file: &str) -> Result<Loaded, UsersFileError> {
    Source { text, file, max: None }.parse()
}

/// The text of a users file, its name for errors, and what it may contain.
struct Source<'a> {
    text: &'a str,
    file: &'a str,
    /// The dearest hash that is taken.
    max: Option<MaxHash>,
}

impl Source<'_> {
    fn parse(&self) -> Result<Loaded, UsersFileError> {
        let document: Document = toml::from_str(self.text).map_err(|error| {
            let span = error.span().unwrap_or(0..0);
            self.wrong(
                span,
                without_value(error.message()),
                "each user is a table [users.NAME] with name = \"…\", country = \"…\" (may be left out) and password = \"…\"",
            )
        })?;
        let mut warnings = Vec::new();
        let mut users = Vec::with_capacity(document.users.len());
        let mut entries: Vec<_> = document.users.into_iter().collect();
        // Sort by place in the file, so that the first mistake is the one that is reported.
        entries.sort_by_key(|(key, _)| key.span().start);
        for (key, entry) in entries {
            let username = self.username(&key)?;
            if entry.name.get_ref().trim().is_empty() {
                return Err(self.wrong(
                    entry.name.span(),
                    format!("{username} has an empty name"),
                    "write the name that other users see",
                ));
            }
            let decision = self.last_decision([
                (DecisionKind::Added, entry.added),
                (DecisionKind::Reclaimed, entry.reclaimed),
                (DecisionKind::Fresh, entry.fresh_since),
            ])?;
            let span = entry.password.span();
            let password = self.password(&username, entry.password.into_inner(), span, &mut warnings)?;
            users.push(User {
                username,
                name: entry.name.into_inner(),
                country: entry.country.unwrap_or_default(),
                password,
                messages_after: entry.messages_after.unwrap_or(0),
                decision,
            });
        }
        if users.is_empty() {
            warnings.push(format!(
                "{}: no users: nobody can log in; add one with: chat-server user add NAME",
                self.file
            ));
        }
        let mut users: Users = users.into_iter().collect();
        for (key, at) in document.removed {
            users.removed.insert(self.username(&key)?, self.time(&at)?);
        }
        Ok(Loaded { users, warnings })
    }

    /// Number of the line in which `span` begins, from 1.
    fn line(&self, span: &Range<usize>) -> usize {
        1 + memchr::memchr_iter(b'\n', &self.text.as_bytes()[..span.start.min(self.text.len())]).count()
    }

    fn wrong(&self, span: Range<usize>, problem: String, remedy: &str) -> UsersFileError {
        let line = self.line(&span);
        UsersFileError::Line { file: self.file.to_owned(), line, problem, remedy: remedy.to_owned() }
    }

    fn username(&self, key: &Spanned<String>) -> Result<UserName, UsersFileError> {
        UserName::parse(key.get_ref()).ok_or_else(|| {
            let problem = format!("{:?} is not a user name", key.get_ref());
            self.wrong(key.span(), problem, "use 1 to 32 of a-z, 0-9, '.', '_' and '-'")
        })
    }

    /// The latest of the decisions that were taken.
    fn last_decision<const N: usize>(
        &self,
        all: [(DecisionKind, Option<Spanned<Datetime>>); N],
    ) -> Result<Option<Decision>, UsersFileError> {
        let mut last: Option<Decision> = None;
        for (kind, at) in all {
            if let Some(at) = at.map(|at| self.time(&at)).transpose()?
                && last.is_none_or(|last| at >= last.at)
            {
                last = Some(Decision { at, kind });
            }
        }
        Ok(last)
    }

    fn time(&self, at: &Spanned<Datetime>) -> Result<Timestamp, UsersFileError> {
        let text = at.get_ref().to_string();
        humantime::parse_rfc3339(&text).map(Timestamp::from).map_err(|_| {
            self.wrong(at.span(), format!("{text} is not a time in UTC"), "write it as 2026-11-27T18:42:01Z")
        })
    }

    fn password(
        &self,
        username: &UserName,
        text: String,
        span: Range<usize>,
        warnings: &mut Vec<String>,
    ) -> Result<Password, UsersFileError> {
        let remedy = "make a hash with: chat-server hash-password";
        if text.is_empty() {
            return Err(self.wrong(span, format!("{username} has an empty password"), remedy));
        }
        if text.starts_with('$') {
            let hash = PasswordHash::parse(&text).map_err(|error| {
                self.wrong(span.clone(), format!("{username}'s password is {error}"), remedy)
            })?;
            if let Some(max) = self.max.filter(|max| !hash.cost().is_within(*max)) {
                let remedy = format!(
                    "give {username} another: chat-server user passwd {username}; or take dearer ones: {}",
                    hash.cost().allowed_by()
                );
                let problem = format!("{username}'s password hash costs more than {max}");
                return Err(self.wrong(span, problem, &remedy));
            }
            return Ok(Password::Hashed(hash));
        }
        warnings.push(format!(
            "{}:{}: {username}'s password is stored in clear; make a hash with `chat-server hash-password` and put it there",
            self.file,
            self.line(&span)
        ));
        Ok(Password::Plain(Secret::new(text)))
    }
}

/// Removes from an error message of the TOML parser the value that has the wrong type: it may be a password.
fn without_value(message: &str) -> String {
    if !["invalid type: ", "invalid value: "].iter().any(|start| message.starts_with(start)) {
        return message.to_owned();
    }
    // The expected type is last in the message. Search from the end, because the value may contain any text.
    message
        .rsplit_once(", expected ")
        .map_or_else(|| message.to_owned(), |(_, expected)| format!("wrong type, expected {expected}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str =
        "$argon2id$v=19$m=8,t=1,p=1$Y29tcGFyZXNhbHQxMjM0NQ$eF2jJ9O9Osv2IfM6OWa8sOOUC76oTlDW/VstedTxG4g";

    fn refused(text: &str) -> String {
        parse(text, "users.toml").expect_err("refused").to_string()
    }

    #[test]
    fn users_have_a_name_a_country_and_a_password() {
        let text = format!(
            "[users.messi]\nname = \"Lionel Messi\"\ncountry = \"Argentina\"\npassword = \"{HASH}\"\n"
        );
        let loaded = parse(&text, "users.toml").expect("understood");
        let messi = loaded.users.get("messi").expect("there");
        assert_eq!((messi.name.as_str(), messi.country.as_str()), ("Lionel Messi", "Argentina"));
        assert!(matches!(&messi.password, Password::Hashed(hash) if hash.as_str() == HASH));
        assert_eq!(loaded.warnings, [""; 0]);
    }

    #[test]
    fn a_plain_password_is_taken_with_a_warning_that_does_not_show_it() {
        let loaded = parse("[users.messi]\nname = \"M\"\npassword = \"surabaya\"\n", "users.toml")
            .expect("understood");
        assert_eq!(
            loaded.warnings,
            [
                "users.toml:3: messi's password is stored in clear; make a hash with `chat-server hash-password` and put it there"
            ]
        );
    }

    #[test]
    fn what_is_wrong_is_told_with_line_and_remedy() {
        let check = |text: &str, start: &str| {
            let told = refused(text);
            assert!(told.starts_with(start) && told.contains("\n  remedy: "), "{told}");
        };
        check("[users.messi]\nname = \"M\"\npasword = \"x\"\n", "users.toml:3: unknown field `pasword`");
        check("[users.messi]\nname = \"M\"\n", "users.toml:1: missing field `password`");
        check(
            "\n[users.Messi]\nname = \"M\"\npassword = \"x\"\n",
            "users.toml:2: \"Messi\" is not a user name",
        );
        check("[users.messi]\nname = \" \"\npassword = \"x\"\n", "users.toml:2: messi has an empty name");
        check("[users.messi]\nname = \"M\"\npassword = \"\"\n", "users.toml:3: messi has an empty password");
        check(
            "[users.messi]\nname = \"M\"\npassword = \"$2b$x\"\n",
            "users.toml:3: messi's password is not a password hash",
        );
        check("[users.messi]\nname = \"M\n", "users.toml:2: ");
        check("[people.messi]\n", "users.toml:1: unknown field `people`");
        check("[users.a]\nname = \"M\"\npassword = \"x\"\n[users.a]\n", "users.toml:4: duplicate key");
    }

    #[test]
    fn a_user_may_begin_after_some_message() {
        let text = |line: &str| format!("[users.messi]\nname = \"M\"\npassword = \"{HASH}\"\n{line}");
        let after = |line: &str| {
            let loaded = parse(&text(line), "users.toml").expect("understood");
            loaded.users.get("messi").expect("there").messages_after
        };
        assert_eq!((after(""), after("messages_after = 12\n")), (0, 12));
        for wrong in ["-1", "1.5", "\"12\""] {
            let told = refused(&text(&format!("messages_after = {wrong}\n")));
            assert!(told.starts_with("users.toml:4: "), "{told}");
        }
    }

    #[test]
    fn an_error_shows_no_password() {
        let told = refused("[users.messi]\nname = \"M\"\npassword = \"surabaya\n");
        assert!(!told.contains("surabaya"), "{told}");
        let check = |text: &str, start: &str| {
            let told = refused(text);
            assert!(told.starts_with(start) && !told.contains("7331"), "{told}");
        };
        check("[users]\npassword = \"7331\"\n", "users.toml:2: wrong type, expected ");
        check(
            "[users.messi]\nname = \"M\"\npassword = 7331\n",
            "users.toml:3: wrong type, expected a string\n",
        );
        check(
            "[users.messi]\nname = \"M\"\npassword = [\"7331, expected 7\"]\n",
            "users.toml:3: wrong type, expected a string\n",
        );
        check("users = \"7331, expected a\"\n", "users.toml:1: wrong type, expected a map\n");
    }

    #[test]
    fn a_missing_file_is_named() {
        let told = load(Path::new("/nowhere/users.toml")).expect_err("refused").to_string();
        assert!(told.starts_with("/nowhere/users.toml: No such file"), "{told}");
    }
}
