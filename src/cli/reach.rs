//! Which servers are called, with which token, and whether they are trusted.

use std::{
    collections::BTreeMap,
    env, fs,
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use rustix::system::uname;

use super::{
    Exit,
    exit::Failure,
    profile::{BY_AUTHORITY, Login, Profile},
    trust::{Known, TrustError, is_this_machine, known_name, refuse_plaintext},
};
use crate::{
    client::{Certificate, Distrust, Options, Tls, Unvouched, options::shown},
    config::{Address, Reach, default_port},
    fingerprint::Fingerprint,
    model::Token,
};

/// Default of `--timeout`, for the connection and each reply.
pub(super) const TIMEOUT: Duration = Duration::from_secs(30);

/// Which servers are called, and who calls them.
pub(super) struct Target {
    /// Host and port of each.
    pub(super) servers: Vec<(String, u16)>,
    pub(super) is_encrypted: bool,
    /// The login that belongs to these servers.
    pub(super) login: Option<Login>,
    /// The profile has a login, and it is for other servers.
    pub(super) has_login_elsewhere: bool,
    /// How each server that was reached is known.
    seen: Arc<Mutex<BTreeMap<String, String>>>,
    /// Whether the user can be asked about a certificate.
    pub(super) may_ask: Arc<AtomicBool>,
}

impl Target {
    /// The servers that are named, without any login.
    pub(super) fn named(reach: &Reach) -> Result<Self, Failure> {
        let local = [Address { host: "127.0.0.1".to_owned(), port: None }];
        let named = if reach.host.is_empty() { &local[..] } else { &reach.host };
        let default = reach.port.unwrap_or_else(|| default_port(reach.tls));
        let of = |address: &Address| match (address.port, reach.port) {
            (Some(own), Some(other)) if own != other => Err(Failure::new(
                Exit::Usage,
                format!("{}:{own} and --port {other} are two ports", address.host),
            )),
            (own, _) => Ok((address.host.clone(), own.unwrap_or(default))),
        };
        let servers = named.iter().map(of).collect::<Result<_, _>>()?;
        Ok(Target {
            servers,
            is_encrypted: reach.tls,
            login: None,
            has_login_elsewhere: false,
            seen: Arc::default(),
            may_ask: Arc::new(AtomicBool::new(true)),
        })
    }

    /// The servers, for people.
    pub(super) fn shown(&self) -> String {
        let all: Vec<_> = self.servers.iter().map(|(host, port)| shown(host, *port)).collect();
        all.join(", ")
    }

    /// The servers that are named, or those of the login. The login counts only for its own servers.
    pub(super) fn find(reach: &Reach, login: Option<Login>) -> Result<Self, Failure> {
        let named = Target::named(reach)?;
        let Some(login) = login else { return Ok(named) };
        let all = login.servers.iter().map(|server| server.parse::<Address>());
        let all: Result<Vec<_>, _> = all.collect();
        let all = all.map_err(|error| Failure::new(Exit::Refused, format!("the login's server: {error}")))?;
        let of_login = || {
            all.into_iter()
                .map(|Address { host, port }| (host, port.unwrap_or_else(|| default_port(login.tls))))
                .collect()
        };
        if reach.host.is_empty() && reach.port.is_none() {
            let (servers, is_encrypted) = (of_login(), login.tls || reach.tls);
            return Ok(Target { servers, is_encrypted, login: Some(login), ..named });
        }
        let is_of_login =
            named.servers.iter().all(|(host, port)| login.servers.contains(&known_name(host, *port)));
        // A port is either encrypted or not.
        let is_encrypted = named.is_encrypted || is_of_login && login.tls;
        Ok(Target {
            is_encrypted,
            login: is_of_login.then_some(login),
            has_login_elsewhere: !is_of_login,
            ..named
        })
    }

    /// How they are reached.
    ///
    /// # Errors
    /// If they may not be called without encryption.
    pub(super) fn options(&self, reach: &Reach, is_strict: bool) -> Result<Options, Failure> {
        for (host, port) in self.servers.iter().filter(|_| !self.is_encrypted) {
            let refused = |error: TrustError| {
                let exit = match error {
                    TrustError::Plaintext | TrustError::Elsewhere => Exit::Usage,
                    _ => Exit::Lost,
                };
                Failure::new(exit, format!("cannot reach {}: {error}", shown(host, *port)))
            };
            refuse_plaintext(reach, host).map_err(refused)?;
            if is_strict && !reach.insecure_plaintext && !is_this_machine(host) {
                return Err(refused(TrustError::Elsewhere));
            }
        }
        let mut options = Options::new("", 0);
        options.servers.clone_from(&self.servers);
        options.timeout = reach.timeout.unwrap_or(TIMEOUT);
        options.tls = self.is_encrypted.then(|| self.tls(reach));
        Ok(options)
    }

    fn tls(&self, reach: &Reach) -> Tls {
        let of_login = self.login.as_ref().and_then(|login| login.authorities.clone());
        let pinned = self.login.as_ref().map(|login| login.certificates.clone()).unwrap_or_default();
        let authorities = reach.ca.clone().or(of_login);
        let judge = Judge {
            has_authorities: authorities.is_some(),
            pinned,
            reach: reach.clone(),
            seen: self.seen.clone(),
            may_ask: self.may_ask.clone(),
        };
        let judge = move |certificate: &Certificate<'_>| judge.judge(certificate).map_err(Distrust::from);
        Tls { authorities, judge: Some(Arc::new(judge)) }
    }

    /// The login with this token, to keep.
    pub(super) fn login(&self, reach: &Reach, user: &str, token: &Token) -> Login {
        let authorities =
            reach.ca.as_ref().map(|file| fs::canonicalize(file).unwrap_or_else(|_| file.clone()));
        Login {
            user: user.to_owned(),
            token: token.reveal(),
            servers: self.servers.iter().map(|(host, port)| known_name(host, *port)).collect(),
            tls: self.is_encrypted,
            certificates: lock(&self.seen).clone(),
            authorities,
        }
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().expect("nothing panics while it is held")
}

/// Decides whether a server is the right one.
struct Judge {
    /// Authorities were named: these, and no others.
    has_authorities: bool,
    /// How the servers of the login were known.
    pinned: BTreeMap<String, String>,
    reach: Reach,
    seen: Arc<Mutex<BTreeMap<String, String>>>,
    may_ask: Arc<AtomicBool>,
}

impl Judge {
    fn judge(&self, certificate: &Certificate<'_>) -> Result<(), TrustError> {
        let server = known_name(certificate.host(), certificate.port());
        let shown = certificate.fingerprint();
        let known_by = match self.pinned.get(&server).map(|pinned| (pinned.parse::<Fingerprint>(), pinned)) {
            Some((Ok(pinned), _)) if pinned == shown => shown.to_string(),
            Some((Ok(pinned), _)) => return Err(TrustError::NotOfLogin { server, pinned, shown }),
            Some((Err(()), _)) => {
                certificate.verify()?;
                BY_AUTHORITY.to_owned()
            }
            None if self.has_authorities => {
                certificate.verify()?;
                BY_AUTHORITY.to_owned()
            }
            None => self.judge_stranger(certificate, &server, shown)?,
        };
        lock(&self.seen).insert(server, known_by);
        Ok(())
    }

    /// By the file of known servers; otherwise by the authorities of the system; otherwise the user decides.
    fn judge_stranger(
        &self,
        certificate: &Certificate<'_>,
        server: &str,
        shown: Fingerprint,
    ) -> Result<String, TrustError> {
        let known = Known::open(&self.reach)?;
        match known.find(server)? {
            Some(pinned) if pinned == shown => return Ok(shown.to_string()),
            Some(pinned) => {
                let file = known.path.display().to_string();
                return Err(TrustError::Changed { server: server.to_owned(), pinned, shown, file });
            }
            None => {}
        }
        match certificate.verify() {
            Ok(()) => return Ok(BY_AUTHORITY.to_owned()),
            Err(Unvouched::Unknown) => {}
            Err(wrong) => return Err(wrong.into()),
        }
        if !self.may_ask.load(Ordering::Relaxed) {
            return Err(TrustError::MayNotAsk(server.to_owned()));
        }
        known.pin(server, shown)?;
        Ok(shown.to_string())
    }
}

/// The login that later runs use, and the token of this run.
pub(super) struct Identity {
    pub(super) profile: Profile,
    pub(super) target: Target,
    /// From `CHAT_TOKEN`, a file, or the login.
    pub(super) token: Option<Token>,
    /// The token is that of the login.
    pub(super) is_of_login: bool,
}

impl Identity {
    /// Of the login that is kept.
    pub(super) fn find(reach: &Reach) -> Result<Self, Failure> {
        Self::with(reach, Profile::load)
    }

    /// For a login, which takes the place of an earlier one: that may be damaged.
    pub(super) fn replace(reach: &Reach) -> Result<Self, Failure> {
        Self::with(reach, |profile| Ok(profile.load().unwrap_or_default()))
    }

    fn with(
        reach: &Reach,
        load: impl FnOnce(&Profile) -> Result<Option<Login>, Failure>,
    ) -> Result<Self, Failure> {
        let profile = Profile::of(&reach.profile);
        let given = given_token(reach)?;
        // A token that is given belongs to the servers that are named.
        let login = if given.is_some() { None } else { load(&profile)? };
        let target = Target::find(reach, login)?;
        let of_login = target.login.as_ref().and_then(Login::token);
        Ok(Identity { profile, token: given.or(of_login), is_of_login: given.is_none(), target })
    }
}

fn given_token(reach: &Reach) -> Result<Option<Token>, Failure> {
    let parse = |text: &str, from: &str| {
        let token = Token::parse(text.trim());
        token.map(Some).ok_or_else(|| {
            Failure::new(
                Exit::Usage,
                format!("{from} has no token: that is 36 characters, such as those of `auth`"),
            )
        })
    };
    if let Some(file) = &reach.token_file {
        return parse(&read_secret(file)?, &file.display().to_string());
    }
    match env::var("CHAT_TOKEN") {
        Ok(text) if !text.is_empty() => parse(&text, "CHAT_TOKEN"),
        _ => Ok(None),
    }
}

/// The first line of a file with a secret.
pub(super) fn read_secret(file: &Path) -> Result<String, Failure> {
    let text = fs::read_to_string(file)
        .map_err(|error| Failure::new(Exit::Refused, format!("{}: {error}", file.display())))?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

/// What the server calls this device, unless it is named: user and machine.
pub(super) fn device(reach: &Reach) -> String {
    if let Some(device) = &reach.device {
        return device.to_string();
    }
    let user = env::var("USER").or_else(|_| env::var("LOGNAME")).unwrap_or_else(|_| "someone".to_owned());
    let name = format!("{user}@{}", uname().nodename().to_string_lossy());
    name.chars().filter(|c| (' '..='~').contains(c)).take(32).collect()
}
