//! One connection: read, answer, write, in that order, as far as the peer and the disk let it.

use std::{
    future::{Future, poll_fn},
    io,
    net::IpAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    task::coop::has_budget_remaining,
    time::{Instant, timeout, timeout_at},
};

use super::{
    Server,
    input::Input,
    output::Output,
    registry::Phase,
    stall::Stall,
    talk::Talk,
    watchdog::{self, Patience, Seen, Turn},
};
use crate::{
    commands::Speaker,
    protocol::Closing,
    service::Limit,
    store::{BoxFuture, Fate, Position},
};

/// A peer that sends without end is read this many times after the server was told to stop, and not again.
const LAST_READS: u32 = 64;

/// Reads in one turn of the task, before others have theirs.
const READS_PER_TURN: u32 = 2;

/// How long a last word may take to be written to a peer that was too slow for everything else.
const LAST_WORD: Duration = Duration::from_secs(2);

/// A peer that was told goodbye is drained until it has been silent for this long,
const DRAIN_SILENCE: Duration = Duration::from_secs(1);

/// or has talked for this long.
const DRAIN: Duration = Duration::from_secs(5);

/// Serves one connection to its end. It counts as open from this call on, not from the first poll.
pub fn serve<S: AsyncRead + AsyncWrite + Send + Unpin + 'static>(
    stream: S,
    from: IpAddr,
    server: Arc<Server>,
) -> impl Future<Output = ()> + Send + Unpin {
    Conversation::Going(Connection::new(stream, from, server))
}

/// A connection's task. By hand, because an `async fn` would keep room for the connection twice.
#[expect(clippy::large_enum_variant, reason = "the largest is what it nearly always is")]
enum Conversation<S> {
    Going(Connection<S>),
    /// Rare, and large: it does not have to make every connection larger.
    Ending(BoxFuture<'static, ()>),
    Over,
}

impl<S: AsyncRead + AsyncWrite + Send + Unpin + 'static> Future for Conversation<S> {
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

/// How a connection came to its end.
enum Ending {
    /// The peer has sent everything and has been answered everything.
    Finished,
    /// The peer is gone, or the server goes without a word.
    Lost,
    /// The server ends it, and says why.
    Told(Closing),
}

impl Ending {
    fn reason(&self) -> &'static str {
        match self {
            Ending::Finished => "end of input",
            Ending::Lost => "lost",
            Ending::Told(closing) => closing.reason(),
        }
    }
}

struct Connection<S> {
    stream: S,
    entry: Entry,
    input: Input,
    talk: Talk,
    stall: Option<Box<Stall>>,
    reads_after_closing: u32,
    patience: Patience,
    /// The position that the task has asked to be woken for because the store's queue was full.
    awaits_room: Position,
}

