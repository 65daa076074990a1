//! Accepts connections, and stops the server.

use std::{
    future::{Future, poll_fn},
    io, mem,
    net::{IpAddr, SocketAddr},
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use rustix::net::sockopt;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::{Instant, sleep, timeout},
};

use super::{
    Server,
    connection::serve_text,
    registry::{Admission, Phase},
    tls::{self, Tls},
};
use crate::{
    chat::{Limit, Source},
    model::Closing,
    wire::{Dispatcher, Language, text},
};

/// Pause after an error that may last, such as no free file descriptor.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(200);

/// Least time between two log messages about such errors.
const LOG_EVERY: Duration = Duration::from_secs(10);

/// Time that connections have to end after the server was told to stop.
const GOODBYE: Duration = Duration::from_secs(4);

/// Time that connections have to end after they were told to abort.
const ABORT: Duration = Duration::from_millis(500);

/// Most time for telling a refused connection why.
const FAREWELL: Duration = Duration::from_secs(1);

/// Most refused connections that are told why at the same time. Others are closed at once.
pub(super) const FAREWELLS: usize = 64;

/// The part of all connections that is kept for known addresses is one in so many.
const KEPT: usize = 10;

/// TCP keepalive: time of silence before the first probe.
const KEEPALIVE_IDLE: Duration = Duration::from_mins(2);

/// TCP keepalive: time between probes.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);

/// TCP keepalive: probes without an answer before the connection is given up.
const KEEPALIVE_PROBES: u32 = 4;

/// How the server ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// Number of connections that had to be aborted.
    pub dropped: usize,
    /// Number of connections that ended by a panic since the start.
    pub panicked: usize,
}

/// A socket on which connections are accepted.
pub struct Endpoint {
    /// The listening socket.
    pub socket: TcpListener,
    /// The certificate, if connections are encrypted.
    pub tls: Option<Arc<Tls>>,
    /// The language of its connections.
    pub speaks: Speaks,
}

/// The languages of endpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaks {
    /// The line protocol.
    Text,
}

impl Speaks {
    /// What a connection is sent that is closed before it has said anything.
    fn reason(self, closing: Closing) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            Speaks::Text => <text::Peer as Dispatcher>::Language::default().write_closing(closing, &mut out),
        }
        out
    }
}

impl From<TcpListener> for Endpoint {
    fn from(socket: TcpListener) -> Self {
        Endpoint { socket, tls: None, speaks: Speaks::Text }
    }
}

/// Accepts the next connection of any endpoint. The endpoint after the last one that had a connection is asked first, so that
/// none keeps the others waiting.
async fn accept<'a>(
    endpoints: &'a [Endpoint],
    next: &mut usize,
) -> (io::Result<(TcpStream, SocketAddr)>, &'a Endpoint) {
    poll_fn(|cx| {
        for step in 0..endpoints.len() {
            let at = (*next + step) % endpoints.len();
            if let Poll::Ready(accepted) = endpoints[at].socket.poll_accept(cx) {
                *next = at + 1;
                return Poll::Ready((accepted, &endpoints[at]));
            }
        }
        Poll::Pending
    })
    .await
}

/// Serves the connections of `endpoints` until `shutdown` completes. Then accepts no more, answers what has arrived, closes all
/// connections, and returns within 5 seconds.
pub async fn run(
    endpoints: Vec<Endpoint>,
    server: Arc<Server>,
    shutdown: impl Future<Output = ()>,
) -> Summary {
    let mut next = 0;
    let mut shutdown = pin!(shutdown);
    let (mut logged, mut is_failing): (Option<Instant>, bool) = (None, false);
    loop {
        let (accepted, endpoint) = tokio::select! {
            biased;
            () = &mut shutdown => break,
            accepted = accept(&endpoints, &mut next) => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                if mem::take(&mut is_failing) {
                    tracing::info!(connections = server.connections(), "connections are accepted again");
                }
                admit(stream, server.source(peer.ip()), &server, endpoint);
            }
            Err(error) if is_the_peers(&error) => {}
            Err(error) => {
                is_failing = true;
                if logged.is_none_or(|at| at.elapsed() >= LOG_EVERY) {
                    logged = Some(Instant::now());
                    tracing::error!(%error, connections = server.connections(), "cannot accept connections, will go on trying");
                }
                tokio::select! {
                    () = &mut shutdown => break,
                    () = sleep(ACCEPT_BACKOFF) => {}
                }
            }
        }
    }
    drop(endpoints);
    stop(&server).await
}

