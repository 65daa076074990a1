//! Wire languages: how requests are parsed, and how outcomes and events are rendered.
//!
//! A language is a [`Dispatcher`] for the requests of one connection and a [`Language`] for what is written. The server knows
//! nothing else of it: it delivers frames to the dispatcher, waits for positions, and writes bytes.

pub mod text;

use std::{sync::Arc, task::Context};

use crate::{
    chat::{Chat, Delivery, Reserved, Session, Source},
    model::{At, BoxFuture, Closing, MaybeReady, Moment, Refusal},
};

/// How replies and events are written. Cheap to copy, because every reply keeps the language in which it was made. The default
/// is what a new connection speaks.
pub trait Language: Copy + Default + Send + Unpin + 'static {
    /// Content of a reply, which may be rendered already or not.
    type Body: Send + Unpin + 'static;

    /// Writes a reply with its end.
    fn write(self, body: Self::Body, out: &mut Vec<u8>);

    /// Writes the reply that takes the place of one whose position has failed.
    fn write_refusal(self, refusal: Refusal, out: &mut Vec<u8>);

    /// Writes the reason why the server closes the connection.
    fn write_closing(self, reason: Closing, out: &mut Vec<u8>);

    /// Memory that a body holds beside its own size, in bytes.
    fn size(body: &Self::Body) -> usize;
}

/// A reply.
pub struct Reply<B> {
    /// Its content.
    pub body: B,
    /// To be told when the last byte was written.
    pub delivery: Option<Box<Delivery>>,
    /// Memory that was reserved for it.
    pub memory: Option<Box<Reserved>>,
}

impl<B> From<B> for Reply<B> {
    fn from(body: B) -> Self {
        Reply { body, delivery: None, memory: None }
    }
}

/// Answer to a request.
pub enum Answer<D: Dispatcher> {
    /// The reply. If it is late, later requests of the connection are answered meanwhile; replies keep the order of requests.
    Reply(MaybeReady<'static, At<Reply<Body<D>>>>),
    /// Later requests may depend on this one, so they wait for it. The server passes the result to
    /// [`Dispatcher::complete`].
    Wait(BoxFuture<'static, D::Completed>),
    /// The server must close the connection, and reads nothing further of it.
    Close(Closing),
}

/// Content of a dispatcher's replies.
pub type Body<D> = <<D as Dispatcher>::Language as Language>::Body;

/// What a dispatcher sends without having been asked.
pub struct PushedEvents<D: Dispatcher> {
    /// Events, to be written when their position is durable.
    pub events: Option<At<Body<D>>>,
    /// There may be more: poll again.
    pub more: bool,
    /// Room that the next event may need, in bytes; 0 if there is enough.
    pub needs: usize,
    /// The server must close the connection.
    pub close: Option<Closing>,
}

/// Carries out the requests of one connection.
pub trait Dispatcher: Send + Unpin + Sized + 'static {
    /// The language of the replies.
    type Language: Language;
    /// Result of a request for which later ones wait.
    type Completed: Send;

    /// A dispatcher for a new connection.
    fn new(chat: Arc<Chat>, from: Source) -> Self;

    /// Carries out the request in a frame that came at `now`; `None` if the frame has no request.
    fn dispatch(&mut self, frame: &[u8], now: Moment) -> Option<Answer<Self>>;

    /// Takes over the result of a request for which later ones have waited.
    fn complete(&mut self, completed: Self::Completed) -> At<Reply<Body<Self>>>;

    /// What there is to send without having been asked: about as many bytes as there is `room` for. The task is woken when there is
    /// more. `None` if there is never anything on this connection as it is now.
    fn poll_pushed(&mut self, cx: &mut Context<'_>, room: usize) -> Option<PushedEvents<Self>>;

    /// Reserves memory for replies and events that the peer has not taken yet, beside the little that every connection has.
    /// `None` if the peer gets no more.
    fn reserve(&self, bytes: usize) -> Option<BoxFuture<'static, Option<Reserved>>>;

    /// The connection.
    fn from(&self) -> Source;

    /// The session that was shown on the connection; it may have ended.
    fn session(&self) -> Option<&Arc<Session>>;

    /// The language of the next reply.
    fn language(&self) -> Self::Language;

    /// Whether the peer has logged in, or shown a token.
    fn is_known(&self) -> bool {
        self.session().is_some()
    }

    /// Whether events are streamed.
    fn is_watching(&self) -> bool;

    /// Whether the peer has asked for the end of the connection.
    fn has_quit(&self) -> bool;
}
