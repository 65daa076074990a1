//! Which servers are trusted: the file of known servers, and what is refused because of it.

use std::{
    fs::{self, File, Metadata},
    io::{self, BufRead, IsTerminal, Read, Write},
    net::IpAddr,
    os::unix::fs::MetadataExt,
    path::PathBuf,
};

use rustix::process::geteuid;
use thiserror::Error;

use crate::{client::Unvouched, config::Reach, files, fingerprint::Fingerprint};

/// Why the server is not trusted. Nothing was sent.
#[derive(Debug, Error)]
pub(super) enum TrustError {
    #[error("{}: {cause}\n  remedy: name a file that can be written with --known-servers FILE", file.display())]
    Known { file: PathBuf, cause: io::Error },
    #[error("{}:{line}: this is not a server and its fingerprint\n  remedy: take the line out", file.display())]
    KnownLine { file: PathBuf, line: usize },
    #[error(
        "{}: {cause}, and could make a false server a known one\n  remedy: check what is in it, and {remedy}",
        file.display()
    )]
    Exposed { file: PathBuf, cause: &'static str, remedy: String },
    #[error("there is no home folder to remember certificates in\n  remedy: --known-servers FILE")]
    NoHome,
    #[error(
        "it was reached with TLS before, and without TLS others on the network could read a password: nothing was sent\n  \
         remedy: --tls, or --insecure-plaintext if you trust the network"
    )]
    Plaintext,
    #[error(
        "it is on another machine, and without TLS others on the network could read a password: nothing was sent\n  \
         remedy: --tls, or --insecure-plaintext if you trust the network"
    )]
    Elsewhere,
    #[error(
        "THE CERTIFICATE OF {server} HAS CHANGED. Somebody may be between you and the server: nothing was sent.\n  \
         it was: {pinned}\n  it is:  {shown}\n  \
         If whoever runs the server says that this is right, delete this line of {file}:\n  {server} {pinned}"
    )]
    Changed { server: String, pinned: Fingerprint, shown: Fingerprint, file: String },
    #[error(
        "THE CERTIFICATE OF {server} IS NOT THE ONE WITH WHICH YOU LOGGED IN. Somebody may be between you and the server: nothing was \
         sent.\n  it was: {pinned}\n  it is:  {shown}\n  If whoever runs the server says that this is right, log in again"
    )]
    NotOfLogin { server: String, pinned: Fingerprint, shown: Fingerprint },
    #[error("not trusted: nothing was sent")]
    Declined,
    #[error(
        "it shows a certificate that nobody vouches for, for the first time\n  remedy: start a chat-client with --host {0} --tls, and answer its question"
    )]
    MayNotAsk(String),
    #[error(transparent)]
    Unvouched(#[from] Unvouched),
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Refuses a connection without TLS to a host that is known by its certificate, on whatever port.
pub(super) fn refuse_plaintext(reach: &Reach, host: &str) -> Result<(), TrustError> {
    if reach.insecure_plaintext || is_this_machine(host) {
        return Ok(());
    }
    let known = match Known::open(reach) {
        Err(TrustError::NoHome) => return Ok(()),
        known => known?,
    };
    if known.has_host(&known_host(host))? { Err(TrustError::Plaintext) } else { Ok(()) }
}

/// Whether what is sent to the host stays on this machine.
///
/// Only the name decides, because an attacker on the network may answer for the resolver.
pub(super) fn is_this_machine(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host.parse().is_ok_and(|address: IpAddr| address.to_canonical().is_loopback())
}

/// The server as it stands in the file of known servers.
pub(super) fn known_name(host: &str, port: u16) -> String {
    format!("{}:{port}", known_host(host))
}

fn known_host(host: &str) -> String {
    let host = host.to_ascii_lowercase();
    if host.contains(':') { format!("[{host}]") } else { host }
}

/// The file of known servers: a line `host:port sha256:…` for each.
pub(super) struct Known {
    pub(super) path: PathBuf,
}

impl Known {
    pub(super) fn open(reach: &Reach) -> Result<Self, TrustError> {
        if let Some(path) = &reach.known_servers {
            return Ok(Known { path: path.clone() });
        }
        let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let home = || set("HOME").filter(|home| home.is_dir()).map(|home| home.join(".config"));
        let config = set("XDG_CONFIG_HOME").or_else(home);
        Ok(Known { path: config.ok_or(TrustError::NoHome)?.join("chat-service/known_servers") })
    }

    /// The known fingerprint of the server.
    pub(super) fn find(&self, server: &str) -> Result<Option<Fingerprint>, TrustError> {
        self.find_in(&self.read()?, server)
    }

    /// Whether a server on this host is known.
    fn has_host(&self, host: &str) -> Result<bool, TrustError> {
        let mut found = false;
        for entry in self.entries(&self.read()?) {
            found |= entry?.0.rsplit_once(':').is_some_and(|(known, _)| known == host);
        }
        Ok(found)
    }

    /// The content; empty if there is no file.
    fn read(&self) -> Result<String, TrustError> {
        self.check_folder()?;
        let mut file = match files::read_own(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(String::new()),
            file => file.map_err(|error| self.failed(error))?,
        };
        self.check(&file)?;
        let mut text = String::new();
        file.read_to_string(&mut text).map_err(|error| self.failed(error))?;
        Ok(text)
    }

    fn find_in(&self, text: &str, server: &str) -> Result<Option<Fingerprint>, TrustError> {
        let mut found = None;
        for entry in self.entries(text) {
            let (name, pin) = entry?;
            if name == server {
                found = found.or(Some(pin));
            }
        }
        Ok(found)
    }

    /// Servers and their fingerprints.
    fn entries<'a>(
        &'a self,
        text: &'a str,
    ) -> impl Iterator<Item = Result<(&'a str, Fingerprint), TrustError>> + 'a {
        text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()).map(|(i, line)| {
            let pair = line.split_once(' ').and_then(|(name, pin)| Some((name, pin.parse().ok()?)));
            pair.ok_or_else(|| TrustError::KnownLine { file: self.path.clone(), line: i + 1 })
        })
    }

    /// Stores the fingerprint of a first connection; on a terminal, after the user has confirmed it.
    pub(super) fn pin(&self, server: &str, shown: Fingerprint) -> Result<(), TrustError> {
        let mut told = io::stderr().lock();
        write!(
            told,
            "{server} shows a certificate that nobody vouches for, for the first time:\n  {shown}\n"
        )?;
        if io::stdin().is_terminal() && io::stderr().is_terminal() {
            write!(told, "The server prints this at its start. Is it the same? (yes/no) ")?;
            told.flush()?;
            let mut answer = String::new();
            io::stdin().lock().read_line(&mut answer)?;
            if answer.trim() != "yes" {
                return Err(TrustError::Declined);
            }
        }
        self.append(server, shown)?;
        Ok(writeln!(told, "From now on nothing else is taken for it ({}).", self.path.display())?)
    }

    fn append(&self, server: &str, shown: Fingerprint) -> Result<(), TrustError> {
        let failed = |error| self.failed(error);
        let folder = files::parent(&self.path);
        files::create_private_folder(folder).map_err(failed)?;
        self.check_folder()?;
        let mut file = files::open_own(&self.path).map_err(failed)?;
        self.check(&file)?;
        // Another client may be connecting for the first time, too.
        file.lock().map_err(failed)?;
        let mut text = String::new();
        file.read_to_string(&mut text).map_err(failed)?;
        match self.find_in(&text, server)? {
            Some(pinned) if pinned == shown => return Ok(()),
            Some(pinned) => {
                let file = self.path.display().to_string();
                return Err(TrustError::Changed { server: server.to_owned(), pinned, shown, file });
            }
            None => {}
        }
        let start = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
        files::write_synced(&mut file, format!("{start}{server} {shown}\n").as_bytes()).map_err(failed)?;
        files::sync_folder(folder).map_err(failed)
    }

    /// Refuses a file that another user owns or can write.
    fn check(&self, file: &File) -> Result<(), TrustError> {
        let found = file.metadata().map_err(|error| self.failed(error))?;
        if is_foreign(&found) {
            return Err(
                self.exposed("it belongs to another user", "name your own with --known-servers FILE".into())
            );
        }
        if found.mode() & 0o022 != 0 {
            return Err(self.exposed("others can write it", format!("chmod 600 {}", self.path.display())));
        }
        Ok(())
    }

    /// Refuses a folder in which another user can replace the file.
    fn check_folder(&self) -> Result<(), TrustError> {
        let folder = files::parent(&self.path);
        let found = match fs::metadata(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            found => found.map_err(|error| self.failed(error))?,
        };
        if is_foreign(&found) {
            let remedy = "name one in a folder of your own with --known-servers FILE".to_owned();
            return Err(self.exposed("its folder belongs to another user", remedy));
        }
        // In a folder with the sticky bit, such as /tmp, nobody replaces the files of others.
        if found.mode() & 0o002 != 0 && found.mode() & 0o1000 == 0 {
            return Err(self.exposed("others can replace it", format!("chmod o-w {}", folder.display())));
        }
        Ok(())
    }

    fn exposed(&self, cause: &'static str, remedy: String) -> TrustError {
        TrustError::Exposed { file: self.path.clone(), cause, remedy }
    }

    fn failed(&self, cause: io::Error) -> TrustError {
        TrustError::Known { file: self.path.clone(), cause }
    }
}

/// Whether a file or folder belongs neither to this user nor to root.
fn is_foreign(found: &Metadata) -> bool {
    found.uid() != 0 && found.uid() != geteuid().as_raw()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_decides_what_is_this_machine() {
        for host in ["localhost", "LocalHost", "127.0.0.1", "127.8.9.10", "::1", "::ffff:127.0.0.1"] {
            assert!(is_this_machine(host), "{host}");
        }
        for host in ["localhost.example.org", "127.0.0.1.example.org", "192.0.2.1", "0.0.0.0", "::", ""] {
            assert!(!is_this_machine(host), "{host}");
        }
    }
}
