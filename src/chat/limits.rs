//! The limits of users, as settings.

use super::{Rate, ReplyMemory, Tries};
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
    /// Most connections of each user; `None` for no limit.
    pub connections_per_user: Option<usize>,
    /// Most memory for replies that were not taken; `None` for no limit.
    pub reply_memory: Option<ReplyMemory>,
    /// Most messages of one sender that wait in one inbox, those to rooms not counted; `None` for no limit.
    pub inbox_share: Option<usize>,
    /// Most MiB that a user may send in a day; `None` for no limit.
    pub daily: Option<u32>,
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
        connections_per_user: None,
        reply_memory: None,
        inbox_share: None,
        daily: None,
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
            connections_per_user: Some(defaults::MAX_CONNECTIONS_PER_USER),
            reply_memory: Some(ReplyMemory {
                all: defaults::REPLY_MEMORY,
                per_user: defaults::REPLY_MEMORY_PER_USER,
            }),
            inbox_share: Some(defaults::INBOX_SHARE),
            daily: Some(defaults::DAILY),
            logins_waiting: defaults::LOGIN_QUEUE,
            renews_hashes: true,
        }
    }
}
