//! Names of users and rooms.

use std::{borrow::Borrow, fmt, ops::Deref, sync::Arc};

/// Name of a user: 1 to 32 of `a-z`, `0-9`, `.`, `_`, `-`. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserName(Arc<str>);

impl UserName {
    /// Parses a name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let fits = (1..=32).contains(&text.len())
            && text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-'));
        fits.then(|| UserName(text.into()))
    }

    /// Whether one is a clone of the other. Two names that are not can be equal all the same.
    pub(crate) fn is_same(&self, other: &UserName) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Deref for UserName {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

// So that a map of names can be searched for a word of a request, which may not be a name.
impl Borrow<str> for UserName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Name of a room: `#`, then 1 to 32 of the characters of user names. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RoomName(Arc<str>);

impl RoomName {
    /// Parses a name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        text.strip_prefix('#').and_then(UserName::parse).map(|_| RoomName(text.into()))
    }

    /// Sorts before every name, and is none.
    pub(crate) fn first() -> Self {
        RoomName("".into())
    }
}

impl Deref for RoomName {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for RoomName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for RoomName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The recipient of a message.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Recipient {
    /// One user.
    User(UserName),
    /// All members of a room.
    Room(RoomName),
}

impl Recipient {
    /// Parses the name of a user or of a room.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let room = || RoomName::parse(text).map(Recipient::Room);
        UserName::parse(text).map(Recipient::User).or_else(room)
    }

    /// The room, if the recipient is a room.
    #[must_use]
    pub fn room(&self) -> Option<&RoomName> {
        match self {
            Recipient::User(_) => None,
            Recipient::Room(room) => Some(room),
        }
    }

    /// The user, if the recipient is a user.
    #[must_use]
    pub fn user(&self) -> Option<&UserName> {
        match self {
            Recipient::User(user) => Some(user),
            Recipient::Room(_) => None,
        }
    }
}

impl Deref for Recipient {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Recipient::User(user) => user,
            Recipient::Room(room) => room,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rooms() {
        for name in ["#lab", "#0", &format!("#{}", "x".repeat(32))] {
            assert_eq!(RoomName::parse(name).as_deref(), Some(name));
            assert_eq!(Recipient::parse(name).as_deref(), Some(name));
        }
        for no in ["#", "##a", "lab", "#Lab", "# a", &format!("#{}", "x".repeat(33))] {
            assert_eq!(RoomName::parse(no), None, "{no:?}");
        }
        assert!(Recipient::parse("messi").is_some_and(|to| to.user().is_some() && to.room().is_none()));
    }

    #[test]
    fn names() {
        for name in ["messi", "a", "0", "a.b_c-d", &"x".repeat(32)] {
            assert_eq!(UserName::parse(name).as_deref(), Some(name));
        }
        for no in
            ["", "Messi", "a b", "#lab", "é", "a\n", "57ea03e6-234a-439d-9602-ea8cb00fed28", &"x".repeat(33)]
        {
            assert_eq!(UserName::parse(no), None, "{no:?}");
        }
    }
}
