//! The users who exist: the users file, its passwords, and the policy for new ones.
//!
//! This module does not know who is logged in.

mod directory;
pub mod edit;
mod file;
mod lines;
mod password;
pub mod password_policy;
mod price;

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::Arc,
};

pub use directory::Directory;
pub use file::{Loaded, UsersFileError, load, load_within, parse};
pub use password::{Memory, PasswordHash, PasswordHashError, hash, hash_in, verify};
pub use price::{Cost, Price};

use crate::model::{PasswordDigest, Recipient, Timestamp, UserName};

/// One user: a person or a device.
#[derive(Debug, Clone)]
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
    /// The operator's last decision about who has the name; `None` if none was needed.
    pub decision: Option<Decision>,
}

/// A decision of the operator about a user name that somebody had before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// When it was taken.
    pub at: Timestamp,
    /// What was decided.
    pub kind: DecisionKind,
}

/// What the operator has decided about a user name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecisionKind {
    /// Another person has the name now, who gets nothing of what there was.
    Fresh,
    /// It is the same person.
    Reclaimed,
    /// Nothing: the user was added where the store could not be seen. If the store knows the name, the operator must decide.
    Added,
}

impl DecisionKind {
    /// The key in the users file, whose value is the time of the decision.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            DecisionKind::Fresh => "fresh_since",
            DecisionKind::Reclaimed => "reclaimed",
            DecisionKind::Added => "added",
        }
    }
}

/// A password, as it is in the users file.
#[derive(Clone)]
pub enum Password {
    /// An argon2id hash.
    Hashed(PasswordHash),
    /// The password in clear text. It is accepted, with a warning at start.
    Plain(crate::model::Secret),
}

impl Password {
    /// Digest of its text in the users file, to notice another one. It is the same for all passwords in clear text, because a
    /// digest of those would help to guess them.
    #[must_use]
    pub fn digest(&self) -> PasswordDigest {
        match self {
            Password::Hashed(hash) => hash.digest(),
            Password::Plain(_) => PasswordDigest([0; 32]),
        }
    }

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
pub struct Users {
    by_name: HashMap<UserName, Arc<User>, foldhash::fast::RandomState>,
    /// When users were removed who had these names.
    removed: HashMap<UserName, Timestamp>,
    /// How many users have a hash of each cost.
    costs: BTreeMap<Cost, usize>,
}

impl Users {
    /// Returns the user of that name, if there is one.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Arc<User>> {
        self.by_name.get(name)
    }

    /// Iterates over all users, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<User>> {
        self.by_name.values()
    }

    /// When a user of that name was removed by `chat-server user remove`, if it is known.
    #[must_use]
    pub fn removed(&self, name: &str) -> Option<Timestamp> {
        self.removed.get(name).copied()
    }

    /// Adds a user, or replaces the one of that name.
    pub fn insert(&mut self, user: Arc<User>) {
        if let Password::Hashed(hash) = &user.password {
            *self.costs.entry(hash.cost()).or_default() += 1;
        }
        let replaced = self.by_name.insert(user.username.clone(), user);
        if let Some(Password::Hashed(hash)) = replaced.as_deref().map(|user| &user.password)
            && let Some(count) = self.costs.get_mut(&hash.cost())
        {
            *count -= 1;
            if *count == 0 {
                self.costs.remove(&hash.cost());
            }
        }
    }

    /// What a failed login costs.
    #[must_use]
    pub fn price(&self) -> Price {
        Price::of(self.costs.keys().copied())
    }

    /// Whether nobody is named, present or removed.
    #[must_use]
    pub fn names_nobody(&self) -> bool {
        self.by_name.is_empty() && self.removed.is_empty()
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
        self.by_name.len()
    }

    /// Whether there are no users.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }
}

impl FromIterator<Arc<User>> for Users {
    fn from_iter<I: IntoIterator<Item = Arc<User>>>(all: I) -> Self {
        let (all, mut users) = (all.into_iter(), Users::default());
        users.by_name.reserve(all.size_hint().0);
        all.for_each(|user| users.insert(user));
        users
    }
}

impl FromIterator<User> for Users {
    fn from_iter<I: IntoIterator<Item = User>>(users: I) -> Self {
        users.into_iter().map(Arc::new).collect()
    }
}
