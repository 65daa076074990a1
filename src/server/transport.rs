//! How requests come in and replies go out, whatever carries them.

use std::{
    io,
    task::{Context, Poll},
};

/// What a transport delivers.
pub enum Frame<'a> {
    /// A request, without its end.
    Request(&'a [u8]),
    /// A request that is longer than the transport allows. Where the next one begins is not known.
    TooLong,
}

/// Takes the frames of a transport.
pub trait Sink {
    /// Whether the next frame can be taken now.
    fn is_ready(&self) -> bool;

    /// Takes a frame.
    fn take(&mut self, frame: Frame<'_>);
}

/// Carries requests in and replies out over one connection.
///
/// Every implementation MUST:
///
/// - deliver requests in order, each once, and only while the sink is ready;
/// - never deliver a part of a request: neither of one that is cut off by the end of the connection, nor of one that is too long;
/// - bound what it holds of a request that has not ended, and of requests that it has read ahead;
/// - count a byte as written only when the operating system has taken it, because messages leave an inbox then;
/// - write nothing but the bytes that it was given, in order, and its own framing;
/// - wake the task when it can go on after `Pending`;
/// - wipe memory in which requests were, because passwords are in them.
pub trait Transport: Send + Unpin + 'static {
    /// Whether all requests that were read have been delivered, so that reading is the only way to get more.
    fn wants_more(&self) -> bool;

    /// Whether a request has begun and not ended.
    fn has_begun_frame(&self) -> bool;

    /// Whether the peer has ended its side, and all its requests have been delivered.
    fn is_exhausted(&self) -> bool;

    /// Whether there is room to read ahead while the sink is not ready.
    fn can_read_ahead(&self) -> bool;

    /// Delivers requests that were read before. Returns whether it has delivered any.
    fn resume(&mut self, sink: &mut impl Sink) -> bool;

    /// Reads once and delivers what comes. `Ready` with an error if the peer is gone.
    fn poll_read(&mut self, cx: &mut Context<'_>, sink: &mut impl Sink) -> Poll<io::Result<()>>;

    /// Reads once and keeps what comes. `Ready` with an error if the peer is gone.
    fn poll_read_ahead(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Writes some of `bytes`, and returns how many. `lengths` are the lengths of the replies in them, in order; the first one
    /// may have been written in part.
    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &[u8],
        lengths: impl Iterator<Item = usize>,
    ) -> Poll<io::Result<usize>>;

    /// Tells the peer that nothing more comes.
    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Reads and drops what the peer still sends; `Ready` with 0 at its end.
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>>;
}
