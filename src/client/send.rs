//! A message that is sent when it is awaited.

use std::{future::IntoFuture, pin::Pin};

use uuid::Uuid;

use super::{Client, ClientError, Repeat};
use crate::protocol::objects::SentReply;

/// A message to send: `.await` sends it.
#[must_use = "it is sent when it is awaited"]
pub struct SendRequest<'a> {
    client: &'a Client,
    to: &'a str,
    text: &'a str,
    key: Option<&'a str>,
}

impl<'a> SendRequest<'a> {
    pub(super) fn new(client: &'a Client, to: &'a str, text: &'a str) -> Self {
        SendRequest { client, to, text, key: None }
    }

    /// Names this send, in 1 to 64 bytes, so that it can be repeated: by another program, too. Without a key of the caller, it has one
    /// that is used for this call only.
    pub fn key(self, key: &'a str) -> Self {
        SendRequest { key: Some(key), ..self }
    }
}

impl<'a> IntoFuture for SendRequest<'a> {
    type Output = Result<SentReply, ClientError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let key = self.key.map_or_else(|| Uuid::new_v4().to_string(), str::to_owned);
            let fields = [("to", self.to.into()), ("message", self.text.into()), ("key", key.into())];
            self.client.ask("send", fields, Repeat::Harmless).await
        })
    }
}
