//! User names.

use std::{borrow::Borrow, fmt, ops::Deref, sync::Arc};

/// A user's name: 1 to 32 of `a-z`, `0-9`, `.`, `_`, `-`. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserName(Arc<str>);

impl UserName {
    /// The name, if `text` is one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let fits = (1..=32).contains(&text.len())
            && text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-'));
        fits.then(|| UserName(text.into()))
    }
}

impl Deref for UserName {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

// So that a map keyed by names answers for a word of a request, which need not be a name.
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

#[cfg(test)]
mod tests {
    use super::*;

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
