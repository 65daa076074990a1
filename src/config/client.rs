//! The settings of `chat-client`.

mod bench;
mod values;

use std::{path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint, builder::NonEmptyStringValueParser};

use self::values::duration;
pub use self::{
    bench::{BenchArgs, BenchTo},
    values::{Address, Device, ProfileName, SessionChoice},
};
use super::{ManualCommand, PORT, TLS_PORT, count};

/// Client of the chat server: for a terminal, a pipe, and scripts.
///
/// Without a command, it shows a prompt on a terminal. In a pipe, it runs each line of standard input and prints the reply.
///
/// Exit status of a command: 0 done, 1 refused, 2 wrong usage, 3 the server cannot be reached or was lost, 4 not logged in, 5 timed
/// out, 6 nothing there (with --fail-empty), 7 a command of --exec has failed.
#[derive(Debug, Clone, Parser)]
#[command(name = "chat-client", version, max_term_width = 100)]
pub struct ClientArgs {
    /// Where the server is.
    #[command(flatten)]
    pub reach: Reach,

    /// How it is used.
    #[command(flatten)]
    pub face: Face,

    /// What to do.
    #[command(subcommand)]
    pub command: Option<ClientCommand>,
}

/// Where the server is, and who calls it. These flags may stand before or after a command.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Server and login")]
pub struct Reach {
    /// The server, as HOST, HOST:PORT or `[IPv6]:PORT`; or several, which are tried in turn [default: where you logged in, else 127.0.0.1]
    #[arg(long, global = true, env = "CHAT_HOST", value_name = "HOST", value_delimiter = ',')]
    pub host: Vec<Address>,

    /// Port of the servers that are named without one [default: 8889; with --tls 8890]
    #[arg(long, global = true, env = "CHAT_PORT")]
    pub port: Option<u16>,

    /// Encrypt, and verify the server: with --ca, otherwise with the authorities of the system, otherwise with the certificate of the first connection
    #[arg(long, global = true, env = "CHAT_TLS")]
    pub tls: bool,

    /// With --tls: trust only this authority or certificate (PEM)
    #[arg(long, global = true, env = "CHAT_CA", value_name = "FILE")]
    pub ca: Option<PathBuf>,

    /// File of the certificates of first connections [default: chat-service/known_servers in ~/.config]
    #[arg(long, global = true, env = "CHAT_KNOWN_SERVERS", value_name = "FILE")]
    pub known_servers: Option<PathBuf>,

    /// Without --tls, call a server on another machine: others on the network can read passwords and messages
    #[arg(long, global = true, env = "CHAT_INSECURE_PLAINTEXT", visible_alias = "insecure")]
    pub insecure_plaintext: bool,

    /// Name of the login, if you use several servers or users: each has a file of its own
    #[arg(long, global = true, env = "CHAT_PROFILE", default_value = "default", value_hint = ValueHint::Other)]
    pub profile: ProfileName,

    /// Use the token in this file (or in `CHAT_TOKEN`) instead of a login
    #[arg(long, global = true, env = "CHAT_TOKEN_FILE", value_name = "FILE")]
    pub token_file: Option<PathBuf>,

    /// Read the password from this file, to log in, and to log in again when the session has ended
    #[arg(long, global = true, env = "CHAT_PASSWORD_FILE", value_name = "FILE")]
    pub password_file: Option<PathBuf>,

    /// What `sessions` calls this device; without it, user and machine
    #[arg(long, global = true, env = "CHAT_DEVICE", value_name = "NAME", value_hint = ValueHint::Other)]
    pub device: Option<Device>,

    /// Longest wait, such as 6s or 5m: for the connection and each reply [default: 30s]; for wait, listen --count and send --wait, for what they wait for [default: for ever]
    #[arg(long, global = true, env = "CHAT_TIMEOUT", value_name = "TIME", value_parser = duration)]
    pub timeout: Option<Duration>,

    /// Print JSON, an object a line, with the names of the protocol
    #[arg(long, global = true)]
    pub json: bool,
}

/// How the client without a command shows what the server says.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Without a command")]
pub struct Face {
    /// Print the server's JSON; unchanged, except that a terminal shows control characters as \uXXXX
    #[arg(long)]
    pub raw: bool,

    /// On a terminal: the plain dialogue of the first client, with the token in the prompt
    #[arg(long, env = "CHAT_CLASSIC")]
    pub classic: bool,

    /// On a terminal: leave what is shown in the inbox, because another program of the same user takes it out
    #[arg(long)]
    pub no_ack: bool,

    /// When the input of a watch has ended: seconds of silence after which the server counts as lost
    #[arg(long, env = "CHAT_FAREWELL", value_name = "SECONDS", default_value_t = 10)]
    pub farewell: u32,
}

