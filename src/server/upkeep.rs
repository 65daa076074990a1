//! What `chat-server` does besides serving.

use std::{
    io::{self, Write},
    path::Path,
};

use thiserror::Error;

use super::{
    PeopleError,
    cert::{self, CertError},
    people,
    prompt::{self, Times},
};
use crate::{
    config::{Files, ServerCommand},
    store::{self, BackupError, OpenError, Report},
    users::{self, password_policy},
};

/// Why it was not done.
#[derive(Debug, Error)]
pub enum UpkeepError {
    /// The backup.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// The store cannot be verified.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// The store is not sound.
    #[error(
        "{problems} problems were found\n  remedy: keep the folder as it is, put the latest sound backup into an empty one as chat.db, and name that with --data DIR"
    )]
    Unsound {
        /// How many.
        problems: u64,
    },
    /// Somebody's place in the users file, or a password.
    #[error(transparent)]
    People(#[from] PeopleError),
    /// The certificate.
    #[error(transparent)]
    Cert(#[from] CertError),
    /// Input or output.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Does it, and prints what came of it.
///
/// # Errors
/// If it cannot be done, or the store turns out not to be sound.
pub fn upkeep(command: &ServerCommand) -> Result<(), UpkeepError> {
    match command {
        ServerCommand::HashPassword => hash_password(),
        ServerCommand::Backup { files, file } => {
            store::backup(&store::database(&files.data_folder()), file)?;
            let bytes = std::fs::metadata(file)?.len();
            Ok(writeln!(
                io::stdout(),
                "{}: a copy of everything, {} KiB",
                file.display(),
                bytes.div_ceil(1024)
            )?)
        }
        ServerCommand::Cert { files, tls, names } => Ok(cert::make(files, tls, names)?),
        ServerCommand::Check { files, file } => check(files, file.as_deref()),
        ServerCommand::User { command } => Ok(people::run(command)?),
    }
}

fn check(files: &Files, file: Option<&Path>) -> Result<(), UpkeepError> {
    let path = file.map_or_else(|| store::database(&files.data_folder()), Path::to_owned);
    let Report { messages, waiting, users, rooms, sessions, problems, more_problems } = store::check(&path)?;
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
        problems => Err(UpkeepError::Unsound { problems }),
    }
}

/// Reads a password, and prints its hash.
fn hash_password() -> Result<(), UpkeepError> {
    let password = prompt::password("Password: ", Times::Once)?;
    password_policy::check_form(&password).map_err(PeopleError::from)?;
    // Whose it will be is not known.
    if let Err(weak) = password_policy::check("", &password) {
        writeln!(io::stderr(), "warning: {weak}")?;
    }
    Ok(writeln!(io::stdout(), "{}", users::hash(&password).as_str())?)
}
