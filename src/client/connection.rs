//! One connection to a server: lines there, objects back.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, TcpStream},
    os::fd::{AsFd, BorrowedFd},
};

use rustls::ClientConnection;

use super::tls::{TlsStream, TrustError, encrypt};
use crate::config::ClientArgs;

/// How much is read at once.
const CHUNK: usize = 16 * 1024;

/// A connection; replies come in the order of the requests, events whenever they want.
pub(super) struct Connection {
    stream: Stream,
    /// What has come and is not taken yet.
    received: Vec<u8>,
}

impl Connection {
    pub(super) fn open(args: &ClientArgs) -> Result<Self, TrustError> {
        let stream = TcpStream::connect((args.host.as_str(), args.port()))?;
        stream.set_nodelay(true)?;
        let mut received = Vec::new();
        let stream = if args.tls {
            let mut stream = Box::new(encrypt(stream, args)?);
            // The last bytes of the handshake may have brought the first of the server: no poll would tell of them.
            take_plain(&mut stream.conn, &mut received)?;
            Stream::Tls(stream)
        } else {
            Stream::Plain(stream)
        };
        Ok(Connection { stream, received })
    }

    /// Sends a line (without its end).
    pub(super) fn send(&mut self, line: &[u8]) -> io::Result<()> {
        self.stream.write_all(&[line, b"\r\n"].concat())?;
        self.stream.flush()
    }

    /// Says that no line will come any more. What the server still has to say can be read.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        match &mut self.stream {
            Stream::Plain(stream) => stream.shutdown(Shutdown::Write),
            Stream::Tls(stream) => end(stream),
        }
    }

    /// The next object: JSON, without the empty line after it. Waits for it.
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
        // No object has a raw line end inside: strings escape them.
        let Some(end) = memchr::memchr(b'\n', &self.received) else {
            return Ok(None);
        };
        let line = self.received[..end].trim_ascii_end();
        if !line.starts_with(b"{") {
            let told = format!("it is no chat server: it said {:?}", String::from_utf8_lossy(line));
            return Err(io::Error::new(io::ErrorKind::InvalidData, told));
        }
        // Without the empty line it may have been cut.
        let Some(empty) = memchr::memchr(b'\n', &self.received[end + 1..]) else {
            return Ok(None);
        };
        let object = String::from_utf8(line.to_vec())
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        self.received.drain(..=end + 1 + empty);
        Ok(Some(object))
    }

    /// Whether nothing has come of which the rest is missing.
    pub(super) fn is_between_objects(&self) -> bool {
        self.received.is_empty()
    }

    /// Waits until something comes, and keeps it; it need not be a whole object.
    ///
    /// # Errors
    /// `UnexpectedEof` if nothing will come any more.
    pub(super) fn receive(&mut self) -> io::Result<()> {
        let goes_on = match self.stream.receive(&mut self.received) {
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

/// How bytes come and go.
enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream>),
}

impl Stream {
    /// Appends what one read of the socket gives, which for TLS may be nothing; `false` at its end.
    fn receive(&mut self, received: &mut Vec<u8>) -> io::Result<bool> {
        let before = received.len();
        match self {
            Stream::Plain(stream) => {
                received.resize(before + CHUNK, 0);
                let read = stream.read(&mut received[before..]);
                received.truncate(before + read.as_ref().map_or(0, |read| *read));
                read.map(|read| read > 0)
            }
            // Its own `read` would wait for the next one when a record carries nothing for us.
            Stream::Tls(stream) => {
                let TlsStream { conn, sock } = &mut **stream;
                let read = conn.read_tls(sock)?;
                let goes_on = take_plain(conn, received);
                // An alert, or the answer to a change of keys.
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

/// Appends what has been read and deciphered; whether the server may still say something.
fn take_plain(conn: &mut ClientConnection, received: &mut Vec<u8>) -> io::Result<bool> {
    let state =
        conn.process_new_packets().map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    let before = received.len();
    received.resize(before + state.plaintext_bytes_to_read(), 0);
    conn.reader().read_exact(&mut received[before..])?;
    Ok(!state.peer_has_closed())
}

/// Says that nothing will come any more.
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
    /// Says that this is the end, so that the server knows it from a cut.
    fn drop(&mut self) {
        if let Stream::Tls(stream) = self {
            end(stream).ok();
        }
    }
}
