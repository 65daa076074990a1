//! The setting of the dearest password hash.

use std::{fmt, str::FromStr};

use clap::Args;

/// Which password hashes are taken.
#[derive(Debug, Clone, Copy, Args)]
pub struct PasswordHashes {
    /// Dearest password hash: KiB of memory (m), and passes over as much (t). Each failed login costs as much as the dearest one in use
    #[arg(long, env = "CHAT_MAX_PASSWORD_HASH", value_name = "m=KIB,t=N", default_value_t = MaxHash::default())]
    pub max_password_hash: MaxHash,
}

/// The dearest argon2id hash that is taken: no hash may use more memory, or more memory times passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MaxHash {
    /// Memory in KiB.
    pub memory: u32,
    /// Passes over as much memory.
    pub passes: u32,
}

impl MaxHash {
    /// The hash of a new password.
    pub const LEAST: MaxHash = MaxHash { memory: 19_456, passes: 2 };
}

impl Default for MaxHash {
    fn default() -> Self {
        MaxHash { memory: 65_536, passes: 4 }
    }
}

impl fmt::Display for MaxHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "m={},t={}", self.memory, self.passes)
    }
}

impl FromStr for MaxHash {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let both = text.strip_prefix("m=").and_then(|rest| rest.split_once(",t="));
        let parsed = both.and_then(|(memory, passes)| {
            Some(MaxHash { memory: memory.parse().ok()?, passes: passes.parse().ok()? })
        });
        let max = parsed.ok_or_else(|| format!("write it as {}", MaxHash::default()))?;
        let MaxHash { memory, passes } = MaxHash::LEAST;
        if max.memory < memory || max.passes < passes {
            return Err(format!("new passwords have hashes with {}", MaxHash::LEAST));
        }
        Ok(max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_written_as_it_is_shown() {
        let check = |text: &str| assert_eq!(text.parse::<MaxHash>().expect("good").to_string(), text);
        check("m=65536,t=4");
        check("m=19456,t=2");
        for wrong in
            ["", "65536", "m=65536", "t=4,m=65536", "m=65536,t=", "m=-1,t=4", "m=19455,t=4", "m=65536,t=1"]
        {
            assert!(wrong.parse::<MaxHash>().is_err(), "{wrong}");
        }
    }
}
