//! Every setting once: its flag, its environment variable, its default, and what it means.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// The default of each limit: for the flags here, and for the settings of the library that they set.
pub mod defaults {
    /// Messages that may wait in one inbox.
    pub const INBOX_LIMIT: usize = 10_000;

    /// Connections in all.
    pub const MAX_CONNECTIONS: usize = 10_000;

    /// Connections from one address.
    pub const MAX_CONNECTIONS_PER_ADDRESS: usize = 1_000;

    /// Seconds to log in on a connection.
    pub const LOGIN_DEADLINE: u64 = 60;

    /// Seconds to finish a line.
    pub const LINE_DEADLINE: u64 = 10;

    /// Seconds without a request until a connection is ended.
    pub const IDLE_TIMEOUT: u64 = 1_800;

    /// Seconds without reading until a peer is cut off.
    pub const SLOW_CONSUMER: u64 = 10;

    /// Logins that may fail at once for one account.
    pub const LOGIN_TRIES: u32 = 10;

    /// Logins that may fail at once from one address.
    pub const LOGIN_TRIES_PER_ADDRESS: u32 = 30;

    /// Logins that may wait for their password to be checked.
    pub const LOGIN_QUEUE: usize = 1_000;

    /// Requests a second of each user, in the long run.
    pub const REQUEST_RATE: u32 = 1_000;

    /// Requests of a user at once.
    pub const REQUEST_BURST: u32 = 10_000;
}

/// The port of both programs, unless told otherwise.
pub const PORT: u16 = 8889;

/// The port of the client with `--tls`, and the one that examples give to the server's `--tls-port`.
pub const TLS_PORT: u16 = 8890;

/// A chat server that you can drive with netcat, whose OK means that the message is synced to disk.
#[derive(Debug, Clone, Parser)]
#[command(name = "chat-server", version)]
pub struct ServerArgs {
    /// Something else to do than to serve.
    #[command(subcommand)]
    pub command: Option<ServerCommand>,

    /// Address to listen on: 127.0.0.1 is reachable from this machine only, 0.0.0.0 from the network
    #[arg(long, env = "CHAT_HOST", default_value = "127.0.0.1")]
    pub host: String,

    /// Port to listen on; 0 takes a free one and prints it
    #[arg(long, env = "CHAT_PORT", default_value_t = PORT)]
    pub port: u16,

    /// Port for TLS; 0 takes a free one and prints it [default: no TLS]
    #[arg(long, env = "CHAT_TLS_PORT", value_name = "PORT")]
    pub tls_port: Option<u16>,

    /// Certificate and key.
    #[command(flatten)]
    pub tls: TlsFiles,

    /// Let the network in without encryption: with a --host beyond this machine, --port listens there, too
    #[arg(long, env = "CHAT_INSECURE_PLAINTEXT")]
    pub insecure_plaintext: bool,

    /// Where its files are.
    #[command(flatten)]
    pub files: Files,

    /// Where messages are kept
    #[arg(long, env = "CHAT_STORE", value_enum, default_value_t = StoreKind::Sqlite)]
    pub store: StoreKind,

    /// What an OK promises
    #[arg(long, env = "CHAT_DURABILITY", value_enum, default_value_t = Durability::Fsync)]
    pub durability: Durability,

    /// Messages that may wait in one inbox; the next is refused
    #[arg(long, env = "CHAT_INBOX_LIMIT", value_name = "N", default_value_t = defaults::INBOX_LIMIT)]
    pub inbox_limit: usize,

    /// Remove messages of this age in days, but none that still waits in an inbox [default: keep for ever]
    #[arg(long, env = "CHAT_RETAIN", value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..))]
    pub retain: Option<u32>,

    /// Connections at once; the next is told that there are too many
    #[arg(long, env = "CHAT_MAX_CONNECTIONS", value_name = "N", default_value_t = defaults::MAX_CONNECTIONS)]
    pub max_connections: usize,

    /// Connections at once from one address (of IPv6: one /64)
    #[arg(long, env = "CHAT_MAX_CONNECTIONS_PER_ADDRESS", value_name = "N", default_value_t = defaults::MAX_CONNECTIONS_PER_ADDRESS)]
    pub max_connections_per_address: usize,

    /// Seconds within which somebody has to log in on a connection, or to show a token
    #[arg(long, env = "CHAT_LOGIN_DEADLINE", value_name = "SECONDS", default_value_t = defaults::LOGIN_DEADLINE)]
    pub login_deadline: u64,

    /// Seconds within which a line that was begun has to be finished
    #[arg(long, env = "CHAT_LINE_DEADLINE", value_name = "SECONDS", default_value_t = defaults::LINE_DEADLINE)]
    pub line_deadline: u64,

    /// Seconds after which a connection that asks nothing is ended, unless it watches
    #[arg(long, env = "CHAT_IDLE_TIMEOUT", value_name = "SECONDS", default_value_t = defaults::IDLE_TIMEOUT)]
    pub idle_timeout: u64,

