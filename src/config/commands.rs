//! The subcommands of `chat-server`.

use std::path::PathBuf;

use clap::Subcommand;

use super::{Files, ManualCommand, PasswordHashes, TlsFiles};

/// The subcommands of `chat-server`.
#[derive(Debug, Clone, Subcommand)]
pub enum ServerCommand {
    /// Read a password (hidden on a terminal, otherwise a line of standard input) and print its hash for the users file
    HashPassword,
    /// Make a self-signed certificate and its key for TLS, in the files that the server reads
    Cert {
        /// The server's files.
        #[command(flatten)]
        files: Files,
        /// The files to write.
        #[command(flatten)]
        tls: TlsFiles,
        /// DNS names and IP addresses by which clients reach the server [default: localhost, its addresses, and the name of this machine]
        names: Vec<String>,
    },
    /// Copy everything that is stored into a new file, also while the server runs
    Backup {
        /// The server's files.
        #[command(flatten)]
        files: Files,
        /// The new file; to restore it, put it into an empty folder as chat.db and name that folder with --data
        file: PathBuf,
    },
    /// Verify what is stored (structure, checksums, inboxes, cursors), also while the server runs
    Check {
        /// The server's files.
        #[command(flatten)]
        files: Files,
        /// A backup to verify, instead of the server's data
        file: Option<PathBuf>,
    },
    /// Change the users in the users file, also while the server runs
    User {
        /// The subcommand.
        #[command(subcommand)]
        command: UserCommand,
    },
    /// The man page and completion scripts.
    #[command(flatten)]
    Manual(ManualCommand),
}

/// The subcommands of `chat-server user`. A password is never an argument, because the list of processes shows arguments.
#[derive(Debug, Clone, Subcommand)]
pub enum UserCommand {
    /// Add a user; asks for the password (hidden on a terminal, otherwise a line of standard input)
    Add {
        /// The server's files.
        #[command(flatten)]
        files: Files,
        /// User name: 1 to 32 of a-z, 0-9, '.', '_' and '-'
        #[arg(value_name = "NAME")]
        username: String,
        /// Name that others see [default: NAME]
        #[arg(long, value_name = "FULL NAME")]
        name: Option<String>,
        /// Country
        #[arg(long, default_value = "", hide_default_value = true)]
        country: String,
        /// The same person had the name before, and gets back messages, rooms and everything else
        #[arg(long, conflicts_with = "fresh")]
        reclaim: bool,
        /// Somebody else had the name before: the new user gets nothing of what there was
        #[arg(long)]
        fresh: bool,
    },
    /// Change a password; asks for the new one (hidden on a terminal, otherwise a line of standard input)
    Passwd {
        /// The server's files.
        #[command(flatten)]
        files: Files,
        /// User name
        #[arg(value_name = "NAME")]
        username: String,
    },
    /// Say that names belong to the same persons as before, who get everything back
    Reclaim {
        /// The server's files.
        #[command(flatten)]
        files: Files,
        /// User names
        #[arg(value_name = "NAME", required = true)]
        usernames: Vec<String>,
    },
    /// Say that names belong to somebody else now, who gets nothing of what there was
    Fresh {
        /// The server's files.
        #[command(flatten)]
        files: Files,
        /// User names
        #[arg(value_name = "NAME", required = true)]
        usernames: Vec<String>,
    },
    /// Remove a user; the messages stay
    Remove {
        /// The server's files.
        #[command(flatten)]
        files: Files,
        /// User name
        #[arg(value_name = "NAME")]
        username: String,
    },
    /// List all users: name, full name, country and how the password is kept, separated by tabs
    List {
        /// The server's files.
        #[command(flatten)]
        files: Files,
    },
    /// Add all users in a CSV file with the columns username,name,country,password, or none
    ///
    /// A password may be an argon2id hash. If it is empty, one is made and printed to standard output, as a line
    /// username,password.
    Import {
        /// The server's files.
        #[command(flatten)]
        files: Files,
        /// Which password hashes are taken.
        #[command(flatten)]
        hashes: PasswordHashes,
        /// The file, with a header line; - is standard input
        #[arg(value_name = "CSV")]
        csv: PathBuf,
    },
}
