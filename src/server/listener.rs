//! Accepting connections, and stopping.

use std::{
    future::Future,
    io,
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
    connection::serve,
    registry::{Admission, Phase},
    tls::{self, Tls},
};
use crate::{
    protocol::{Closing, Dialect, reply::write_closing},
    service::Limit,
};

/// After an error that will not pass by itself (no file descriptor is free) the next try waits this long.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(200);

/// Such errors are logged this often.
const LOG_EVERY: Duration = Duration::from_secs(10);

/// Connections that have not ended this long after the server was told to stop are dropped,
const GOODBYE: Duration = Duration::from_secs(4);

/// for which they have this long.
const ABORT: Duration = Duration::from_millis(500);

/// A connection that is one too many is told so within this time,
const FAREWELL: Duration = Duration::from_secs(1);

/// and so many of them at once; others are closed without a word.
pub(super) const FAREWELLS: usize = 64;

/// A peer that has been silent for this long is asked by the system whether it is still there,
const KEEPALIVE_IDLE: Duration = Duration::from_mins(2);

/// again after this time,
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);

/// and given up after so many questions without an answer.
const KEEPALIVE_PROBES: u32 = 4;

/// How a server ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// Connections that had to be dropped.
    pub dropped: usize,
    /// Connections that ended by a panic, of all time.
    pub panicked: usize,
}

/// Where connections come from.
pub struct Listeners {
    /// What goes over these is not encrypted.
    pub plain: TcpListener,
    /// What goes over these is, by this certificate.
    pub tls: Option<(TcpListener, Arc<Tls>)>,
}

impl From<TcpListener> for Listeners {
    fn from(plain: TcpListener) -> Self {
        Listeners { plain, tls: None }
    }
}

impl Listeners {
    /// The next connection, and how it is encrypted.
    async fn accept(&self) -> (io::Result<(TcpStream, SocketAddr)>, Option<&Arc<Tls>>) {
        match &self.tls {
            None => (self.plain.accept().await, None),
            Some((listener, tls)) => tokio::select! {
                accepted = self.plain.accept() => (accepted, None),
                accepted = listener.accept() => (accepted, Some(tls)),
            },
        }
    }
}

/// Serves the connections of `listeners` until `shutdown` completes; then accepts no more, answers what has arrived,
/// says goodbye, and returns within 5 seconds.
pub async fn run(
    listeners: impl Into<Listeners>,
    server: Arc<Server>,
    shutdown: impl Future<Output = ()>,
) -> Summary {
    let listeners = listeners.into();
    let mut shutdown = pin!(shutdown);
    let mut logged: Option<Instant> = None;
    loop {
        let (accepted, tls) = tokio::select! {
            biased;
            () = &mut shutdown => break,
            accepted = listeners.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                tracing::debug!(from = %peer.ip(), tls = tls.is_some(), "connected");
                admit(stream, peer.ip(), &server, tls);
            }
            Err(error) if is_the_peers(&error) => {}
            Err(error) => {
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
    drop(listeners);
    stop(&server).await
}

/// Serves a connection, if there may be one more.
fn admit(stream: TcpStream, from: IpAddr, server: &Arc<Server>, tls: Option<&Arc<Tls>>) {
    let limits = &server.limits;
    let full = server.connections() >= limits.connections;
    let Some(admission) = server.registry.admit(from, limits.per_address).filter(|_| !full) else {
        server.service.counts.count(if full { Limit::Connections } else { Limit::ConnectionsPerAddress });
        tracing::warn!(%from, connections = server.connections(), "too many connections: one is refused");
        // An encrypted word would cost a handshake: what is refused is to cost little.
        if tls.is_none()
            && let Ok(turn) = server.farewells.clone().try_acquire_owned()
        {
            tokio::spawn(async move {
                timeout(FAREWELL, turn_away(stream)).await.ok();
                drop(turn);
            });
        }
        return;
    };
    // A reply is written whole: there is nothing that waiting could add to it. An error means that the peer is gone.
    stream.set_nodelay(true).ok();
    // Whoever watches may be silent for days: that they are gone is for the system to find out.
    keep_alive(&stream).ok();
    match tls {
        None => drop(tokio::spawn(Admitted { conversation: serve(stream, from, server.clone()), admission })),
        Some(tls) => {
            let conversation = Box::pin(serve_encrypted(stream, from, server.clone(), tls.clone()));
            tokio::spawn(Admitted { conversation, admission });
        }
    }
}

/// A conversation in its place among those of its address. By hand, because an `async` block would keep room for the
/// conversation twice.
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

/// Asks the system to look now and then whether the peer is still there.
fn keep_alive(stream: &TcpStream) -> io::Result<()> {
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, KEEPALIVE_IDLE)?;
    sockopt::set_tcp_keepintvl(stream, KEEPALIVE_INTERVAL)?;
    Ok(sockopt::set_tcp_keepcnt(stream, KEEPALIVE_PROBES)?)
}

/// Shakes hands, then serves. It counts as open from this call on.
fn serve_encrypted(
    stream: TcpStream,
    from: IpAddr,
    server: Arc<Server>,
    tls: Arc<Tls>,
) -> impl Future<Output = ()> {
    let mut place = server.registry.hold();
    async move {
        if let Some(stream) = tls::accept(stream, from, &tls, &server, &mut place).await {
            let conversation = serve(stream, from, server);
            // It has a place of its own by now.
            drop(place);
            conversation.await;
        }
    }
}

/// Says why. What the peer has sent already is thrown away: left unread, it would be answered by a reset that eats the
/// word.
async fn turn_away(mut stream: TcpStream) {
    let mut word = Vec::new();
    write_closing(Closing::TooManyConnections, Dialect::One, &mut word);
    if stream.write_all(&word).await.is_err() || stream.shutdown().await.is_err() {
        return;
    }
    let mut chunk = [0; 1024];
    while let Ok(1..) = stream.read(&mut chunk).await {}
}

/// The connection failed before it was accepted; the next one need not.
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
