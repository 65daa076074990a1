//! Why a request of a client has failed.

use std::{sync::Arc, time::Duration};

use thiserror::Error;

use crate::protocol::objects::ErrorReply;

/// Why a request has failed.
#[derive(Debug, Clone, Error)]
pub enum ClientError {
    /// The server has refused it. Nothing was done.
    #[error("{}", .0.message)]
    Refused(Box<ErrorReply>),
    /// The request does not fit into a line. It was not sent.
    #[error("the request has {got} bytes, and a line has at most {limit}")]
    TooLong {
        /// Its length in bytes.
        got: usize,
        /// The most that the server takes.
        limit: usize,
    },
    /// No server can be reached. The request was not sent.
    #[error("cannot reach {server}: {cause}")]
    Unreachable {
        /// The server that was tried last: host and port.
        server: String,
        /// Why.
        cause: String,
    },
    /// The server was reached, and is not trusted. Nothing was sent.
    #[error("cannot reach {server}: {cause}")]
    Untrusted {
        /// The server: host and port.
        server: String,
        /// Why.
        cause: Arc<dyn std::error::Error + Send + Sync>,
    },
    /// The connection was lost while the request was under way, and the request cannot be repeated: it may or may not have been
    /// carried out.
    #[error("lost the server: {0}")]
    Lost(String),
    /// No reply came in time. The request may or may not have been carried out.
    #[error("no reply within {0:?}")]
    TimedOut(Duration),
    /// What came is not what a chat server says.
    #[error("it is no chat server: {0}")]
    Protocol(String),
}

impl ClientError {
    /// The code of a refusal, such as `no_such_user`; `None` if it is none.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        match self {
            ClientError::Refused(refusal) => refusal.code.as_deref(),
            _ => None,
        }
    }
}
