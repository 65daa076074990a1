//! The directory: a snapshot of all users that every request reads without waiting.
//!
//! A change replaces the whole snapshot: when the users file has changed, or when a password has.

use std::{path::PathBuf, sync::Arc};

use arc_swap::{ArcSwap, Guard};

use super::{Password, PasswordHash, User, Users};
use crate::{config::MaxHash, model::UserName};

/// The users who exist now.
pub struct Directory {
    current: ArcSwap<Users>,
    /// Users file into which changed passwords are written; without one they last until the process ends.
    file: Option<PathBuf>,
    /// The dearest hash that is taken from the file.
    max_hash: MaxHash,
}

impl Directory {
    /// Returns a directory of the users in `file`, into which changed passwords are written.
    #[must_use]
    pub fn of_file(users: Users, file: PathBuf) -> Self {
        Directory { file: Some(file), ..Directory::from(users) }
    }

    /// Takes no dearer hashes than this from the file, when it is read again.
    #[must_use]
    pub fn with_max_hash(self, max_hash: MaxHash) -> Self {
        Directory { max_hash, ..self }
    }

    /// The dearest hash that is taken from the file.
    #[must_use]
    pub fn max_hash(&self) -> MaxHash {
        self.max_hash
    }

    /// Users file into which changed passwords are written, if there is one.
    #[must_use]
    pub fn file(&self) -> Option<&PathBuf> {
        self.file.as_ref()
    }

    /// Returns the current users for a moment. To keep them, or hold them across an `await`, use [`all`](Directory::all).
    #[must_use]
    pub fn now(&self) -> Guard<Arc<Users>> {
        self.current.load()
    }

    /// Returns the current users, to be kept for any time.
    #[must_use]
    pub fn all(&self) -> Arc<Users> {
        self.current.load_full()
    }

    /// Returns the user of that name, if there is one.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Arc<User>> {
        self.now().get(name).cloned()
    }

    /// Replaces all users and returns the previous ones. The caller must see to it that no other change runs meanwhile.
    pub fn replace(&self, users: Users) -> Arc<Users> {
        self.current.swap(Arc::new(users))
    }

    /// Replaces the password of one user, if that user exists. The caller must see to it that no other change runs meanwhile.
    pub fn set_password(&self, name: &UserName, password: PasswordHash) {
        let mut users = Users::clone(&self.now());
        let Some(user) = users.get(name) else {
            return;
        };
        let changed = User { password: Password::Hashed(password), ..User::clone(user) };
        users.insert(Arc::new(changed));
        self.replace(users);
    }
}

impl From<Users> for Directory {
    fn from(users: Users) -> Self {
        Directory { current: ArcSwap::from_pointee(users), file: None, max_hash: MaxHash::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::users::parse;

    const USERS: &str = "[users.ann]\nname = \"Ann\"\npassword = \"one\"\n";

    #[test]
    fn who_looked_before_a_change_sees_what_was_there_before() {
        let directory = Directory::from(parse(USERS, "users.toml").expect("users").users);
        let before = directory.all();
        let hash =
            "$argon2id$v=19$m=8,t=1,p=1$Y29tcGFyZXNhbHQxMjM0NQ$eF2jJ9O9Osv2IfM6OWa8sOOUC76oTlDW/VstedTxG4g";
        let ann = directory.get("ann").expect("there");
        directory.set_password(&ann.username, PasswordHash::parse(hash).expect("a hash"));
        assert!(matches!(before.get("ann").expect("there").password, Password::Plain(_)));
        assert!(matches!(directory.get("ann").expect("there").password, Password::Hashed(_)));
        directory.replace(Users::default());
        assert!(directory.get("ann").is_none() && directory.now().is_empty());
        assert_eq!(before.len(), 1);
    }
}
