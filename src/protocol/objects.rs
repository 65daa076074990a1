//! The objects of replies and events, as both server and client have them.
//!
//! Keys are written in the order of the fields. The reply to `send` and the object of a message are written by hand on the
//! server, because they are the most frequent; tests hold them to these types.

mod people;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

pub use people::{
    ActiveReply, ActiveUser, ActiveUsers, MemberObject, MembersReply, PersonObject, RoomObject, RoomsReply,
    SessionObject, SessionsReply, WhoReply, WhoamiReply,
};

use crate::model::Timestamp;

/// First key of every reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Status {
    /// The request was carried out.
    #[serde(rename = "OK")]
    Ok,
    /// The request was refused.
    #[serde(rename = "ERROR")]
    Error,
}

/// A refusal, or in dialect 1 the reason why the connection is closed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorReply<'a> {
    /// Always [`Status::Error`].
    pub status: Status,
    /// Text for people.
    #[serde(borrow)]
    pub message: Cow<'a, str>,
    /// Code for programs; dialect 2 only.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub code: Option<Cow<'a, str>>,
    /// Usage of the command, if the request does not fit it; dialect 2 only.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Cow<'a, str>>,
    /// A command, user or room that exists and has a similar name; dialect 2 only.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub did_you_mean: Option<Cow<'a, str>>,
    /// The limit that was reached: a length or a number; dialect 2 only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// The length that is beyond the limit; dialect 2 only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub got: Option<u64>,
    /// Seconds until the request can succeed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u32>,
}

impl ErrorReply<'_> {
    /// An error that has a text only.
    #[must_use]
    pub fn new(message: &str) -> ErrorReply<'_> {
        ErrorReply {
            status: Status::Error,
            message: message.into(),
            code: None,
            usage: None,
            did_you_mean: None,
            limit: None,
            got: None,
            retry_after: None,
        }
    }
}

/// Reply of commands that only confirm: `ping`, `join`, `watch`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TextReply<'a> {
    /// Status.
    pub status: Status,
    /// Text for people.
    #[serde(borrow)]
    pub message: Cow<'a, str>,
}

/// Reply to `auth`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthReply {
    /// Status.
    pub status: Status,
    /// The token.
    pub tokenid: String,
}

/// Reply to `send` in dialect 2.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SentReply<'a> {
    /// Status.
    pub status: Status,
    /// Always `Message Sent`.
    #[serde(borrow)]
    pub message: Cow<'a, str>,
    /// Number of the message.
    pub id: u64,
    /// When the server received it.
    pub at: Timestamp,
    /// The message was stored before, with the same key.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub duplicate: bool,
}

/// A message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageObject<'a> {
    /// Number of the message.
    pub id: u64,
    /// When the server received it.
    pub at: Timestamp,
    /// User name of the sender.
    #[serde(borrow)]
    pub from: Cow<'a, str>,
    /// User name of the recipient, or name of the room.
    #[serde(borrow)]
    pub to: Cow<'a, str>,
    /// Display name of the sender.
    #[serde(borrow)]
    pub msg_from: Cow<'a, str>,
    /// Display name of the recipient.
    #[serde(borrow)]
    pub msg_to: Cow<'a, str>,
    /// The text.
    #[serde(borrow)]
    pub msg: Cow<'a, str>,
}

/// Reply to `fetch` and `history`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageReply<'a> {
    /// Status.
    pub status: Status,
    /// The messages, oldest first.
    #[serde(borrow)]
    pub messages: Vec<MessageObject<'a>>,
    /// There are more messages than these.
    pub more: bool,
}

/// Reply to `hello`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HelloReply<'a> {
    /// Status.
    pub status: Status,
    /// Dialect of the connection.
    pub protocol: u8,
    /// Name and version of the server.
    #[serde(borrow)]
    pub server: Cow<'a, str>,
    /// What an OK promises: `fsync`, `os` or `none`.
    #[serde(borrow)]
    pub durability: Cow<'a, str>,
    /// Limits.
    pub limits: LimitsObject,
    /// Names of all commands.
    #[serde(borrow)]
    pub commands: Vec<Cow<'a, str>>,
}

/// The limits in [`HelloReply`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitsObject {
    /// Longest line, in bytes.
    pub line: usize,
    /// Longest message text, in bytes.
    pub message: usize,
    /// Most messages in an inbox, those to rooms not counted.
    pub inbox: usize,
}

