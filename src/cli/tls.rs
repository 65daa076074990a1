//! Verifies the server: by an authority, or by the certificate of the first connection.

use std::{
    fs, io,
    net::TcpStream,
    path::Path,
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

use super::trust::{Known, TrustError, known_host};
use crate::{config::ClientArgs, fingerprint::Fingerprint};

/// An encrypted connection to a verified server.
pub(super) type TlsStream = StreamOwned<ClientConnection, TcpStream>;

/// Performs the handshake, and verifies the server.
pub(super) fn encrypt(mut stream: TcpStream, args: &ClientArgs) -> Result<TlsStream, TrustError> {
    let server = format!("{}:{}", known_host(args), args.port());
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