/// Serves a connection, unless a limit is reached.
fn admit(stream: TcpStream, from: Source, server: &Arc<Server>, endpoint: &Endpoint) {
    let Endpoint { tls, speaks, .. } = endpoint;
    let limits = &server.limits;
    tracing::debug!(from = %from.address, connection = from.connection, tls = tls.is_some(), "connected");
    let full = is_full(server, from.address);
    let Some(admission) = server.registry.admit(from.address, limits.per_address).filter(|_| !full) else {
        let limit = if full { Limit::Connections } else { Limit::ConnectionsPerAddress };
        server.chat.note_limit(limit, from, None);
        // A refusal must be cheap, and an encrypted one would cost a handshake.
        if tls.is_none()
            && let Ok(turn) = server.farewells.clone().try_acquire_owned()
        {
            let reason = speaks.reason(Closing::TooManyConnections);
            tokio::spawn(async move {
                timeout(FAREWELL, turn_away(stream, reason)).await.ok();
                drop(turn);
            });
        }
        return;
    };
    // Replies are written whole, so waiting for more is useless. An error means that the peer is gone.
    stream.set_nodelay(true).ok();
    // A peer that watches may be silent for days. The system finds out whether it is gone.
    keep_alive(&stream).ok();
    match (speaks, tls) {
        (Speaks::Text, None) => {
            tokio::spawn(Admitted { conversation: serve_text(stream, from, server.clone()), admission });
        }
        (Speaks::Text, Some(tls)) => {
            let conversation = Box::pin(serve_encrypted(stream, from, server.clone(), tls.clone()));
            tokio::spawn(Admitted { conversation, admission });
        }
    }
}

/// Whether the server has as many connections as it may have. The last tenth is kept for addresses from which somebody has logged in
/// before, so that strangers cannot keep everybody out.
fn is_full(server: &Server, from: IpAddr) -> bool {
    let (open, most) = (server.connections(), server.limits.connections);
    open >= most || (open >= most - most / KEPT && !server.chat.knows_address(from))
}

/// A conversation that is counted at its address. A future by hand, because an `async` block would hold the conversation twice.
struct Admitted<C> {
    conversation: C,
    #[expect(dead_code, reason = "given back when the conversation is over")]
    admission: Admission,
}

impl<C: Future<Output = ()> + Unpin> Future for Admitted<C> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.conversation).poll(cx)
    }
}

/// Enables TCP keepalive.
fn keep_alive(stream: &TcpStream) -> io::Result<()> {
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, KEEPALIVE_IDLE)?;
    sockopt::set_tcp_keepintvl(stream, KEEPALIVE_INTERVAL)?;
    Ok(sockopt::set_tcp_keepcnt(stream, KEEPALIVE_PROBES)?)
}

/// Serves a connection after its TLS handshake. It counts as open from this call on.
fn serve_encrypted(
    stream: TcpStream,
    from: Source,
    server: Arc<Server>,
    tls: Arc<Tls>,
) -> impl Future<Output = ()> {
    let mut place = server.registry.hold();
    async move {
        if let Some(stream) = tls::accept(stream, from, &tls, &server, &mut place).await {
            let conversation = serve_text(stream, from, server);
            // The conversation has an entry of its own.
            drop(place);
            conversation.await;
        }
    }
}

/// Tells the peer why it is refused. What the peer has sent is read and dropped: left unread, the system would answer it with a
/// reset, and the peer would not see the reason.
async fn turn_away(mut stream: TcpStream, reason: Vec<u8>) {
    if stream.write_all(&reason).await.is_err() || stream.shutdown().await.is_err() {
        return;
    }
    let mut chunk = [0; 1024];
    while let Ok(1..) = stream.read(&mut chunk).await {}
}

/// Whether an error concerns one connection only, which failed before it was accepted.
fn is_the_peers(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

async fn stop(server: &Server) -> Summary {
    let registry = &server.registry;
    tracing::info!(connections = registry.open(), "stopping");
    registry.set_phase(Phase::Closing);
    let mut dropped = 0;
    if timeout(GOODBYE, registry.empty()).await.is_err() {
        dropped = registry.open();
        tracing::warn!(connections = dropped, "dropping connections that did not end");
        registry.set_phase(Phase::Aborting);
        timeout(ABORT, registry.empty()).await.ok();
    }
    Summary { dropped, panicked: registry.panicked() }
}
