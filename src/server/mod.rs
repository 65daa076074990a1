//! Who may connect and for how long: the listener, one connection's loop, backpressure, shutdown.
//!
//! What requests mean is not known here. The invariant that all else hangs on is kept here, in
//! `output`: no byte leaves the server that tells of something not yet durable.

mod addresses;
mod banner;
mod confine;
mod connection;
mod deadlines;
mod exchange;
mod file_watch;
mod lines;
mod listener;
mod output;
mod registry;
mod reload;
mod slow_consumer;
mod start;
mod tls;
mod transport;

use std::{
    sync::{Arc, Once},
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
use crate::{chat::Chat, config::defaults};

/// What all connections share.
pub struct Server {
    chat: Arc<Chat>,
    limits: Limits,
    registry: Arc<Registry>,
    /// When it began to watch deadlines.
    began: Instant,
    watched: Once,
    /// Connections that are told that they are too many.
    farewells: Arc<Semaphore>,
}

impl Server {
    /// A server without connections.
    #[must_use]
    pub fn new(chat: Arc<Chat>, limits: Limits) -> Arc<Self> {
        let (registry, watched) = (Arc::<Registry>::default(), Once::new());
        let farewells = Arc::new(Semaphore::new(listener::FAREWELLS));
        Arc::new(Server { chat, limits, registry, began: Instant::now(), watched, farewells })
    }

    /// What answers its connections.
    #[must_use]
    pub fn chat(&self) -> &Arc<Chat> {
        &self.chat
    }

    /// How many connections are open.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.registry.open()
    }
}

/// What a connection may cost others. Line and inbox limits are not among these: nothing lifts them.
#[derive(Debug, Clone)]
pub struct Limits {
    /// When a peer that does not read is cut off; `None` is never.
    pub slow_consumer: Option<SlowConsumer>,
    /// Connections in all.
    pub connections: usize,
    /// Connections from one address (of IPv6: one /64).
    pub per_address: usize,
    /// Somebody has to log in on a connection, or show a token, within this time; that of waiting for a password to be
    /// checked does not count.
    pub login: Option<Duration>,
    /// A line that was begun is to be finished within this time.
    pub line: Option<Duration>,
    /// A connection that asks nothing for this time is ended, unless it watches.
    pub idle: Option<Duration>,
}

impl Limits {
    /// None at all, for load tests.
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

/// When a peer reads too slowly. Only bytes that it could have taken count: never those that wait for a disk.
#[derive(Debug, Clone)]
pub struct SlowConsumer {
    /// It took nothing for this long,
    pub silence: Duration,
    /// or in each window of this length,
    pub window: Duration,
    /// less than this.
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
