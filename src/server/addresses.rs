//! Where the server listens. The rule: on the network nothing is unencrypted, unless that was asked for by name.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, ToSocketAddrs},
    thread,
    time::{Duration, Instant},
};

use thiserror::Error;
use tokio::net::{TcpListener, TcpSocket};

use super::{Endpoint, Speaks, StartError, Tls};
use crate::config::{ServerArgs, TLS_PORT};

/// Send buffer of a connection in the system, in bytes of payload. (The system doubles it for its own use.)
const SEND_BUFFER: u32 = 64 * 1024;

/// How long to wait for a port: a server that was killed a moment ago still has it.
const PORT_WAIT: Duration = Duration::from_millis(500);

/// Most connections that wait to be accepted.
const BACKLOG: u32 = 1024;

/// Why the server cannot listen.
#[derive(Debug, Error)]
pub enum ListenError {
    /// The system refuses the address.
    #[error("cannot listen on {host}:{port}: {cause}\n  remedy: {remedy}")]
    Refused {
        /// As it was given.
        host: String,
        /// As it was given.
        port: u16,
        /// Error of the operating system.
        cause: io::Error,
        /// The remedy.
        remedy: &'static str,
    },
    /// The server would be open to the network without encryption.
    #[error(
        "{host} is reachable from the network, and nothing would be encrypted: anybody on the way could read passwords\n  \
         remedy: with TLS:    chat-server cert{name} && chat-server --host {host} --tls-port {TLS_PORT}\n  \
         or, unencrypted:     chat-server --host {host} --insecure-plaintext",
        name = if host.parse().is_ok_and(|host: std::net::IpAddr| host.is_unspecified()) { String::new() } else { format!(" {host}") }
    )]
    Unencrypted {
        /// As it was given.
        host: String,
    },
}

/// The addresses to listen at.
pub(super) struct Addresses {
    plain: Vec<SocketAddr>,
    tls: Option<Vec<SocketAddr>>,
}

impl Addresses {
    /// Looks up host names, which needs files that the server cannot open once it is confined. Blocks.
    pub(super) fn resolve(args: &ServerArgs) -> Result<Self, ListenError> {
        let host = resolve(&args.host, args.port, "--port")?;
        let plain = if args.insecure_plaintext || host.iter().all(|address| address.ip().is_loopback()) {
            host
        } else if args.tls_port.is_some() {
            vec![(Ipv4Addr::LOCALHOST, args.port).into()]
        } else {
            return Err(ListenError::Unencrypted { host: args.host.clone() });
        };
        let tls = args.tls_port.map(|port| resolve(&args.host, port, "--tls-port")).transpose()?;
        Ok(Addresses { plain, tls })
    }

    /// Whether other machines can connect.
    pub(super) fn are_open(&self) -> bool {
        let mut all = self.plain.iter().chain(self.tls.iter().flatten());
        all.any(|address| !address.ip().is_loopback())
    }

    /// Binds the sockets. A port below 1024 needs a capability that the server does not have once it is confined.
    pub(super) fn bind(&self) -> Result<Bound, ListenError> {
        let began = Instant::now();
        let mut wait = || {
            thread::sleep(PORT_WAIT / 50);
            began.elapsed() < PORT_WAIT
        };
        let tls = self.tls.as_ref().map(|addresses| bind_one_of(addresses, "--tls-port", &mut wait));
        Ok(Bound { tls: tls.transpose()?, plain: bind_one_of(&self.plain, "--port", &mut wait)? })
    }
}

/// Sockets that have an address, and accept no connections yet.
pub(super) struct Bound {
    plain: TcpSocket,
    tls: Option<TcpSocket>,
}

impl Bound {
    /// Opens the endpoints, and reads the certificate. The first endpoint is the one without encryption.
    pub(super) fn listen(self, args: &ServerArgs) -> Result<Vec<Endpoint>, StartError> {
        let encrypted = match self.tls {
            None => None,
            Some(bound) => {
                let (cert, key) = args.tls.paths(&args.files);
                let tls = Some(Tls::load(&cert, &key)?);
                Some(Endpoint { socket: listen(bound, "--tls-port")?, tls, speaks: Speaks::Text })
            }
        };
        let plain = listen(self.plain, "--port")?.into();
        Ok([plain].into_iter().chain(encrypted).collect())
    }
}

fn resolve(host: &str, port: u16, flag: &'static str) -> Result<Vec<SocketAddr>, ListenError> {
    let refused = |cause| refused(host.to_owned(), port, flag, cause);
    let addresses: Vec<_> = (host, port).to_socket_addrs().map_err(refused)?.collect();
    if addresses.is_empty() { Err(refused(io::ErrorKind::NotFound.into())) } else { Ok(addresses) }
}

/// Binds a socket to the first address that is free. If that port is in use, `wait` says whether to try again.
fn bind_one_of(
    addresses: &[SocketAddr],
    flag: &'static str,
    mut wait: impl FnMut() -> bool,
) -> Result<TcpSocket, ListenError> {
    let mut failed = io::Error::from(io::ErrorKind::NotFound);
    loop {
        for address in addresses {
            match bound(*address) {
                Ok(socket) => return Ok(socket),
                Err(error) => failed = error,
            }
        }
        if failed.kind() != io::ErrorKind::AddrInUse || !wait() {
            break;
        }
    }
    let (host, port) =
        addresses.last().map(|address| (address.ip().to_string(), address.port())).unwrap_or_default();
    Err(refused(host, port, flag, failed))
}

/// Accepts connections. This fails if another program that had the same port without listening was faster.
fn listen(socket: TcpSocket, flag: &str) -> Result<TcpListener, StartError> {
    let address = socket.local_addr()?;
    let refused = |cause| refused(address.ip().to_string(), address.port(), flag, cause);
    Ok(socket.listen(BACKLOG).map_err(refused)?)
}

fn refused(host: String, port: u16, flag: &str, cause: io::Error) -> ListenError {
    let remedy = match (cause.kind(), flag) {
        (io::ErrorKind::AddrInUse, "--port") => {
            "another program has this port; end it, or take another with --port"
        }
        (io::ErrorKind::AddrInUse, _) => {
            "another program has this port; end it, or take another with --tls-port"
        }
        (io::ErrorKind::PermissionDenied, "--port") => {
            "ports below 1024 need privileges; take another with --port"
        }
        (io::ErrorKind::PermissionDenied, _) => {
            "ports below 1024 need privileges; take another with --tls-port"
        }
        _ => "name an address of this machine, without a port, with --host or CHAT_HOST",
    };
    ListenError::Refused { host, port, cause, remedy }
}

/// Listens at an address. Connections have a small send buffer.
///
/// The system reports that a buffer takes bytes again when a third of it is free. With a buffer that it has grown to megabytes,
/// a peer that reads less than 100 KiB/s would seem to read nothing for 10 seconds; and a peer that does not read would take
/// that memory.
///
/// # Errors
/// The system's error if the address cannot be listened at.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    bound(address)?.listen(BACKLOG)
}

fn bound(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.set_send_buffer_size(SEND_BUFFER)?;
    socket.bind(address)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_port_that_is_freed_soon_is_waited_for_and_another_program_is_named() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let addresses = [taken.local_addr().expect("an address")];
        let refused = bind_one_of(&addresses, "--port", || false).expect_err("in use").to_string();
        assert!(refused.contains("another program has this port"), "{refused}");
        let mut taken = Some(taken);
        let bound = bind_one_of(&addresses, "--port", || taken.take().is_some());
        assert_eq!(bound.expect("free by now").local_addr().expect("an address"), addresses[0]);
    }
}
