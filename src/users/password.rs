//! Password hashes: argon2id, in the PHC string format. Computing and verifying them.

use argon2::{ARGON2ID_IDENT, Algorithm, Argon2, Block, Params, Version, password_hash::phc};
use subtle::ConstantTimeEq;
use thiserror::Error;

use super::Password;
use crate::model::Secret;

/// A valid argon2id hash, as a PHC string.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(Box<str>);

/// Working memory of argon2id: 19 MiB for a hash with the current parameters.
///
/// Reuse it: when many threads allocate and free blocks of this size, the allocator keeps one for each thread.
#[derive(Default)]
pub struct Memory(Vec<Block>);

impl Memory {
    fn compute(&mut self, argon2: &Argon2<'_>, password: &Secret, salt: &[u8], out: &mut [u8]) -> bool {
        let blocks = argon2.params().block_count();
        if self.0.len() < blocks {
            self.0.resize(blocks, Block::new());
        }
        argon2
            .hash_password_into_with_memory(password.reveal().as_bytes(), salt, out, &mut self.0[..blocks])
            .is_ok()
    }
}

/// Why a text is not a password hash.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PasswordHashError {
    /// The text is not in the PHC format.
    #[error("not a password hash in the PHC format")]
    Format,
    /// The hash is of another algorithm.
    #[error("a {0} hash; only argon2id is supported")]
    Algorithm(String),
    /// The parameters are invalid, or salt or hash is missing.
    #[error("not a complete argon2id hash")]
    Incomplete,
}

impl PasswordHash {
    /// Parses a PHC string such as `$argon2id$v=19$m=19456,t=2,p=1$…$…`.
    ///
    /// # Errors
    /// [`PasswordHashError`] if it is not a complete argon2id hash.
    pub fn parse(text: &str) -> Result<Self, PasswordHashError> {
        let hash = phc::PasswordHash::new(text).map_err(|_| PasswordHashError::Format)?;
        if hash.algorithm.as_str() != ARGON2ID_IDENT.as_str() {
            return Err(PasswordHashError::Algorithm(hash.algorithm.to_string()));
        }
        if Params::try_from(&hash).is_err() || hash.salt.is_none() || hash.hash.is_none() {
            return Err(PasswordHashError::Incomplete);
        }
        Ok(PasswordHash(text.into()))
    }

    /// Returns the PHC string.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn verify(&self, password: &Secret, memory: &mut Memory) -> bool {
        let Ok(hash) = phc::PasswordHash::new(&self.0) else {
            return false;
        };
        let (Some(salt), Some(expected), Ok(params)) = (&hash.salt, &hash.hash, Params::try_from(&hash))
        else {
            return false;
        };
        let Ok(version) = hash.version.map_or(Ok(Version::default()), Version::try_from) else {
            return false;
        };
        let mut out = vec![0; expected.as_bytes().len()];
        let argon2 = Argon2::new(Algorithm::Argon2id, version, params);
        memory.compute(&argon2, password, salt, &mut out) && out.ct_eq(expected.as_bytes()).into()
    }

    /// Whether guessing it costs less than guessing a new hash: it uses less memory or fewer passes.
    #[must_use]
    pub fn is_cheap(&self) -> bool {
        let params = phc::PasswordHash::new(&self.0).ok().and_then(|hash| Params::try_from(&hash).ok());
        params.is_none_or(|params| {
            params.m_cost() < Params::DEFAULT_M_COST || params.t_cost() < Params::DEFAULT_T_COST
        })
    }
}

/// Returns a new hash of `password` with a random salt: argon2id, 19 MiB, t=2, p=1, as OWASP's Password Storage Cheat
/// Sheet recommends. Blocks for about 20 ms: not to be called on a runtime thread.
///
/// # Panics
/// If the operating system provides no random bytes: there is nothing safe to do then.
#[must_use]
pub fn hash(password: &Secret) -> PasswordHash {
    hash_in(password, &mut Memory::default())
}

/// Returns a new hash of `password` as [`hash`] does, computed in `memory`, which can be reused. Blocks for about 20 ms: not
/// to be called on a runtime thread.
///
/// # Panics
/// If the operating system provides no random bytes: there is nothing safe to do then.
#[must_use]
pub fn hash_in(password: &Secret, memory: &mut Memory) -> PasswordHash {
    let (argon2, salt) = (Argon2::default(), phc::Salt::generate());
    let mut out = [0; Params::DEFAULT_OUTPUT_LEN];
    let done = memory.compute(&argon2, password, &salt, &mut out);
    assert!(done, "argon2's own parameters, and a password that a line can hold");
    let version = argon2::Version::default();
    let text = phc::PasswordHash {
        algorithm: ARGON2ID_IDENT,
        version: Some(version.into()),
        params: argon2.params().try_into().expect("argon2's own parameters"),
        salt: Some(salt),
        hash: phc::Output::new(&out).ok(),
    };
    PasswordHash(text.to_string().into())
}

/// Whether `password` is the user's. `user` is `None` for a user that does not exist; the answer is `false` then.
///
/// `false` always takes at least the time of one hash with the current parameters, so that a client cannot find out by
/// timing which users exist. Blocks for about 20 ms: not to be called on a runtime thread.
#[must_use]
pub fn verify(user: Option<&Password>, password: &Secret, memory: &mut Memory) -> bool {
    let (right, full_price) = match user {
        Some(Password::Hashed(hash)) => (hash.verify(password, memory), !hash.is_cheap()),
        Some(Password::Plain(plain)) => {
            (plain.reveal().as_bytes().ct_eq(password.reveal().as_bytes()).into(), false)
        }
        None => (false, false),
    };
    if !right && !full_price {
        // Only the time that this takes matters; the result is dropped.
        let mut out = [0; 32];
        let salt = b"nobody's salt";
        memory.compute(&Argon2::default(), password, salt, &mut out);
        std::hint::black_box(out);
    }
    right
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verify_once(user: Option<&Password>, password: &Secret) -> bool {
        verify(user, password, &mut Memory::default())
    }

    fn secret(text: &str) -> Secret {
        Secret::new(text.to_owned())
    }

    #[test]
    fn a_new_hash_verifies_and_costs_the_full_price() {
        let hash = PasswordHash::parse(hash(&secret("surabaya")).as_str()).expect("a hash");
        assert!(!hash.is_cheap());
        let user = Password::Hashed(hash);
        assert!(verify_once(Some(&user), &secret("surabaya")));
        assert!(!verify_once(Some(&user), &secret("Surabaya")));
        assert!(!verify_once(None, &secret("surabaya")));
    }

    #[test]
    fn a_plain_password_verifies() {
        let user = Password::Plain(secret("surabaya"));
        assert!(verify_once(Some(&user), &secret("surabaya")));
        assert!(!verify_once(Some(&user), &secret("surabay")));
    }

    #[test]
    fn what_is_no_argon2id_hash_is_refused() {
        let check =
            |text: &str, expected| assert_eq!(PasswordHash::parse(text).err(), Some(expected), "{text}");
        check("$2b$12$abc", PasswordHashError::Format);
        check("$argon2id$v=19$m=8,t=1,p=1$Y29tcGFyZXNhbHQxMjM0NQ", PasswordHashError::Incomplete);
        check(
            "$argon2i$v=19$m=8,t=1,p=1$Y29tcGFyZXNhbHQxMjM0NQ$eF2jJ9O9Osv2IfM6OWa8sOOUC76oTlDW/VstedTxG4g",
            PasswordHashError::Algorithm("argon2i".into()),
        );
    }
}
