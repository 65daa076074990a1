//! Users, rooms and their members, sessions.

use std::{borrow::Cow, net::IpAddr};

use serde::{Deserialize, Serialize};

use super::Status;
use crate::model::Timestamp;

/// Reply to `showuseractive`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActiveReply<'a> {
    /// Status.
    pub status: Status,
    /// The users.
    #[serde(borrow)]
    pub messages: ActiveUsers<'a>,
}

/// The users in [`ActiveReply`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActiveUsers<'a> {
    /// The users, by name.
    #[serde(borrow)]
    pub users: Vec<ActiveUser<'a>>,
}

/// A user in [`ActiveReply`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActiveUser<'a> {
    /// User name.
    #[serde(borrow)]
    pub username: Cow<'a, str>,
}

/// Reply to `rooms`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomsReply<'a> {
    /// Status.
    pub status: Status,
    /// The rooms, by name.
    #[serde(borrow)]
    pub rooms: Vec<RoomObject<'a>>,
    /// Whether there are more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub more: bool,
}

/// A room in [`RoomsReply`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomObject<'a> {
    /// Its name.
    #[serde(borrow)]
    pub room: Cow<'a, str>,
    /// Number of its members.
    pub members: usize,
    /// Whether the caller is one.
    pub joined: bool,
}

/// Reply to `members`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MembersReply<'a> {
    /// Status.
    pub status: Status,
    /// The members, by name.
    #[serde(borrow)]
    pub members: Vec<MemberObject<'a>>,
}

/// A member in [`MembersReply`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberObject<'a> {
    /// User name.
    #[serde(borrow)]
    pub username: Cow<'a, str>,
    /// Display name.
    #[serde(borrow)]
    pub name: Cow<'a, str>,
}

/// Reply to `who`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WhoReply<'a> {
    /// Status.
    pub status: Status,
    /// All users, by name.
    #[serde(borrow)]
    pub users: Vec<PersonObject<'a>>,
}

/// A user in [`WhoReply`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PersonObject<'a> {
    /// User name.
    #[serde(borrow)]
    pub username: Cow<'a, str>,
    /// Display name.
    #[serde(borrow)]
    pub name: Cow<'a, str>,
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
pub struct WhoamiReply<'a> {
    /// Status.
    pub status: Status,
    /// User name.
    #[serde(borrow)]
    pub username: Cow<'a, str>,
    /// Display name.
    #[serde(borrow)]
    pub name: Cow<'a, str>,
    /// Number of the session.
    pub session: u32,
    /// Dialect of the connection.
    pub protocol: u8,
}

/// Reply to `sessions`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionsReply<'a> {
    /// Status.
    pub status: Status,
    /// The sessions, oldest first.
    #[serde(borrow)]
    pub sessions: Vec<SessionObject<'a>>,
}

/// A session in [`SessionsReply`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionObject<'a> {
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
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub device: Option<Cow<'a, str>>,
    /// IP address of its last connection since the server started; dialect 2 only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
}
