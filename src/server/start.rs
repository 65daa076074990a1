//! Starts the server from its settings, and runs it to its end.

use std::{
    fs,
    io::{self, Write},
    sync::Arc,
    thread,
    time::Duration,
};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use thiserror::Error;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::Notify,
};

use super::{
    Limits, ListenError, Server, SlowConsumer, TlsError,
    addresses::Addresses,
    banner::Banner,
    file_watch::folders,
    log::Log,
    reload, run,
    runtime::runtime,
    sandbox::{Confinement, Needs, confine, keep_memory_private, warn_of_root},
    tls,
};
use crate::{
    chat::{self, Chat, Clock, Rate, ReplyMemory, Tries},
    config::{Durability, ServerArgs, StoreKind},
    store::{self, Store},
    users::{self, Directory, Users, UsersFileError, password_policy},
};

/// Time that blocking work has to end after all connections are closed.
const LINGER: Duration = Duration::from_millis(200);

/// Files that the server opens for itself: the store's, the users file, the certificate, ports, and what the runtime needs.
const OWN_FILES: usize = 64;

/// Why the server cannot start.
#[derive(Debug, Error)]
pub enum StartError {
    /// The users file cannot be used.
    #[error(transparent)]
    Users(#[from] UsersFileError),
    /// A user has the sample password, and the server would be open to the network.
    #[error(
        "{file}: {names}: the password is the well-known one of the sample, and the server would be reachable from the network\n  \
         remedy: change each:        chat-server user passwd {first}\n  \
         or remove them:             chat-server user remove {first}"
    )]
    SamplePassword {
        /// Path as it was given.
        file: String,
        /// The users.
        names: String,
        /// One of the users.
        first: String,
    },
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] store::OpenError),
    /// The certificate cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The server cannot listen.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The system does not give the threads that the server needs.
    #[error(
        "cannot start: the system gives no more threads: {0}\n  \
         remedy: allow this user more processes and threads: ulimit -u, TasksMax= of the service, or the limit of the container"
    )]
    Threads(String),
    /// The system refuses something else.
    #[error("cannot start: {0}")]
    System(#[from] io::Error),
}

/// Serves until SIGINT or SIGTERM. A second signal ends the process at once.
///
/// # Errors
/// If the server cannot start.
pub fn start(args: &ServerArgs) -> Result<(), StartError> {
    let log = Log::start(args);
    let served = serve(args, &log);
    log.finish();
    served
}

fn serve(args: &ServerArgs, log: &Log) -> Result<(), StartError> {
    keep_memory_private();
    warn_of_root();
    let loaded = users::load_within(&args.files.users, args.hashes.max_password_hash)?;
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    let addresses = Addresses::resolve(args)?;
    if addresses.are_open() {
        refuse_samples(&loaded.users, args)?;
    }
    let bound = addresses.bind()?;
    // Before another thread is started: it would not be confined.
    let confinement = confine_to_files(args);
    log.run().map_err(|error| StartError::Threads(error.to_string()))?;
    let runtime = runtime(args.network_threads)?;
    let users = Directory::of_file(loaded.users.clone(), args.files.users.clone())
        .with_max_hash(args.hashes.max_password_hash);
    let store = open_store(args)?;
    let described = store.describe();
    let (limits, chat_limits) = limits(args);
    let chat = Arc::new(Chat::new(users, store.clone(), Clock::default(), chat_limits));
    if let Some(error) = chat.lacks_hash_thread() {
        return Err(StartError::Threads(error.to_string()));
    }

    let ended: Result<(), StartError> = runtime.block_on(async {
        chat.admit_users(loaded.users).await;
        let endpoints = bound.listen(args)?;
        let signals = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        let encrypted = endpoints.iter().find_map(|endpoint| Some((endpoint, endpoint.tls.clone()?)));
        let tls = encrypted.map(|(endpoint, tls)| {
            endpoint.socket.local_addr().map(|at| (at, tls.fingerprint())).map(|shown| (shown, tls))
        });
        let (tls, certificate) = tls.transpose()?.unzip();
        let banner = Banner {
            address: endpoints[0].socket.local_addr()?,
            tls,
            users: &chat.users().now(),
            users_file: &args.files.users,
            store: described,
            confinement: confinement.to_string(),
        }
        .to_string();
        reload::keep_current(&chat, &args.files.users, signal(SignalKind::hangup())?);
        if let Some(tls) = &certificate {
            tls::keep_current(tls, signal(SignalKind::hangup())?);
        }
        // Standard output may be closed, or a terminal that was stopped. That is no reason not to serve.
        thread::Builder::new().name("banner".into()).spawn(move || print(&banner))?;
        let summary = run(endpoints, Server::new(chat.clone(), limits), stop_on(signals, log.clone())).await;
        tracing::info!(dropped = summary.dropped, "stopped");
        Ok(())
    });
    runtime.shutdown_timeout(LINGER);
    // Writes the cursors that moved with the last replies.
    store.close();
    ended
}