/// The commands of `chat-client`.
#[derive(Debug, Clone, Subcommand)]
pub enum ClientCommand {
    /// Log in, and keep the token for later commands; the password is asked for, or comes from --password-file or standard input
    Login {
        /// User name
        user: String,
    },
    /// End the session and forget its token, or end another session
    Logout {
        /// Number of another of your sessions, or `all`
        session: Option<SessionChoice>,
    },
    /// Send a message; the server has stored it when this ends with 0
    Send(SendArgs),
    /// Print the messages that wait, and take out of the inbox what was printed
    Inbox {
        /// What is done with the messages.
        #[command(flatten)]
        take: Take,
        /// Exit with 6 if there is none
        #[arg(long)]
        fail_empty: bool,
    },
    /// Print messages as they come, those that wait first, and take out of the inbox what was printed
    Listen(ListenArgs),
    /// Wait for a message: `listen --count 1`
    Wait(ListenArgs),
    /// Print the newest messages of a conversation
    History {
        /// A user or a #room
        with: String,
        /// Most messages
        #[arg(long, value_name = "N", default_value_t = 50, value_parser = count())]
        limit: usize,
        /// Only messages before the one of this number
        #[arg(long, value_name = "ID")]
        before: Option<u64>,
        /// Exit with 6 if there is none
        #[arg(long)]
        fail_empty: bool,
    },
    /// List your conversations: the last message, and how many are unread
    Conversations,
    /// Move your read marker of a conversation: a person has read everything up to a message
    Read {
        /// A user or a #room
        with: String,
        /// Number of the message
        id: u64,
    },
    /// List all users: who is logged in and connected
    Who,
    /// List all rooms
    Rooms,
    /// List the members of a room that you are in
    Members {
        /// The room
        room: String,
    },
    /// Enter a room, and make it if there is none
    Join {
        /// The room, such as '#team'
        room: String,
    },
    /// Leave a room
    Leave {
        /// The room
        room: String,
    },
    /// Show how far a message is: stored, acknowledged, read
    Status {
        /// Number of the message
        id: u64,
    },
    /// List your sessions, and from where they were used
    Sessions,
    /// Show whose session it is, on which server, and how long it lasts
    Whoami,
    /// Change your password; your other sessions end. Without a terminal, standard input has two lines: the old password and the new one
    Passwd,
    /// Measure the server with messages to yourself: rates, latency, and whether each message arrives once
    Bench(BenchArgs),
    /// The man page and completion scripts.
    #[command(flatten)]
    Manual(ManualCommand),
}

/// Arguments of `send`.
#[derive(Debug, Clone, Args)]
pub struct SendArgs {
    /// A user, or a room such as '#team'
    pub to: String,
    /// The text; standard input is not read then. `-`, or nothing if standard input is no terminal: all of standard input. Before a text that begins with `-`, write `--`
    pub text: Vec<String>,
    /// Send each line of standard input as a message
    #[arg(long)]
    pub lines: bool,
    /// Name of the message, up to 64 bytes: however often it is sent under this name, it is stored once
    #[arg(long, conflicts_with = "lines")]
    pub key: Option<String>,
    /// Wait until the message has left the inbox, or was read by a person; 5 if --timeout ends before
    #[arg(long, value_enum, value_name = "STATE")]
    pub wait: Option<WaitFor>,
}

/// Arguments of `listen` and `wait`.
#[derive(Debug, Clone, Args)]
pub struct ListenArgs {
    /// What is done with the messages.
    #[command(flatten)]
    pub take: Take,
    /// End after so many messages
    #[arg(long, value_name = "N", value_parser = count())]
    pub count: Option<usize>,
    /// Run this command (by `sh -c`) for each message instead of printing it: the text and a line end are its standard input, and `CHAT_FROM`, `CHAT_TO`, `CHAT_ID` and `CHAT_AT` tell the rest. When it fails, the message stays in the inbox, and this ends with 7
    #[arg(long, value_name = "COMMAND", value_parser = NonEmptyStringValueParser::new())]
    pub exec: Option<String>,
    /// How often a command that fails is run again before that
    #[arg(long, value_name = "N", default_value_t = 0, requires = "exec")]
    pub retries: u32,
}

/// What is done with messages.
#[derive(Debug, Clone, Copy, Args)]
pub struct Take {
    /// Leave the messages in the inbox
    #[arg(long)]
    pub keep: bool,
}

/// What `send --wait` waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum WaitFor {
    /// It has left the recipient's inbox
    Acked,
    /// A person has read it
    Read,
}

/// The port of a server that is named without one.
#[must_use]
pub fn default_port(tls: bool) -> u16 {
    if tls { TLS_PORT } else { PORT }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_is_sound() {
        ClientArgs::command().debug_assert();
    }
}
