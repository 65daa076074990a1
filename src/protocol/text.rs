//! Texts of refusals and of closing reasons: the catalogue that clients see. Both dialects show the same texts.

use crate::model::{Closing, Refusal};

/// Text of a refusal, for people. Some are Indonesian, as they were in the first version of the protocol.
#[must_use]
pub fn refusal(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::NotAuthorized => "not authorized",
        Refusal::BadCredentials => "User Tidak Ada",
        Refusal::NoSuchUser => "User Tidak Ditemukan",
        Refusal::NoSuchRoom => "no such room",
        Refusal::NotAMember => "not a member of this room",
        Refusal::TooManyRooms { .. } => "too many rooms",
        Refusal::TooManyConnections { .. } => "too many connections",
        Refusal::WeakPassword { .. } => "password too weak",
        Refusal::NoSuchMessage => "no such message",
        Refusal::NoSuchSession => "no such session",
        Refusal::UnknownCommand | Refusal::BadRequest => "Protocol Tidak Benar",
        Refusal::LineTooLong => "line too long",
        Refusal::NotUtf8 => "not UTF-8",
        Refusal::MessageTooLong { .. } => "message too long",
        Refusal::InboxFull { .. } => "inbox full",
        Refusal::Quota { .. } => "quota used up",
        Refusal::KeyReused => "key already used for another message",
        Refusal::Storage => "not stored, storage is full",
        Refusal::Uncertain => "storage failed, may or may not be stored: repeat with the same key",
        Refusal::ReadOnly => "storage has failed, nothing can be stored",
        Refusal::Unavailable { .. } => "try again later, nothing was stored",
        Refusal::RateLimited { .. } => "too many requests, try again later",
        Refusal::Internal => "internal error",
    }
}

/// Text of a closing reason, for people.
#[must_use]
pub fn closing(reason: Closing) -> &'static str {
    match reason {
        Closing::Shutdown => "server is shutting down",
        Closing::LineTooLong => refusal(Refusal::LineTooLong),
        Closing::SlowConsumer => "reading too slowly",
        Closing::LoginDeadline => "not logged in in time",
        Closing::LineDeadline => "line not finished in time",
        Closing::Idle => "idle for too long",
        Closing::TooManyConnections => refusal(Refusal::TooManyConnections { limit: 0 }),
        Closing::NotHttp => "this is not an HTTP port",
    }
}
