//! Encryption, and the decision whether a server is the right one.

use std::{
    error::Error as StdError,
    fmt, fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, InvalidMessage, RootCertStore,
    SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{self, CryptoProvider},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{ClientError, connection::unreachable, options::shown};
use crate::fingerprint::Fingerprint;

/// Why a server is not trusted.
pub type Distrust = Box<dyn StdError + Send + Sync>;

/// Decides whether a server is the right one, before anything is sent to it.
pub type Judge = dyn Fn(&Certificate<'_>) -> Result<(), Distrust> + Send + Sync;

/// How a connection is encrypted, and which servers are trusted.
#[derive(Clone, Default)]
pub struct Tls {
    /// A file of certificates (PEM): these authorities are trusted, and no other. Without one, those of the system.
    pub authorities: Option<PathBuf>,
    /// Decides in the place of the authorities; it may ask them with [`Certificate::verify`].
    pub judge: Option<Arc<Judge>>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let judge = self.judge.as_ref().map(|_| "…");
        f.debug_struct("Tls").field("authorities", &self.authorities).field("judge", &judge).finish()
    }
}

/// The certificate that a server has shown. The handshake has proved that the server has its key.
pub struct Certificate<'a> {
    host: &'a str,
    port: u16,
    name: &'a ServerName<'static>,
    /// The server's own one, and those that lead to an authority.
    chain: (&'a CertificateDer<'static>, &'a [CertificateDer<'static>]),
    tls: &'a Tls,
    provider: &'a Arc<CryptoProvider>,
}

impl Certificate<'_> {
    /// Host of the server, as it was named.
    #[must_use]
    pub fn host(&self) -> &str {
        self.host
    }

    /// Port of the server.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its fingerprint.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(self.chain.0)
    }

    /// Whether an authority vouches for it: it is in force, and for this server.
    ///
    /// # Errors
    /// [`Unvouched`] if none does.
    pub fn verify(&self) -> Result<(), Unvouched> {
        let roots = match &self.tls.authorities {
            Some(file) => of_file(file)?,
            None => of_system(),
        };
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), self.provider.clone());
        let Ok(verifier) = verifier.build() else {
            return Err(match &self.tls.authorities {
                Some(file) => Unvouched::file(file, &"there is no certificate in it"),
                // A system without authorities knows nobody.
                None => Unvouched::Unknown,
            });
        };
        let (end, intermediates) = self.chain;
        match verifier.verify_server_cert(end, intermediates, self.name, &[], UnixTime::now()) {
            Ok(_) => Ok(()),
            Err(error) if is_wrong(&error) => Err(Unvouched::Wrong(error.to_string())),
            Err(_) => Err(Unvouched::Unknown),
        }
    }
}

/// Why no authority vouches for a certificate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unvouched {
    /// None of them has signed it: it can only be known by its fingerprint.
    #[error("no authority vouches for its certificate")]
    Unknown,
    /// It is wrong, whoever has signed it: not in force, or for another server.
    #[error("its certificate is not valid: {0}")]
    Wrong(String),
    /// The authorities cannot be read.
    #[error("{}: {cause}\n  remedy: name a file with -----BEGIN CERTIFICATE----- in it with --ca FILE", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// Why.
        cause: String,
    },
}

impl Unvouched {
    fn file(file: &Path, cause: &impl ToString) -> Self {
        Unvouched::File { file: file.to_owned(), cause: cause.to_string() }
    }
}

fn of_file(file: &Path) -> Result<RootCertStore, Unvouched> {
    let text = fs::read(file).map_err(|error| Unvouched::file(file, &error))?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&text) {
        let certificate = certificate.map_err(|error| Unvouched::file(file, &error))?;
        roots.add(certificate).map_err(|error| Unvouched::file(file, &error))?;
    }
    Ok(roots)
}

fn of_system() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
}

/// An expired certificate is not trusted on first use, and neither is one that an authority has signed for another server.
fn is_wrong(error: &Error) -> bool {
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

/// Performs the handshake, and has the server judged.
pub(super) async fn encrypt(
    stream: TcpStream,
    tls: &Tls,
    host: &str,
    port: u16,
) -> Result<TlsStream<TcpStream>, ClientError> {
    let failed = |cause: String| unreachable(host, port, cause);
    let name = ServerName::try_from(host.to_owned())
        .map_err(|_| failed(format!("{host:?} is neither a name nor an address")))?;
    let provider = Arc::new(crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(|error| failed(error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(KeyOnly(provider.clone())))
        .with_no_client_auth();
    let connector = TlsConnector::from(Arc::new(config));
    let stream =
        connector.connect(name.clone(), stream).await.map_err(|error| failed(handshake_failed(&error)))?;
    let chain = stream.get_ref().1.peer_certificates().and_then(|chain| chain.split_first());
    let chain = chain.ok_or_else(|| failed("it shows no certificate".to_owned()))?;
    let certificate = Certificate { host, port, name: &name, chain, tls, provider: &provider };
    let judged = match &tls.judge {
        Some(judge) => judge(&certificate),
        None => certificate.verify().map_err(Distrust::from),
    };
    judged.map_err(|cause| ClientError::Untrusted { server: shown(host, port), cause: cause.into() })?;
    Ok(stream)
}

fn handshake_failed(error: &io::Error) -> String {
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref());
    if let Some(Error::InvalidMessage(InvalidMessage::InvalidContentType)) = cause {
        return "it does not speak TLS\n  remedy: leave --tls out, or name the port for TLS with --port"
            .to_owned();
    }
    error.to_string()
}

/// Whether these bytes begin a record of TLS: an alert, with which a server for TLS answers whoever does not speak it.
pub(super) fn is_record(bytes: &[u8]) -> bool {
    bytes.starts_with(&[21, 3])
}

/// Verifies that the server has the key of the certificate that it shows, and nothing else: the certificate is judged after the
/// handshake, and before anything is sent.
#[derive(Debug)]
struct KeyOnly(Arc<CryptoProvider>);

impl ServerCertVerifier for KeyOnly {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        crypto::verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        crypto::verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
