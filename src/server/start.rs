//! From settings to a running server, and to its end.

use std::{
    io::{self, IsTerminal, Write},
    sync::Arc,
    time::Duration,
};

use thiserror::Error;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::Notify,
};

use super::{
    Limits, ListenError, Server, TlsError, addresses::listen, banner::Banner, run, tls::keep_current,
};
use crate::{
    config::{Durability, LogFormat, ServerArgs, StoreKind},
    service::{self, Clock, Rate, Service},
    store::{self, Store},
    users::{self, UsersFileError},
};

/// After everybody was told goodbye, work off the runtime's threads has this long to end.
const LINGER: Duration = Duration::from_millis(200);

/// Why the server did not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// The users file.
    #[error(transparent)]
    Users(#[from] UsersFileError),
    /// The store.
    #[error(transparent)]
    Store(#[from] store::OpenError),
    /// The certificate.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The address.
    #[error(transparent)]
    Listen(#[from] ListenError),
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
    let store = open_store(args)?;
    let described = store.describe();
    let (limits, service_limits) = limits(args);
    let service = Arc::new(Service::new(loaded.users, store.clone(), Clock::default(), service_limits));

    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let ended: Result<(), StartError> = runtime.block_on(async {
        let server = Server::new(service.clone(), limits);
        let listeners = listen(args).await?;
        let signals = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        let banner = Banner {
            address: listeners.plain.local_addr()?,
            tls: listeners
                .tls
                .as_ref()
                .map(|(at, tls)| Ok::<_, io::Error>((at.local_addr()?, tls.fingerprint())))
                .transpose()?,
            users: &service.users,
            users_file: &args.files.users,
            store: described,
        };
        // Whoever started the server may have closed its output: no reason not to serve.
        write!(io::stdout(), "{banner}").and_then(|()| io::stdout().flush()).ok();
        if let Some((_, tls)) = &listeners.tls {
            keep_current(tls, signal(SignalKind::hangup())?);
        }
        let summary = run(listeners, server, stop_on(signals)).await;
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
    let server = Limits {
        connections: args.max_connections,
        per_address: args.max_connections_per_address,
        login: seconds(args.login_deadline),
        line: seconds(args.line_deadline),
        idle: seconds(args.idle_timeout),
        ..Limits::default()
    };
    let requests = Some(Rate { per_second: args.request_rate, burst: args.request_burst });
    (server, service::Limits { requests, ..service::Limits::default() })
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
