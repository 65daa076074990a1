//! Why a request is refused, and why a connection is ended: the catalogue of codes and texts.

use strum::{EnumCount, VariantArray};

/// Why a request was refused. The code never changes; the text is what both dialects show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumCount)]
pub enum Refusal {
    /// No live session.
    NotAuthorized,
    /// No such user, or not this password: the two are never told apart.
    BadCredentials,
    /// The recipient does not exist.
    NoSuchUser,
    /// The room does not exist.
    NoSuchRoom,
    /// Who asks is not in the room.
    NotAMember,
    /// Who asks is in as many rooms as one can be.
    TooManyRooms,
    /// Too short, too common, or not what a line can hold.
    WeakPassword,
    /// No message of that number, or not one of the asker's.
    NoSuchMessage,
    /// No command of that name.
    UnknownCommand,
    /// Not the form of a request, or not the parameters of its command.
    BadRequest,
    /// A line over [`MAX_LINE`](super::MAX_LINE).
    LineTooLong,
    /// Not UTF-8.
    NotUtf8,
    /// A text over [`MAX_MESSAGE`](super::MAX_MESSAGE).
    MessageTooLong,
    /// The recipient's inbox has no room.
    InboxFull,
    /// The idempotency key names another message already.
    KeyReused,
    /// No space: nothing was stored.
    Storage,
    /// The disk failed while it stored: the message may or may not be there.
    Uncertain,
    /// The disk has failed before: nothing is stored until the server is started again.
    ReadOnly,
    /// Too many requests, or tries to log in.
    RateLimited {
        /// After so many seconds it is worth another try.
        retry_after: u32,
    },
    /// A fault of the server's own.
    Internal,
}

impl Refusal {
    /// Every refusal, in the order of the catalogue. (A variant that is missing here does not compile; a test finds one that
    /// is here twice.)
    pub const ALL: [Refusal; Refusal::COUNT] = [
        Refusal::NotAuthorized,
        Refusal::BadCredentials,
        Refusal::NoSuchUser,
        Refusal::NoSuchRoom,
        Refusal::NotAMember,
        Refusal::TooManyRooms,
        Refusal::WeakPassword,
        Refusal::NoSuchMessage,
        Refusal::UnknownCommand,
        Refusal::BadRequest,
        Refusal::LineTooLong,
        Refusal::NotUtf8,
        Refusal::MessageTooLong,
        Refusal::InboxFull,
        Refusal::KeyReused,
        Refusal::Storage,
        Refusal::Uncertain,
        Refusal::ReadOnly,
        Refusal::RateLimited { retry_after: 1 },
        Refusal::Internal,
    ];

    /// The stable name, for programs.
    #[must_use]
    pub fn code(self) -> &'static str {
        self.entry().0
    }

    /// The text, for people.
    #[must_use]
    pub fn text(self) -> &'static str {
        self.entry().1
    }

    fn entry(self) -> (&'static str, &'static str) {
        match self {
            Refusal::NotAuthorized => ("not_authorized", "not authorized"),
            Refusal::BadCredentials => ("bad_credentials", "User Tidak Ada"),
            Refusal::NoSuchUser => ("no_such_user", "User Tidak Ditemukan"),
            Refusal::NoSuchRoom => ("no_such_room", "no such room"),
            Refusal::NotAMember => ("not_a_member", "not a member of this room"),
            Refusal::TooManyRooms => ("too_many_rooms", "too many rooms"),
            Refusal::WeakPassword => ("weak_password", "password too weak"),
            Refusal::NoSuchMessage => ("no_such_message", "no such message"),
            Refusal::UnknownCommand => ("unknown_command", "Protocol Tidak Benar"),
            Refusal::BadRequest => ("bad_request", "Protocol Tidak Benar"),
            Refusal::LineTooLong => ("line_too_long", "line too long"),
            Refusal::NotUtf8 => ("not_utf8", "not UTF-8"),
            Refusal::MessageTooLong => ("message_too_long", "message too long"),
            Refusal::InboxFull => ("inbox_full", "inbox full"),
            Refusal::KeyReused => ("key_reused", "key already used for another message"),
            Refusal::Storage => ("storage", "not stored, storage is full"),
            Refusal::Uncertain => {
                ("uncertain", "storage failed, may or may not be stored: repeat with the same key")
            }
            Refusal::ReadOnly => ("read_only", "storage has failed, nothing can be stored"),
            Refusal::RateLimited { .. } => ("rate_limited", "too many requests, try again later"),
            Refusal::Internal => ("internal", "internal error"),
        }
    }
}

/// Why the server ends a connection: its last word there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, VariantArray)]
pub enum Closing {
    /// The server stops.
    Shutdown,
    /// A line over [`MAX_LINE`](super::MAX_LINE): where the next one begins is not known.
    LineTooLong,
    /// The peer does not read what it asked for.
    SlowConsumer,
    /// Nobody has logged in on the connection in time.
    LoginDeadline,
    /// A line was begun and not finished in time.
    LineDeadline,
    /// Nothing was asked for too long.
    Idle,
    /// There are as many connections as there may be, in all or from the peer's address.
    TooManyConnections,
}

impl Closing {
    /// Every reason.
    pub const ALL: &[Closing] = Closing::VARIANTS;

    /// The stable name, for logs and programs.
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
        }
    }

    /// The text, for people.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Closing::Shutdown => "server is shutting down",
            Closing::LineTooLong => Refusal::LineTooLong.text(),
            Closing::SlowConsumer => "reading too slowly",
            Closing::LoginDeadline => "not logged in in time",
            Closing::LineDeadline => "line not finished in time",
            Closing::Idle => "idle for too long",
            Closing::TooManyConnections => "too many connections",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_names_one_refusal() {
        for (i, refusal) in Refusal::ALL.iter().enumerate() {
            assert_eq!(Refusal::ALL.iter().position(|other| other.code() == refusal.code()), Some(i));
        }
    }
}
