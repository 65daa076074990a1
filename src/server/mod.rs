//! Who may connect and for how long: the listener, one connection's loop, backpressure, shutdown.
//!
//! What requests mean is not known here. The invariant that all else hangs on is kept here, in
//! `output`: no byte leaves the server that tells of something not yet durable.

mod banner;
mod connection;
mod input;
mod listener;
mod output;
mod registry;
mod stall;
mod start;
mod upkeep;

use std::{sync::Arc, time::Duration};

pub use connection::serve;
pub use listener::{Summary, run};
pub use start::{StartError, start};
pub use upkeep::{UpkeepError, upkeep};

use self::registry::Registry;
use crate::service::Service;

/// What all connections share.
pub struct Server {
    service: Arc<Service>,
    limits: Limits,
    registry: Registry,
}

impl Server {
    /// A server without connections.
    #[must_use]
    pub fn new(service: Arc<Service>, limits: Limits) -> Arc<Self> {
        Arc::new(Server { service, limits, registry: Registry::default() })
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
}

impl Limits {
    /// None at all, for load tests.
    pub const NONE: Limits = Limits { slow_consumer: None };
}

impl Default for Limits {
    fn default() -> Self {
        let slow_consumer = SlowConsumer {
            silence: Duration::from_secs(10),
            window: Duration::from_secs(30),
            bytes_per_window: 30 * 4 * 1024,
        };
        Limits { slow_consumer: Some(slow_consumer) }
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
