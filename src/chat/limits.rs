//! The limits of users, as settings.

use super::{Rate, Tries};
use crate::config::defaults;

/// Limits for each user, and for those who try to log in.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Requests of each user, over all sessions; `None` for no limit.
    pub requests: Option<Rate>,
    /// Requests of each address before login; `None` for no limit.
    pub anonymous: Option<Rate>,
    /// Failed logins; `None` for no limit.
    pub tries: Option<Tries>,
    /// Right logins of each user; `None` for no limit.
    pub logins: Option<Rate>,
    /// Most rooms that a user may create, and one more each minute; `None` for no limit.
    pub new_rooms: Option<u32>,
    /// Most passwords that wait to be verified.
    pub logins_waiting: usize,
    /// Whether weak hashes are renewed at login.
    pub renews_hashes: bool,
}

impl Limits {
    /// No limits, for load tests.
    pub const NONE: Limits = Limits {
        requests: None,
        anonymous: None,
        tries: None,
        logins: None,
        new_rooms: None,
        logins_waiting: usize::MAX,
        renews_hashes: false,
    };
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            requests: Some(Rate { per_second: defaults::REQUEST_RATE, burst: defaults::REQUEST_BURST }),
            anonymous: Some(Rate { per_second: defaults::ANONYMOUS_RATE, burst: defaults::ANONYMOUS_BURST }),
            tries: Some(Tries::default()),
            logins: Some(Rate { per_second: defaults::LOGIN_RATE, burst: defaults::LOGIN_BURST }),
            new_rooms: Some(defaults::NEW_ROOMS),
            logins_waiting: defaults::LOGIN_QUEUE,
            renews_hashes: true,
        }
    }
}
