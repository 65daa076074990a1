//! Every setting, once: its flag, environment variable, default and meaning.

mod client;
mod commands;
mod manual;
mod max_hash;

use std::{path::PathBuf, process::ExitCode};

use clap::{
    Args, Parser, ValueEnum,
    builder::{RangedU64ValueParser, Resettable},
};

pub use self::{
    client::{
        Address, BenchArgs, BenchTo, ClientArgs, ClientCommand, Device, Face, ListenArgs, ProfileName, Reach,
        SendArgs, SessionChoice, Take, WaitFor, default_port,
    },
    commands::{ServerCommand, UserCommand},
    manual::{ManualCommand, Shell},
    max_hash::{MaxHash, PasswordHashes},
};

/// Default of each limit, for the flags and for the settings of the library.
pub mod defaults {
    /// Most messages that wait in one inbox.
    pub const INBOX_LIMIT: usize = 10_000;

    /// Most connections.
    pub const MAX_CONNECTIONS: usize = 10_000;

    /// Most connections from one address.
    pub const MAX_CONNECTIONS_PER_ADDRESS: usize = 1_000;

    /// Most connections of one user.
    pub const MAX_CONNECTIONS_PER_USER: usize = 200;

    /// Most MiB of memory for replies that were not taken.
    pub const REPLY_MEMORY: u32 = 128;

    /// Most MiB of memory for replies to one user that were not taken.
    pub const REPLY_MEMORY_PER_USER: u32 = 8;

    /// Most messages of one sender that wait in one inbox.
    pub const INBOX_SHARE: usize = 1_000;

    /// Most MiB that a user may send in a day.
    pub const DAILY: u32 = 1_024;

    /// Seconds to log in on a connection.
    pub const LOGIN_DEADLINE: u64 = 60;

    /// Seconds to finish a line.
    pub const LINE_DEADLINE: u64 = 10;

    /// Seconds without a request until a connection is closed.
    pub const IDLE_TIMEOUT: u64 = 1_800;

    /// Seconds without reading until a peer is cut off.
    pub const SLOW_CONSUMER: u64 = 10;

    /// Failed logins in a row for one account.
    pub const LOGIN_TRIES: u32 = 10;

    /// Failed logins in a row from one address.
    pub const LOGIN_TRIES_PER_ADDRESS: u32 = 30;

    /// Right logins of a user a second, on average.
    pub const LOGIN_RATE: u32 = 2;
    /// Most right logins of a user at once, after a pause.
    pub const LOGIN_BURST: u32 = 100;
    /// Rooms that a user may create; one more each minute.
    pub const NEW_ROOMS: u32 = 100;
    /// Most logins that wait for their password to be verified.
    pub const LOGIN_QUEUE: usize = 1_000;
    /// Requests of an address, for which it has not logged in, a second, on average.
    pub const ANONYMOUS_RATE: u32 = 100;
    /// Most such requests at once, after a pause.
    pub const ANONYMOUS_BURST: u32 = 1_000;

    /// Average requests a second of each user.
    pub const REQUEST_RATE: u32 = 1_000;

    /// Most requests of a user at once.
    pub const REQUEST_BURST: u32 = 10_000;
}

/// Default port of both programs.
pub const PORT: u16 = 8889;

/// Default port of the client with `--tls`; examples give it to the server's `--tls-port`.
pub const TLS_PORT: u16 = 8890;

/// A chat server that you can drive with netcat, whose OK means that the message is synced to disk.
#[derive(Debug, Clone, Parser)]
#[command(name = "chat-server", version)]
pub struct ServerArgs {
    /// A subcommand, instead of serving.
    #[command(subcommand)]
    pub command: Option<ServerCommand>,

    /// Address to listen on: 127.0.0.1 is reachable from this machine only, 0.0.0.0 from the network
    #[arg(long, env = "CHAT_HOST", default_value = "127.0.0.1")]
    pub host: String,

    /// Port to listen on; 0 chooses a free port and prints it
    #[arg(long, env = "CHAT_PORT", default_value_t = PORT)]
    pub port: u16,

