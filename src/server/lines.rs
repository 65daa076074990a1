//! The transport of the line protocol: a request is a line, over any stream of bytes.
//!
//! A connection that waits for its peer holds no buffer. It borrows the thread's when there is something to read, and keeps only
//! the rest.

use std::{
    cell::Cell,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use zeroize::Zeroizing;

use super::transport::{Frame, Sink, Transport};
use crate::{model::MAX_LINE, protocol::codec};

/// Room before the bytes of a read for an unfinished line: the longest one, with the CR of its end. A multiple of the
/// alignment, so that reads begin there, too.
const CARRY: usize = MAX_LINE + 64;

/// Most bytes of one read.
const READ: usize = 64 * 1024;

/// Most bytes that are read ahead.
const AHEAD: usize = 4 * 1024;

/// Where the buffer begins: clearing it takes longer if it does not begin at a cache line.
const ALIGNMENT: usize = 64;

thread_local! {
    static SCRATCH: Cell<Option<Zeroizing<Vec<u8>>>> = const { Cell::new(None) };
}

/// Lends the thread's buffer. It is taken away meanwhile, not borrowed: what runs with it may come here again.
fn with_scratch<T>(run: impl FnOnce(&mut [u8]) -> T) -> T {
    let mut scratch = SCRATCH.take().unwrap_or_else(|| vec![0; ALIGNMENT + CARRY + READ].into());
    let begin = scratch.as_ptr().align_offset(ALIGNMENT);
    let done = run(&mut scratch[begin..][..CARRY + READ]);
    SCRATCH.set(Some(scratch));
    done
}

/// Lines over a stream.
pub struct Lines<S> {
    stream: S,
    input: Input,
}

/// Bytes that were read and not delivered.
#[derive(Default)]
struct Input {
    left: Zeroizing<Vec<u8>>,
    start: usize,
    /// There may be a complete line in what is left.
    stopped: bool,
    ended: bool,
}

/// How far the bytes of a read were delivered.
struct Progress {
    /// Number of bytes that were delivered.
    used: usize,
    /// The sink was not ready for all complete lines.
    stopped: bool,
}

/// Delivers the complete lines in `bytes`. If the stream has `ended`, the last one needs no end.
fn deliver(bytes: &[u8], ended: bool, sink: &mut impl Sink) -> Progress {
    let mut lines = codec::Lines::new(bytes, ended);
    let mut stopped = false;
    loop {
        if !sink.is_ready() {
            stopped = true;
            break;
        }
        match lines.next() {
            None => break,
            Some(Ok(line)) => sink.take(Frame::Request(line)),
            Some(Err(codec::TooLong)) => sink.take(Frame::TooLong),
        }
    }
    Progress { used: bytes.len() - lines.rest().len(), stopped }
}

impl<S> Lines<S> {
    /// Lines over `stream`.
    #[must_use]
    pub fn new(stream: S) -> Self {
        Lines { stream, input: Input::default() }
    }
}

impl<S: AsyncRead + AsyncWrite + Send + Unpin + 'static> Transport for Lines<S> {
    fn wants_more(&self) -> bool {
        !self.input.stopped && !self.input.ended
    }

    fn has_begun_frame(&self) -> bool {
        let Input { left, start, stopped, ended } = &self.input;
        !ended && !stopped && left.len() > *start
    }

    fn is_exhausted(&self) -> bool {
        self.input.ended && !self.input.stopped
    }

    fn can_read_ahead(&self) -> bool {
        !self.input.ended && self.input.left.len() - self.input.start < AHEAD
    }

    fn resume(&mut self, sink: &mut impl Sink) -> bool {
        let input = &mut self.input;
        if !input.stopped {
            return false;
        }
        let progress = deliver(&input.left[input.start..], input.ended, sink);
        input.start += progress.used;
        input.stopped = progress.stopped;
        if !input.stopped {
            // Give back the memory of what was delivered.
            input.left = input.left.split_off(input.start).into();
            input.start = 0;
        }
        progress.used > 0
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, sink: &mut impl Sink) -> Poll<io::Result<()>> {
        let Lines { stream, input } = self;
        debug_assert!(!input.stopped && input.left.len() <= CARRY);
        with_scratch(|scratch| {
            let mut buffer = ReadBuf::new(&mut scratch[CARRY..]);
            match ready!(Pin::new(stream).poll_read(cx, &mut buffer)) {
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => input.cut(),
                result => result?,
            }
            let read = buffer.filled().len();
            if read == 0 {
                input.ended = true;
                input.stopped = !input.left.is_empty();
                return Poll::Ready(Ok(()));
            }
            let begin = CARRY - input.left.len();
            scratch[begin..CARRY].copy_from_slice(&input.left);
            let bytes = &mut scratch[begin..CARRY + read];
            let progress = deliver(bytes, false, sink);
            input.stopped = progress.stopped;
            input.start = 0;
            input.left = bytes[progress.used..].to_vec().into();
            bytes.fill(0);
            Poll::Ready(Ok(()))
        })
    }

    fn poll_read_ahead(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Lines { stream, input } = self;
        with_scratch(|scratch| {
            let mut buffer = ReadBuf::new(&mut scratch[..AHEAD]);
            match ready!(Pin::new(stream).poll_read(cx, &mut buffer)) {
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => input.cut(),
                result => result?,
            }
            let read = buffer.filled_mut();
            input.ended = read.is_empty();
            input.left.extend_from_slice(read);
            read.fill(0);
            input.stopped = !input.left.is_empty();
            Poll::Ready(Ok(()))
        })
    }

    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &[u8],
        _: impl Iterator<Item = usize>,
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        with_scratch(|scratch| {
            let mut buffer = ReadBuf::new(&mut scratch[..AHEAD]);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer))?;
            let read = buffer.filled_mut();
            read.fill(0);
            Poll::Ready(Ok(read.len()))
        })
    }
}

impl Input {
    /// Handles an encrypted stream that broke off without having been ended. Somebody on the way may have kept back the rest of
    /// a line, so a line without an end is dropped.
    fn cut(&mut self) {
        let whole = memchr::memrchr(b'\n', &self.left[self.start..]).map_or(0, |end| end + 1);
        self.left.truncate(self.start + whole);
    }
}