    /// Seconds after which a peer that takes none of what it is sent is cut off; one that takes less than 4 KiB/s is after 30
    #[arg(long, env = "CHAT_SLOW_CONSUMER", value_name = "SECONDS", default_value_t = defaults::SLOW_CONSUMER)]
    pub slow_consumer: u64,

    /// Logins that may fail at once for one account, from addresses that are new to it; one more each minute
    #[arg(long, env = "CHAT_LOGIN_TRIES", value_name = "N", default_value_t = defaults::LOGIN_TRIES, value_parser = clap::value_parser!(u32).range(1..))]
    pub login_tries: u32,

    /// Logins that may fail at once from one address (of IPv6: one /64); one more every 20 seconds
    #[arg(long, env = "CHAT_LOGIN_TRIES_PER_ADDRESS", value_name = "N", default_value_t = defaults::LOGIN_TRIES_PER_ADDRESS, value_parser = clap::value_parser!(u32).range(1..))]
    pub login_tries_per_address: u32,

    /// Logins that may wait for their password to be checked
    #[arg(long, env = "CHAT_LOGIN_QUEUE", value_name = "N", default_value_t = defaults::LOGIN_QUEUE)]
    pub login_queue: usize,

    /// Requests a second of each user, in the long run
    #[arg(long, env = "CHAT_REQUEST_RATE", value_name = "N", default_value_t = defaults::REQUEST_RATE, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub request_rate: u32,

    /// Requests of a user at once, after a pause
    #[arg(long, env = "CHAT_REQUEST_BURST", value_name = "N", default_value_t = defaults::REQUEST_BURST, value_parser = clap::value_parser!(u32).range(1..))]
    pub request_burst: u32,

    /// Threads that serve connections [default: one less than there are cores, at least 1]
    #[arg(long, env = "CHAT_NETWORK_THREADS", value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub network_threads: Option<u16>,

    /// For load tests: lift limits of rate, time and connections, and leave weak hashes as they are; line and inbox limits stay
    #[arg(long, env = "CHAT_NO_LIMITS")]
    pub no_limits: bool,

    /// Form of the log on standard error
    #[arg(long, env = "CHAT_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,

    /// Least level that is logged: error, warn, info, debug, trace or off
    #[arg(long, env = "CHAT_LOG_LEVEL", value_name = "LEVEL", default_value = "info")]
    pub log_level: tracing::level_filters::LevelFilter,
}

/// What `chat-server` does besides serving.
#[derive(Debug, Clone, Subcommand)]
pub enum ServerCommand {
    /// Read a password (hidden on a terminal, else a line of standard input) and print its hash for the users file
    HashPassword,
    /// Make a self-signed certificate and its key for TLS, where the server looks for them
    Cert {
        /// Where the server's files are.
        #[command(flatten)]
        files: Files,
        /// Where to put them.
        #[command(flatten)]
        tls: TlsFiles,
        /// DNS names and IP addresses by which clients reach the server [default: localhost, its addresses, and the name of this machine]
        names: Vec<String>,
    },
    /// Copy everything that is stored into a new file; the server may run meanwhile
    Backup {
        /// Where the server's files are.
        #[command(flatten)]
        files: Files,
        /// The copy; put into an empty folder as chat.db, it is what `--data` opens
        file: PathBuf,
    },
    /// Verify what is stored: structure, checksums, inboxes, cursors; the server may run meanwhile
    Check {
        /// Where the server's files are.
        #[command(flatten)]
        files: Files,
        /// A backup to verify, instead of what the server uses
        file: Option<PathBuf>,
    },
    /// Say who exists, in the users file; the server may run meanwhile
    User {
        /// What to do.
        #[command(subcommand)]
        command: UserCommand,
    },
}

/// What `chat-server user` does. A password is never an argument: others could read it in the list of processes.
#[derive(Debug, Clone, Subcommand)]
pub enum UserCommand {
    /// Add somebody; asks for the password (hidden on a terminal, else a line of standard input)
    Add {
        /// Where the server's files are.
        #[command(flatten)]
        files: Files,
        /// What they log in with: 1 to 32 of a-z, 0-9, '.', '_' and '-'
        #[arg(value_name = "NAME")]
        username: String,
        /// What others are shown [default: NAME]
        #[arg(long, value_name = "FULL NAME")]
        name: Option<String>,
        /// Where they are from
        #[arg(long, default_value = "", hide_default_value = true)]
        country: String,
        /// Who had this name before is the same person: messages, rooms and logins are theirs again
        #[arg(long, conflicts_with = "fresh")]
        reclaim: bool,
        /// Who had this name before is somebody else: messages until now are not theirs
        #[arg(long)]
        fresh: bool,
    },
    /// Give somebody a new password; asks for it (hidden on a terminal, else a line of standard input)
    Passwd {
        /// Where the server's files are.
        #[command(flatten)]
        files: Files,
        /// Who
        #[arg(value_name = "NAME")]
        username: String,
    },
    /// Remove somebody; their messages stay
    Remove {
        /// Where the server's files are.
        #[command(flatten)]
        files: Files,
        /// Who
        #[arg(value_name = "NAME")]
        username: String,
    },
    /// List everybody: name, full name, country, and how the password is kept, with tabs between them
    List {
        /// Where the server's files are.
        #[command(flatten)]
        files: Files,
    },
    /// Add everybody in a CSV file with the columns username,name,country,password, or nobody
    ///
    /// A password may be an argon2id hash. If it is empty, one is made and printed to standard output, as a line
    /// username,password.
    Import {
        /// Where the server's files are.
        #[command(flatten)]
        files: Files,
        /// The file, with a header line; - is standard input
        #[arg(value_name = "CSV")]
        csv: PathBuf,
    },
}