    /// Port for TLS; 0 chooses a free port and prints it [default: no TLS]
    #[arg(long, env = "CHAT_TLS_PORT", value_name = "PORT")]
    pub tls_port: Option<u16>,

    /// Certificate and key.
    #[command(flatten)]
    pub tls: TlsFiles,

    /// Accept connections from the network without encryption: --port listens on --host, too
    #[arg(long, env = "CHAT_INSECURE_PLAINTEXT")]
    pub insecure_plaintext: bool,

    /// The server's files.
    #[command(flatten)]
    pub files: Files,

    /// Which password hashes are taken.
    #[command(flatten)]
    pub hashes: PasswordHashes,

    /// Where to store messages
    #[arg(long, env = "CHAT_STORE", value_enum, default_value_t = StoreKind::Sqlite)]
    pub store: StoreKind,

    /// What an OK promises
    #[arg(long, env = "CHAT_DURABILITY", value_enum, default_value_t = Durability::Fsync)]
    pub durability: Durability,

    /// Most messages that wait in one inbox; more are refused
    #[arg(long, env = "CHAT_INBOX_LIMIT", value_name = "N", default_value_t = defaults::INBOX_LIMIT, value_parser = count())]
    pub inbox_limit: usize,

    /// Most messages of one sender that wait in one inbox, other than the sender's own; more are refused [default: a tenth of
    /// --inbox-limit, and at least 1000]
    #[arg(long, env = "CHAT_INBOX_SHARE", value_name = "N", value_parser = count())]
    pub inbox_share: Option<usize>,

    /// Most MiB that one user may send in a day; each message counts its text and 128 bytes
    #[arg(long, env = "CHAT_DAILY", value_name = "MIB", default_value_t = defaults::DAILY, value_parser = clap::value_parser!(u32).range(1..=1 << 20))]
    pub daily: u32,

    /// Remove messages after this number of days, except those that wait in an inbox [default: keep for ever]
    #[arg(long, env = "CHAT_RETAIN", value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=36_500))]
    pub retain: Option<u32>,

    /// What the operator confirms at this start.
    #[command(flatten)]
    pub confirmed: Confirmed,

    /// Most connections; more are refused
    #[arg(long, env = "CHAT_MAX_CONNECTIONS", value_name = "N", default_value_t = defaults::MAX_CONNECTIONS, value_parser = count())]
    pub max_connections: usize,

    /// Most connections from one address (IPv6: from one /64 network)
    #[arg(long, env = "CHAT_MAX_CONNECTIONS_PER_ADDRESS", value_name = "N", default_value_t = defaults::MAX_CONNECTIONS_PER_ADDRESS, value_parser = count())]
    pub max_connections_per_address: usize,

    /// Most connections of one user
    #[arg(long, env = "CHAT_MAX_CONNECTIONS_PER_USER", value_name = "N", default_value_t = defaults::MAX_CONNECTIONS_PER_USER, value_parser = count())]
    pub max_connections_per_user: usize,

    /// Most MiB of memory for replies that clients have not taken
    #[arg(long, env = "CHAT_REPLY_MEMORY", value_name = "MIB", default_value_t = defaults::REPLY_MEMORY, value_parser = clap::value_parser!(u32).range(4..=1 << 20))]
    pub reply_memory: u32,

    /// Most MiB of memory for replies that the clients of one user have not taken
    #[arg(long, env = "CHAT_REPLY_MEMORY_PER_USER", value_name = "MIB", default_value_t = defaults::REPLY_MEMORY_PER_USER, value_parser = clap::value_parser!(u32).range(4..=1 << 20))]
    pub reply_memory_per_user: u32,

    /// Seconds within which a client must log in on a connection, or show a token
    #[arg(long, env = "CHAT_LOGIN_DEADLINE", value_name = "SECONDS", default_value_t = defaults::LOGIN_DEADLINE, value_parser = seconds())]
    pub login_deadline: u64,

    /// Seconds within which a client must finish a line
    #[arg(long, env = "CHAT_LINE_DEADLINE", value_name = "SECONDS", default_value_t = defaults::LINE_DEADLINE, value_parser = seconds())]
    pub line_deadline: u64,

