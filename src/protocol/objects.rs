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
pub struct ErrorReply {
    /// Always [`Status::Error`].
    pub status: Status,
    /// Text for people.
    pub message: Cow<'static, str>,
    /// Code for programs; dialect 2 only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<Cow<'static, str>>,
    /// Usage of the command, if the request does not fit it; dialect 2 only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Cow<'static, str>>,
    /// A command, user or room that exists and has a similar name; dialect 2 only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub did_you_mean: Option<Cow<'static, str>>,
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

impl ErrorReply {
    /// An error that has a text only.
    #[must_use]
    pub fn new(message: &'static str) -> ErrorReply {
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
pub struct TextReply {
    /// Status.
    pub status: Status,
    /// Text for people.
    pub message: Cow<'static, str>,
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
pub struct SentReply {
    /// Status.
    pub status: Status,
    /// Always `Message Sent`.
    pub message: Cow<'static, str>,
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
pub struct MessageObject {
    /// Number of the message.
    pub id: u64,
    /// When the server received it.
    pub at: Timestamp,
    /// User name of the sender.
    pub from: Cow<'static, str>,
    /// User name of the recipient, or name of the room.
    pub to: Cow<'static, str>,
    /// Display name of the sender.
    pub msg_from: Cow<'static, str>,
    /// Display name of the recipient.
    pub msg_to: Cow<'static, str>,
    /// The text.
    pub msg: Cow<'static, str>,
}

/// Reply to `fetch` and `history`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageReply {
    /// Status.
    pub status: Status,
    /// The messages, oldest first.
    pub messages: Vec<MessageObject>,
    /// There are more messages than these.
    pub more: bool,
}

/// Reply to `hello`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HelloReply {
    /// Status.
    pub status: Status,
    /// Dialect of the connection.
    pub protocol: u8,
    /// Name and version of the server.
    pub server: Cow<'static, str>,
    /// What an OK promises: `fsync`, `os` or `none`.
    pub durability: Cow<'static, str>,
    /// Limits.
    pub limits: LimitsObject,
    /// Names of all commands.
    pub commands: Vec<Cow<'static, str>>,
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
pub struct HelpReply {
    /// Status.
    pub status: Status,
    /// All commands.
    pub commands: Vec<CommandObject>,
}

/// A command in [`HelpReply`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandObject {
    /// Its name.
    pub name: Cow<'static, str>,
    /// Its usage.
    pub usage: Cow<'static, str>,
    /// One sentence of help.
    pub summary: Cow<'static, str>,
}

/// Reply to `help COMMAND`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicReply {
    /// Status.
    pub status: Status,
    /// Name of the command.
    pub name: Cow<'static, str>,
    /// Its usage.
    pub usage: Cow<'static, str>,
    /// Its help.
    pub help: Cow<'static, str>,
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
pub struct StatusReply {
    /// Status.
    pub status: Status,
    /// Number of the message.
    pub id: u64,
    /// `stored` or `acked`.
    pub state: Cow<'static, str>,
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
pub struct ConversationsReply {
    /// Status.
    pub status: Status,
    /// The conversations, newest first.
    pub conversations: Vec<ConversationObject>,
    /// Whether there are more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub more: bool,
}

/// A conversation in [`ConversationsReply`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConversationObject {
    /// User name, or name of the room.
    pub with: Cow<'static, str>,
    /// The last message; null in a room without a message.
    pub last: Option<MessageObject>,
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
pub enum EventObject {
    /// A message in the inbox.
    Message(MessageObject),
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
        username: Cow<'static, str>,
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
        with: Cow<'static, str>,
        /// The last message that was read.
        upto: u64,
        /// User name of the one who has read it.
        by: Cow<'static, str>,
    },
    /// Another user is typing.
    Typing {
        /// User name.
        from: Cow<'static, str>,
        /// The user, or a room.
        to: Cow<'static, str>,
    },
    /// A session of the connection has ended.
    SessionEnded,
    /// The server closes the connection.
    Closing {
        /// Why.
        reason: Cow<'static, str>,
    },
}
