//! Who exists: the users file and its passwords. Who is logged in is not known here.

mod directory;
pub mod edit;
mod file;
mod password;
pub mod password_policy;

use std::{collections::HashMap, fmt, sync::Arc};

pub use directory::Directory;
pub use file::{Loaded, UsersFileError, load, parse};
pub use password::{Memory, PasswordHash, PasswordHashError, hash, hash_in, verify};

use crate::protocol::{Recipient, UserName};

/// One person or device.
#[derive(Debug)]
pub struct User {
    /// What they log in with and are sent to by.
    pub username: UserName,
    /// What others are shown: `Lionel Messi`.
    pub name: String,
    /// Where they are from; may be empty.
    pub country: String,
    /// What proves a login.
    pub password: Password,
    /// Messages up to this number were of somebody else who had the name before; 0 if there was nobody.
    pub messages_after: u64,
}

/// A password as the users file holds it.
pub enum Password {
    /// An argon2id hash.
    Hashed(PasswordHash),
    /// The password itself. Works, with a warning at start.
    Plain(crate::protocol::Secret),
}

impl Password {
    /// Whether it costs less to guess than a hash of today.
    #[must_use]
    pub fn is_weak(&self) -> bool {
        match self {
            Password::Hashed(hash) => hash.is_cheap(),
            Password::Plain(_) => true,
        }
    }

    /// The text that is in the file. Not `Display`, so that no format string reveals it by accident.
    #[must_use]
    pub fn reveal(&self) -> &str {
        match self {
            Password::Hashed(hash) => hash.as_str(),
            Password::Plain(plain) => plain.reveal(),
        }
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(redacted)")
    }
}

/// Everybody who exists.
#[derive(Debug, Default, Clone)]
pub struct Users(HashMap<UserName, Arc<User>, foldhash::fast::RandomState>);

impl Users {
    /// The user of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Arc<User>> {
        self.0.get(name)
    }

    /// Everybody, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<User>> {
        self.0.values()
    }

    /// What others are shown as the name of a user; the user name if there is no such user any more.
    #[must_use]
    pub fn display_name<'a>(&'a self, username: &'a UserName) -> &'a str {
        self.get(username).map_or(username, |user| &user.name)
    }

    /// What others are shown as the name of a recipient.
    #[must_use]
    pub fn display_recipient<'a>(&'a self, recipient: &'a Recipient) -> &'a str {
        match recipient {
            Recipient::User(user) => self.display_name(user),
            Recipient::Room(room) => room,
        }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is nobody.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<User> for Users {
    fn from_iter<I: IntoIterator<Item = User>>(users: I) -> Self {
        Users(users.into_iter().map(|user| (user.username.clone(), Arc::new(user))).collect())
    }
}
