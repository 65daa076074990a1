//! The policy for new passwords: length, form, and a list of common ones. Logins do not use it.

use thiserror::Error;
use zeroize::Zeroizing;

use super::{Memory, Password, User, password::is_right};
use crate::model::Secret;

/// Least length of a new password, in characters.
///
/// NIST SP 800-63B, 3.1.1.2, allows 8 as the least; it asks for 15 where a password is the only factor.
pub const MIN_CHARACTERS: usize = 8;

/// Greatest length of a password, in bytes.
pub const MAX_BYTES: usize = 1024;

/// Password of the sample users. It is public.
pub const SAMPLE: &str = "surabaya";

/// The sample users file, which comes with the program.
const SAMPLE_USERS: &str = include_str!("../../users.toml");

/// Common passwords, which attackers try first: in lower case, sorted, one a line.
const COMMON: &str = include_str!("common_passwords.txt");

/// Why a text is refused as a new password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Weak {
    /// The text is empty.
    #[error("the password is empty: choose at least 8 characters")]
    Empty,
    /// It contains a line end or NUL. The command `auth` takes one line.
    #[error("the password contains a line end or a NUL character: choose one line of text")]
    Control,
    /// It begins or ends with a space or tab, which `auth` takes for separators.
    #[error("the password begins or ends with a space or a tab: leave it out")]
    Ends,
    /// It has more than [`MAX_BYTES`] bytes.
    #[error("the password has more than 1,024 bytes: choose a shorter one")]
    Long,
    /// It has fewer than [`MIN_CHARACTERS`] characters, so an attacker can try all that are as short.
    #[error("this password is too short: choose at least 8 characters")]
    Short,
    /// It is in the list of common passwords.
    #[error(
        "this password is a common one, which attackers try first: choose another, for example four words"
    )]
    Common,
    /// It contains the user name and at most 3 other characters.
    #[error("this password is the user's name, or little more: choose another, for example four words")]
    Name,
    /// It is the password of the sample users.
    #[error("this is the password of the sample users, which is public: choose another")]
    Sample,
}

impl Weak {
    /// The limit of the length that `password` breaks, and its length; `None` if that is not what is wrong.
    #[must_use]
    pub fn length(self, password: &Secret) -> Option<(u16, u16)> {
        let (limit, length) = match self {
            Weak::Short => (MIN_CHARACTERS, password.reveal().chars().count()),
            Weak::Long => (MAX_BYTES, password.reveal().len()),
            _ => return None,
        };
        // A line is shorter than that.
        let number = |number| u16::try_from(number).unwrap_or(u16::MAX);
        Some((number(limit), number(length)))
    }
}

/// Checks that the command `auth` can carry a password.
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

/// Checks that a text may become the password of `username`, which is empty if the user is not known yet.
///
/// # Errors
/// [`Weak`] for the first rule that it breaks.
pub fn check(username: &str, password: &Secret) -> Result<(), Weak> {
    check_form(password)?;
    let text = password.reveal();
    if text.chars().count() < MIN_CHARACTERS {
        return Err(Weak::Short);
    }
    // A letter can become longer in lower case. Reserve capacity for that: a reallocation would leave a copy that is
    // not wiped.
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

/// Whether a password came with the program: it is the sample password in clear, or a hash in the sample users file.
#[must_use]
pub fn is_sample(password: &Password) -> bool {
    match password {
        Password::Plain(plain) => plain.reveal() == SAMPLE,
        Password::Hashed(hash) => SAMPLE_USERS.contains(&format!("\"{}\"", hash.as_str())),
    }
}

/// Whether a user's password is public: it came with the program, or it is the sample password of a sample user under
/// another salt.
///
/// Blocks for about 20 ms if the user has the name of a sample user.
#[must_use]
pub fn has_sample_password(user: &User) -> bool {
    let has_name = || SAMPLE_USERS.contains(&format!("[users.{}]\n", user.username));
    let sample = Secret::new(SAMPLE.to_owned());
    is_sample(&user.password) || has_name() && is_right(&user.password, &sample, &mut Memory::default())
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
