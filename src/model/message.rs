//! Messages, and pages of them.

use std::sync::Arc;

use super::{Recipient, Timestamp, UserName};

/// The number of a message. Numbers only grow; the first is 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct MessageId(pub u64);

/// A message to be stored.
#[derive(Clone, Copy)]
pub struct NewMessage<'a> {
    /// The sender.
    pub from: &'a UserName,
    /// The recipient. The caller has checked that this user exists, or that the sender is in this room.
    pub to: &'a Recipient,
    /// The text; not empty.
    pub text: &'a str,
    /// The sender's idempotency key: a second message of this sender with the same key is never stored.
    pub key: Option<&'a str>,
    /// When the server received it.
    pub at: Timestamp,
}

/// A stored message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its number.
    pub id: MessageId,
    /// When the server received it.
    pub at: Timestamp,
    /// The sender.
    pub from: UserName,
    /// The recipient.
    pub to: Recipient,
    /// The text.
    pub text: Arc<str>,
}

/// Result of storing a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored {
    /// Its number.
    pub id: MessageId,
    /// When the server received it.
    pub at: Timestamp,
    /// The message was stored before, with the same key, recipient and text.
    pub duplicate: bool,
}

/// A part of an inbox or of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Page {
    /// The messages, oldest first.
    pub messages: Vec<Message>,
    /// There are more messages beyond the end at which the page was cut.
    pub more: bool,
    /// Of an inbox: the user's cursor when the page was read.
    pub cursor: MessageId,
}
