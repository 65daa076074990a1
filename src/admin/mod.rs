//! The subcommands of `chat-server` that are no server: users, certificates, backups, checks, the manual.
//!
//! Each runs in a process of its own, on the files of a server that may be running. It never talks to that server:
//! the server watches the users file and its certificate, and the store has its own locks.

mod cert;
mod import;
mod prompt;
mod user;

use std::{
    io::{self, Write},
    path::Path,
};

use clap::CommandFactory;
use thiserror::Error;

pub use self::{cert::CertError, import::ImportError, user::UserError};
use self::{prompt::Times, user::Candidate};
use crate::{
    config::{Files, ServerArgs, ServerCommand, UserCommand},
    store::{self, BackupError, OpenError, Report},
    users::{self, DecisionKind, password_policy},
};

/// Why a subcommand failed.
#[derive(Debug, Error)]
pub enum AdminError {
    /// The backup could not be made.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// The store cannot be opened for a check.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// The check found problems in the store.
    #[error(
        "{problems} problems were found\n  remedy: keep the folder as it is, put the latest sound backup into an empty one as chat.db, and name that with --data DIR"
    )]
    Unsound {
        /// How many problems there are.
        problems: u64,
    },
    /// A user could not be added, changed or removed.
    #[error(transparent)]
    User(#[from] UserError),
    /// Users could not be imported.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// The certificate could not be made.
    #[error(transparent)]
    Cert(#[from] CertError),
    /// The terminal, standard input or standard output failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl AdminError {
    /// Whether the only failure is that nobody reads the output any more.
    #[must_use]
    pub fn is_reader_gone(&self) -> bool {
        let (AdminError::Io(error)
        | AdminError::User(UserError::Io(error))
        | AdminError::Import(ImportError::Io(error))
        | AdminError::Cert(CertError::Io(error))) = self
        else {
            return false;
        };
        error.kind() == io::ErrorKind::BrokenPipe
    }
}

/// Runs a subcommand and prints its result.
///
/// # Errors
/// If the subcommand fails, or a check finds problems.
pub fn run(command: &ServerCommand) -> Result<(), AdminError> {
    match command {
        ServerCommand::HashPassword => hash_password(),
        ServerCommand::Backup { files, file } => {
            let messages = store::backup(&store::database(&files.data_folder()), file)?;
            let bytes = std::fs::metadata(file)?.len();
            Ok(writeln!(
                io::stdout(),
                "{}: a copy of everything, {} KiB, {messages} messages, verified",
                file.display(),
                bytes.div_ceil(1024)
            )?)
        }
        ServerCommand::Cert { files, tls, names } => Ok(cert::make(files, tls, names)?),
        ServerCommand::Check { files, file } => check(files, file.as_deref()),
        ServerCommand::User { command } => user(command),
        ServerCommand::Manual(command) => {
            let mut stdout = io::stdout();
            stdout.write_all(command.text(ServerArgs::command()).as_bytes())?;
            Ok(stdout.flush()?)
        }
    }
}

fn user(command: &UserCommand) -> Result<(), AdminError> {
    match command {
        UserCommand::Add { files, username, name, country, reclaim, fresh } => {
            let candidate = Candidate { username, name: name.as_deref().unwrap_or(username), country };
            let kind = match (*reclaim, *fresh) {
                (true, _) => Some(DecisionKind::Reclaimed),
                (_, true) => Some(DecisionKind::Fresh),
                _ => None,
            };
            user::add(files, &candidate, kind)?;
        }
        UserCommand::Passwd { files, username } => user::set_password(&files.users, username)?,
        UserCommand::Remove { files, username } => user::remove(&files.users, username)?,
        UserCommand::Reclaim { files, usernames } => user::decide(files, usernames, DecisionKind::Reclaimed)?,
        UserCommand::Fresh { files, usernames } => user::decide(files, usernames, DecisionKind::Fresh)?,
        UserCommand::List { files } => user::list(&files.users)?,
        UserCommand::Import { files, hashes, csv } => import::import(files, hashes.max_password_hash, csv)?,
    }
    Ok(())
}

fn check(files: &Files, file: Option<&Path>) -> Result<(), AdminError> {
    let path = file.map_or_else(|| store::database(&files.data_folder()), Path::to_owned);
    let Report { messages, waiting, users, rooms, sessions, problems, more_problems, .. } =
        store::check(&path)?;
    let mut out = io::stdout();
    for problem in &problems {
        writeln!(out, "{problem}")?;
    }
    if more_problems > 0 {
        writeln!(out, "and {more_problems} more")?;
    }
    writeln!(
        out,
        "{}: {messages} messages ({waiting} wait in their inbox), {users} users, {rooms} rooms, {sessions} sessions",
        path.display()
    )?;
    match problems.len() as u64 + more_problems {
        0 => Ok(writeln!(out, "everything is sound")?),
        problems => Err(AdminError::Unsound { problems }),
    }
}

/// Reads a password and prints its hash.
fn hash_password() -> Result<(), AdminError> {
    let password = prompt::password("Password: ", Times::Once)?;
    password_policy::check_form(&password).map_err(UserError::from)?;
    // The user is not known here, so the password is not compared with a name.
    if let Err(weak) = password_policy::check("", &password) {
        writeln!(io::stderr(), "warning: {weak}")?;
    }
    Ok(writeln!(io::stdout(), "{}", users::hash(&password).as_str())?)
}
