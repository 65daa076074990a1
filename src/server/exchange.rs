//! Requests and replies of one connection: requests are answered in order, as long as there is room for replies.

use std::task::{Context, Poll};

use super::{
    output::Output,
    transport::{Frame, Sink},
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
}

impl<D: Dispatcher> Sink for Delivered<'_, D> {
    fn is_ready(&self) -> bool {
        self.exchange.is_ready()
    }

    fn take(&mut self, frame: Frame<'_>) {
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
    pub(super) fn new(peer: D) -> Self {
        Exchange { peer, output: Output::default(), waiting: None, closing: None }
    }

    /// Takes the requests that are delivered now.
    pub(super) fn sink<'a>(&'a mut self, chat: &'a Chat) -> impl Sink + use<'a, D> {
        Delivered { exchange: self, chat, now: None }
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

    /// Appends what the peer is sent without having asked, as long as there is room.
    pub(super) fn poll_pushed(&mut self, cx: &mut Context<'_>) {
        while self.closing.is_none() && !self.peer.has_quit() && !self.output.is_full() {
            let Some(PushedEvents { events, more, close }) = self.peer.poll_pushed(cx) else {
                break;
            };
            if let Some(events) = events {
                self.output.push_event(events, self.peer.language());
            }
            if let Some(reason) = close {
                self.close(reason);
            }
            if !more {
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
