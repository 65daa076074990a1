//! The line protocol: requests, the table of commands, and the objects of replies and events.
//!
//! Server and client share it. This module reads no socket, knows no user, and keeps no state.

pub mod codec;
pub mod json;
pub mod objects;
mod parameter;
pub mod request;
pub mod spec;
pub mod text;
