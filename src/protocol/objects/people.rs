//! Users, rooms and their members, sessions.

use std::{borrow::Cow, net::IpAddr};

use serde::{Deserialize, Serialize};

use super::Status;
use crate::model::Timestamp;

/// Reply to `showuseractive`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActiveReply {
    /// Status.
    pub status: Status,
    /// The users.
    pub messages: ActiveUsers,
}

/// The users in [`ActiveReply`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActiveUsers {
    /// The users, by name.
    pub users: Vec<ActiveUser>,
}

/// A user in [`ActiveReply`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActiveUser {
    /// User name.
    pub username: Cow<'static, str>,
}

/// Reply to `rooms`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomsReply {
    /// Status.
    pub status: Status,
    /// The rooms, by name.
    pub rooms: Vec<RoomObject>,
    /// Whether there are more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub more: bool,
}

/// A room in [`RoomsReply`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomObject {
    /// Its name.
    pub room: Cow<'static, str>,
    /// Number of its members.
    pub members: usize,
    /// Whether the caller is one.
    pub joined: bool,
}

/// Reply to `members`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MembersReply {
    /// Status.
    pub status: Status,
    /// The members, by name.
    pub members: Vec<MemberObject>,
}

/// A member in [`MembersReply`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberObject {
    /// User name.
    pub username: Cow<'static, str>,
    /// Display name.
    pub name: Cow<'static, str>,
}

/// Reply to `who`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WhoReply {
    /// Status.
    pub status: Status,
    /// All users, by name.
    pub users: Vec<PersonObject>,
}

/// A user in [`WhoReply`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PersonObject {
    /// User name.
    pub username: Cow<'static, str>,
    /// Display name.
    pub name: Cow<'static, str>,
    /// Has a live session.
    pub active: bool,
    /// Has a connection, or had one a moment ago.
    pub connected: bool,
    /// When the last connection ended.
    pub last_seen: Option<Timestamp>,
    /// Number of live sessions.
    pub sessions: usize,
}

/// Reply to `whoami`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WhoamiReply {
    /// Status.
    pub status: Status,
    /// User name.
    pub username: Cow<'static, str>,
    /// Display name.
    pub name: Cow<'static, str>,
    /// Number of the session.
    pub session: u32,
    /// Dialect of the connection.
    pub protocol: u8,
}

/// Reply to `sessions`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionsReply {
    /// Status.
    pub status: Status,
    /// The sessions, oldest first.
    pub sessions: Vec<SessionObject>,
}

/// A session in [`SessionsReply`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionObject {
    /// Its number.
    pub session: u32,
    /// When it was opened.
    pub created: Timestamp,
    /// When it was last used.
    pub last_used: Timestamp,
    /// When it ends if it is not used again.
    pub expires: Timestamp,
    /// Number of its connections.
    pub connections: usize,
    /// Whether it is the session of the request.
    pub current: bool,
    /// What its client has called the device; dialect 2 only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<Cow<'static, str>>,
    /// IP address of its last connection since the server started; dialect 2 only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
}
