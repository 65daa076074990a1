//! Session tokens and other secrets. `Debug` of these types shows nothing of them.

use std::fmt;

use sha2::{Digest, Sha256};
use uuid::Uuid;
use zeroize::Zeroizing;

/// A token, which proves a session: a random UUID (version 4, with 122 bits of randomness from the operating system).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Token(Uuid);

impl Token {
    /// Length of a token on the wire, in bytes.
    pub const LEN: usize = 36;

    /// A new token.
    #[must_use]
    pub fn random() -> Self {
        Token(Uuid::new_v4())
    }

    /// Parses a token: 8-4-4-4-12 hexadecimal digits of either case.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        // Of the forms that `Uuid` parses, only the one with hyphens has this length.
        if word.len() != Self::LEN {
            return None;
        }
        Uuid::try_parse(word).ok().map(Token)
    }

    /// The token as text, for the reply to `auth`. This is not `Display`, so that no format string reveals it by accident.
    #[must_use]
    pub fn reveal(&self) -> String {
        self.0.hyphenated().to_string()
    }

    /// The digest, which a server keeps to recognise the token. The token cannot be computed from it.
    #[must_use]
    pub fn digest(&self) -> TokenDigest {
        TokenDigest(Sha256::digest(self.0.as_bytes()).into())
    }
}

/// A token as it is on the wire, to recognise it without parsing.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenText([u8; Token::LEN]);

impl TokenText {
    /// The rest of `text` after this token, if `text` begins with it and it is a whole word.
    #[must_use]
    pub fn strip_from<'a>(&self, text: &'a str) -> Option<&'a str> {
        // Of a length that is known, so that no function is called to compare them.
        let (first, rest) = text.as_bytes().split_first_chunk()?;
        if *first != self.0 {
            return None;
        }
        rest.first().is_none_or(|byte| *byte == b' ').then(|| &text[Token::LEN..])
    }
}

impl From<&Token> for TokenText {
    fn from(token: &Token) -> Self {
        let mut text = [0; Token::LEN];
        token.0.hyphenated().encode_lower(&mut text);
        TokenText(text)
    }
}

impl fmt::Debug for TokenText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenText(redacted)")
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(redacted)")
    }
}

/// SHA-256 of a token's 16 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenDigest(pub [u8; 32]);

impl fmt::Debug for TokenDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenDigest(redacted)")
    }
}

/// A password in clear text. It is wiped when dropped, and `Debug` does not show it.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Wraps a text.
    #[must_use]
    pub fn new(text: String) -> Self {
        Secret(Zeroizing::new(text))
    }

    /// The text.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(redacted)")
    }
}

/// Digest of the text of a password in the users file, to notice another one. It does not help to find the password.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PasswordDigest(pub [u8; 32]);

impl fmt::Debug for PasswordDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordDigest(redacted)")
    }
}

/// A password as the users file has it and, while a hash is renewed, as the file will have it next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotedPassword {
    /// Digest of what the file has.
    pub now: PasswordDigest,
    /// Digest of another hash of the same password, which is about to be written.
    pub next: Option<PasswordDigest>,
}

impl NotedPassword {
    /// Whether that is the password.
    #[must_use]
    pub fn is(&self, password: PasswordDigest) -> bool {
        self.now == password || self.next == Some(password)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_36_characters_with_hyphens_are_a_token() {
        let word = "57ea03e6-234a-439d-9602-ea8cb00fed28";
        let token = Token::parse(word).expect("a token");
        assert_eq!(token.reveal(), word);
        assert_eq!(Token::parse(&word.to_uppercase()), Some(token));
        for no in [
            "57ea03e6234a439d9602ea8cb00fed28",
            "{57ea03e6-234a-439d-9602-ea8cb00fed28}",
            "57ea03e6-234a-439d-9602-ea8cb00fed2g",
            "57ea03e6-234a-439d-9602-ea8cb00fed2",
            "57ea03e-6234a-439d-9602-ea8cb00fed28",
            "messi",
            "",
        ] {
            assert_eq!(Token::parse(no), None, "{no}");
        }
    }

    #[test]
    fn secrets_are_redacted() {
        let token = Token::random();
        let shown = format!("{token:?} {:?} {:?}", token.digest(), Secret::new("surabaya".into()));
        assert_eq!(shown, "Token(redacted) TokenDigest(redacted) Secret(redacted)");
    }
}