    /// Seconds without a request after which a connection is closed, unless it watches
    #[arg(long, env = "CHAT_IDLE_TIMEOUT", value_name = "SECONDS", default_value_t = defaults::IDLE_TIMEOUT, value_parser = seconds())]
    pub idle_timeout: u64,

    /// Seconds after which a client that reads nothing is cut off; one that reads less than 4 KiB/s is cut off after 30 seconds
    #[arg(long, env = "CHAT_SLOW_CONSUMER", value_name = "SECONDS", default_value_t = defaults::SLOW_CONSUMER, value_parser = seconds())]
    pub slow_consumer: u64,

    /// Failed logins in a row for one account, from addresses that are new to it; one more each minute
    #[arg(long, env = "CHAT_LOGIN_TRIES", value_name = "N", default_value_t = defaults::LOGIN_TRIES, value_parser = clap::value_parser!(u32).range(1..))]
    pub login_tries: u32,

    /// Failed logins in a row from one address (IPv6: from one /64 network); one more every 20 seconds
    #[arg(long, env = "CHAT_LOGIN_TRIES_PER_ADDRESS", value_name = "N", default_value_t = defaults::LOGIN_TRIES_PER_ADDRESS, value_parser = clap::value_parser!(u32).range(1..))]
    pub login_tries_per_address: u32,

    /// Average right logins a second of one user
    #[arg(long, env = "CHAT_LOGIN_RATE", value_name = "N", default_value_t = defaults::LOGIN_RATE, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub login_rate: u32,

    /// Most right logins of one user at once, after a pause
    #[arg(long, env = "CHAT_LOGIN_BURST", value_name = "N", default_value_t = defaults::LOGIN_BURST, value_parser = clap::value_parser!(u32).range(1..=1_000_000_000))]
    pub login_burst: u32,

    /// Most rooms that a user may create; one more is possible each minute
    #[arg(long, env = "CHAT_NEW_ROOMS", value_name = "N", default_value_t = defaults::NEW_ROOMS, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub new_rooms: u32,

    /// Most logins that wait for their password to be verified
    #[arg(long, env = "CHAT_LOGIN_QUEUE", value_name = "N", default_value_t = defaults::LOGIN_QUEUE, value_parser = count())]
    pub login_queue: usize,

    /// Average requests a second from one address before login (IPv6: from one /64 network)
    #[arg(long, env = "CHAT_ANONYMOUS_RATE", value_name = "N", default_value_t = defaults::ANONYMOUS_RATE, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub anonymous_rate: u32,

    /// Most requests from one address before login at once, after a pause
    #[arg(long, env = "CHAT_ANONYMOUS_BURST", value_name = "N", default_value_t = defaults::ANONYMOUS_BURST, value_parser = clap::value_parser!(u32).range(1..))]
    pub anonymous_burst: u32,

    /// Average requests a second of each user
    #[arg(long, env = "CHAT_REQUEST_RATE", value_name = "N", default_value_t = defaults::REQUEST_RATE, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub request_rate: u32,

    /// Most requests of a user at once, after a pause
    #[arg(long, env = "CHAT_REQUEST_BURST", value_name = "N", default_value_t = defaults::REQUEST_BURST, value_parser = clap::value_parser!(u32).range(1..))]
    pub request_burst: u32,

    /// Threads that serve connections [default: one less than there are cores, at least 1]
    #[arg(long, env = "CHAT_NETWORK_THREADS", value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub network_threads: Option<u16>,

    /// For load tests: no limits of rate, time, connections, memory and bytes a day, no sender's share of an inbox, and weak hashes are not renewed; line and inbox limits stay
    #[arg(long, env = "CHAT_NO_LIMITS")]
    pub no_limits: bool,

    /// Format of the log on standard error
    #[arg(long, env = "CHAT_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,

    /// Lowest level to log: error, warn, info, debug, trace or off
    #[arg(long, env = "CHAT_LOG_LEVEL", value_name = "LEVEL", default_value = "info")]
    pub log_level: tracing::level_filters::LevelFilter,
}

/// What the operator confirms at a start, because the server does not do it by itself.
#[derive(Debug, Clone, Args)]
pub struct Confirmed {
    /// Start on a database that has less than was stored before, and go on without what is lost
    #[arg(long, env = "CHAT_ACCEPT_LOSS")]
    pub accept_loss: bool,

