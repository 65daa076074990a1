//! Password hashes: argon2id, in the PHC string format. Computing and verifying them.

use std::time::Instant;

use argon2::{ARGON2ID_IDENT, Algorithm, Argon2, Block, Params, Version, password_hash::phc};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use thiserror::Error;

use super::{
    Password,
    price::{Cost, Price, Timed, work},
};
use crate::model::{PasswordDigest, Secret};

/// A valid argon2id hash, as a PHC string.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash {
    text: Box<str>,
    cost: Cost,
}

/// Working memory of argon2id: 19 MiB for a hash with the current parameters.
///
/// Reuse it: when many threads allocate and free blocks of this size, the allocator keeps one for each thread.
#[derive(Default)]
pub struct Memory {
    blocks: Vec<Block>,
    /// Blocks computed so far, in all passes.
    pub(super) computed: u64,
    /// How long a failed login takes at least, on the thread that uses this memory.
    pub(super) timed: Option<Timed>,
}

impl Memory {
    pub(super) fn compute(
        &mut self,
        argon2: &Argon2<'_>,
        password: &Secret,
        salt: &[u8],
        out: &mut [u8],
    ) -> bool {
        let count = argon2.params().block_count();
        if self.blocks.len() < count {
            self.blocks.resize(count, Block::new());
        }
        let (password, blocks) = (password.reveal().as_bytes(), &mut self.blocks[..count]);
        let done = argon2.hash_password_into_with_memory(password, salt, out, blocks).is_ok();
        if done {
            self.computed += work(argon2.params());
        }
        done
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
        match Params::try_from(&hash) {
            Ok(params) if hash.salt.is_some() && hash.hash.is_some() => {
                Ok(PasswordHash { text: text.into(), cost: Cost::new(&params) })
            }
            _ => Err(PasswordHashError::Incomplete),
        }
    }

    /// Returns the PHC string.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Digest of the PHC string, to notice another one.
    #[must_use]
    pub fn digest(&self) -> PasswordDigest {
        PasswordDigest(Sha256::digest(self.as_str()).into())
    }

    fn verify(&self, password: &Secret, memory: &mut Memory) -> bool {
        let Ok(hash) = phc::PasswordHash::new(&self.text) else {
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
        self.cost.is_cheap()
    }

    /// What it costs to compute.
    #[must_use]
    pub fn cost(&self) -> Cost {
        self.cost
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
    PasswordHash { text: text.to_string().into(), cost: Cost::CURRENT }
}

/// Whether `password` is the user's. `user` is `None` for a user that does not exist; the answer is `false` then.
///
/// `false` takes the same time for all users of a set with this `price`, and for names of nobody, so that a client cannot find out by
/// timing which users exist. Blocks for as long as the dearest hash takes, which is 20 ms for new hashes: not to be called on a
/// runtime thread.
#[must_use]
pub fn verify(user: Option<&Password>, password: &Secret, price: Price, memory: &mut Memory) -> bool {
    let (began, computed) = (Instant::now(), memory.computed);
    let right = user.is_some_and(|user| is_right(user, password, memory));
    if !right {
        price.pay(began, memory.computed - computed, password, memory);
    }
    right
}

/// Whether `password` is that one. The time that it takes shows how it is kept.
pub(super) fn is_right(kept: &Password, password: &Secret, memory: &mut Memory) -> bool {
    match kept {
        Password::Hashed(hash) => hash.verify(password, memory),
        Password::Plain(plain) => plain.reveal().as_bytes().ct_eq(password.reveal().as_bytes()).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verify_once(user: Option<&Password>, password: &Secret) -> bool {
        verify(user, password, Price::of([].into_iter()), &mut Memory::default())
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
