//! The users who exist: the users file, its passwords, and the policy for new ones.
//!
//! This module does not know who is logged in.

mod directory;
pub mod edit;
mod file;
mod lines;
mod password;
pub mod password_policy;

use std::{collections::HashMap, fmt, sync::Arc};

pub use directory::Directory;
pub use file::{Loaded, UsersFileError, load, parse};
pub use password::{Memory, PasswordHash, PasswordHashError, hash, hash_in, verify};

use crate::model::{Recipient, UserName};

/// One user: a person or a device.
#[derive(Debug)]
pub struct User {
    /// Name to log in with, and the address for messages.
    pub username: UserName,
    /// Name that other users see, such as `Lionel Messi`.
    pub name: String,
    /// Country; may be empty.
    pub country: String,
    /// Password to verify logins with.
    pub password: Password,
    /// Messages up to this number belong to a previous owner of the user name; 0 if there was none.
    pub messages_after: u64,
}

/// A password, as it is in the users file.
pub enum Password {
    /// An argon2id hash.
    Hashed(PasswordHash),
    /// The password in clear text. It is accepted, with a warning at start.
    Plain(crate::model::Secret),
}

impl Password {
    /// Whether guessing it costs less than guessing a new hash with the current parameters.
    #[must_use]
    pub fn is_weak(&self) -> bool {
        match self {
            Password::Hashed(hash) => hash.is_cheap(),
            Password::Plain(_) => true,
        }
    }

    /// Returns the text in the users file. This is not `Display`, so that no format string reveals it by accident.
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

/// A set of users, by user name.
#[derive(Debug, Default, Clone)]
pub struct Users(HashMap<UserName, Arc<User>, foldhash::fast::RandomState>);

impl Users {
    /// Returns the user of that name, if there is one.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Arc<User>> {
        self.0.get(name)
    }

    /// Iterates over all users, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<User>> {
        self.0.values()
    }

    /// Returns the name that others see for a user: the user name if the user does not exist any more.
    #[must_use]
    pub fn display_name<'a>(&'a self, username: &'a UserName) -> &'a str {
        self.get(username).map_or(username, |user| &user.name)
    }

    /// Returns the name that others see for a recipient: [`display_name`](Users::display_name), or the name of the room.
    #[must_use]
    pub fn display_recipient<'a>(&'a self, recipient: &'a Recipient) -> &'a str {
        match recipient {
            Recipient::User(user) => self.display_name(user),
            Recipient::Room(room) => room,
        }
    }

    /// Number of users.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no users.
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
