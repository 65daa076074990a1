//! A client that speaks dialect 2.

use std::{sync::Arc, time::Duration};

use chat_service::server::Server;
use serde_json::Value;
use tokio::{io::DuplexStream, time::sleep};

use super::{Peer, duplex, held::Held};

/// A connection in dialect 2, and the events that came before a reply.
pub(crate) struct Device {
    pub(crate) peer: Peer<DuplexStream>,
    pub(crate) events: Vec<Value>,
}

impl Device {
    pub(crate) async fn log_in(server: &Arc<Server>, user: &str) -> Self {
        let mut device = Device { peer: duplex(server, 1 << 20).0, events: Vec::new() };
        assert_eq!(device.ask("hello 2").await["protocol"], 2);
        assert_eq!(device.ask(&format!("auth {user} surabaya")).await["status"], "OK");
        device
    }

    pub(crate) async fn watch(server: &Arc<Server>, user: &str) -> Self {
        let mut device = Self::log_in(server, user).await;
        device.ok("watch").await;
        device
    }

    /// Logs in and watches, on a store whose writes the test commits. The clock must be paused.
    pub(crate) async fn watch_held(server: &Arc<Server>, store: &Held, user: &str) -> Self {
        let mut device = Device { peer: duplex(server, 1 << 20).0, events: Vec::new() };
        device.peer.send(format!("hello 2\nauth {user} surabaya\nwatch\n")).await;
        device.reply().await;
        device.quiet("message").await;
        store.commit();
        device.reply().await;
        device.reply().await;
        device
    }

    /// Returns the next reply; keeps the events before it.
    pub(crate) async fn reply(&mut self) -> Value {
        loop {
            let reply: Value = serde_json::from_str(&self.peer.reply().await).expect("JSON");
            if reply.get("event").is_none() {
                return reply;
            }
            assert!(reply.get("status").is_none(), "{reply}");
            self.events.push(reply);
        }
    }

    pub(crate) async fn ask(&mut self, line: &str) -> Value {
        self.peer.send(format!("{line}\n")).await;
        self.reply().await
    }

    pub(crate) async fn ok(&mut self, line: &str) -> Value {
        let reply = self.ask(line).await;
        assert_eq!(reply["status"], "OK", "{line}: {reply}");
        reply
    }

    /// Returns the next event.
    pub(crate) async fn event(&mut self) -> Value {
        if self.events.is_empty() {
            let event: Value = serde_json::from_str(&self.peer.reply().await).expect("JSON");
            assert!(event.get("event").is_some(), "{event}");
            return event;
        }
        self.events.remove(0)
    }

    /// Returns the next event of this kind; drops the others.
    pub(crate) async fn event_of(&mut self, kind: &str) -> Value {
        loop {
            let event = self.event().await;
            if event["event"] == kind {
                return event;
            }
        }
    }

    /// Asserts that no event of this kind comes until the server has nothing left to do.
    pub(crate) async fn quiet(&mut self, kind: &str) {
        tokio::select! {
            biased;
            event = self.event_of(kind) => panic!("unexpected: {event}"),
            () = sleep(Duration::from_millis(1)) => {}
        }
    }
}
