//! Verifies the server: by an authority, or by the certificate of the first connection.

use std::{
    fs,
    io::{self, BufRead, IsTerminal, Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard},
};

use rustls::{
    CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, Error, RootCertStore,
    SignatureScheme, StreamOwned,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{self, CryptoProvider},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
};
use thiserror::Error;

use crate::{config::ClientArgs, files, fingerprint::Fingerprint};

/// An encrypted connection to a verified server.
pub(super) type TlsStream = StreamOwned<ClientConnection, TcpStream>;

/// Why the server is not trusted. Nothing was sent.
#[derive(Debug, Error)]
pub(super) enum TrustError {
    #[error("{0:?} is neither a name nor an address")]
    Host(String),
    #[error("{}: {cause}\n  remedy: name a file with -----BEGIN CERTIFICATE----- in it with --ca FILE", file.display())]
    Authority { file: PathBuf, cause: String },
    #[error("{}: {cause}\n  remedy: name a file that can be written with --known-servers FILE", file.display())]
    Known { file: PathBuf, cause: io::Error },
    #[error("{}:{line}: this is not a server and its fingerprint\n  remedy: take the line out", file.display())]
    KnownLine { file: PathBuf, line: usize },
    #[error("there is no home folder to remember certificates in\n  remedy: --known-servers FILE")]
    NoHome,
    #[error(
        "THE CERTIFICATE OF {server} HAS CHANGED. Somebody may be between you and the server: nothing was sent.\n  \
         it was: {pinned}\n  it is:  {shown}\n  \
         If whoever runs the server says that this is right, delete this line of {file}:\n  {server} {pinned}"
    )]
    Changed { server: String, pinned: Fingerprint, shown: Fingerprint, file: String },
    #[error("not trusted: nothing was sent")]
    Declined,
    #[error("its certificate is not valid: {0}")]
    Invalid(Error),
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Performs the handshake, and verifies the server.
pub(super) fn encrypt(mut stream: TcpStream, args: &ClientArgs) -> Result<TlsStream, TrustError> {
    let host = args.host.to_ascii_lowercase();
    let server = if host.contains(':') {
        format!("[{host}]:{}", args.port())
    } else {
        format!("{host}:{}", args.port())
    };
    let name = ServerName::try_from(args.host.clone()).map_err(|_| TrustError::Host(args.host.clone()))?;
    let provider = Arc::new(crypto::ring::default_provider());
    let (trust, known) = if let Some(file) = &args.ca {
        (Trust::Authority(authority(file, &provider)?), None)
    } else {
        let known = Known::open(args)?;
        (known.find(&server)?.map_or_else(|| first(&provider), Trust::Pinned), Some(known))
    };
    let verifier = Arc::new(Verifier { provider: provider.clone(), trust, unknown: Mutex::default() });
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(TrustError::Invalid)?
        .dangerous()
        .with_custom_certificate_verifier(verifier.clone())
        .with_no_client_auth();
    let mut session = ClientConnection::new(Arc::new(config), name).map_err(TrustError::Invalid)?;
    while session.is_handshaking() {
        let shaken = session.complete_io(&mut stream);
        if let (Err(error), Trust::Pinned(pinned), Some(shown)) = (&shaken, &verifier.trust, *verifier.lock())
            && error.kind() == io::ErrorKind::InvalidData
        {
            let file = known.map(|known| known.path.display().to_string()).unwrap_or_default();
            return Err(TrustError::Changed { server, pinned: *pinned, shown, file });
        }
        shaken?;
    }
    let unknown = *verifier.lock();
    if let (Some(shown), Some(known)) = (unknown, known) {
        known.pin(&server, shown)?;
    }
    Ok(StreamOwned::new(session, stream))
}

/// What makes a certificate trusted.
#[derive(Debug)]
enum Trust {
    /// An authority or a certificate in the given file.
    Authority(Arc<WebPkiServerVerifier>),
    /// The certificate of the first connection.
    Pinned(Fingerprint),
    /// An authority of the system, or else this is the first connection.
    First(Option<Arc<WebPkiServerVerifier>>),
}

