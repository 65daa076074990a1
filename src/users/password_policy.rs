//! What may become a password. Which ones exist, and what they are compared with at a login, is not known here.

use thiserror::Error;
use zeroize::Zeroizing;

use super::{Memory, Password, User, verify};
use crate::protocol::Secret;

/// The fewest characters of a new password (NIST SP 800-63B, 3.1.1.2, for a password beside nothing else, asks for 15,
/// and for 8 as the least that there may be).
pub const MIN_CHARACTERS: usize = 8;

/// The most bytes of a password.
pub const MAX_BYTES: usize = 1024;

/// The password of the sample users: everybody can read it.
pub const SAMPLE: &str = "surabaya";

/// The users file that the program comes with.
const SAMPLE_USERS: &str = include_str!("../../users.toml");

/// Those that are tried first, in lower case, sorted.
const COMMON: &str = include_str!("common_passwords.txt");

/// Why a text should not become a password, and what to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Weak {
    /// There is nothing.
    #[error("a password is not empty")]
    Empty,
    /// `auth` takes a line.
    #[error("a password is one line, without NUL")]
    Control,
    /// `auth` cannot tell them from those around it.
    #[error("a password has no space or tab at its ends")]
    Ends,
    /// Longer than any needs to be.
    #[error("a password has at most 1,024 bytes: take a shorter one")]
    Long,
    /// Can be guessed by trying all.
    #[error("this password is too short: take at least 8 characters")]
    Short,
    /// Among those that are tried first.
    #[error("this password is among those that everybody tries first: take another, say of four words")]
    Common,
    /// The user's name, or little more.
    #[error("this password is the user's name, or little more: take another, say of four words")]
    Name,
    /// That of the sample users.
    #[error("this is the password of the sample users, which everybody knows: take another")]
    Sample,
}

/// Whether `auth` can carry it at all.
///
/// # Errors
/// [`Weak::Empty`], [`Weak::Control`], [`Weak::Ends`] or [`Weak::Long`].
pub fn check_form(password: &Secret) -> Result<(), Weak> {
    let text = password.reveal();
    if text.is_empty() {
        return Err(Weak::Empty);
    }
    if text.contains(['\0', '\r', '\n']) {
        return Err(Weak::Control);
    }
    if text != text.trim_matches([' ', '\t']) {
        return Err(Weak::Ends);
    }
    if text.len() > MAX_BYTES {
        return Err(Weak::Long);
    }
    Ok(())
}

/// Whether it may become the password of `username` (empty if nobody's yet).
///
/// # Errors
/// What is wrong with it.
pub fn check(username: &str, password: &Secret) -> Result<(), Weak> {
    check_form(password)?;
    let text = password.reveal();
    if text.chars().count() < MIN_CHARACTERS {
        return Err(Weak::Short);
    }
    // A letter can become longer in lower case: room for that, so that no piece is left behind unwiped.
    let mut lower = Zeroizing::new(String::with_capacity(3 * text.len()));
    lower.extend(text.chars().flat_map(char::to_lowercase));
    if *lower == SAMPLE {
        return Err(Weak::Sample);
    }
    if COMMON.lines().any(|common| *lower == *common) {
        return Err(Weak::Common);
    }
    let extra = lower.chars().count().saturating_sub(username.chars().count());
    if !username.is_empty() && lower.contains(username) && extra < 4 {
        return Err(Weak::Name);
    }
    Ok(())
}

/// Whether it is one that came with the program: the text of the sample password, or one of the sample users' hashes.
#[must_use]
pub fn is_sample(password: &Password) -> bool {
    match password {
        Password::Plain(plain) => plain.reveal() == SAMPLE,
        Password::Hashed(hash) => SAMPLE_USERS.contains(&format!("\"{}\"", hash.as_str())),
    }
}

/// Whether everybody can read what the user's password is: one that came with the program, or the sample's name with the
/// sample's password under another salt. Blocks for about 20 ms for each of those names.
#[must_use]
pub fn has_sample_password(user: &User) -> bool {
    let has_name = || SAMPLE_USERS.contains(&format!("[users.{}]\n", user.username));
    let sample = Secret::new(SAMPLE.to_owned());
    is_sample(&user.password) || has_name() && verify(Some(&user.password), &sample, &mut Memory::default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(username: &str, password: &str) -> Result<(), Weak> {
        check(username, &Secret::new(password.to_owned()))
    }

    #[test]
    fn what_cannot_be_a_password_is_refused() {
        for (username, password, expected) in [
            ("ann", "", Weak::Empty),
            ("ann", "two\nlines long", Weak::Control),
            ("ann", "two\rlines long", Weak::Control),
            ("ann", "nul\0 inside it", Weak::Control),
            ("ann", " a space before", Weak::Ends),
            ("ann", "a tab behind\t", Weak::Ends),
            ("ann", &"é".repeat(513), Weak::Long),
            ("ann", "seven77", Weak::Short),
            ("ann", "ééééééé", Weak::Short),
            ("ann", "PassWord1", Weak::Common),
            ("ann", "12345678", Weak::Common),
            ("henderson", "Henderson", Weak::Name),
            ("henderson", "henderson123", Weak::Name),
            ("henderson", "1henderson!!", Weak::Name),
            ("ann", "Surabaya", Weak::Sample),
        ] {
            assert_eq!(checked(username, password), Err(expected), "{password:?}");
        }
    }

    #[test]
    fn what_can_be_a_password_is_taken() {
        for (username, password) in [
            ("ann", "correct horse"),
            ("ann", "éééééééé"),
            ("ann", &"é".repeat(512)),
            ("henderson", "henderson1234"),
            ("", "a password of nobody's"),
        ] {
            assert_eq!(checked(username, password), Ok(()), "{password:?}");
        }
    }

    #[test]
    fn the_common_ones_are_sorted_lower_case_and_long_enough_to_matter() {
        let all: Vec<_> = COMMON.lines().collect();
        assert!(all.len() >= 250, "{}", all.len());
        assert!(all.is_sorted_by(|a, b| a < b));
        for common in all {
            assert!(common.chars().count() >= MIN_CHARACTERS, "{common}");
            assert_eq!(common, common.to_lowercase());
        }
    }

    #[test]
    fn the_sample_is_known_by_its_text_and_by_its_hashes() {
        let sample = crate::users::parse(SAMPLE_USERS, "users.toml").expect("understood").users;
        assert!(sample.iter().all(|user| is_sample(&user.password)));
        assert!(is_sample(&Password::Plain(Secret::new(SAMPLE.to_owned()))));
        assert!(!is_sample(&Password::Plain(Secret::new("another".to_owned()))));
    }
}
