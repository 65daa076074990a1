//! One connection to a server: lines out, objects in.

use std::{
    future::poll_fn,
    io::{self, ErrorKind},
    pin::Pin,
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf},
    net::TcpStream,
    time::{Instant, timeout},
};

use super::{ClientError, Options, incoming::Incoming, options::shown, tls};

/// Most bytes of one read.
const CHUNK: usize = 16 * 1024;

/// A stream of bytes, encrypted or not.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// A connection.
pub(super) struct Connection {
    stream: Box<dyn Stream>,
    /// Index of the server among those of the options.
    place: usize,
    server: String,
    is_encrypted: bool,
    received: Incoming,
    /// What was not written yet.
    pub(super) out: Vec<u8>,
    /// What was written may still be in the stream.
    is_unflushed: bool,
    /// Why nothing more can be written. What the server still says may be the reason.
    broken: Option<io::Error>,
    /// When something came last.
    pub(super) heard: Instant,
}

/// Connects to the first of the servers that answers, beginning with the one at `first`.
pub(super) async fn connect(options: &Options, first: usize) -> Result<Connection, ClientError> {
    let mut failed =
        ClientError::Unreachable { server: String::new(), cause: "no server is named".to_owned() };
    let count = options.servers.len();
    for place in (0..count).map(|i| (first + i) % count) {
        let (host, port) = &options.servers[place];
        failed = match timeout(options.timeout, connect_to(options, place)).await {
            Ok(Ok(connection)) => return Ok(connection),
            Ok(Err(error)) => error,
            Err(_) => unreachable(host, *port, format!("no answer within {:?}", options.timeout)),
        };
    }
    Err(failed)
}

async fn connect_to(options: &Options, place: usize) -> Result<Connection, ClientError> {
    let (host, port) = (options.servers[place].0.as_str(), options.servers[place].1);
    let failed = |error: io::Error| unreachable(host, port, error.to_string());
    let stream = TcpStream::connect((host, port)).await.map_err(failed)?;
    stream.set_nodelay(true).map_err(failed)?;
    let stream: Box<dyn Stream> = match &options.tls {
        None => Box::new(stream),
        Some(tls) => Box::new(tls::encrypt(stream, tls, host, port).await?),
    };
    Ok(Connection {
        stream,
        place,
        server: shown(host, port),
        is_encrypted: options.tls.is_some(),
        received: Incoming::default(),
        out: Vec::new(),
        is_unflushed: false,
        broken: None,
        heard: Instant::now(),
    })
}

pub(super) fn unreachable(host: &str, port: u16, cause: String) -> ClientError {
    ClientError::Unreachable { server: shown(host, port), cause }
}

impl Connection {
    /// Index of the server among those of the options.
    pub(super) fn place(&self) -> usize {
        self.place
    }

    /// The server, as `host:port`.
    pub(super) fn server(&self) -> &str {
        &self.server
    }

    /// Writes what is to be written, and reads once. Nothing is lost if the future is dropped.
    ///
    /// # Errors
    /// If the connection is lost; `UnexpectedEof` if the server has closed it.
    pub(super) async fn exchange(&mut self) -> io::Result<()> {
        poll_fn(|cx| {
            let has_written = self.poll_write(cx);
            match self.poll_read(cx) {
                Poll::Pending if has_written => Poll::Ready(Ok(())),
                read => read,
            }
        })
        .await
    }

    /// Writes what the stream takes. Returns whether that is anything.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> bool {
        let mut has_written = false;
        while !self.out.is_empty() && self.broken.is_none() {
            match Pin::new(&mut self.stream).poll_write(cx, &self.out) {
                Poll::Pending => break,
                Poll::Ready(Ok(written)) => {
                    self.out.drain(..written);
                    self.is_unflushed = true;
                    has_written = true;
                }
                Poll::Ready(Err(error)) => self.broken = Some(error),
            }
        }
        if self.is_unflushed && self.broken.is_none() {
            match Pin::new(&mut self.stream).poll_flush(cx) {
                Poll::Pending => {}
                Poll::Ready(Ok(())) => self.is_unflushed = false,
                Poll::Ready(Err(error)) => self.broken = Some(error),
            }
        }
        has_written
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut chunk = [0; CHUNK];
        let mut read = ReadBuf::new(&mut chunk);
        let done = std::task::ready!(Pin::new(&mut self.stream).poll_read(cx, &mut read));
        let ended = done.and_then(|()| match read.filled() {
            [] => Err(io::Error::new(ErrorKind::UnexpectedEof, "it closed the connection")),
            filled => {
                self.received.bytes.extend_from_slice(filled);
                self.heard = Instant::now();
                Ok(())
            }
        });
        Poll::Ready(match (ended, self.broken.take()) {
            (Err(_), Some(broken)) => Err(broken),
            (ended, broken) => {
                self.broken = broken;
                ended
            }
        })
    }

    /// The next object, if all of it has come.
    ///
    /// # Errors
    /// If it is none.
    pub(super) fn take_object(&mut self) -> io::Result<Option<String>> {
        if !self.is_encrypted && tls::is_record(&self.received.bytes) {
            return Err(io::Error::new(ErrorKind::InvalidData, "it speaks TLS\n  remedy: --tls"));
        }
        self.received.take_object()
    }

    /// Whether no object has come in part.
    pub(super) fn is_between_objects(&self) -> bool {
        self.received.is_between_objects()
    }

    /// Tells the server that nothing more comes. What it still sends can be read.
    pub(super) async fn finish(&mut self) -> io::Result<()> {
        self.stream.shutdown().await
    }
}