/// Where the server's files are. Said before or after a subcommand: one that were overlooked would be another file.
#[derive(Debug, Clone, Args)]
pub struct Files {
    /// File that says who exists
    #[arg(long, global = true, env = "CHAT_USERS", value_name = "FILE", default_value = "users.toml")]
    pub users: PathBuf,

    /// Folder for what is kept on disk [default: chat-data beside the users file]
    #[arg(long, global = true, env = "CHAT_DATA", value_name = "DIR")]
    pub data: Option<PathBuf>,
}

/// Certificate and key for TLS.
#[derive(Debug, Clone, Args)]
pub struct TlsFiles {
    /// Certificate for TLS, in PEM, with those that it rests on [default: tls-cert.pem beside the users file]
    #[arg(long, env = "CHAT_TLS_CERT", value_name = "FILE")]
    pub tls_cert: Option<PathBuf>,

    /// Its private key, in PEM [default: tls-key.pem beside the users file]
    #[arg(long, env = "CHAT_TLS_KEY", value_name = "FILE")]
    pub tls_key: Option<PathBuf>,
}

/// Where messages are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum StoreKind {
    /// On disk, in an SQLite database
    Sqlite,
    /// In memory: gone when the server ends
    Memory,
}

/// What an OK promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Durability {
    /// Synced to disk: survives a power cut
    Fsync,
    /// Handed to the operating system: survives a crash of the server, not of the machine
    Os,
}

impl Files {
    /// The data folder.
    #[must_use]
    pub fn data_folder(&self) -> PathBuf {
        self.data.clone().unwrap_or_else(|| self.users.with_file_name("chat-data"))
    }
}

impl TlsFiles {
    /// The certificate's file and the key's.
    #[must_use]
    pub fn paths(&self, files: &Files) -> (PathBuf, PathBuf) {
        let beside =
            |given: &Option<PathBuf>, name| given.clone().unwrap_or_else(|| files.users.with_file_name(name));
        (beside(&self.tls_cert, "tls-cert.pem"), beside(&self.tls_key, "tls-key.pem"))
    }
}

/// Form of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// A line of text for each event
    Text,
    /// A JSON object for each event
    Json,
}

/// The chat server's client: type commands, or pipe them in.
///
/// Piped in, each line is run and its reply printed. Exit status: 0 if all went well, 1 if the server refused
/// anything, 2 for wrong usage, 3 if the server could not be reached or was lost.
#[derive(Debug, Clone, Parser)]
#[command(name = "chat-client", version)]
pub struct ClientArgs {
    /// Where the server is
    #[arg(long, env = "CHAT_HOST", default_value = "127.0.0.1")]
    pub host: String,

    /// Its port [default: 8889; with --tls 8890]
    #[arg(long, env = "CHAT_PORT")]
    pub port: Option<u16>,

    /// Encrypt, and make sure that it is the server: by --ca, else by the system's authorities, else by the certificate that it showed first
    #[arg(long, env = "CHAT_TLS")]
    pub tls: bool,

    /// With --tls: trust this authority or certificate (PEM), and nothing else
    #[arg(long, env = "CHAT_CA", value_name = "FILE", requires = "tls")]
    pub ca: Option<PathBuf>,

    /// With --tls: where certificates are kept that servers showed first [default: chat-service/known_servers in ~/.config]
    #[arg(long, env = "CHAT_KNOWN_SERVERS", value_name = "FILE")]
    pub known_servers: Option<PathBuf>,

    /// Print the server's JSON untouched
    #[arg(long)]
    pub raw: bool,

    /// After the last command of a watch: seconds for which the server may be silent before it ends the connection
    #[arg(long, env = "CHAT_FAREWELL", value_name = "SECONDS", default_value_t = 10)]
    pub farewell: u32,
}

impl ClientArgs {
    /// The port that is given, or the usual one.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port.unwrap_or(if self.tls { TLS_PORT } else { PORT })
    }
}
