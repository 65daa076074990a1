//! Why a request is refused, and why a connection is ended: codes, without texts.

use strum::{EnumCount, VariantArray};

/// Why a request was refused. A wire has a text for each. It is small, because every outcome and every reply can be one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumCount)]
pub enum Refusal {
    /// No live session.
    NotAuthorized,
    /// The user does not exist, or the password is wrong. Replies never tell which.
    BadCredentials,
    /// The recipient does not exist.
    NoSuchUser,
    /// The room does not exist.
    NoSuchRoom,
    /// The caller is not in the room.
    NotAMember,
    /// The caller is in the maximum number of rooms.
    TooManyRooms {
        /// That number.
        limit: u32,
    },
    /// The user has the maximum number of connections.
    TooManyConnections {
        /// That number.
        limit: u32,
    },
    /// The new password is too short, too common, or cannot be sent in a line.
    WeakPassword {
        /// The limit of its length, and its length, if that is why.
        length: Option<(u16, u16)>,
    },
    /// There is no message with that number that the caller may know of.
    NoSuchMessage,
    /// The caller has no session of that number.
    NoSuchSession,
    /// There is no command with that name.
    UnknownCommand,
    /// The request is malformed, or its parameters do not fit the command.
    BadRequest,
    /// A line is longer than [`MAX_LINE`](super::MAX_LINE).
    LineTooLong,
    /// The line is not UTF-8.
    NotUtf8,
    /// The text is longer than [`MAX_MESSAGE`](super::MAX_MESSAGE).
    MessageTooLong {
        /// Its length, in bytes.
        got: u32,
    },
    /// The recipient's inbox is full, or the sender's share of it.
    InboxFull {
        /// Most messages that may wait there, or most of this sender.
        limit: u32,
    },
    /// The sender has sent as many bytes as are allowed in a day.
    Quota {
        /// That number of MiB.
        mib: u32,
        /// Seconds until the next message of that length can be sent.
        retry_after: u32,
    },
    /// The idempotency key belongs to another message of this sender.
    KeyReused,
    /// The disk is full: nothing was stored.
    Storage,
    /// The disk failed during the write: it may or may not have been stored.
    Uncertain,
    /// The disk failed earlier: nothing is stored until the server is restarted.
    ReadOnly,
    /// The store cannot write for a while: nothing was stored. It ends by itself.
    Unavailable {
        /// Seconds until it may be over.
        retry_after: u32,
    },
    /// Too many requests, or failed logins.
    RateLimited {
        /// Seconds until the next request can succeed.
        retry_after: u32,
    },
    /// A fault in the server.
    Internal,
}

/// A length or a limit in a refusal.
pub(crate) fn saturated(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

impl Refusal {
    /// Every refusal. (The length makes a missing variant a compile error; a test finds one that is listed twice.)
    pub const ALL: [Refusal; Refusal::COUNT] = [
        Refusal::NotAuthorized,
        Refusal::BadCredentials,
        Refusal::NoSuchUser,
        Refusal::NoSuchRoom,
        Refusal::NotAMember,
        Refusal::TooManyRooms { limit: 1 },
        Refusal::TooManyConnections { limit: 1 },
        Refusal::WeakPassword { length: None },
        Refusal::NoSuchMessage,
        Refusal::NoSuchSession,
        Refusal::UnknownCommand,
        Refusal::BadRequest,
        Refusal::LineTooLong,
        Refusal::NotUtf8,
        Refusal::MessageTooLong { got: 1 },
        Refusal::InboxFull { limit: 1 },
        Refusal::Quota { mib: 1, retry_after: 1 },
        Refusal::KeyReused,
        Refusal::Storage,
        Refusal::Uncertain,
        Refusal::ReadOnly,
        Refusal::Unavailable { retry_after: 1 },
        Refusal::RateLimited { retry_after: 1 },
        Refusal::Internal,
    ];

    /// Stable code, for programs.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Refusal::NotAuthorized => "not_authorized",
            Refusal::BadCredentials => "bad_credentials",
            Refusal::NoSuchUser => "no_such_user",
            Refusal::NoSuchRoom => "no_such_room",
            Refusal::NotAMember => "not_a_member",
            Refusal::TooManyRooms { .. } => "too_many_rooms",
            Refusal::TooManyConnections { .. } => "too_many_connections",
            Refusal::WeakPassword { .. } => "weak_password",
            Refusal::NoSuchMessage => "no_such_message",
            Refusal::NoSuchSession => "no_such_session",
            Refusal::UnknownCommand => "unknown_command",
            Refusal::BadRequest => "bad_request",
            Refusal::LineTooLong => "line_too_long",
            Refusal::NotUtf8 => "not_utf8",
            Refusal::MessageTooLong { .. } => "message_too_long",
            Refusal::InboxFull { .. } => "inbox_full",
            Refusal::Quota { .. } => "quota",
            Refusal::KeyReused => "key_reused",
            Refusal::Storage => "storage",
            Refusal::Uncertain => "uncertain",
            Refusal::ReadOnly => "read_only",
            Refusal::Unavailable { .. } => "unavailable",
            Refusal::RateLimited { .. } => "rate_limited",
            Refusal::Internal => "internal",
        }
    }
}

/// Why the server closes a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, VariantArray)]
pub enum Closing {
    /// The server is shutting down.
    Shutdown,
    /// A line is longer than [`MAX_LINE`](super::MAX_LINE), so the beginning of the next one is unknown.
    LineTooLong,
    /// The peer does not read its replies fast enough.
    SlowConsumer,
    /// Nobody logged in on the connection in time.
    LoginDeadline,
    /// A line was not finished in time.
    LineDeadline,
    /// No request came for too long.
    Idle,
    /// The limit of connections is reached, in total or for the peer's address.
    TooManyConnections,
    /// The first line is an HTTP request.
    NotHttp,
}

impl Closing {
    /// Every reason.
    pub const ALL: &[Closing] = Closing::VARIANTS;

    /// Stable name, for logs and programs.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Closing::Shutdown => "shutdown",
            Closing::LineTooLong => "line_too_long",
            Closing::SlowConsumer => "slow_consumer",
            Closing::LoginDeadline => "login_deadline",
            Closing::LineDeadline => "line_deadline",
            Closing::Idle => "idle",
            Closing::TooManyConnections => "too_many_connections",
            Closing::NotHttp => "not_http",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Stored;

    #[test]
    fn a_refusal_is_small() {
        assert!(size_of::<Refusal>() <= 12 && size_of::<Result<Stored, Refusal>>() == size_of::<Stored>());
    }

    #[test]
    fn a_code_names_one_refusal() {
        for (i, refusal) in Refusal::ALL.iter().enumerate() {
            assert_eq!(Refusal::ALL.iter().position(|other| other.code() == refusal.code()), Some(i));
        }
    }
}
