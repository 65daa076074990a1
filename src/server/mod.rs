//! Who may connect and for how long: the listener, one connection's loop, backpressure, shutdown.
//!
//! What requests mean is not known here. The invariant that all else hangs on is kept here, in
//! `output`: no byte leaves the server that tells of something not yet durable.

mod addresses;
mod banner;
mod confine;
mod connection;
mod file_watch;
mod input;
mod listener;
mod output;
mod registry;
mod reload;
mod stall;
mod start;
mod talk;
mod tls;
mod watchdog;

use std::{
    sync::{Arc, Once},
    time::Duration,
};

use tokio::{sync::Semaphore, time::Instant};

pub use addresses::ListenError;
pub use connection::serve;
pub use listener::{Listeners, Summary, run};
pub use start::{StartError, start};
pub use tls::{Tls, TlsError};

use self::registry::Registry;
use crate::service::Service;

/// What all connections share.
pub struct Server {
    service: Arc<Service>,
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
    pub fn new(service: Arc<Service>, limits: Limits) -> Arc<Self> {
        let (registry, watched) = (Arc::<Registry>::default(), Once::new());
        let farewells = Arc::new(Semaphore::new(listener::FAREWELLS));
        Arc::new(Server { service, limits, registry, began: Instant::now(), watched, farewells })
    }

    /// What answers its connections.
    #[must_use]
    pub fn service(&self) -> &Arc<Service> {
        &self.service
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
            connections: 10_000,
            per_address: 1_000,
            login: Some(Duration::from_mins(1)),
            line: Some(Duration::from_secs(10)),
            idle: Some(Duration::from_mins(30)),
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
            silence: Duration::from_secs(10),
            window: Duration::from_secs(30),
            bytes_per_window: 30 * 4 * 1024,
        }
    }
}
