//! A connection for request lines as they are.

use std::{io, time::Duration};

use serde::Deserialize;
use tokio::time::timeout;

use super::{ClientError, Options, connection};

/// A connection for request lines as they are, such as those of a script. It sends nothing by itself, not even `hello`, and does not
/// connect again.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use chat_service::client::{Options, RawClient};
///
/// let mut server = RawClient::connect(&Options::new("127.0.0.1", 8889)).await?;
/// let reply = server.call(b"ping", |_event| {}).await?;
/// assert_eq!(reply, r#"{"status": "OK", "message": "pong"}"#);
/// # Ok(())
/// # }
/// ```
pub struct RawClient {
    connection: connection::Connection,
    timeout: Duration,
}

impl RawClient {
    /// Connects to the first server that answers.
    ///
    /// # Errors
    /// [`ClientError::Unreachable`] or [`ClientError::Untrusted`], if none does.
    pub async fn connect(options: &Options) -> Result<Self, ClientError> {
        let connection = connection::connect(options, 0).await?;
        Ok(RawClient { connection, timeout: options.timeout })
    }

    /// Sends a request, a line without its end, and waits for the reply: JSON, without the empty line after it. Events that come
    /// before the reply are given to `tell`. The event `closing` is returned, because no reply comes after it.
    ///
    /// # Errors
    /// If the connection is lost; `TimedOut` if there is no reply in the time of the options. Then the request may or may not have been
    /// carried out, and the connection is of no more use, because the reply may still come.
    pub async fn call(&mut self, line: &[u8], tell: impl FnMut(&str)) -> io::Result<String> {
        self.connection.out.extend_from_slice(line);
        self.connection.out.extend_from_slice(b"\r\n");
        let limit = self.timeout;
        timeout(limit, self.reply(tell)).await.unwrap_or_else(|_| {
            Err(io::Error::new(io::ErrorKind::TimedOut, format!("no reply within {limit:?}")))
        })
    }

    async fn reply(&mut self, mut tell: impl FnMut(&str)) -> io::Result<String> {
        loop {
            while let Some(json) = self.take_object()? {
                if !is_event(&json) {
                    return Ok(json);
                }
                tell(&json);
            }
            self.receive().await?;
        }
    }

    /// The next object, if all of it has come: after a call, an event.
    ///
    /// # Errors
    /// If what has come is no object.
    pub fn take_object(&mut self) -> io::Result<Option<String>> {
        self.connection.take_object()
    }

    /// Waits until something comes, which may be a part of an object. Nothing is lost if the future is dropped.
    ///
    /// # Errors
    /// If the connection is lost; `UnexpectedEof` if the server has closed it.
    pub async fn receive(&mut self) -> io::Result<()> {
        self.connection.exchange().await
    }

    /// Whether no object has come in part.
    #[must_use]
    pub fn is_between_objects(&self) -> bool {
        self.connection.is_between_objects()
    }

    /// Tells the server that no more requests come. What it still says can be received.
    ///
    /// # Errors
    /// If the connection is lost.
    pub async fn finish(&mut self) -> io::Result<()> {
        self.connection.finish().await
    }
}

/// Whether an object is an event after which others may come.
fn is_event(json: &str) -> bool {
    #[derive(Deserialize)]
    struct Kind<'a> {
        status: Option<serde::de::IgnoredAny>,
        event: Option<std::borrow::Cow<'a, str>>,
    }
    let kind = serde_json::from_str::<Kind<'_>>(json);
    kind.is_ok_and(|kind| kind.status.is_none() && kind.event.is_some_and(|event| event != "closing"))
}