    /// Believe the clock at start, however far it is ahead of when the server last ran
    #[arg(long, env = "CHAT_TRUST_CLOCK")]
    pub trust_clock: bool,
}

/// Parses the arguments of the program. An environment variable that is empty counts as not set, because files for containers and
/// services often have such.
///
/// # Errors
/// What [`told`] prints.
pub fn parse<T: Parser>() -> Result<T, clap::Error> {
    let mut command = without_empty(T::command());
    let matches = command.try_get_matches_from_mut(std::env::args_os())?;
    T::from_arg_matches(&matches).map_err(|error| error.format(&mut command))
}

fn without_empty(command: clap::Command) -> clap::Command {
    let is_empty = |arg: &clap::Arg| {
        arg.get_env().is_some_and(|name| std::env::var_os(name).is_some_and(|value| value.is_empty()))
    };
    command
        .mut_args(|arg| if is_empty(&arg) { arg.env(Resettable::Reset) } else { arg })
        .mut_subcommands(without_empty)
}

/// Prints what the parser of the arguments has to say: the help, the version, or what is wrong. Returns the exit status, which is not 0
/// if it cannot be printed.
#[must_use]
pub fn told(told: &clap::Error) -> ExitCode {
    match told.print() {
        Ok(()) => u8::try_from(told.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from),
        // Whoever reads it has seen enough.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// A number of seconds: at most a year.
fn seconds() -> RangedU64ValueParser<u64> {
    RangedU64ValueParser::new().range(1..=365 * 24 * 60 * 60)
}

/// A number of things, of which there must be one at least.
fn count() -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(1..=1 << 40)
}

/// The server's files. These flags may stand before or after a subcommand.
#[derive(Debug, Clone, Args)]
pub struct Files {
    /// The users file
    #[arg(long, global = true, env = "CHAT_USERS", value_name = "FILE", default_value = "users.toml")]
    pub users: PathBuf,

    /// Folder for stored data [default: chat-data beside the users file]
    #[arg(long, global = true, env = "CHAT_DATA", value_name = "DIR")]
    pub data: Option<PathBuf>,
}

/// Certificate and key for TLS.
#[derive(Debug, Clone, Args)]
pub struct TlsFiles {
    /// Certificate chain for TLS, in PEM [default: tls-cert.pem beside the users file]
    #[arg(long, env = "CHAT_TLS_CERT", value_name = "FILE")]
    pub tls_cert: Option<PathBuf>,

    /// Private key of the certificate, in PEM [default: tls-key.pem beside the users file]
    #[arg(long, env = "CHAT_TLS_KEY", value_name = "FILE")]
    pub tls_key: Option<PathBuf>,
}

/// Where messages are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum StoreKind {
    /// On disk, in an SQLite database
    Sqlite,
    /// In memory; lost when the server ends
    Memory,
}

/// What an OK promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Durability {
    /// The message is synced to disk, and survives a power cut
    Fsync,
    /// The message was given to the operating system, and survives a crash of the server, but not of the machine
    Os,
}

impl Files {
    /// The data folder.
    #[must_use]
    pub fn data_folder(&self) -> PathBuf {
        self.data.clone().unwrap_or_else(|| self.users.with_file_name("chat-data"))
    }
}

impl ServerArgs {
    /// Most messages of one sender that wait in one inbox: as given, or the default.
    #[must_use]
    pub fn inbox_share(&self) -> usize {
        self.inbox_share.unwrap_or_else(|| (self.inbox_limit / 10).max(defaults::INBOX_SHARE))
    }
}

impl TlsFiles {
    /// Paths of certificate and key.
    #[must_use]
    pub fn paths(&self, files: &Files) -> (PathBuf, PathBuf) {
        let beside =
            |given: &Option<PathBuf>, name| given.clone().unwrap_or_else(|| files.users.with_file_name(name));
        (beside(&self.tls_cert, "tls-cert.pem"), beside(&self.tls_key, "tls-key.pem"))
    }
}

/// Format of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// A line of text for each event
    Text,
    /// A JSON object for each event
    Json,
}
