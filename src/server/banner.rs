//! The banner: what the server prints at start.

use std::{fmt, net::SocketAddr, path::Path};

use crate::{
    fingerprint::Fingerprint,
    users::{Users, password_policy},
};

pub(super) struct Banner<'a> {
    /// Address of the port without encryption.
    pub(super) address: SocketAddr,
    /// Address of the encrypted port, and fingerprint of its certificate.
    pub(super) tls: Option<(SocketAddr, Fingerprint)>,
    pub(super) users: &'a Users,
    pub(super) users_file: &'a Path,
    pub(super) store: String,
    /// What the process can open.
    pub(super) confinement: String,
}

impl Banner<'_> {
    /// A shell command that talks to this server.
    fn try_it(&self) -> String {
        let (name, password) = self.login();
        let (host, port) = (self.address.ip(), self.address.port());
        let host = if host.is_unspecified() { "127.0.0.1".to_owned() } else { host.to_string() };
        format!("printf 'auth {name} {password}\\nshowuseractive\\n' | nc -N {host} {port}")
    }

    fn login(&self) -> (&str, &str) {
        let mut users: Vec<_> = self.users.iter().collect();
        users.sort_by_key(|user| &user.username);
        // With a sample user, the command works as it is printed.
        let sample = users.iter().find(|user| password_policy::is_sample(&user.password));
        match (sample, users.first()) {
            (Some(user), _) => (&user.username, password_policy::SAMPLE),
            (None, Some(user)) => (&user.username, "PASSWORD"),
            (None, None) => ("USER", "PASSWORD"),
        }
    }
}

impl fmt::Display for Banner<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Banner { address, tls, users, users_file, store, confinement } = self;
        writeln!(f, "chat-server {} listens on {address}", env!("CARGO_PKG_VERSION"))?;
        if let Some((address, fingerprint)) = tls {
            writeln!(f, "  tls:    on {address}, certificate {fingerprint}")?;
        }
        match (address.ip().is_loopback(), tls) {
            (true, Some((encrypted, _))) if !encrypted.ip().is_loopback() => {
                writeln!(f, "  reach:  from the network with TLS; without TLS from this machine only")?;
            }
            (true, _) => {
                writeln!(
                    f,
                    "  reach:  from this machine only; --host 0.0.0.0 --tls-port 8890 opens it to the network"
                )?;
            }
            (false, _) => {
                writeln!(f, "  reach:  from the network; --host 127.0.0.1 closes it to this machine")?;
                writeln!(
                    f,
                    "  WARNING: {address} is not encrypted: others can read passwords and messages on the network"
                )?;
            }
        }
        writeln!(f, "  users:  {} in {}", users.len(), users_file.display())?;
        writeln!(f, "  store:  {store}")?;
        writeln!(f, "  confined: {confinement}")?;
        writeln!(f, "  try it: {}", self.try_it())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::users;

    const SAMPLE: &str = include_str!("../../users.toml");

    fn banner(users: &str, address: &str) -> String {
        let users = users::parse(users, "users.toml").expect("users").users;
        let address = address.parse().expect("an address");
        let users_file = Path::new("users.toml");
        Banner {
            address,
            tls: None,
            users: &users,
            users_file,
            store: "memory".into(),
            confinement: "no".into(),
        }
        .to_string()
    }

    #[test]
    fn the_sample_gets_a_line_that_works_as_it_stands() {
        let told = banner(SAMPLE, "127.0.0.1:8889");
        assert!(
            told.contains("listens on 127.0.0.1:8889\n  reach:  from this machine only; --host"),
            "{told}"
        );
        assert!(told.contains("users:  3 in users.toml\n  store:  memory\n"), "{told}");
        assert!(
            told.ends_with("'auth henderson surabaya\\nshowuseractive\\n' | nc -N 127.0.0.1 8889\n"),
            "{told}"
        );
        assert!(!told.contains("WARNING"), "{told}");
    }

    #[test]
    fn an_open_server_warns_and_shows_no_password_of_its_own() {
        let told = banner("[users.ann]\nname = \"Ann\"\npassword = \"secret\"\n", "0.0.0.0:9000");
        assert!(told.contains("WARNING: 0.0.0.0:9000 is not encrypted"), "{told}");
        assert!(told.contains("'auth ann PASSWORD\\nshowuseractive\\n' | nc -N 127.0.0.1 9000"), "{told}");
        assert!(!told.contains("secret"), "{told}");
    }
}
