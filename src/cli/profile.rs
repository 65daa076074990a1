//! Logins that later runs use: a file for each profile.

use std::{
    collections::BTreeMap,
    env, fs,
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::PathBuf,
};

use serde::{Deserialize, Serialize};

use super::{Exit, exit::Failure};
use crate::{config::ProfileName, files, model::Token};

/// A login, as the file has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Login {
    /// User name.
    pub(super) user: String,
    /// The token. It is sent to these servers only.
    pub(super) token: String,
    /// Each server, as `host:port`.
    pub(super) servers: Vec<String>,
    /// Connections are encrypted.
    pub(super) tls: bool,
    /// How each server was known: by the fingerprint of its certificate, or by an authority.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) certificates: BTreeMap<String, String>,
    /// The file of authorities that was named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) authorities: Option<PathBuf>,
}

/// In the place of a fingerprint: an authority vouches for the server.
pub(super) const BY_AUTHORITY: &str = "authority";

impl Login {
    /// The token.
    pub(super) fn token(&self) -> Option<Token> {
        Token::parse(&self.token)
    }
}

/// The place of a login.
#[derive(Debug, Clone)]
pub(super) struct Profile {
    name: String,
}

/// The folder for what the client keeps from run to run. `None` without a home folder.
pub(super) fn state_folder() -> Option<PathBuf> {
    let set = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    // A home folder that does not exist, as that of many services, is not made.
    let home = || set("HOME").filter(|home| home.is_dir()).map(|home| home.join(".local/state"));
    let state = set("XDG_STATE_HOME").or_else(home)?;
    Some(state.join("chat-service"))
}

impl Profile {
    pub(super) fn of(name: &ProfileName) -> Self {
        Profile { name: name.to_string() }
    }

    /// Its file. A client that is given a token needs neither the file nor a home folder.
    fn file(&self) -> Result<PathBuf, Failure> {
        let folder = state_folder().ok_or_else(|| {
            Failure::new(
                Exit::Refused,
                "there is no home folder to keep a login in\n  remedy: set XDG_STATE_HOME, or use --token-file",
            )
        })?;
        Ok(folder.join(format!("{}.json", self.name)))
    }

    /// The login; `None` if there is none.
    pub(super) fn load(&self) -> Result<Option<Login>, Failure> {
        let path = self.file()?;
        let failed = |cause: &dyn ToString, remedy: &str| {
            let told = format!("{}: {}\n  remedy: {remedy}", path.display(), cause.to_string());
            Failure::new(Exit::Refused, told)
        };
        let mut file = match files::read_own(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file.map_err(|error| failed(&error, &self.remedy()))?,
        };
        let found = file.metadata().map_err(|error| failed(&error, &self.remedy()))?;
        if found.mode() & 0o077 != 0 {
            let remedy = format!("chmod 600 {}, and log in again if others may have read it", path.display());
            return Err(failed(&"others can read the token in it", &remedy));
        }
        let mut text = String::new();
        file.read_to_string(&mut text).map_err(|error| failed(&error, &self.remedy()))?;
        let login: Login = serde_json::from_str(&text)
            .map_err(|error| failed(&format!("this is not a login: {error}"), &self.remedy()))?;
        Ok(Some(login))
    }

    /// Keeps a login, in the place of another one.
    pub(super) fn save(&self, login: &Login) -> Result<(), Failure> {
        let path = self.file()?;
        let failed = |cause: &dyn ToString| {
            Failure::new(Exit::Refused, format!("{}: {}", path.display(), cause.to_string()))
        };
        let mut text = serde_json::to_string_pretty(login).map_err(|error| failed(&error))?;
        text.push('\n');
        files::create_private_folder(files::parent(&path)).map_err(|error| failed(&error))?;
        files::replace(&path, text.as_bytes()).map_err(|error| failed(&error))
    }

    /// Forgets the login.
    pub(super) fn forget(&self) -> Result<(), Failure> {
        let path = self.file()?;
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(Failure::new(Exit::Refused, format!("{}: {error}", path.display())))
            }
            _ => Ok(()),
        }
    }

    /// How to log in.
    pub(super) fn remedy(&self) -> String {
        let profile =
            if self.name == "default" { String::new() } else { format!(" --profile {}", self.name) };
        format!("chat-client{profile} login USER")
    }
}
