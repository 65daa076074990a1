//! One connection to a server: a line there, a reply back.

use std::{
    io::{self, BufRead, BufReader, Write},
    net::TcpStream,
};

/// A connection; replies come in the order of the requests.
pub(super) struct Connection {
    stream: BufReader<TcpStream>,
}

impl Connection {
    pub(super) fn open(host: &str, port: u16) -> io::Result<Self> {
        let stream = TcpStream::connect((host, port))?;
        stream.set_nodelay(true)?;
        Ok(Connection { stream: BufReader::new(stream) })
    }

    /// Sends a line (without its end) and waits for its reply: the JSON object, without the empty line after it. Events
    /// that come before it are objects, too.
    pub(super) fn ask(&mut self, line: &[u8]) -> io::Result<String> {
        let sent = self.stream.get_mut().write_all(&[line, b"\r\n"].concat());
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
