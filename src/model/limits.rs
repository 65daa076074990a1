//! Limits that hold on every wire and in every store. No setting changes them.

/// Longest request line, in bytes without its line end.
pub const MAX_LINE: usize = 16 * 1024;

/// Longest message text, in bytes of UTF-8.
pub const MAX_MESSAGE: usize = 8 * 1024;

/// Longest idempotency key, in bytes.
pub const MAX_KEY: usize = 64;

/// Most messages on a page.
pub const MAX_PAGE: usize = 1_000;

/// Most bytes in a reply with several messages. A reply with one message may be longer.
pub const MAX_REPLY: usize = 1024 * 1024;
