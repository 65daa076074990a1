//! The stream of events, as the task sees it.

use std::collections::BTreeSet;

use super::{WatchOptions, events::EventSender, request::Request};

/// Most messages of its own that a stream knows.
const MOST_OWN: usize = 10_000;

/// The stream of events that somebody takes.
pub(super) struct Watch {
    pub(super) options: WatchOptions,
    pub(super) events: EventSender,
    /// The server streams, as far as it was asked.
    pub(super) is_on: bool,
    /// Messages that this client has sent, and that the stream has not passed. After another connection, the server takes them for
    /// those of another one.
    pub(super) own: BTreeSet<u64>,
    /// Until the reply to the last `watch`, events are those of the stream before: they come again.
    pub(super) is_stale: bool,
}

impl Watch {
    /// Asks the server for the events after the last one that was shown.
    pub(super) fn begin(&mut self) -> Request {
        (self.is_on, self.is_stale) = (true, false);
        let mut request = Request::own("watch", true);
        if let Some(after) = self.options.after {
            request.fields.insert("after".to_owned(), after.into());
        }
        if self.options.own {
            request.fields.insert("own".to_owned(), true.into());
        }
        request
    }

    /// Notes a message that this client has sent.
    pub(super) fn sent(&mut self, id: u64) {
        if self.options.own && Some(id) > self.options.after {
            self.own.insert(id);
            if self.own.len() > MOST_OWN {
                self.own.pop_first();
            }
        }
    }

    /// Passes a message. Returns whether this client has sent it.
    pub(super) fn pass(&mut self, id: u64) -> bool {
        self.options.after = self.options.after.max(Some(id));
        let is_own = self.own.contains(&id);
        self.own = self.own.split_off(&(id + 1));
        is_own
    }
}

/// What the stream of events waits for.
pub(super) enum Stream {
    /// Nobody takes it any more.
    IsOver,
    /// There is room again.
    HasRoom,
}

pub(super) async fn next_of(watch: Option<&Watch>) -> Stream {
    let Some(watch) = watch else { return std::future::pending().await };
    tokio::select! {
        () = watch.events.is_over() => Stream::IsOver,
        () = watch.events.has_room(), if !watch.is_on => Stream::HasRoom,
    }
}
