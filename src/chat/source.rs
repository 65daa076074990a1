//! Who has asked for something, and where: for limits and for the log.

use std::net::IpAddr;

use super::{Chat, Limit, Origin, Session, throttle::Throttle};

/// Where requests come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Source {
    /// Address of the peer.
    pub address: IpAddr,
    /// Number of the connection. It is in every line of the log about it.
    pub connection: u32,
}

impl Chat {
    /// Whether somebody has logged in from that address in the last 90 days.
    #[must_use]
    pub fn knows_address(&self, address: IpAddr) -> bool {
        let known = |throttle: &Throttle| throttle.knows(Origin::of(address), self.now());
        self.throttle.as_ref().is_some_and(known)
    }

    /// Counts that a limit was reached, and logs by whom. The log shows the first of many such lines.
    pub fn note_limit(&self, limit: Limit, from: Source, session: Option<&Session>) {
        self.counts.count(limit);
        tracing::info!(
            limit = limit.name(),
            from = %from.address,
            connection = from.connection,
            user = session.map(|session| tracing::field::display(&session.user().username)),
            session = session.map(Session::number),
            "a limit was reached"
        );
    }
}
