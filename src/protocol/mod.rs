//! The wire: what bytes mean, and which bytes say what.
//!
//! Pure functions over bytes. Nothing here reads a socket, knows a user, keeps state, or knows the time.

pub mod codec;
mod name;
mod parameter;
mod refusal;
pub mod reply;
pub mod request;
mod timestamp;
mod token;

pub use name::{Recipient, RoomName, UserName};
pub use refusal::{Closing, Refusal};
pub use timestamp::Timestamp;
pub use token::{Secret, Token, TokenDigest, TokenText};

/// What a connection has asked to be told: the two share one grammar of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Dialect {
    /// The replies of the first five commands as they have always been; no events.
    #[default]
    One,
    /// With codes, numbers and times of messages, and events.
    Two,
}

/// The longest request line in bytes, without its line end.
pub const MAX_LINE: usize = 16 * 1024;

/// The longest message text in bytes of UTF-8.
pub const MAX_MESSAGE: usize = 8 * 1024;

/// The longest idempotency key in bytes.
pub const MAX_KEY: usize = 64;

/// The most messages that one reply carries.
pub const MAX_PAGE: usize = 1_000;

/// The most bytes that one reply of several messages has (a single message is never refused for its size).
pub const MAX_REPLY: usize = 1024 * 1024;
