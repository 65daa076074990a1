//! The connection to a server, which sends lines and receives objects.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, TcpStream},
    os::fd::{AsFd, BorrowedFd},
};

use rustls::ClientConnection;

use super::{
    tls::{TlsStream, encrypt},
    trust::{TrustError, refuse_plaintext},
};
use crate::{client::incoming::Incoming, config::ClientArgs};

/// Most bytes of one read.
const CHUNK: usize = 16 * 1024;

/// A connection. Replies come in the order of the requests, events at any time.
pub(super) struct Connection {
    stream: Stream,
    received: Incoming,
}

impl Connection {
    pub(super) fn open(args: &ClientArgs) -> Result<Self, TrustError> {
        if !args.tls {
            refuse_plaintext(args)?;
        }
        let stream = TcpStream::connect((args.host.as_str(), args.port()))?;
        stream.set_nodelay(true)?;
        let mut received = Incoming::default();
        let stream = if args.tls {
            let mut stream = Box::new(encrypt(stream, args)?);
            // The first bytes of the server may have come with the last ones of the handshake. A poll would not report them.
            take_plain(&mut stream.conn, &mut received.bytes)?;
            Stream::Tls(stream)
        } else {
            Stream::Plain(stream)
        };
        Ok(Connection { stream, received })
    }

    /// Sends a line, and its line end.
    pub(super) fn send(&mut self, line: &[u8]) -> io::Result<()> {
        self.stream.write_all(&[line, b"\r\n"].concat())?;
        self.stream.flush()
    }

    /// Tells the server that no more lines come. What it still sends can be read.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        match &mut self.stream {
            Stream::Plain(stream) => stream.shutdown(Shutdown::Write),
            Stream::Tls(stream) => end(stream),
        }
    }

    /// Waits for the next object: JSON, without the empty line after it.
    pub(super) fn object(&mut self) -> io::Result<String> {
        loop {
            if let Some(object) = self.take_object()? {
                return Ok(object);
            }
            self.receive()?;
        }
    }

    /// The next object, if all of it has come.
    pub(super) fn take_object(&mut self) -> io::Result<Option<String>> {
        self.received.take_object()
    }

    /// Whether no object has come in part.
    pub(super) fn is_between_objects(&self) -> bool {
        self.received.is_between_objects()
    }

    /// Waits until something comes, which may be a part of an object.
    ///
    /// # Errors
    /// `UnexpectedEof` if the server has closed the connection.
    pub(super) fn receive(&mut self) -> io::Result<()> {
        let goes_on = match self.stream.receive(&mut self.received.bytes) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => true,
            received => received?,
        };
        if goes_on {
            Ok(())
        } else {
            Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it closed the connection"))
        }
    }
}

impl AsFd for Connection {
    /// Readable when [`Connection::receive`] would not wait.
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.stream {
            Stream::Plain(stream) => stream.as_fd(),
            Stream::Tls(stream) => stream.sock.as_fd(),
        }
    }
}

/// The stream.
enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream>),
}

impl Stream {
    /// Reads once and appends what comes, which with TLS may be nothing. Returns `false` at the end.
    fn receive(&mut self, received: &mut Vec<u8>) -> io::Result<bool> {
        let before = received.len();
        match self {
            Stream::Plain(stream) => {
                received.resize(before + CHUNK, 0);
                let read = stream.read(&mut received[before..]);
                received.truncate(before + read.as_ref().map_or(0, |read| *read));
                read.map(|read| read > 0)
            }
            // Its `read` would wait for another record if one carries no data.
            Stream::Tls(stream) => {
                let TlsStream { conn, sock } = &mut **stream;
                let read = conn.read_tls(sock)?;
                let goes_on = take_plain(conn, received);
                // Sends an alert, or the answer to a change of keys.
                while conn.wants_write() {
                    conn.write_tls(sock)?;
                }
                let goes_on = goes_on?;
                if read == 0 && goes_on {
                    return Err(io::Error::new(io::ErrorKind::ConnectionAborted, "the connection was cut"));
                }
                Ok(goes_on || received.len() > before)
            }
        }
    }
}

/// Appends decrypted data. Returns whether more may come.
fn take_plain(conn: &mut ClientConnection, received: &mut Vec<u8>) -> io::Result<bool> {
    let state =
        conn.process_new_packets().map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    let before = received.len();
    received.resize(before + state.plaintext_bytes_to_read(), 0);
    conn.reader().read_exact(&mut received[before..])?;
    Ok(!state.peer_has_closed())
}

/// Tells the peer that nothing more comes.
fn end(stream: &mut TlsStream) -> io::Result<()> {
    stream.conn.send_close_notify();
    stream.flush()
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(stream) => stream.write(bytes),
            Stream::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Stream::Plain(stream) => stream.flush(),
            Stream::Tls(stream) => stream.flush(),
        }
    }
}

impl Drop for Stream {
    /// Tells the server that this is the end, so that it is not taken for a cut.
    fn drop(&mut self) {
        if let Stream::Tls(stream) = self {
            end(stream).ok();
        }
    }
}
