//! What goes on between input and output: lines are answered, in order, as far as there is room for replies.

use std::task::{Context, Poll};

use super::{input::Progress, output::Output};
use crate::{
    commands::{Answer, Effect, Reply, Speaker},
    protocol::{Closing, Dialect, Timestamp, codec::Lines},
    store::BoxFuture,
};

/// A conversation with one peer.
pub(super) struct Talk {
    pub(super) speaker: Speaker,
    pub(super) output: Output,
    /// A reply that has to be known before the next line is looked at.
    pub(super) answering: Option<(BoxFuture<'static, Reply>, Dialect)>,
    /// The peer has said that it has nothing more to say.
    pub(super) quit: bool,
    /// The server has had enough; the last word is in the output.
    pub(super) closing: Option<Closing>,
}

impl Talk {
    /// With somebody who has not said anything yet.
    pub(super) fn new(speaker: Speaker) -> Self {
        Talk { speaker, output: Output::default(), answering: None, quit: false, closing: None }
    }

    /// Answers the lines in `bytes` until one has to be waited for.
    pub(super) fn consume(&mut self, bytes: &[u8], ended: bool) -> Progress {
        let mut lines = Lines::new(bytes, ended);
        let now = self.speaker.service().now();
        let mut stopped = false;
        loop {
            if self.answering.is_some() || self.closing.is_some() || self.quit || self.output.is_full() {
                stopped = true;
                break;
            }
            match lines.next() {
                None => break,
                Some(Ok(line)) => self.answer(line, now),
                Some(Err(_)) => self.close(Closing::LineTooLong),
            }
        }
        Progress { used: bytes.len() - lines.rest().len(), stopped }
    }

    fn answer(&mut self, line: &[u8], now: Timestamp) {
        let dialect = self.speaker.dialect();
        match self.speaker.dispatch(line, now) {
            None => {}
            Some(Answer::Now(reply)) => self.take(reply, dialect),
            Some(Answer::Later(reply)) => self.output.push_late(reply, dialect),
            Some(Answer::Barrier(reply)) => self.answering = Some((reply, dialect)),
        }
    }

    fn take(&mut self, mut reply: Reply, dialect: Dialect) {
        reply.effect = self.speaker.apply(reply.effect);
        self.quit |= matches!(reply.effect, Effect::Quit);
        self.output.push(reply, dialect);
    }

    /// Asks for the reply that everything waits for. Returns whether it has come.
    pub(super) fn poll_answering(&mut self, cx: &mut Context<'_>) -> bool {
        let Some((reply, dialect)) = self.answering.as_mut() else {
            return false;
        };
        let Poll::Ready(reply) = reply.as_mut().poll(cx) else {
            return false;
        };
        let dialect = *dialect;
        self.answering = None;
        self.take(reply, dialect);
        true
    }

    /// Appends what the peer is sent without having asked, as long as there is room.
    pub(super) fn poll_unasked(&mut self, cx: &mut Context<'_>) {
        while self.closing.is_none() && !self.quit && !self.output.is_full() {
            let Some(unasked) = self.speaker.poll_unasked(cx) else {
                break;
            };
            if let Some(events) = unasked.events {
                self.output.push_event(events);
            }
            if let Some(reason) = unasked.end {
                self.close(reason);
            }
            if !unasked.more {
                break;
            }
        }
    }

    pub(super) fn close(&mut self, reason: Closing) {
        self.output.push_closing(reason, self.speaker.dialect());
        self.closing = Some(reason);
    }
}