/// Refuses users who have the sample password.
fn refuse_samples(users: &Users, args: &ServerArgs) -> Result<(), StartError> {
    let mut known: Vec<_> = users.iter().filter(|user| password_policy::has_sample_password(user)).collect();
    known.sort_unstable_by_key(|user| &user.username);
    let Some(first) = known.first() else {
        return Ok(());
    };
    let names: Vec<_> = known.iter().map(|user| user.username.to_string()).collect();
    Err(StartError::SamplePassword {
        file: args.files.users.display().to_string(),
        names: names.join(", "),
        first: first.username.to_string(),
    })
}

/// Confines the process to the files that the server uses.
fn confine_to_files(args: &ServerArgs) -> Confinement {
    let users = &args.files.users;
    let mut needs = Needs { own: folders(users).collect(), read: Vec::new(), files: vec![users.clone()] };
    if args.store == StoreKind::Sqlite {
        let data = args.files.data_folder();
        needs.files.extend(fs::read_dir(&data).into_iter().flatten().flatten().map(|entry| entry.path()));
        needs.own.push(data);
    }
    if args.tls_port.is_some() {
        let (cert, key) = args.tls.paths(&args.files);
        needs.read.extend(folders(&cert).chain(folders(&key)));
        needs.files.extend([cert, key]);
    }
    confine(&needs)
}

/// Lets the process open as many files as the system allows; returns how many that are.
fn raise_file_limit() -> usize {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    let most = if raised.is_ok() { maximum } else { current };
    most.map_or(usize::MAX, |most| usize::try_from(most).unwrap_or(usize::MAX))
}

/// Most connections, and most from one address, for which there are files.
fn connection_limits(args: &ServerArgs, files: usize) -> (usize, usize) {
    let most = files.saturating_sub(OWN_FILES).max(files / 2);
    if args.max_connections <= most {
        return (args.max_connections, args.max_connections_per_address);
    }
    let per_address = args.max_connections_per_address.min((most / 10).max(1));
    tracing::warn!(
        files,
        connections = most,
        per_address,
        "the system allows fewer open files than connections; remedy: a higher limit (ulimit -n, LimitNOFILE=), or --max-connections"
    );
    (most, per_address)
}

fn limits(args: &ServerArgs) -> (Limits, chat::Limits) {
    let files = raise_file_limit();
    if args.no_limits {
        return (Limits::NONE, chat::Limits::NONE);
    }
    let (connections, per_address) = connection_limits(args, files);
    let seconds = |seconds: u64| Some(Duration::from_secs(seconds));
    let silence = Duration::from_secs(args.slow_consumer);
    let slow_consumer = SlowConsumer { silence, ..SlowConsumer::default() };
    let server = Limits {
        connections,
        per_address,
        login: seconds(args.login_deadline),
        line: seconds(args.line_deadline),
        idle: seconds(args.idle_timeout),
        slow_consumer: Some(slow_consumer),
    };
    let requests = Some(Rate { per_second: args.request_rate, burst: args.request_burst });
    let anonymous = Some(Rate { per_second: args.anonymous_rate, burst: args.anonymous_burst });
    let tries = Tries { account: args.login_tries, address: args.login_tries_per_address };
    let logins = Some(Rate { per_second: args.login_rate, burst: args.login_burst });
    let reply_memory = ReplyMemory { all: args.reply_memory, per_user: args.reply_memory_per_user };
    let chat = chat::Limits {
        requests,
        anonymous,
        tries: Some(tries),
        logins,
        new_rooms: Some(args.new_rooms),
        connections_per_user: Some(args.max_connections_per_user),
        reply_memory: Some(reply_memory),
        inbox_share: Some(args.inbox_share()),
        daily: Some(args.daily),
        logins_waiting: args.login_queue,
        renews_hashes: true,
    };
    (server, chat)
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
                accept_loss: args.confirmed.accept_loss,
                trust_clock: args.confirmed.trust_clock,
                ..store::Options::default()
            };
            Arc::new(store::Sqlite::open(&args.files.data_folder(), &options)?)
        }
    })
}

/// Completes at the first signal. A second signal ends the process.
async fn stop_on((mut interrupt, mut terminate): (Signal, Signal), log: Log) {
    let first = Arc::new(Notify::new());
    let told = first.clone();
    tokio::spawn(async move {
        next_signal(&mut interrupt, &mut terminate).await;
        told.notify_one();
        let number = next_signal(&mut interrupt, &mut terminate).await;
        tracing::warn!("a second signal: ending at once");
        log.finish();
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

fn print(text: &str) {
    let mut out = io::stdout();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).ok();
}
