//! What has been read and not carried out. A connection that waits for its peer holds no buffer: it borrows the
//! thread's when there is something to read, and keeps only what is left over. Both are wiped: passwords were in them.

use std::{
    cell::Cell,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, ReadBuf};
use zeroize::Zeroizing;

use crate::protocol::MAX_LINE;

/// Room for an unfinished line before the bytes that are read after it: the longest, with the CR of its end.
const CARRY: usize = MAX_LINE + 1;

/// The most that one read takes.
const READ: usize = 64 * 1024;

/// The most that is read ahead of a line that has to be waited for.
const AHEAD: usize = 4 * 1024;

thread_local! {
    static SCRATCH: Cell<Zeroizing<Vec<u8>>> = Cell::default();
}

/// Lends the thread's buffer. It is taken away meanwhile, not borrowed: what runs with it may come here again.
fn with_scratch<T>(run: impl FnOnce(&mut [u8]) -> T) -> T {
    let mut scratch = SCRATCH.take();
    scratch.resize(CARRY + READ, 0);
    let done = run(&mut scratch);
    SCRATCH.set(scratch);
    done
}

/// Bytes left over from a read.
#[derive(Default)]
pub(super) struct Input {
    left: Zeroizing<Vec<u8>>,
    start: usize,
    /// There may be a complete line in what is left.
    stopped: bool,
    ended: bool,
}

/// How far somebody got with the bytes that they were given.
pub(super) struct Progress {
    /// They are through with this many.
    pub(super) used: usize,
    /// They stopped before they had seen all complete lines.
    pub(super) stopped: bool,
}

impl Input {
    /// What is left is at most the beginning of a line: nothing can be done but read.
    pub(super) fn wants_more(&self) -> bool {
        !self.stopped && !self.ended
    }

    /// A line has begun and has no end yet.
    pub(super) fn has_begun_line(&self) -> bool {
        !self.ended && !self.stopped && self.left.len() > self.start
    }

    /// There is room for bytes that cannot be looked at yet.
    pub(super) fn has_room(&self) -> bool {
        !self.ended && self.left.len() - self.start < AHEAD
    }

    /// Everything has been carried out.
    pub(super) fn is_exhausted(&self) -> bool {
        self.ended && !self.stopped
    }

    /// Goes on where the last `consume` stopped, if it did. Returns whether it got anywhere.
    pub(super) fn resume(&mut self, consume: impl FnOnce(&[u8], bool) -> Progress) -> bool {
        if !self.stopped {
            return false;
        }
        let progress = consume(&self.left[self.start..], self.ended);
        self.start += progress.used;
        self.stopped = progress.stopped;
        if !self.stopped {
            // Give back the memory of what is through.
            self.left = self.left.split_off(self.start).into();
            self.start = 0;
        }
        progress.used > 0
    }

    /// An encrypted input broke off without having been ended: whatever was to follow may have been kept back by
    /// somebody on the way, so a line without an end is none.
    fn cut(&mut self) {
        let whole = memchr::memrchr(b'\n', &self.left[self.start..]).map_or(0, |end| end + 1);
        self.left.truncate(self.start + whole);
    }

    /// Reads once and keeps what comes for later. `Ready` with an error when the peer is gone.
    pub(super) fn poll_read_ahead(
        &mut self,
        stream: Pin<&mut impl AsyncRead>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        with_scratch(|scratch| {
            let mut buffer = ReadBuf::new(&mut scratch[..AHEAD]);
            match ready!(stream.poll_read(cx, &mut buffer)) {
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => self.cut(),
                result => result?,
            }
            let read = buffer.filled_mut();
            self.ended = read.is_empty();
            self.left.extend_from_slice(read);
            read.fill(0);
            self.stopped = !self.left.is_empty();
            Poll::Ready(Ok(()))
        })
    }

    /// Reads once and hands all that there is to `consume`. `Ready` with the number of bytes read; after 0 the
    /// input has ended, and what is left is to be consumed by `resume`.
    pub(super) fn poll_fill(
        &mut self,
        stream: Pin<&mut impl AsyncRead>,
        cx: &mut Context<'_>,
        consume: impl FnOnce(&[u8], bool) -> Progress,
    ) -> Poll<io::Result<usize>> {
        debug_assert!(!self.stopped && self.left.len() <= CARRY);
        with_scratch(|scratch| {
            let mut buffer = ReadBuf::new(&mut scratch[CARRY..]);
            match ready!(stream.poll_read(cx, &mut buffer)) {
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => self.cut(),
                result => result?,
            }
            let read = buffer.filled().len();
            if read == 0 {
                self.ended = true;
                self.stopped = !self.left.is_empty();
                return Poll::Ready(Ok(0));
            }
            let begin = CARRY - self.left.len();
            scratch[begin..CARRY].copy_from_slice(&self.left);
            let bytes = &mut scratch[begin..CARRY + read];
            let progress = consume(bytes, false);
            self.stopped = progress.stopped;
            self.start = 0;
            self.left = bytes[progress.used..].to_vec().into();
            bytes.fill(0);
            Poll::Ready(Ok(read))
        })
    }
}
