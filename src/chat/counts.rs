//! How often each limit was reached, for the operator.

use std::sync::atomic::{AtomicU64, Ordering};

use strum::{EnumCount, VariantArray};

use crate::model::Closing;

/// A limit that protects the other users.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumCount, VariantArray)]
pub enum Limit {
    /// Number of connections.
    Connections,
    /// Number of connections from one address.
    ConnectionsPerAddress,
    /// Time until the login.
    LoginDeadline,
    /// Time to finish a line.
    LineDeadline,
    /// Time without a request.
    IdleTimeout,
    /// Time without reading what was asked for.
    SlowConsumer,
    /// Length of a line.
    LineLength,
    /// Requests of a user.
    RequestRate,
    /// Requests of an address before login.
    AnonymousRate,
    /// Failed logins, to an account or from an address.
    LoginTries,
    /// Right logins of a user.
    LoginRate,
    /// Rooms that a user creates.
    NewRooms,
    /// Passwords that wait to be verified, of one user or of all.
    LoginQueue,
    /// Number of connections of a user.
    ConnectionsPerUser,
    /// Memory for replies, of one user or of all.
    ReplyMemory,
    /// Messages in an inbox, or of one sender there.
    Inbox,
    /// Bytes that a user sends in a day.
    Daily,
}

impl Limit {
    /// Every limit.
    pub const ALL: &[Limit] = Limit::VARIANTS;

    /// The limit for which a connection is closed.
    #[must_use]
    pub fn of(closing: Closing) -> Option<Limit> {
        match closing {
            Closing::LoginDeadline => Some(Limit::LoginDeadline),
            Closing::LineDeadline => Some(Limit::LineDeadline),
            Closing::Idle => Some(Limit::IdleTimeout),
            Closing::SlowConsumer => Some(Limit::SlowConsumer),
            Closing::LineTooLong => Some(Limit::LineLength),
            // The place that refuses the connection knows which of the two limits it was, and counts it.
            Closing::Shutdown | Closing::TooManyConnections | Closing::NotHttp => None,
        }
    }

    /// Stable name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Limit::Connections => "connections",
            Limit::ConnectionsPerAddress => "connections_per_address",
            Limit::LoginDeadline => "login_deadline",
            Limit::LineDeadline => "line_deadline",
            Limit::IdleTimeout => "idle_timeout",
            Limit::SlowConsumer => "slow_consumer",
            Limit::LineLength => "line_length",
            Limit::RequestRate => "request_rate",
            Limit::AnonymousRate => "anonymous_rate",
            Limit::LoginTries => "login_tries",
            Limit::LoginRate => "login_rate",
            Limit::NewRooms => "new_rooms",
            Limit::LoginQueue => "login_queue",
            Limit::ConnectionsPerUser => "connections_per_user",
            Limit::ReplyMemory => "reply_memory",
            Limit::Inbox => "inbox",
            Limit::Daily => "daily",
        }
    }
}

/// How often each limit was reached since the start. One counter for each variant, so that every limit is an index.
#[derive(Debug, Default)]
pub struct Counts([AtomicU64; Limit::COUNT]);

impl Counts {
    /// Counts one.
    pub fn count(&self, limit: Limit) {
        self.0[limit as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Number of times that the limit was reached.
    #[must_use]
    pub fn of(&self, limit: Limit) -> u64 {
        self.0[limit as usize].load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_limit_has_a_count_and_a_name_of_its_own() {
        let counts = Counts::default();
        for (i, limit) in Limit::ALL.iter().copied().enumerate() {
            (0..=i).for_each(|_| counts.count(limit));
            assert_eq!(Limit::ALL.iter().position(|other| other.name() == limit.name()), Some(i));
        }
        for (i, limit) in (1..).zip(Limit::ALL) {
            assert_eq!(counts.of(*limit), i);
        }
    }
}
