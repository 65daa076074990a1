//! The loop of one connection: it reads requests, answers them and writes replies, as far as peer and disk allow.
//!
//! Each source of progress registers the task's waker by itself: the transport for input and output, the gate for positions, late
//! replies and the result that is waited for as futures, the subscription for notifications, the store's queue for room, and the
//! registry for deadlines and shutdown. So the loop may return `Pending` when none of them can go on.

use std::{
    future::{Future, poll_fn},
    net::IpAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    task::coop::has_budget_remaining,
    time::{Instant, timeout, timeout_at},
};

use super::{
    Server,
    deadlines::{self, Patience, Seen, WaitingFor},
    exchange::Exchange,
    lines::Lines,
    output::Output,
    registry::Phase,
    slow_consumer::Stall,
    transport::Transport,
    turn::Turn,
};
use crate::{
    chat::{Limit, Source},
    model::{BoxFuture, Closing},
    store::Settlement,
    wire::{Dispatcher, text},
};

/// Most reads from a connection after the server was told to stop, because a peer may send without end.
const LAST_READS: u32 = 64;

/// Most time that writing the closing reason may take, for a peer that was too slow for everything else.
const LAST_WORD: Duration = Duration::from_secs(2);

/// After the closing reason, input is read and dropped until the peer was silent for this long.
const DRAIN_SILENCE: Duration = Duration::from_secs(1);

/// Most time for which input is read and dropped.
const DRAIN: Duration = Duration::from_secs(5);

/// Serves the line protocol on a stream, until the connection ends. It counts as open from this call on, not from the first poll.
pub fn serve<S: AsyncRead + AsyncWrite + Send + Unpin + 'static>(
    stream: S,
    from: IpAddr,
    server: Arc<Server>,
) -> impl Future<Output = ()> + Send + Unpin {
    let from = server.source(from);
    serve_text(stream, from, server)
}

/// Serves the line protocol on a stream that was accepted.
pub(super) fn serve_text<S: AsyncRead + AsyncWrite + Send + Unpin + 'static>(
    stream: S,
    from: Source,
    server: Arc<Server>,
) -> impl Future<Output = ()> + Send + Unpin {
    Conversation::<_, text::Peer>::Going(Connection::new(Lines::new(stream), from, server))
}

/// Serves any language over any transport, until the connection ends. It counts as open from this call on.
pub fn serve_over<T: Transport, D: Dispatcher>(
    transport: T,
    from: IpAddr,
    server: Arc<Server>,
) -> impl Future<Output = ()> + Send + Unpin {
    let from = server.source(from);
    Conversation::<T, D>::Going(Connection::new(transport, from, server))
}

/// The task of a connection. A future by hand, because an `async fn` would hold the connection twice: 488 bytes each.
#[expect(clippy::large_enum_variant, reason = "almost every connection is in the largest variant")]
enum Conversation<T, D: Dispatcher> {
    Going(Connection<T, D>),
    /// Boxed, because it is large, and connections seldom end.
    Ending(BoxFuture<'static, ()>),
    Over,
}

impl<T: Transport, D: Dispatcher> Future for Conversation<T, D> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if let Conversation::Going(connection) = &mut *self {
            let ending = ready!(connection.poll(cx));
            if let Conversation::Going(connection) = std::mem::replace(&mut *self, Conversation::Over) {
                *self = Conversation::Ending(Box::pin(connection.end(ending)));
            }
        }
        match &mut *self {
            Conversation::Ending(ending) => ending.as_mut().poll(cx),
            Conversation::Going(_) | Conversation::Over => Poll::Ready(()),
        }
    }
}

/// How a connection ends.
enum Ending {
    /// The peer has ended its side, and all its requests are answered.
    Finished,
    /// The peer is gone, or the server aborts.
    Lost,
    /// The server closes it, and has told the peer why.
    ByServer(Closing),
}

impl Ending {
    fn reason(&self) -> &'static str {
        match self {
            Ending::Finished => "end of input",
            Ending::Lost => "lost",
            Ending::ByServer(closing) => closing.reason(),
        }
    }
}

struct Connection<T, D: Dispatcher> {
    transport: T,
    entry: Entry,
    exchange: Exchange<D>,
    stall: Option<Box<Stall>>,
    reads_after_closing: u32,
    patience: Patience,
    /// The place at which the store's queue has room again, if the task waits for that.
    awaits_room: u64,
}

/// The entry in the registry, removed however the connection ends.
struct Entry {
    server: Arc<Server>,
    key: usize,
    has_waker: bool,
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.server.registry.leave(self.key);
    }
}

