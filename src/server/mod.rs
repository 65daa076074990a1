//! Connections: endpoints and transports, one connection's loop, deadlines, backpressure, shutdown.
//!
//! This module does not know what requests mean. **Invariant**, kept in `output`: no byte leaves the server that tells of
//! something not yet durable.

mod addresses;
mod banner;
mod budget;
mod connection;
mod deadlines;
mod exchange;
mod file_watch;
mod lines;
mod listener;
mod log;
mod output;
mod registry;
mod reload;
mod runtime;
mod sandbox;
mod slow_consumer;
mod start;
mod tls;
mod transport;
mod turn;

use std::{
    net::IpAddr,
    sync::{
        Arc, Once,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use tokio::{sync::Semaphore, time::Instant};

pub use addresses::{ListenError, bind};
pub use connection::{serve, serve_over};
pub use lines::Lines;
pub use listener::{Endpoint, Speaks, Summary, run};
pub use start::{StartError, start};
pub use tls::{Tls, TlsError};
pub use transport::{Frame, Sink, Transport};

use self::registry::Registry;
use crate::{
    chat::{Chat, Source},
    config::defaults,
};

/// The server: what all connections share.
pub struct Server {
    chat: Arc<Chat>,
    limits: Limits,
    registry: Arc<Registry>,
    /// Number of the last connection.
    last_connection: AtomicU32,
    /// When the server began to watch deadlines.
    began: Instant,
    watched: Once,
    /// Refused connections that are being told why.
    farewells: Arc<Semaphore>,
}

impl Server {
    /// A server without connections.
    #[must_use]
    pub fn new(chat: Arc<Chat>, limits: Limits) -> Arc<Self> {
        let (registry, watched) = (Arc::<Registry>::default(), Once::new());
        let farewells = Arc::new(Semaphore::new(listener::FAREWELLS));
        let (last_connection, began) = (AtomicU32::new(0), Instant::now());
        Arc::new(Server { chat, limits, registry, last_connection, began, watched, farewells })
    }

    /// The use cases.
    #[must_use]
    pub fn chat(&self) -> &Arc<Chat> {
        &self.chat
    }

    /// Where the requests of a new connection come from.
    fn source(&self, address: IpAddr) -> Source {
        // Begins anew after four billion, which nobody takes for the same connection.
        let connection = self.last_connection.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        Source { address, connection }
    }

    /// Number of open connections.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.registry.open()
    }
}

/// Limits of connections. The limits of lines and inboxes are not among these, because nothing lifts them.
#[derive(Debug, Clone)]
pub struct Limits {
    /// When a peer that does not read is cut off; `None` for never.
    pub slow_consumer: Option<SlowConsumer>,
    /// Most connections.
    pub connections: usize,
    /// Most connections from one address (IPv6: from one /64 network).
    pub per_address: usize,
    /// Most time until the peer has logged in or shown a token. The time in which a password is verified does not count.
    pub login: Option<Duration>,
    /// Most time to finish a line.
    pub line: Option<Duration>,
    /// Most time without a request, for a connection that does not watch.
    pub idle: Option<Duration>,
}

impl Limits {
    /// No limits, for load tests.
    pub const NONE: Limits = Limits {
        slow_consumer: None,
        connections: usize::MAX,
        per_address: usize::MAX,
        login: None,
        line: None,
        idle: None,
    };
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            slow_consumer: Some(SlowConsumer::default()),
            connections: defaults::MAX_CONNECTIONS,
            per_address: defaults::MAX_CONNECTIONS_PER_ADDRESS,
            login: Some(Duration::from_secs(defaults::LOGIN_DEADLINE)),
            line: Some(Duration::from_secs(defaults::LINE_DEADLINE)),
            idle: Some(Duration::from_secs(defaults::IDLE_TIMEOUT)),
        }
    }
}

/// When a peer reads too slowly. Only bytes that it could have taken count, never those that wait for a disk.
#[derive(Debug, Clone)]
pub struct SlowConsumer {
    /// Most time in which the peer takes nothing.
    pub silence: Duration,
    /// Length of a window.
    pub window: Duration,
    /// Least number of bytes that the peer must take in each window.
    pub bytes_per_window: usize,
}

impl Default for SlowConsumer {
    fn default() -> Self {
        SlowConsumer {
            silence: Duration::from_secs(defaults::SLOW_CONSUMER),
            window: Duration::from_secs(30),
            bytes_per_window: 30 * 4 * 1024,
        }
    }
}
