//! What commands answer with.

use std::sync::Arc;

use crate::{
    protocol::{Refusal, reply::Body},
    service::{Delivery, Session},
    store::{BoxFuture, Outcome, Position, Receipt},
};

/// What came of a request.
pub enum Answer {
    /// The reply is known.
    Now(Reply),
    /// It becomes known later, and later requests of the connection need not wait for it.
    Later(LateReply),
    /// It becomes known later, and later requests of the connection may rest on it.
    Barrier(BoxFuture<'static, Reply>),
}

/// A reply that becomes known while later requests of its connection are answered, and its position. It has no effect on the
/// connection: those requests would not have seen it.
pub type LateReply = BoxFuture<'static, (Body, Position)>;

/// One reply, and what goes with it.
pub struct Reply {
    /// What it says.
    pub body: Body,
    /// What must be durable before it is written.
    pub position: Position,
    /// What it does to the connection.
    pub effect: Effect,
}

/// What a reply does to its connection.
pub enum Effect {
    /// Nothing.
    None,
    /// From now on the connection's own session is this one.
    Bind(Arc<Session>),
    /// To be told when the reply was written.
    Deliver(Box<Delivery>),
    /// From the next reply on the connection speaks dialect 2.
    Hello,
    /// From now on the connection is sent what comes for the session's user.
    Watch(Arc<Session>),
    /// From now on it is not.
    Unwatch,
    /// The connection is to end as if its peer had nothing more to say.
    Quit,
}

impl Reply {
    /// A reply that rests on nothing.
    #[must_use]
    pub fn new(body: Body) -> Self {
        Reply { body, position: Position::START, effect: Effect::None }
    }

    /// To be written when `position` is durable.
    #[must_use]
    pub fn at(mut self, position: Position) -> Self {
        self.position = position;
        self
    }

    /// With an effect.
    #[must_use]
    pub fn with(mut self, effect: Effect) -> Self {
        self.effect = effect;
        self
    }
}

impl From<Refusal> for Reply {
    fn from(refusal: Refusal) -> Self {
        Reply::new(Body::Refused(refusal))
    }
}

impl From<Refusal> for Answer {
    fn from(refusal: Refusal) -> Self {
        Answer::Now(refusal.into())
    }
}

impl Answer {
    /// The answer to a write: `body` says what became of it.
    pub(super) fn to_write<T: Send + 'static>(
        receipt: Receipt<T>,
        body: impl FnOnce(T) -> Body + Send + 'static,
    ) -> Self {
        Self::to_read(receipt, move |result, position| (body(result), position))
    }

    /// The answer to a look: `reply` says what was found.
    pub(super) fn to_read<T: Send + 'static>(
        receipt: Receipt<T>,
        reply: impl FnOnce(T, Position) -> (Body, Position) + Send + 'static,
    ) -> Self {
        let reply = move |Outcome { result, position }: Outcome<T>| match result {
            Ok(found) => reply(found, position),
            Err(refusal) => (Body::Refused(refusal), position),
        };
        match receipt {
            Receipt::Known(outcome) => {
                let (body, position) = reply(outcome);
                Answer::Now(Reply::new(body).at(position))
            }
            Receipt::Late(outcome) => Answer::Later(Box::pin(async move { reply(outcome.await) })),
        }
    }
}
