//! A connection to a server.

use std::net::SocketAddr;

use memchr::memmem;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
    time::timeout,
};

use crate::{
    bench::{Result, SOON},
    load::TEXT,
};

/// What a send is answered, with its end.
pub(crate) const SENT: &[u8] = b"{\"status\": \"OK\", \"message\": \"Message Sent\"}\r\n\r\n";

/// How a reply ends.
pub(crate) const END: &[u8] = b"\r\n\r\n";

/// So many connections are opened at the same time.
const AT_ONCE: usize = 64;

/// A connection that is asked one thing after the other.
pub(crate) struct Wire {
    pub(crate) stream: TcpStream,
    input: Vec<u8>,
}

impl Wire {
    pub(crate) async fn open(address: SocketAddr) -> Result<Self> {
        let stream =
            timeout(SOON, TcpStream::connect(address)).await.map_err(|_| "no connection in time")??;
        stream.set_nodelay(true)?;
        Ok(Wire { stream, input: Vec::new() })
    }

    /// Sends a line and returns its reply, without its end.
    pub(crate) async fn ask(&mut self, line: &str) -> Result<String> {
        self.stream.write_all(format!("{line}\n").as_bytes()).await?;
        self.reply().await
    }

    /// Sends a line, and fails if the reply is not an OK with this in it.
    pub(crate) async fn expect(&mut self, line: &str, expected: &str) -> Result<String> {
        let reply = self.ask(line).await?;
        if reply.starts_with("{\"status\": \"OK\"") && reply.contains(expected) {
            return Ok(reply);
        }
        Err(format!("{line}: {reply}").into())
    }

    pub(crate) async fn reply(&mut self) -> Result<String> {
        let mut looked = 0;
        loop {
            let from = looked.max(END.len()) - END.len();
            if let Some(end) = memmem::find(&self.input[from..], END) {
                let reply = self.input.drain(..from + end + END.len()).take(from + end).collect();
                return Ok(String::from_utf8(reply)?);
            }
            looked = self.input.len();
            let read = timeout(SOON, self.stream.read_buf(&mut self.input)).await;
            if read.map_err(|_| "no reply in time")?? == 0 {
                return Err(closed(&self.input));
            }
        }
    }

    pub(crate) async fn log_in(&mut self, user: u64) -> Result<()> {
        self.expect(&format!("auth u{user} surabaya"), "tokenid").await.map(drop)
    }

    /// Waits for the reply to a send.
    pub(crate) async fn sent(&mut self) -> Result<()> {
        let reply = self.reply().await?;
        if SENT.strip_suffix(END) == Some(reply.as_bytes()) { Ok(()) } else { Err(reply.into()) }
    }

    /// Sends so many messages, many at a time.
    pub(crate) async fn send_many(&mut self, to: &str, count: u64) -> Result<()> {
        let line = format!("send {to} {TEXT}\n");
        let mut left = usize::try_from(count)?;
        while left > 0 {
            let now = left.min(500);
            self.stream.write_all(line.repeat(now).as_bytes()).await?;
            for _ in 0..now {
                self.sent().await?;
            }
            left -= now;
        }
        Ok(())
    }

    /// The socket, and what has come on it and was not asked for.
    pub(crate) fn into_parts(self) -> (TcpStream, Vec<u8>) {
        (self.stream, self.input)
    }
}

/// That the other side has closed, after these bytes.
pub(crate) fn closed(rest: &[u8]) -> Box<dyn std::error::Error + Send + Sync> {
    format!("the connection was closed: {}", String::from_utf8_lossy(rest)).into()
}

/// Opens so many connections; if there are users, each is logged in as the next of them.
pub(crate) async fn open_all(address: SocketAddr, count: usize, users: Option<u64>) -> Result<Vec<Wire>> {
    let open = move |number: u64| async move {
        let mut wire = Wire::open(address).await?;
        if let Some(users) = users {
            wire.log_in(number % users).await?;
        }
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>((number, wire))
    };
    let (mut opening, mut wires) = (JoinSet::new(), Vec::with_capacity(count));
    for number in (0..).take(count) {
        if opening.len() == AT_ONCE {
            wires.extend(opening.join_next().await.transpose()?.transpose()?);
        }
        opening.spawn_local(open(number));
    }
    while let Some(opened) = opening.join_next().await {
        wires.push(opened??);
    }
    wires.sort_by_key(|(number, _)| *number);
    Ok(wires.into_iter().map(|(_, wire)| wire).collect())
}

/// Takes whole replies to sends off the front; how many. Anything else is an error.
pub(crate) fn take_sent(input: &mut Vec<u8>) -> Result<usize> {
    let mut chunks = input.chunks_exact(SENT.len());
    let count = chunks.by_ref().take_while(|chunk| *chunk == SENT).count();
    let rest = &input[count * SENT.len()..];
    if !SENT.starts_with(&rest[..rest.len().min(SENT.len())]) {
        return Err(format!("not the reply to a send: {}", String::from_utf8_lossy(rest)).into());
    }
    input.drain(..count * SENT.len());
    Ok(count)
}