impl<T: Transport, D: Dispatcher> Connection<T, D> {
    fn new(transport: T, from: Source, server: Arc<Server>) -> Self {
        let is_limited = server.chat.limits().reply_memory.is_some();
        let exchange = Exchange::new(D::new(server.chat.clone(), from), is_limited);
        let (key, deadline) = server.registry.enter();
        let patience = Patience::new(deadline, server.began, &server.limits);
        let entry = Entry { server, key, has_waker: false };
        let (stall, reads_after_closing, awaits_room) = (None, 0, 0);
        Connection { transport, entry, exchange, stall, reads_after_closing, patience, awaits_room }
    }

    /// Does everything that can be done now. `Pending` when there is nothing; then the task is woken when there is.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Ending> {
        let server = &self.entry.server;
        if !self.entry.has_waker {
            server.registry.set_waker(self.entry.key, cx.waker());
            self.entry.has_waker = true;
            server.watched.call_once(|| deadlines::watch(server));
        }
        self.exchange.output.begin_turn();
        let is_late = self.exchange.closing.is_none() && self.patience.ended().is_some();
        let polled = self.converse(cx);
        if polled.is_pending() {
            if self.exchange.output.must_yield() {
                cx.waker().wake_by_ref();
            }
            self.update_patience();
        }
        // The process may have stood still for longer than the deadline: what had arrived meanwhile counts as in time.
        if is_late
            && polled.is_pending()
            && let Some(reason) = self.patience.ended()
        {
            self.exchange.close(reason);
            return self.converse(cx);
        }
        polled
    }

    fn update_patience(&mut self) {
        let Exchange { peer, output, waiting, closing, .. } = &self.exchange;
        let waiting_for = if waiting.is_some() {
            WaitingFor::Service
        } else if closing.is_some() || !output.is_empty() {
            WaitingFor::Output
        } else {
            WaitingFor::Peer
        };
        let seen = Seen {
            waiting_for,
            line_begun: self.transport.has_begun_frame(),
            is_known: peer.is_known(),
            is_watching: peer.is_watching(),
        };
        self.patience.update(&self.entry.server.limits, &seen);
    }

    fn converse(&mut self, cx: &mut Context<'_>) -> Poll<Ending> {
        let turn = Turn::default();
        loop {
            let phase = self.entry.server.registry.phase();
            if phase == Phase::Aborting {
                return Poll::Ready(Ending::Lost);
            }
            let mut progress = self.exchange.poll_waiting(cx);
            progress |= self.exchange.output.poll_late(cx);
            progress |= self.transport.resume(&mut self.exchange.sink(&self.entry.server.chat, &turn));
            self.exchange.poll_pushed(cx, &turn);
            match self.poll_write(cx) {
                Ok(has_room) => progress |= has_room,
                Err(ending) => return Poll::Ready(ending),
            }
            progress |= self.exchange.poll_memory(cx);
            if let Some(ending) = self.ending() {
                return Poll::Ready(ending);
            }
            // So that a peer that goes away while a result is waited for is noticed, and the work for it ends.
            if self.exchange.waiting.is_some() && self.transport.can_read_ahead() {
                match self.transport.poll_read_ahead(cx) {
                    Poll::Ready(Ok(())) => progress = true,
                    Poll::Ready(Err(_)) => return Poll::Ready(Ending::Lost),
                    Poll::Pending => {}
                }
            }
            if turn.is_over() {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            if self.may_read() && self.is_congested(cx) {
                // Another request would only wait in the queue. The task is woken when there is room.
                return Poll::Pending;
            }
            if self.may_read() {
                let exhausted = phase == Phase::Closing && self.reads_after_closing == LAST_READS;
                let read = if exhausted {
                    Poll::Pending
                } else {
                    self.transport.poll_read(cx, &mut self.exchange.sink(&self.entry.server.chat, &turn))
                };
                match read {
                    Poll::Ready(Ok(())) => {
                        self.patience.was_read();
                        self.reads_after_closing += u32::from(phase == Phase::Closing);
                        progress = true;
                    }
                    Poll::Ready(Err(_)) => return Poll::Ready(Ending::Lost),
                    // With its budget spent, tokio reports that nothing has arrived, even if something has.
                    Poll::Pending if phase == Phase::Closing && (exhausted || has_budget_remaining()) => {
                        // Everything that had arrived is answered.
                        self.exchange.close(Closing::Shutdown);
                        progress = true;
                    }
                    Poll::Pending => {}
                }
            }
            if !progress {
                return Poll::Pending;
            }
        }
    }

    /// Whether the queue of writes is so long that nothing more should be asked for. The task is woken when it has room.
    fn is_congested(&mut self, cx: &mut Context<'_>) -> bool {
        let chat = &self.entry.server.chat;
        let (Some(position), log) = (chat.backpressure(), chat.log()) else {
            return false;
        };
        // A waker is left once for each place, however often the task is woken for other things meanwhile.
        if position.last() == self.awaits_room {
            return log.settlement(position) == Settlement::Open;
        }
        let is_congested = log.poll_settled(position, cx).is_pending();
        if is_congested {
            self.awaits_room = position.last();
        }
        is_congested
    }

    fn may_read(&self) -> bool {
        self.transport.wants_more()
            && self.exchange.waiting.is_none()
            && self.exchange.closing.is_none()
            && !self.exchange.peer.has_quit()
            && !self.exchange.output.is_full()
    }

    fn ending(&self) -> Option<Ending> {
        if !self.exchange.output.is_empty() {
            return None;
        }
        if let Some(reason) = self.exchange.closing {
            return Some(Ending::ByServer(reason));
        }
        let said_all = self.exchange.peer.has_quit() || self.transport.is_exhausted();
        (said_all && self.exchange.waiting.is_none()).then_some(Ending::Finished)
    }

    /// Writes as much as disk and peer allow. Returns whether there is room for more replies now.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Result<bool, Ending> {
        let log = self.entry.server.chat.log();
        let output = &mut self.exchange.output;
        let (was_full, mut wrote) = (output.is_full() || output.lacks_room(), false);
        loop {
            match output.poll_write(&mut self.transport, log, cx) {
                Poll::Ready(Ok(0)) => {
                    self.stall = None;
                    if !output.poll_gate(log, cx) {
                        return Ok(wrote && was_full);
                    }
                }
                Poll::Ready(Ok(taken)) => {
                    wrote = true;
                    if let Some(stall) = &mut self.stall {
                        stall.took(taken);
                    }
                }
                Poll::Ready(Err(_)) => return Err(Ending::Lost),
                Poll::Pending => break,
            }
        }
        if let Some(limits) = &self.entry.server.limits.slow_consumer {
            let stall = self.stall.get_or_insert_with(|| Box::new(Stall::begin(limits)));
            if stall.poll_too_slow(cx).is_ready() {
                return Err(Ending::ByServer(Closing::SlowConsumer));
            }
        }
        Ok(wrote && was_full)
    }

    async fn end(mut self, ending: Ending) {
        let (from, session) = (self.exchange.peer.from(), self.exchange.peer.session());
        if let Ending::ByServer(closing) = ending
            && let Some(limit) = Limit::of(closing)
        {
            self.entry.server.chat.note_limit(limit, from, session.map(|session| &**session));
        }
        let (session, reason) = (session.map(|session| session.number()), ending.reason());
        tracing::debug!(from = %from.address, connection = from.connection, session, reason, "connection ended");
        match ending {
            Ending::ByServer(closing) => self.part(closing).await,
            // An encrypted stream must be closed, so that the peer can tell its end from a cut.
            Ending::Finished => drop(timeout(LAST_WORD, poll_fn(|cx| self.transport.poll_close(cx))).await),
            Ending::Lost => {}
        }
    }

    /// Closes a connection whose peer is told why. The server closes its side first, and then reads and drops input for a while:
    /// otherwise the system would send a reset, and the peer might not see the reason.
    async fn part(mut self, reason: Closing) {
        let server = self.entry.server.clone();
        // Gives up what other connections may be waiting for, such as the turn to read an inbox.
        self.exchange.waiting = None;
        if reason == Closing::SlowConsumer {
            self.exchange.output.abandon();
            self.exchange.output.push_closing(reason, self.exchange.peer.language());
            let log = server.chat.log();
            let written = poll_fn(|cx| {
                while !self.exchange.output.is_empty() {
                    match self.exchange.output.poll_write(&mut self.transport, log, cx) {
                        Poll::Ready(Ok(_)) => {}
                        Poll::Ready(Err(_)) => break,
                        Poll::Pending => return Poll::Pending,
                    }
                }
                Poll::Ready(())
            });
            timeout(LAST_WORD, written).await.ok();
        }
        self.exchange.output = Output::default();
        if timeout(LAST_WORD, poll_fn(|cx| self.transport.poll_close(cx))).await.is_err() {
            return;
        }
        let (all, silence) = match reason {
            Closing::Shutdown => (DRAIN_SILENCE, DRAIN_SILENCE),
            _ => (DRAIN, DRAIN_SILENCE),
        };
        let deadline = Instant::now() + all;
        loop {
            let drained = timeout(silence, poll_fn(|cx| self.transport.poll_drain(cx)));
            if !matches!(timeout_at(deadline, drained).await, Ok(Ok(Ok(1..)))) {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpStream;

    use super::*;

    /// Every idle connection costs this, and tokio's header of a task.
    #[test]
    fn a_connection_is_small() {
        let size = size_of::<Conversation<Lines<TcpStream>, text::Peer>>();
        assert!(size <= 488, "{size} bytes: above that, a task takes 128 bytes more");
    }
}
