//! A connection for request lines as they are.

use std::io;

use serde::Deserialize;

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
pub struct RawClient(connection::Connection);

impl RawClient {
    /// Connects to the first server that answers.
    ///
    /// # Errors
    /// [`ClientError::Unreachable`] or [`ClientError::Untrusted`], if none does.
    pub async fn connect(options: &Options) -> Result<Self, ClientError> {
        connection::connect(options, 0).await.map(RawClient)
    }

    /// Sends a request, a line without its end, and waits for the reply: JSON, without the empty line after it. Events that come
    /// before the reply are given to `tell`. The event `closing` is returned, because no reply comes after it.
    ///
    /// # Errors
    /// If the connection is lost.
    pub async fn call(&mut self, line: &[u8], mut tell: impl FnMut(&str)) -> io::Result<String> {
        self.0.out.extend_from_slice(line);
        self.0.out.extend_from_slice(b"\r\n");
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
        self.0.take_object()
    }

    /// Waits until something comes, which may be a part of an object. Nothing is lost if the future is dropped.
    ///
    /// # Errors
    /// If the connection is lost; `UnexpectedEof` if the server has closed it.
    pub async fn receive(&mut self) -> io::Result<()> {
        self.0.exchange().await
    }

    /// Whether no object has come in part.
    #[must_use]
    pub fn is_between_objects(&self) -> bool {
        self.0.is_between_objects()
    }

    /// Tells the server that no more requests come. What it still says can be received.
    ///
    /// # Errors
    /// If the connection is lost.
    pub async fn finish(&mut self) -> io::Result<()> {
        self.0.finish().await
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
