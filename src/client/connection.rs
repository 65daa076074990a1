//! One connection to a server: lines out, objects in.

use std::io;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    time::{Instant, timeout},
};

use super::{ClientError, Options, incoming::Incoming};

/// A connection.
pub(super) struct Connection {
    reader: OwnedReadHalf,
    writer: OwnedWriteHalf,
    received: Incoming,
    /// What was not written yet.
    pub(super) out: Vec<u8>,
    /// When something came last.
    pub(super) heard: Instant,
}

/// Connects to the first of the servers that answers.
pub(super) async fn connect(options: &Options) -> Result<Connection, ClientError> {
    let mut failed =
        ClientError::Unreachable { server: String::new(), cause: "no server is named".to_owned() };
    for (host, port) in &options.servers {
        let connected = timeout(options.timeout, TcpStream::connect((host.as_str(), *port))).await;
        let cause = match connected.map(|stream| stream.and_then(Connection::new)) {
            Ok(Ok(connection)) => return Ok(connection),
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {:?}", options.timeout),
        };
        failed = ClientError::Unreachable { server: format!("{host}:{port}"), cause };
    }
    Err(failed)
}

impl Connection {
    fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        let (reader, writer) = stream.into_split();
        let (received, out, heard) = (Incoming::default(), Vec::new(), Instant::now());
        Ok(Connection { reader, writer, received, out, heard })
    }

    /// Writes what is to be written, and reads once. Nothing is lost if the future is dropped.
    ///
    /// # Errors
    /// If the connection is lost.
    pub(super) async fn exchange(&mut self) -> io::Result<()> {
        let Connection { reader, writer, received, out, heard } = self;
        tokio::select! {
            read = reader.read_buf(&mut received.bytes) => {
                if read? == 0 {
                    return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it closed the connection"));
                }
                *heard = Instant::now();
            }
            written = writer.write(out), if !out.is_empty() => {
                out.drain(..written?);
            }
        }
        Ok(())
    }

    /// The next object, if all of it has come.
    pub(super) fn take_object(&mut self) -> io::Result<Option<String>> {
        self.received.take_object()
    }
}
