//! Replies on their way out. The one gate: a reply leaves when the position that it rests on is durable.

use std::{
    cell::Cell,
    collections::VecDeque,
    io, mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::AsyncWrite;

use crate::{
    commands::{Effect, LateReply, Reply},
    protocol::{Closing, Dialect, reply, reply::Body},
    service::Delivery,
    store::{Durability, Fate, Position},
};

/// A connection that holds this many unwritten bytes is not read further,
const MAX_BYTES: usize = 256 * 1024;

/// nor one that holds this many unwritten replies.
const MAX_REPLIES: usize = 1024;

/// Room for so many bytes, and so many replies, is made with the first reply: whoever pipelines has as many again in a
/// moment.
const FIRST_BYTES: usize = 1024;
const FIRST_REPLIES: usize = 16;

thread_local! {
    /// Room that a connection has given back, for the next on this thread that has something to say.
    static SPARE_BYTES: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    static SPARE_SEGMENTS: Cell<VecDeque<Segment>> = const { Cell::new(VecDeque::new()) };
}

/// No more than so much of it is kept.
const MAX_SPARE: usize = 16 * 1024;

/// Written bytes stay in front of the buffer until there are so many of them.
const COMPACT: usize = 64 * 1024;

/// One reply's bytes.
struct Segment {
    /// How many of them are not written.
    len: usize,
    position: Position,
    delivery: Option<Box<Delivery>>,
    dialect: Dialect,
    /// Nobody waits for it: if what it tells of fails, it is not sent.
    is_event: bool,
}

/// A reply behind one that is not known yet, or that one.
enum Queued {
    Known(Reply, Dialect),
    Event(Reply),
    Late(LateReply, Dialect),
}

impl Queued {
    /// How many bytes it holds beside its own size.
    fn len(&self) -> usize {
        match self {
            Queued::Known(Reply { body: Body::Rendered(bytes), .. }, _)
            | Queued::Event(Reply { body: Body::Rendered(bytes), .. }) => bytes.len(),
            Queued::Known(..) | Queued::Event(_) | Queued::Late(..) => 0,
        }
    }
}

/// The replies that have not been written, in order.
#[derive(Default)]
pub(super) struct Output {
    bytes: Vec<u8>,
    written: usize,
    /// Of the bytes after `written`, how many may leave: those of the first `released` segments.
    ready: usize,
    segments: VecDeque<Segment>,
    released: usize,
    /// The first segment was written in part.
    mid_reply: bool,
    /// Empty, or its first is late.
    queue: VecDeque<Queued>,
    /// How many bytes are in `queue`.
    queued_bytes: usize,
    /// The position that the task has asked to be woken for.
    awaited: Position,
}

impl Output {
    /// There is nothing left to write.
    pub(super) fn is_empty(&self) -> bool {
        self.segments.is_empty() && self.queue.is_empty()
    }

    /// There is so much that no further request is to be answered before some of it was written.
    pub(super) fn is_full(&self) -> bool {
        self.segments.len() + self.queue.len() >= MAX_REPLIES
            || self.bytes.len() - self.written + self.queued_bytes >= MAX_BYTES
    }

    /// Appends a reply.
    pub(super) fn push(&mut self, reply: Reply, dialect: Dialect) {
        self.put(Queued::Known(reply, dialect));
    }

    /// Appends a reply that becomes known later.
    pub(super) fn push_late(&mut self, reply: LateReply, dialect: Dialect) {
        self.queue.push_back(Queued::Late(reply, dialect));
    }

    /// Appends events.
    pub(super) fn push_event(&mut self, event: Reply) {
        self.put(Queued::Event(event));
    }

    /// Appends the last word of a connection.
    pub(super) fn push_closing(&mut self, reason: Closing, dialect: Dialect) {
        let mut word = Vec::new();
        reply::write_closing(reason, dialect, &mut word);
        self.push(Reply::new(Body::Rendered(word)), dialect);
    }

    /// Puts what is not late at the end.
    fn put(&mut self, known: Queued) {
        if self.queue.is_empty() {
            self.append(known);
        } else {
            self.queued_bytes += known.len();
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

    /// Asks the late replies at the front of the queue. Returns whether one became known.
    pub(super) fn poll_late(&mut self, cx: &mut Context<'_>) -> bool {
        let before = self.queue.len();
        while let Some(mut first) = self.queue.pop_front() {
            if let Queued::Late(reply, dialect) = &mut first {
                let Poll::Ready((body, position)) = reply.as_mut().poll(cx) else {
                    self.queue.push_front(first);
                    break;
                };
                first = Queued::Known(Reply::new(body).at(position), *dialect);
            } else {
                self.queued_bytes -= first.len();
            }
            self.append(first);
        }
        self.queue.len() < before
    }

    /// Writes once what may leave. `Ready` with the number of bytes: 0 if none may; `Pending` if the socket is full.
    pub(super) fn poll_write(
        &mut self,
        stream: Pin<&mut impl AsyncWrite>,
        durability: &Durability,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        self.release(durability);
        if self.ready == 0 {
            return Poll::Ready(Ok(0));
        }
        let offered = &self.bytes[self.written..self.written + self.ready];
        let taken = ready!(stream.poll_write(cx, offered))?;
        if taken == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        self.advance(taken);
        Poll::Ready(Ok(taken))
    }

    /// Asks to be woken when more may leave. Returns whether more may leave already.
    pub(super) fn poll_gate(&mut self, durability: &Durability, cx: &mut Context<'_>) -> bool {
        let Some(held) = self.segments.get(self.released) else {
            return false;
        };
        if held.position == self.awaited {
            return false;
        }
        self.awaited = held.position;
        durability.poll_settled(held.position, cx).is_ready()
    }

    /// Lets the replies leave whose positions are durable. One that rests on what failed says so instead.
    fn release(&mut self, durability: &Durability) {
        while let Some(segment) = self.segments.get_mut(self.released) {
            match durability.fate(segment.position) {
                Fate::Open => break,
                Fate::Durable => {
                    self.ready += segment.len;
                    self.released += 1;
                }
                Fate::Failed(refusal) => {
                    let at = self.written + self.ready;
                    let bytes = at..at + segment.len;
                    if segment.is_event {
                        self.bytes.drain(bytes);
                        self.segments.remove(self.released);
                        continue;
                    }
                    let mut error = Vec::new();
                    Body::Refused(refusal).write(segment.dialect, &mut error);
                    segment.len = error.len();
                    segment.position = Position::START;
                    segment.delivery = None;
                    self.bytes.splice(bytes, error);
                }
            }
        }
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

    /// A connection without replies under way holds no memory for them.
    fn give_back(&mut self) {
        let (mut bytes, segments) = (mem::take(&mut self.bytes), mem::take(&mut self.segments));
        if (FIRST_BYTES..=MAX_SPARE).contains(&bytes.capacity()) {
            bytes.clear();
            SPARE_BYTES.set(bytes);
        }
        if segments.capacity() <= MAX_SPARE / size_of::<Segment>() {
            SPARE_SEGMENTS.set(segments);
        }
    }

    /// Puts what is known into the bytes.
    fn append(&mut self, known: Queued) {
        let (reply, dialect, is_event) = match known {
            Queued::Known(reply, dialect) => (reply, dialect, false),
            Queued::Event(event) => (event, Dialect::Two, true),
            Queued::Late(..) => return,
        };
        let before = self.bytes.len();
        if self.segments.capacity() == 0 {
            self.segments = SPARE_SEGMENTS.take();
            self.segments.reserve(FIRST_REPLIES);
        }
        match reply.body {
            Body::Rendered(bytes) if before == 0 => self.bytes = bytes,
            body => {
                if self.bytes.capacity() == 0 {
                    self.bytes = SPARE_BYTES.take();
                    self.bytes.reserve(FIRST_BYTES);
                }
                body.write(dialect, &mut self.bytes);
            }
        }
        let delivery = match reply.effect {
            Effect::Deliver(delivery) => Some(delivery),
            _ => None,
        };
        self.segments.push_back(Segment {
            len: self.bytes.len() - before,
            position: reply.position,
            delivery,
            dialect,
            is_event,
        });
    }
}