/// The place in the registry, given back however the connection ends.
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

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    fn new(stream: S, from: IpAddr, server: Arc<Server>) -> Self {
        let talk = Talk::new(Speaker::new(server.service.clone(), from));
        let (key, deadline) = server.registry.enter();
        let patience = Patience::new(deadline, server.began, &server.limits);
        let entry = Entry { server, key, has_waker: false };
        Connection {
            stream,
            entry,
            input: Input::default(),
            talk,
            stall: None,
            reads_after_closing: 0,
            patience,
            awaits_room: Position::START,
        }
    }

    /// Does all that can be done now; `Pending` when there is nothing, with a wake-up asked for everything awaited.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Ending> {
        let server = &self.entry.server;
        if !self.entry.has_waker {
            server.registry.set_waker(self.entry.key, cx.waker());
            self.entry.has_waker = true;
            server.watched.call_once(|| watchdog::watch(server));
        }
        if self.talk.closing.is_none()
            && let Some(reason) = self.patience.ended()
        {
            tracing::debug!(from = %self.talk.speaker.from(), reason = reason.reason(), "over its deadline");
            self.talk.close(reason);
        }
        let polled = self.converse(cx);
        if polled.is_pending() {
            self.update_patience();
        }
        polled
    }

    fn update_patience(&mut self) {
        let Talk { speaker, output, answering, closing, .. } = &self.talk;
        let turn = if answering.is_some() {
            Turn::Service
        } else if closing.is_some() || !output.is_empty() {
            Turn::Output
        } else {
            Turn::Peer
        };
        let seen = Seen {
            turn,
            line_begun: self.input.has_begun_line(),
            is_known: speaker.is_known(),
            is_watching: speaker.is_watching(),
        };
        self.patience.update(&self.entry.server.limits, &seen);
    }

    fn converse(&mut self, cx: &mut Context<'_>) -> Poll<Ending> {
        let mut reads = 0;
        loop {
            let phase = self.entry.server.registry.phase();
            if phase == Phase::Aborting {
                return Poll::Ready(Ending::Lost);
            }
            let mut progress = self.talk.poll_answering(cx);
            progress |= self.talk.output.poll_late(cx);
            progress |= self.input.resume(|bytes, ended| self.talk.consume(bytes, ended));
            self.talk.poll_unasked(cx);
            match self.poll_write(cx) {
                Ok(has_room) => progress |= has_room,
                Err(ending) => return Poll::Ready(ending),
            }
            if let Some(ending) = self.ending() {
                return Poll::Ready(ending);
            }
            // While a reply is waited for, a peer that is gone is noticed, and nobody goes on working for it.
            if self.talk.answering.is_some() && self.input.has_room() {
                match self.input.poll_read_ahead(Pin::new(&mut self.stream), cx) {
                    Poll::Ready(Ok(())) => progress = true,
                    Poll::Ready(Err(_)) => return Poll::Ready(Ending::Lost),
                    Poll::Pending => {}
                }
            }
            if self.may_read() && self.is_congested(cx) {
                // What is asked for now would only wait: woken when the store has room.
                return Poll::Pending;
            }
            if self.may_read() && reads == READS_PER_TURN {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            if self.may_read() {
                let exhausted = phase == Phase::Closing && self.reads_after_closing == LAST_READS;
                let read = if exhausted { Poll::Pending } else { self.poll_read(cx) };
                match read {
                    Poll::Ready(Ok(())) => {
                        reads += 1;
                        self.patience.was_read();
                        self.reads_after_closing += u32::from(phase == Phase::Closing);
                        progress = true;
                    }
                    Poll::Ready(Err(_)) => return Poll::Ready(Ending::Lost),
                    // With its budget spent, the task is told that nothing has arrived whatever has.
                    Poll::Pending if phase == Phase::Closing && (exhausted || has_budget_remaining()) => {
                        // Everything that has arrived is answered.
                        self.talk.close(Closing::Shutdown);
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

    /// Whether the store has so much to write that nothing more should be asked for yet.
    fn is_congested(&mut self, cx: &mut Context<'_>) -> bool {
        let store = &self.entry.server.service.store;
        let (Some(position), durability) = (store.congestion(), store.durability()) else {
            return false;
        };
        // A waker is left once for each position, however often the task is woken for other things meanwhile.
        if position == self.awaits_room {
            return durability.fate(position) == Fate::Open;
        }
        let is_congested = durability.poll_settled(position, cx).is_pending();
        if is_congested {
            self.awaits_room = position;
        }
        is_congested
    }

    fn may_read(&self) -> bool {
        self.input.wants_more()
            && self.talk.answering.is_none()
            && self.talk.closing.is_none()
            && !self.talk.quit
            && !self.talk.output.is_full()
    }

    fn ending(&self) -> Option<Ending> {
        if !self.talk.output.is_empty() {
            return None;
        }
        if let Some(reason) = self.talk.closing {
            return Some(Ending::Told(reason));
        }
        let said_all = self.talk.quit || self.input.is_exhausted();
        (said_all && self.talk.answering.is_none()).then_some(Ending::Finished)
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let talk = &mut self.talk;
        self.input
            .poll_fill(Pin::new(&mut self.stream), cx, |bytes, ended| talk.consume(bytes, ended))
            .map_ok(drop)
    }

    /// Writes as much as the disk and the peer allow. Returns whether more can be done by that than could before.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Result<bool, Ending> {
        let durability = self.entry.server.service.store.durability();
        let output = &mut self.talk.output;
        let (was_full, mut wrote) = (output.is_full(), false);
        loop {
            match output.poll_write(Pin::new(&mut self.stream), durability, cx) {
                Poll::Ready(Ok(0)) => {
                    self.stall = None;
                    if !output.poll_gate(durability, cx) {
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
                tracing::warn!(from = %self.talk.speaker.from(), "reads too slowly, cut off");
                return Err(Ending::Told(Closing::SlowConsumer));
            }
        }
        Ok(wrote && was_full)
    }

    async fn end(mut self, ending: Ending) {
        let (from, reason) = (self.talk.speaker.from(), ending.reason());
        tracing::debug!(%from, reason, "connection ended");
        if let Ending::Told(closing) = ending
            && let Some(limit) = Limit::of(closing)
        {
            self.entry.server.service.counts.count(limit);
        }
        match ending {
            Ending::Told(closing) => self.part(closing).await,
            // An encrypted stream has to say that this is its end.
            Ending::Finished => drop(timeout(LAST_WORD, self.stream.shutdown()).await),
            Ending::Lost => {}
        }
    }

    /// Parts from a peer that is told why, so that a reset does not eat the last word: the server's side is closed
    /// first, and what still comes is thrown away for a while.
    async fn part(mut self, reason: Closing) {
        let server = self.entry.server.clone();
        // Whoever waits for what this connection waited for, or had begun to take, has it now.
        self.talk.answering = None;
        if reason == Closing::SlowConsumer {
            self.talk.output.abandon();
            self.talk.output.push_closing(reason, self.talk.speaker.dialect());
            let durability = server.service.store.durability();
            let written = poll_fn(|cx| {
                while !self.talk.output.is_empty() {
                    match self.talk.output.poll_write(Pin::new(&mut self.stream), durability, cx) {
                        Poll::Ready(Ok(_)) => {}
                        Poll::Ready(Err(_)) => break,
                        Poll::Pending => return Poll::Pending,
                    }
                }
                Poll::Ready(())
            });
            timeout(LAST_WORD, written).await.ok();
        }
        self.talk.output = Output::default();
        if timeout(LAST_WORD, self.stream.shutdown()).await.is_err() {
            return;
        }
        let (all, silence) = match reason {
            Closing::Shutdown => (DRAIN_SILENCE, DRAIN_SILENCE),
            _ => (DRAIN, DRAIN_SILENCE),
        };
        let deadline = Instant::now() + all;
        let mut chunk = vec![0; 4096];
        while let Ok(Ok(Ok(1..))) = timeout_at(deadline, timeout(silence, self.stream.read(&mut chunk))).await
        {
        }
    }
}