/// Reply to `help`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HelpReply<'a> {
    /// Status.
    pub status: Status,
    /// All commands.
    #[serde(borrow)]
    pub commands: Vec<CommandObject<'a>>,
}

/// A command in [`HelpReply`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandObject<'a> {
    /// Its name.
    #[serde(borrow)]
    pub name: Cow<'a, str>,
    /// Its usage.
    #[serde(borrow)]
    pub usage: Cow<'a, str>,
    /// One sentence of help.
    #[serde(borrow)]
    pub summary: Cow<'a, str>,
}

/// Reply to `help COMMAND`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicReply<'a> {
    /// Status.
    pub status: Status,
    /// Name of the command.
    #[serde(borrow)]
    pub name: Cow<'a, str>,
    /// Its usage.
    #[serde(borrow)]
    pub usage: Cow<'a, str>,
    /// Its help.
    #[serde(borrow)]
    pub help: Cow<'a, str>,
}

/// Reply to `ack`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AckReply {
    /// Status.
    pub status: Status,
    /// Number of messages that have left the inbox.
    pub acked: usize,
    /// The cursor.
    pub upto: u64,
}

/// Reply to `status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusReply<'a> {
    /// Status.
    pub status: Status,
    /// Number of the message.
    pub id: u64,
    /// `stored` or `acked`.
    #[serde(borrow)]
    pub state: Cow<'a, str>,
    /// When the server received it.
    pub at: Timestamp,
    /// When the recipient acknowledged it; not for rooms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acked_at: Option<Timestamp>,
    /// Number of recipients; rooms only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipients: Option<usize>,
    /// Number of recipients who have acknowledged it; rooms only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acked: Option<usize>,
    /// When a person has read it, or later; not for rooms, and in dialect 2 only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_at: Option<Timestamp>,
    /// Number of recipients who have read it; rooms only, and in dialect 2 only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read: Option<usize>,
}

/// Reply to `conversations`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConversationsReply<'a> {
    /// Status.
    pub status: Status,
    /// The conversations, newest first.
    #[serde(borrow)]
    pub conversations: Vec<ConversationObject<'a>>,
    /// Whether there are more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub more: bool,
}

/// A conversation in [`ConversationsReply`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConversationObject<'a> {
    /// User name, or name of the room.
    #[serde(borrow)]
    pub with: Cow<'a, str>,
    /// The last message; null in a room without a message.
    #[serde(borrow)]
    pub last: Option<MessageObject<'a>>,
    /// Number of messages of others that were not read: at most 100.
    pub unread: usize,
    /// The last message that was read; 0 if none was.
    pub read_upto: u64,
}

/// Reply to `read`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadReply {
    /// Status.
    pub status: Status,
    /// The last message that was read.
    pub upto: u64,
}

/// An event; dialect 2 only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum EventObject<'a> {
    /// A message in the inbox.
    #[serde(borrow)]
    Message(MessageObject<'a>),
    /// Another connection of the user has acknowledged messages.
    Acked {
        /// The cursor.
        upto: u64,
    },
    /// A message of the user was acknowledged.
    Delivered {
        /// Number of the message.
        id: u64,
        /// When it was acknowledged.
        at: Timestamp,
    },
    /// Another user has come or gone.
    Presence {
        /// User name.
        #[serde(borrow)]
        username: Cow<'a, str>,
        /// Has a live session.
        active: bool,
        /// Has a connection, or had one a moment ago.
        connected: bool,
        /// When the last connection ended.
        last_seen: Option<Timestamp>,
    },
    /// A conversation was read.
    Read {
        /// User or room of the conversation.
        #[serde(borrow)]
        with: Cow<'a, str>,
        /// The last message that was read.
        upto: u64,
        /// User name of the one who has read it.
        #[serde(borrow)]
        by: Cow<'a, str>,
    },
    /// Another user is typing.
    Typing {
        /// User name.
        #[serde(borrow)]
        from: Cow<'a, str>,
        /// The user, or a room.
        #[serde(borrow)]
        to: Cow<'a, str>,
    },
    /// A session of the connection has ended.
    SessionEnded,
    /// The server closes the connection.
    Closing {
        /// Why.
        #[serde(borrow)]
        reason: Cow<'a, str>,
    },
}
