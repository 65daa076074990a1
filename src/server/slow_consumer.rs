//! Detects peers that do not read what they asked for.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::time::{Instant, Sleep, sleep_until};

use super::SlowConsumer;

/// A period during which there always were bytes for the peer to take.
pub(super) struct Stall {
    limits: SlowConsumer,
    taken_at: Instant,
    window_began: Instant,
    taken_in_window: usize,
    alarm: Pin<Box<Sleep>>,
}

impl Stall {
    pub(super) fn begin(limits: &SlowConsumer) -> Self {
        let now = Instant::now();
        Stall {
            limits: limits.clone(),
            taken_at: now,
            window_began: now,
            taken_in_window: 0,
            alarm: Box::pin(sleep_until(now + limits.silence.min(limits.window))),
        }
    }

    /// Notes that the peer has taken some bytes, and that there are more.
    pub(super) fn took(&mut self, bytes: usize) {
        self.taken_at = Instant::now();
        self.taken_in_window += bytes;
    }

    /// Ready when the peer is too slow.
    pub(super) fn poll_too_slow(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.alarm.as_mut().poll(cx).is_ready() {
            let now = Instant::now();
            if now >= self.taken_at + self.limits.silence {
                return Poll::Ready(());
            }
            if now >= self.window_began + self.limits.window {
                if self.taken_in_window < self.limits.bytes_per_window {
                    return Poll::Ready(());
                }
                (self.window_began, self.taken_in_window) = (now, 0);
            }
            let next = (self.taken_at + self.limits.silence).min(self.window_began + self.limits.window);
            self.alarm.as_mut().reset(next);
        }
        Poll::Pending
    }
}
