//! From settings to a running server, and to its end.

use std::{
    io::{self, IsTerminal, Write},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use thiserror::Error;
use tokio::{
    net::{TcpListener, TcpSocket, lookup_host},
    signal::unix::{Signal, SignalKind, signal},
    sync::Notify,
};

use super::{Limits, Server, SlowConsumer, banner::Banner, run};
use crate::{
    config::{Durability, LogFormat, ServerArgs, StoreKind},
    service::{self, Clock, Rate, Service, Tries},
    store::{self, Store},
    users::{self, Directory, UsersFileError},
};

/// After everybody was told goodbye, work off the runtime's threads has this long to end.
const LINGER: Duration = Duration::from_millis(200);

/// A connection's send buffer in the system, in bytes of payload (the system doubles it for its own records).
const SEND_BUFFER: u32 = 64 * 1024;

/// Connections that wait to be accepted.
const BACKLOG: u32 = 1024;

/// Why the server did not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// The users file.
    #[error(transparent)]
    Users(#[from] UsersFileError),
    /// The store.
    #[error(transparent)]
    Store(#[from] store::OpenError),
    /// The address.
    #[error("cannot listen on {host}:{port}: {cause}\n  remedy: {remedy}")]
    Listen {
        /// As it was given.
        host: String,
        /// As it was given.
        port: u16,
        /// The system's reason.
        cause: io::Error,
        /// What to do.
        remedy: &'static str,
    },
    /// The system.
    #[error("cannot start: {0}")]
    System(#[from] io::Error),
}

/// Serves until SIGINT or SIGTERM. A second signal ends the process at once.
///
/// # Errors
/// If the server cannot start.
pub fn start(args: &ServerArgs) -> Result<(), StartError> {
    log_to_stderr(args);
    let loaded = users::load(&args.files.users)?;
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    let users = Directory::of_file(loaded.users, args.files.users.clone());
    let store = open_store(args)?;
    let described = store.describe();
    let (limits, service_limits) = limits(args);
    let service = Arc::new(Service::new(users, store.clone(), Clock::default(), service_limits));

    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let ended: Result<(), StartError> = runtime.block_on(async {
        let server = Server::new(service.clone(), limits);
        let listener = listen(args).await?;
        let signals = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        let banner = Banner {
            address: listener.local_addr()?,
            users: &service.users.now(),
            users_file: &args.files.users,
            store: described,
        };
        // Whoever started the server may have closed its output: no reason not to serve.
        write!(io::stdout(), "{banner}").and_then(|()| io::stdout().flush()).ok();
        let summary = run(listener, server, stop_on(signals)).await;
        tracing::info!(dropped = summary.dropped, "stopped");
        Ok(())
    });
    runtime.shutdown_timeout(LINGER);
    // Cursors that moved with the last replies.
    store.close();
    ended
}

fn limits(args: &ServerArgs) -> (Limits, service::Limits) {
    if args.no_limits {
        return (Limits::NONE, service::Limits::NONE);
    }
    let seconds = |seconds: u64| Some(Duration::from_secs(seconds));
    let silence = Duration::from_secs(args.slow_consumer);
    let slow_consumer = SlowConsumer { silence, ..SlowConsumer::default() };
    let server = Limits {
        connections: args.max_connections,
        per_address: args.max_connections_per_address,
        login: seconds(args.login_deadline),
        line: seconds(args.line_deadline),
        idle: seconds(args.idle_timeout),
        slow_consumer: Some(slow_consumer),
    };
    let requests = Some(Rate { per_second: args.request_rate, burst: args.request_burst });
    let tries = Tries { account: args.login_tries, address: args.login_tries_per_address };
    let (tries, logins_waiting) = (Some(tries), args.login_queue);
    (server, service::Limits { requests, tries, logins_waiting, ..service::Limits::default() })
}

fn open_store(args: &ServerArgs) -> Result<Arc<dyn Store>, StartError> {
    let durable = match args.durability {
        Durability::Fsync => store::Durable::Fsync,
        Durability::Os => store::Durable::Os,
    };
    Ok(match args.store {
        StoreKind::Memory => Arc::new(store::Memory::new(args.inbox_limit)),
        StoreKind::Sqlite => {
            let options = store::Options {
                inbox_limit: args.inbox_limit,
                durable,
                retain: args.retain.map(|days| Duration::from_hours(24) * days),
                ..store::Options::default()
            };
            Arc::new(store::Sqlite::open(&args.files.data_folder(), &options)?)
        }
    })
}

async fn listen(args: &ServerArgs) -> Result<TcpListener, StartError> {
    let bound = async {
        let mut failed = io::Error::from(io::ErrorKind::NotFound);
        for address in lookup_host((args.host.as_str(), args.port)).await? {
            match bind(address) {
                Ok(listener) => return Ok(listener),
                Err(error) => failed = error,
            }
        }
        Err(failed)
    };
    bound.await.map_err(|cause| StartError::Listen {
        host: args.host.clone(),
        port: args.port,
        remedy: match cause.kind() {
            io::ErrorKind::AddrInUse => "another program has this port; end it, or take another with --port",
            io::ErrorKind::PermissionDenied => "ports below 1024 need privileges; take another with --port",
            _ => "name an address of this machine with --host",
        },
        cause,
    })
}

/// A listener whose connections have a small send buffer.
///
/// The system tells that a buffer takes bytes again when a third of it is free. One that it has grown to megabytes
/// makes everybody who reads less than 100 KiB/s seem to read nothing for 10 seconds; and it would be memory that a
/// peer takes by not reading.
fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.set_send_buffer_size(SEND_BUFFER)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Completes at the first signal; the second one ends the process.
async fn stop_on((mut interrupt, mut terminate): (Signal, Signal)) {
    let first = Arc::new(Notify::new());
    let told = first.clone();
    tokio::spawn(async move {
        next_signal(&mut interrupt, &mut terminate).await;
        told.notify_one();
        let number = next_signal(&mut interrupt, &mut terminate).await;
        tracing::warn!("a second signal: ending at once");
        std::process::exit(128 + number);
    });
    first.notified().await;
}

async fn next_signal(interrupt: &mut Signal, terminate: &mut Signal) -> i32 {
    tokio::select! {
        _ = interrupt.recv() => SignalKind::interrupt().as_raw_value(),
        _ = terminate.recv() => SignalKind::terminate().as_raw_value(),
    }
}

fn log_to_stderr(args: &ServerArgs) {
    let log = tracing_subscriber::fmt()
        .with_max_level(args.log_level)
        .with_target(false)
        .with_ansi(io::stderr().is_terminal())
        .with_writer(io::stderr);
    // An error is that somebody has set a logger up already: it is theirs to log.
    match args.log_format {
        LogFormat::Text => log.try_init().ok(),
        LogFormat::Json => log.json().try_init().ok(),
    };
}
