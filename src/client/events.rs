//! What a client is told without having asked.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use futures_core::Stream;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::protocol::objects::{ErrorReply, EventObject};

/// What a client is told without having asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// An event of the server.
    Server(EventObject),
    /// The connection is lost, for this reason. The client tries to connect again, if it may.
    Disconnected(String),
    /// The server does not stream, as without a session. The stream ends.
    Refused(Box<ErrorReply>),
    /// The server answers again, and the events go on after the last message that was shown.
    Connected,
}

/// Where a stream of events begins, and what is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WatchOptions {
    /// Number of the last message that is not shown; `None` begins with the messages in the inbox.
    pub after: Option<u64>,
    /// Shows what the user's other connections send, too.
    pub own: bool,
}

/// Most events that wait to be taken. Then the server is asked for no more, until half of them were taken.
const MOST: usize = 1000;

/// Room beyond that, for what is told of the connection itself.
const SPARE: usize = 24;

/// The events of a client, as a stream. It ends when the client is dropped or gives up. When the stream is dropped, the server is
/// asked for no more events.
pub struct Events(Receiver<Event>);

/// The other end of [`Events`].
pub(super) struct EventSender(Sender<Event>);

/// A stream of events, and its other end.
pub(super) fn stream() -> (EventSender, Events) {
    let (sender, events) = channel(MOST + SPARE);
    (EventSender(sender), Events(events))
}

impl EventSender {
    /// Puts an event into the stream. Returns whether there is room for another one.
    pub(super) fn put(&self, event: Event) -> bool {
        // Without room, only news of a connection that comes and goes gets lost. If nobody takes events any more, the task finds out
        // by `is_over`.
        self.0.try_send(event).ok();
        self.0.capacity() > SPARE
    }

    /// Waits until half of the room is free, or until the stream is dropped.
    pub(super) async fn has_room(&self) {
        self.0.reserve_many(MOST / 2).await.ok();
    }

    /// Waits until the stream is dropped.
    pub(super) async fn is_over(&self) {
        self.0.closed().await;
    }
}

impl Events {
    /// The next event, if it has come already.
    pub fn try_next(&mut self) -> Option<Event> {
        self.0.try_recv().ok()
    }

    /// The next event; `None` at the end.
    pub async fn next(&mut self) -> Option<Event> {
        self.0.recv().await
    }
}

impl Stream for Events {
    type Item = Event;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        self.0.poll_recv(cx)
    }
}
