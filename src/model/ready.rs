//! A value that is known now, or later.

use std::{
    future::{Future, ready},
    pin::Pin,
};

/// A boxed future.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A value that is known at once, or that becomes known when something was read or written.
///
/// Callers that can wait use `.await` in both cases. Callers that cannot wait match on [`Ready`](MaybeReady::Ready): most
/// values are, and then no future is allocated.
#[must_use = "a value that is not waited for may never be computed"]
pub enum MaybeReady<'a, T> {
    /// The value.
    Ready(T),
    /// The value, when this future completes.
    Late(BoxFuture<'a, T>),
}

impl<'a, T: Send + 'a> MaybeReady<'a, T> {
    /// Applies `f` to the value, now or when it becomes known.
    pub fn map<U: Send + 'a>(self, f: impl FnOnce(T) -> U + Send + 'a) -> MaybeReady<'a, U> {
        match self {
            MaybeReady::Ready(value) => MaybeReady::Ready(f(value)),
            MaybeReady::Late(value) => MaybeReady::Late(Box::pin(async move { f(value.await) })),
        }
    }
}

impl<'a, T: Send + 'a> IntoFuture for MaybeReady<'a, T> {
    type Output = T;
    type IntoFuture = BoxFuture<'a, T>;

    fn into_future(self) -> Self::IntoFuture {
        match self {
            MaybeReady::Ready(value) => Box::pin(ready(value)),
            MaybeReady::Late(value) => value,
        }
    }
}