fn authority(file: &Path, provider: &Arc<CryptoProvider>) -> Result<Arc<WebPkiServerVerifier>, TrustError> {
    let wrong = |cause: String| TrustError::Authority { file: file.to_owned(), cause };
    let text = fs::read(file).map_err(|error| wrong(error.to_string()))?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&text) {
        let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
        roots.add(certificate).map_err(|error| wrong(error.to_string()))?;
    }
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .build()
        .map_err(|_| wrong("there is no certificate in it".to_owned()))
}

fn first(provider: &Arc<CryptoProvider>) -> Trust {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    // A system without authorities knows nobody.
    Trust::First(WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build().ok())
}

#[derive(Debug)]
struct Verifier {
    provider: Arc<CryptoProvider>,
    trust: Trust,
    /// The server's certificate, if no authority has signed it.
    unknown: Mutex<Option<Fingerprint>>,
}

impl Verifier {
    fn lock(&self) -> MutexGuard<'_, Option<Fingerprint>> {
        self.unknown.lock().expect("nothing panics while it is held")
    }
}

/// An expired certificate is not trusted on first use, and neither is one that an authority has signed for another server.
fn forbids_pinning(error: &Error) -> bool {
    use CertificateError::{
        Expired, ExpiredContext, NotValidForName, NotValidForNameContext, NotValidYet, NotValidYetContext,
        Revoked,
    };
    let Error::InvalidCertificate(error) = error else {
        return true;
    };
    matches!(
        error,
        Expired
            | ExpiredContext { .. }
            | NotValidYet
            | NotValidYetContext { .. }
            | Revoked
            | NotValidForName
            | NotValidForNameContext { .. }
    )
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let shown = Fingerprint::of(end_entity);
        let by = |authorities: &WebPkiServerVerifier| {
            authorities.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
        };
        match &self.trust {
            Trust::Authority(authorities) => by(authorities),
            Trust::Pinned(pinned) if *pinned == shown => Ok(ServerCertVerified::assertion()),
            Trust::Pinned(_) => {
                *self.lock() = Some(shown);
                Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
            }
            Trust::First(authorities) => match authorities.as_deref().map(by) {
                Some(Ok(verified)) => Ok(verified),
                Some(Err(error)) if forbids_pinning(&error) => Err(error),
                None | Some(Err(_)) => {
                    *self.lock() = Some(shown);
                    Ok(ServerCertVerified::assertion())
                }
            },
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        crypto::verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        crypto::verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// The file of known servers: a line `host:port sha256:…` for each.
struct Known {
    path: PathBuf,
}

impl Known {
    fn open(args: &ClientArgs) -> Result<Self, TrustError> {
        if let Some(path) = &args.known_servers {
            return Ok(Known { path: path.clone() });
        }
        let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let config = set("XDG_CONFIG_HOME").or_else(|| set("HOME").map(|home| home.join(".config")));
        Ok(Known { path: config.ok_or(TrustError::NoHome)?.join("chat-service/known_servers") })
    }

    /// The known fingerprint of the server.
    fn find(&self, server: &str) -> Result<Option<Fingerprint>, TrustError> {
        match fs::read_to_string(&self.path) {
            Ok(text) => self.find_in(&text, server),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.failed(error)),
        }
    }

    fn find_in(&self, text: &str, server: &str) -> Result<Option<Fingerprint>, TrustError> {
        let mut found = None;
        for (i, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let pair = line.split_once(' ').and_then(|(name, pin)| Some((name, pin.parse().ok()?)));
            let Some((name, pin)) = pair else {
                return Err(TrustError::KnownLine { file: self.path.clone(), line: i + 1 });
            };
            if name == server {
                found = found.or(Some(pin));
            }
        }
        Ok(found)
    }

    /// Stores the fingerprint of a first connection; on a terminal, after the user has confirmed it.
    fn pin(&self, server: &str, shown: Fingerprint) -> Result<(), TrustError> {
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
        let mut file = files::private().read(true).append(true).open(&self.path).map_err(failed)?;
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

    fn failed(&self, cause: io::Error) -> TrustError {
        TrustError::Known { file: self.path.clone(), cause }
    }
}
