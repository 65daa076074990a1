//! How a client reaches a server.

use std::time::Duration;

use super::Tls;
use crate::model::Token;

/// How a client reaches a server, and what it says first.
#[derive(Debug, Clone)]
pub struct Options {
    /// Servers, each as host and port. They are tried in turn, at first and whenever the connection is lost.
    pub servers: Vec<(String, u16)>,
    /// Encrypts the connections, and verifies the servers. `None` is for servers on this machine: others on a network can read what
    /// is not encrypted.
    pub tls: Option<Tls>,
    /// The token of a session; without one, [`auth`](super::Client::auth) opens a session.
    pub token: Option<Token>,
    /// What the device is called, in 1 to 32 printable ASCII characters.
    pub device: Option<String>,
    /// Longest wait for a connection, and for each reply.
    pub timeout: Duration,
    /// Silence after which the server is asked whether it is there. If it does not say so in [`timeout`](Options::timeout), the
    /// connection counts as lost.
    pub keepalive: Duration,
    /// Longest pause between two tries to connect again; the first one is a tenth of a second. `None` gives up when the
    /// connection is lost.
    pub reconnect: Option<Duration>,
}

impl Options {
    /// The defaults for one server: 30 s for a reply, 30 s of silence, and at most 10 s between tries to connect.
    #[must_use]
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Options {
            servers: vec![(host.into(), port)],
            tls: None,
            token: None,
            device: None,
            timeout: Duration::from_secs(30),
            keepalive: Duration::from_secs(30),
            reconnect: Some(Duration::from_secs(10)),
        }
    }
}

/// A server as people write it: `host:port`, an IPv6 address in brackets.
pub(crate) fn shown(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}
