//! One connection to a server: a line there, a reply back.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::TcpStream,
};

use super::tls::{TlsStream, TrustError, encrypt};
use crate::config::ClientArgs;

/// A connection; replies come in the order of the requests.
pub(super) struct Connection {
    stream: BufReader<Stream>,
}

impl Connection {
    pub(super) fn open(args: &ClientArgs) -> Result<Self, TrustError> {
        let stream = TcpStream::connect((args.host.as_str(), args.port()))?;
        stream.set_nodelay(true)?;
        let stream =
            if args.tls { Stream::Tls(Box::new(encrypt(stream, args)?)) } else { Stream::Plain(stream) };
        Ok(Connection { stream: BufReader::new(stream) })
    }

    /// Sends a line (without its end) and waits for its reply: the JSON object, without the empty line after it. Events
    /// that come before it are objects, too.
    pub(super) fn ask(&mut self, line: &[u8]) -> io::Result<String> {
        let stream = self.stream.get_mut();
        let sent = stream.write_all(&[line, b"\r\n"].concat()).and_then(|()| stream.flush());
        // Even to a server that takes nothing more it may have said why.
        let reply = self.read_reply();
        sent.and(reply)
    }

    /// The next object.
    pub(super) fn read_reply(&mut self) -> io::Result<String> {
        // No reply has a raw line end inside: strings escape them.
        let mut reply = self.read_line()?;
        if !reply.starts_with('{') {
            let told = format!("it is no chat server: it said {:?}", reply.trim_end());
            return Err(io::Error::new(io::ErrorKind::InvalidData, told));
        }
        // A reply that was cut is none.
        self.read_line()?;
        reply.truncate(reply.trim_end().len());
        Ok(reply)
    }

    /// The next line, with its end.
    fn read_line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        if !line.ends_with('\n') {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it closed the connection"));
        }
        Ok(line)
    }
}

/// How bytes come and go.
enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream>),
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(stream) => stream.read(buffer),
            Stream::Tls(stream) => stream.read(buffer),
        }
    }
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
            stream.conn.send_close_notify();
            stream.flush().ok();
        }
    }
}
