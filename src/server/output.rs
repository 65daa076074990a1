//! Replies on their way out.
//!
//! **Invariant:** no byte leaves the server that tells of something not durable. This is the one gate: it opens each reply, and
//! lets it out when its position is durable.

use std::{
    cell::Cell,
    collections::VecDeque,
    io, mem,
    task::{Context, Poll, ready},
};

use super::{budget::Budget, transport::Transport};
use crate::{
    chat::{Delivery, Reserved},
    model::{At, BoxFuture, Closing, Position, Refusal},
    store::{CommitLog, Settlement},
    wire::{Language, Reply},
};

/// Most unwritten replies of a connection that is read further.
const MAX_REPLIES: usize = 1024;

/// Initial capacity of the buffer of bytes, and of that of replies. A client that pipelines fills them at once.
const FIRST_BYTES: usize = 1024;
const FIRST_REPLIES: usize = 16;

thread_local! {
    /// A buffer that a connection has given back, for the next one on this thread that has something to say.
    static SPARE_BYTES: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Largest buffer that is kept.
const MAX_SPARE: usize = 16 * 1024;

/// Number of written bytes at which they are removed from the front of the buffer.
const COMPACT: usize = 64 * 1024;

/// The bytes of one reply.
struct Segment<L> {
    /// Number of bytes that are not written.
    len: usize,
    position: Position,
    delivery: Option<Box<Delivery>>,
    language: L,
    /// No request waits for it: if its position fails, it is dropped.
    is_event: bool,
}

/// A reply that waits for an earlier one, or that is late itself.
enum Queued<L: Language> {
    Known(At<Reply<L::Body>>, L),
    Event(At<L::Body>, L),
    Closing(Closing, L),
    Late(BoxFuture<'static, At<Reply<L::Body>>>, L),
}

impl<L: Language> Queued<L> {
    /// Memory that it holds beside its own size, in bytes.
    fn size(&self) -> usize {
        match self {
            Queued::Known(reply, _) => L::size(&reply.peek().body),
            Queued::Event(body, _) => L::size(body.peek()),
            Queued::Closing(..) | Queued::Late(..) => 0,
        }
    }
}

/// The replies that have not been written, in order.
pub(super) struct Output<L: Language> {
    bytes: Vec<u8>,
    written: usize,
    /// Of the bytes after `written`, how many may leave: those of the first `released` segments.
    ready: usize,
    segments: VecDeque<Segment<L>>,
    released: usize,
    /// The first segment was written in part.
    mid_reply: bool,
    /// Empty, or its first is late.
    queue: VecDeque<Queued<L>>,
    /// How many bytes are in `queue`.
    queued_bytes: usize,
    budget: Budget,
    /// The last place of the position for which the task waits.
    awaited: u64,
}

impl<L: Language> Default for Output<L> {
    fn default() -> Self {
        Output {
            bytes: Vec::new(),
            written: 0,
            ready: 0,
            segments: VecDeque::new(),
            released: 0,
            mid_reply: false,
            queue: VecDeque::new(),
            queued_bytes: 0,
            budget: Budget::default(),
            awaited: 0,
        }
    }
}

impl<L: Language> Output<L> {
    /// An output without replies. If it `is_limited`, memory must be reserved for more than a few of them.
    pub(super) fn new(is_limited: bool) -> Self {
        Output { budget: Budget::new(is_limited), ..Output::default() }
    }

    /// Whether there is nothing left to write.
    pub(super) fn is_empty(&self) -> bool {
        self.segments.is_empty() && self.queue.is_empty()
    }

    /// Whether no further request may be answered before some of the output was written.
    pub(super) fn is_full(&self) -> bool {
        self.segments.len() + self.queue.len() >= MAX_REPLIES || self.room() == 0
    }

    /// Number of bytes for which there is room.
    pub(super) fn room(&self) -> usize {
        self.budget.room(self.held())
    }

    /// Number of bytes that are not written.
    fn held(&self) -> usize {
        self.bytes.len() - self.written + self.queued_bytes
    }

    /// Begins to be served: what is made from now on counts for this turn.
    pub(super) fn begin_turn(&mut self) {
        self.budget.begin_turn();
    }

    /// Notes how much room the next event may need.
    pub(super) fn need(&mut self, bytes: usize) {
        self.budget.need(bytes);
    }

    /// Whether there is too little room for anything more, or for the next event.
    pub(super) fn lacks_room(&self) -> bool {
        self.budget.lacks_room(self.held())
    }

    /// Whether it must wait for others to be served: as much was made in this turn as may be, or they wait for what it has.
    pub(super) fn must_yield(&self) -> bool {
        self.budget.has_turn() || self.budget.is_turn_over(self.held())
    }

    /// Asks for more memory by `ask` if that is what it lacks. Returns whether it has come.
    pub(super) fn poll_memory(
        &mut self,
        cx: &mut Context<'_>,
        ask: impl FnOnce(usize) -> Option<BoxFuture<'static, Option<Reserved>>>,
    ) -> bool {
        self.budget.poll_memory(self.held(), cx, ask)
    }

    /// Appends a reply.
    pub(super) fn push(&mut self, reply: At<Reply<L::Body>>, language: L) {
        self.put(Queued::Known(reply, language));
    }

    /// Appends a reply that becomes known later.
    pub(super) fn push_late(&mut self, reply: BoxFuture<'static, At<Reply<L::Body>>>, language: L) {
        self.queue.push_back(Queued::Late(reply, language));
    }

    /// Appends events.
    pub(super) fn push_event(&mut self, events: At<L::Body>, language: L) {
        self.put(Queued::Event(events, language));
    }

    /// Appends the reason why the connection is closed.
    pub(super) fn push_closing(&mut self, reason: Closing, language: L) {
        self.put(Queued::Closing(reason, language));
    }

    /// Puts what is not late at the end.
    fn put(&mut self, known: Queued<L>) {
        if self.queue.is_empty() {
            self.append(known);
        } else {
            self.queued_bytes += known.size();
            self.queue.push_back(known);
        }
    }

    /// Drops everything but the rest of a reply that was written in part.
    pub(super) fn abandon(&mut self) {
        let kept = usize::from(self.mid_reply);
        self.queue.clear();
        self.queued_bytes = 0;
        self.segments.truncate(kept);
        self.released = kept;
        self.ready = self.segments.front().map_or(0, |begun| begun.len);
        self.bytes.truncate(self.written + self.ready);
    }

    /// Polls the late replies at the front of the queue. Returns whether one became known.
    pub(super) fn poll_late(&mut self, cx: &mut Context<'_>) -> bool {
        let before = self.queue.len();
        while let Some(mut first) = self.queue.pop_front() {
            if let Queued::Late(reply, language) = &mut first {
                let Poll::Ready(reply) = reply.as_mut().poll(cx) else {
                    self.queue.push_front(first);
                    break;
                };
                first = Queued::Known(reply, *language);
            } else {
                self.queued_bytes -= first.size();
            }
            self.append(first);
        }
        self.queue.len() < before
    }

    /// Writes once what may leave. `Ready` with the number of bytes, 0 if none may; `Pending` if the transport takes no more.
    pub(super) fn poll_write(
        &mut self,
        transport: &mut impl Transport,
        log: &CommitLog,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        self.release(log);
        if self.ready == 0 {
            return Poll::Ready(Ok(0));
        }
        let offered = &self.bytes[self.written..self.written + self.ready];
        let lengths = self.segments.iter().take(self.released).map(|segment| segment.len);
        let taken = ready!(transport.poll_write(cx, offered, lengths))?;
        if taken == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        self.advance(taken);
        Poll::Ready(Ok(taken))
    }

    /// Registers the task to be woken when more may leave. Returns whether more may leave already.
    pub(super) fn poll_gate(&mut self, log: &CommitLog, cx: &mut Context<'_>) -> bool {
        let Some(held) = self.segments.get(self.released) else {
            return false;
        };
        // A waker is left once for each place.
        if held.position.last() == self.awaited {
            return false;
        }
        self.awaited = held.position.last();
        log.poll_settled(held.position, cx).is_ready()
    }

    /// Lets the replies leave whose positions are durable. A reply whose position has failed becomes a refusal.
    fn release(&mut self, log: &CommitLog) {
        while let Some(segment) = self.segments.get_mut(self.released) {
            match log.settlement(segment.position) {
                Settlement::Open => break,
                Settlement::Durable => {
                    self.ready += segment.len;
                    self.released += 1;
                }
                Settlement::Failed(refusal) => self.refuse(refusal),
            }
        }
    }

    /// Puts a refusal in the place of the first reply that may not leave; drops it if it is an event.
    fn refuse(&mut self, refusal: Refusal) {
        let segment = &mut self.segments[self.released];
        let at = self.written + self.ready;
        let bytes = at..at + segment.len;
        if segment.is_event {
            self.bytes.drain(bytes);
            self.segments.remove(self.released);
            return;
        }
        let mut error = Vec::new();
        segment.language.write_refusal(refusal, &mut error);
        segment.len = error.len();
        segment.position = Position::START;
        segment.delivery = None;
        self.bytes.splice(bytes, error);
    }

    /// `taken` bytes were written.
    fn advance(&mut self, mut taken: usize) {
        self.written += taken;
        self.ready -= taken;
        while let Some(first) = self.segments.front_mut() {
            if first.len > taken {
                first.len -= taken;
                self.mid_reply |= taken > 0;
                break;
            }
            taken -= first.len;
            let delivery = first.delivery.take();
            self.segments.pop_front();
            self.released -= 1;
            self.mid_reply = false;
            if let Some(delivery) = delivery {
                delivery.written();
            }
            if taken == 0 {
                break;
            }
        }
        if self.segments.is_empty() {
            self.give_back();
            self.written = 0;
        } else if self.written >= COMPACT {
            self.bytes.drain(..self.written);
            self.written = 0;
        }
    }

    /// Gives the memory back: a connection that has nothing to say holds none.
    fn give_back(&mut self) {
        let mut bytes = mem::take(&mut self.bytes);
        if (FIRST_BYTES..=MAX_SPARE).contains(&bytes.capacity()) {
            bytes.clear();
            SPARE_BYTES.set(bytes);
        }
        self.segments = VecDeque::new();
        if self.queue.is_empty() {
            self.budget.give_back();
        }
    }

    /// Renders what is known, at the end of the bytes.
    fn append(&mut self, known: Queued<L>) {
        if self.bytes.capacity() == 0 {
            self.bytes = SPARE_BYTES.take();
            self.bytes.reserve(FIRST_BYTES);
        }
        let before = self.bytes.len();
        let (position, delivery, language, is_event) = match known {
            Queued::Known(reply, language) => {
                let (Reply { body, delivery, memory }, position) = reply.open_at_gate();
                language.write(body, &mut self.bytes);
                if let Some(mut reserved) = memory {
                    reserved.shrink(self.bytes.len() - before);
                    self.budget.keep(*reserved);
                }
                (position, delivery, language, false)
            }
            Queued::Event(events, language) => {
                let (events, position) = events.open_at_gate();
                language.write(events, &mut self.bytes);
                (position, None, language, true)
            }
            Queued::Closing(reason, language) => {
                language.write_closing(reason, &mut self.bytes);
                (Position::START, None, language, false)
            }
            Queued::Late(..) => return,
        };
        if self.segments.capacity() == 0 {
            self.segments.reserve(FIRST_REPLIES);
        }
        let len = self.bytes.len() - before;
        self.budget.count(len);
        self.segments.push_back(Segment { len, position, delivery, language, is_event });
    }
}
