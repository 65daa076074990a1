//! Requests and replies of one connection: requests are answered in order, as long as there is room for replies.

use std::task::{Context, Poll};

use super::{
    output::Output,
    transport::{Frame, Sink},
    turn::Turn,
};
use crate::{
    chat::Chat,
    model::{BoxFuture, Closing, MaybeReady, Moment},
    wire::{Answer, Dispatcher, PushedEvents},
};

/// Requests and replies of one connection.
pub(super) struct Exchange<D: Dispatcher> {
    pub(super) peer: D,
    pub(super) output: Output<D::Language>,
    /// A request whose result must be known before the next one is looked at, and the language of its reply.
    pub(super) waiting: Option<(BoxFuture<'static, D::Completed>, D::Language)>,
    /// Why the server closes the connection; the peer was told in the output.
    pub(super) closing: Option<Closing>,
}

/// The exchange while requests are delivered that came at the same time.
struct Delivered<'a, D: Dispatcher> {
    exchange: &'a mut Exchange<D>,
    chat: &'a Chat,
    /// When the first of them came.
    now: Option<Moment>,
    turn: &'a Turn,
    /// Number of requests that were taken.
    taken: u32,
}

/// Number of requests after which it is asked whether the turn is over.
const BETWEEN_QUESTIONS: u32 = 8;

impl<D: Dispatcher> Sink for Delivered<'_, D> {
    fn is_ready(&self) -> bool {
        let is_over = self.taken > 0 && self.taken.is_multiple_of(BETWEEN_QUESTIONS) && self.turn.is_over();
        !is_over && self.exchange.is_ready()
    }

    fn take(&mut self, frame: Frame<'_>) {
        self.taken += 1;
        match frame {
            Frame::Request(request) => {
                let now = *self.now.get_or_insert_with(|| self.chat.moment());
                self.exchange.answer(request, now);
            }
            Frame::TooLong => self.exchange.close(Closing::LineTooLong),
        }
    }
}

impl<D: Dispatcher> Exchange<D> {
    pub(super) fn new(peer: D, is_limited: bool) -> Self {
        Exchange { peer, output: Output::new(is_limited), waiting: None, closing: None }
    }

    /// Takes the requests that are delivered in this turn.
    pub(super) fn sink<'a>(&'a mut self, chat: &'a Chat, turn: &'a Turn) -> impl Sink + use<'a, D> {
        Delivered { exchange: self, chat, now: None, turn, taken: 0 }
    }

    /// Whether the next request can be answered.
    fn is_ready(&self) -> bool {
        self.waiting.is_none() && self.closing.is_none() && !self.peer.has_quit() && !self.output.is_full()
    }

    fn answer(&mut self, request: &[u8], now: Moment) {
        let language = self.peer.language();
        match self.peer.dispatch(request, now) {
            None => {}
            Some(Answer::Reply(MaybeReady::Ready(reply))) => self.output.push(reply, language),
            Some(Answer::Reply(MaybeReady::Late(reply))) => self.output.push_late(reply, language),
            Some(Answer::Wait(completed)) => self.waiting = Some((completed, language)),
            Some(Answer::Close(reason)) => self.close(reason),
        }
    }

    /// Polls the request for which later ones wait. Returns whether its result has come.
    pub(super) fn poll_waiting(&mut self, cx: &mut Context<'_>) -> bool {
        let Some((completed, language)) = self.waiting.as_mut() else {
            return false;
        };
        let Poll::Ready(completed) = completed.as_mut().poll(cx) else {
            return false;
        };
        let language = *language;
        self.waiting = None;
        let reply = self.peer.complete(completed);
        self.output.push(reply, language);
        true
    }

    /// Asks for memory if the output lacks it. Returns whether it has come.
    pub(super) fn poll_memory(&mut self, cx: &mut Context<'_>) -> bool {
        let Exchange { peer, output, .. } = self;
        output.poll_memory(cx, |bytes| peer.reserve(bytes))
    }

    /// Appends what the peer is sent without having asked, as long as there is room and the turn lasts.
    pub(super) fn poll_pushed(&mut self, cx: &mut Context<'_>, turn: &Turn) {
        self.output.need(0);
        while self.closing.is_none() && !self.peer.has_quit() && !self.output.is_full() {
            let room = self.output.room();
            let Some(PushedEvents { events, more, needs, close }) = self.peer.poll_pushed(cx, room) else {
                break;
            };
            if let Some(events) = events {
                self.output.push_event(events, self.peer.language());
            }
            if let Some(reason) = close {
                self.close(reason);
            }
            self.output.need(needs);
            if !more || needs > 0 || turn.is_over() {
                break;
            }
        }
    }

    /// Closes the connection: the peer is told why after all earlier replies.
    pub(super) fn close(&mut self, reason: Closing) {
        self.output.push_closing(reason, self.peer.language());
        self.closing = Some(reason);
    }
}
