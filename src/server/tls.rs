//! TLS: reads the server's certificate and key, also again while the server runs, and encrypts the streams of connections.

use std::{
    fs,
    future::{Future, poll_fn},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard},
    task::{Context, Poll, ready},
    time::Duration,
};

use sha2::{Digest, Sha256};
use thiserror::Error;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    signal::unix::Signal,
    sync::Semaphore,
    task::yield_now,
    time::timeout,
};
use tokio_rustls::{
    LazyConfigAcceptor,
    rustls::{
        self, ServerConfig,
        pki_types::{
            CertificateDer, PrivateKeyDer,
            pem::{self, PemObject},
        },
        server::Acceptor,
    },
    server::TlsStream,
};

use super::{
    Server,
    file_watch::Reloads,
    registry::{Phase, Place},
};
use crate::{
    chat::{self, Source},
    fingerprint::Fingerprint,
};

/// Most time for a handshake. The time for the login begins after it.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Most bytes that are encrypted at once: one record.
const RECORD: usize = 16 * 1024;

/// Why a certificate and a key cannot be used.
#[derive(Debug, Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error(
        "{file}: {cause}\n  remedy: make a pair with: chat-server cert; or name yours with --tls-cert FILE --tls-key FILE"
    )]
    Read {
        /// Path as it was given.
        file: String,
        /// Error of the operating system.
        cause: io::Error,
    },
    /// A file does not contain what it should.
    #[error("{file}: {problem}\n  remedy: {remedy}")]
    Content {
        /// Path as it was given.
        file: String,
        /// The problem.
        problem: String,
        /// The remedy.
        remedy: &'static str,
    },
    /// The key is not the key of the certificate.
    #[error(
        "{key} is not the key of the certificate in {cert}\n  remedy: name files that were made together with --tls-cert FILE --tls-key FILE"
    )]
    Mismatch {
        /// Path as it was given.
        cert: String,
        /// Path as it was given.
        key: String,
    },
}

/// The certificate that new connections are shown.
pub struct Tls {
    cert: PathBuf,
    key: PathBuf,
    current: Mutex<Current>,
    /// Turns to compute a signature, which takes far longer than anything else that a connection does at once.
    turns: Semaphore,
}

struct Current {
    config: Arc<ServerConfig>,
    fingerprint: Fingerprint,
    /// Digest of the files when they were last read, whether or not they could be used.
    seen: [u8; 32],
}

/// The bytes of both files.
struct Pair {
    cert: Vec<u8>,
    key: zeroize::Zeroizing<Vec<u8>>,
}

impl Tls {
    /// Reads both files.
    ///
    /// # Errors
    /// [`TlsError`] if a file cannot be read or used, or if they do not belong together.
    pub fn load(cert: &Path, key: &Path) -> Result<Arc<Self>, TlsError> {
        let pair = Pair::read(cert, key)?;
        let (config, fingerprint) = pair.parse(cert, key)?;
        let current = Mutex::new(Current { config, fingerprint, seen: pair.digest() });
        let turns = Semaphore::new(chat::spare_cores());
        Ok(Arc::new(Tls { cert: cert.to_owned(), key: key.to_owned(), current, turns }))
    }

    /// The certificate's fingerprint.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.lock().fingerprint
    }

    /// Reads both files again. New connections get the new certificate. Files that cannot be used change nothing and are logged. Unless
    /// `always`, unchanged files are ignored.
    pub fn reload(&self, always: bool) {
        let pair = match Pair::read(&self.cert, &self.key) {
            Ok(pair) => pair,
            Err(problem) => return self.keep(&problem),
        };
        let digest = pair.digest();
        if std::mem::replace(&mut self.lock().seen, digest) == digest && !always {
            return;
        }
        match pair.parse(&self.cert, &self.key) {
            Ok((config, fingerprint)) => {
                let mut current = self.lock();
                (current.config, current.fingerprint) = (config, fingerprint);
                drop(current);
                tracing::info!(%fingerprint, "certificate reloaded");
            }
            Err(problem) => self.keep(&problem),
        }
    }

    fn keep(&self, problem: &TlsError) {
        tracing::error!(fingerprint = %self.fingerprint(), "keeping the certificate that is in use: {problem}");
    }

    /// Performs a handshake with the certificate that is in use when the client's hello has arrived.
    ///
    /// The answer to a hello has a signature in it. After each one, all tasks that are ready have their turn: many hellos at once
    /// would otherwise keep everybody waiting for all of their signatures. A silent peer has no turn, so it holds up nobody.
    async fn shake(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let hello = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
        let turn = self.turns.acquire().await.expect("nothing closes it");
        let config = self.lock().config.clone();
        // Computes the signature.
        let answered = hello.into_stream(config);
        yield_now().await;
        drop(turn);
        answered.await
    }

    fn lock(&self) -> MutexGuard<'_, Current> {
        self.current.lock().expect("nothing panics while it is held")
    }
}

impl Pair {
    fn read(cert: &Path, key: &Path) -> Result<Self, TlsError> {
        let failed = |path: &Path| {
            let file = path.display().to_string();
            move |cause| TlsError::Read { file, cause }
        };
        let mode = fs::metadata(key).map_err(failed(key))?.mode();
        let file = key.display().to_string();
        if mode & 0o004 != 0 {
            let problem = "everybody can read the private key".to_owned();
            return Err(TlsError::Content {
                file,
                problem,
                remedy: "chmod 600 the key, and make a new one if others use this machine",
            });
        }
        if mode & 0o040 != 0 {
            tracing::warn!(file, "the group can read the private key; remedy: chmod 600");
        }
        let key = fs::read(key).map_err(failed(key))?.into();
        Ok(Pair { cert: fs::read(cert).map_err(failed(cert))?, key })
    }

    fn digest(&self) -> [u8; 32] {
        let length = (self.cert.len() as u64).to_le_bytes();
        Sha256::new().chain_update(length).chain_update(&self.cert).chain_update(&*self.key).finalize().into()
    }

    fn parse(&self, cert: &Path, key: &Path) -> Result<(Arc<ServerConfig>, Fingerprint), TlsError> {
        let wrong = |path: &Path, problem: String, remedy| TlsError::Content {
            file: path.display().to_string(),
            problem,
            remedy,
        };
        let no_cert = |problem| {
            wrong(
                cert,
                problem,
                "it should hold -----BEGIN CERTIFICATE-----; name another with --tls-cert FILE",
            )
        };
        let chain = CertificateDer::pem_slice_iter(&self.cert)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| no_cert(error.to_string()))?;
        let own = chain.first().ok_or_else(|| no_cert("there is no certificate in it".to_owned()))?;
        let fingerprint = Fingerprint::of(own);
        let private = PrivateKeyDer::from_pem_slice(&self.key).map_err(|error| {
            let problem = match error {
                pem::Error::NoItemsFound => "there is no private key in it".to_owned(),
                error => error.to_string(),
            };
            wrong(
                key,
                problem,
                "it should hold -----BEGIN PRIVATE KEY-----, not encrypted; name another with --tls-key FILE",
            )
        })?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, private));
        match config {
            Ok(config) => Ok((Arc::new(config), fingerprint)),
            Err(rustls::Error::InconsistentKeys(_)) => {
                Err(TlsError::Mismatch { cert: cert.display().to_string(), key: key.display().to_string() })
            }
            Err(error @ rustls::Error::InvalidCertificate(_)) => Err(no_cert(error.to_string())),
            Err(error) => Err(wrong(
                key,
                error.to_string(),
                "use an ECDSA, Ed25519 or RSA key; name another with --tls-key FILE",
            )),
        }
    }
}

/// Reads the files after each signal and when they change, until the runtime ends.
pub(super) fn keep_current(tls: &Arc<Tls>, hangup: Signal) {
    let mut reloads = Reloads::new(&[&tls.cert, &tls.key], "certificate", hangup);
    let tls = tls.clone();
    tokio::spawn(async move {
        loop {
            let told = reloads.next().await;
            let tls = tls.clone();
            // Reading files blocks.
            tokio::task::spawn_blocking(move || tls.reload(told)).await.ok();
        }
    });
}

/// Performs the handshake; `None` if it fails, takes too long, or the server stops.
pub(super) async fn accept(
    stream: TcpStream,
    from: Source,
    tls: &Tls,
    server: &Server,
    place: &mut Place,
) -> Option<Encrypted> {
    let time = server.limits.login.map_or(HANDSHAKE, |login| login.min(HANDSHAKE));
    let mut handshake = Box::pin(timeout(time, tls.shake(stream)));
    let shaken = poll_fn(|cx| {
        place.wake_by(cx.waker());
        if server.registry.phase() != Phase::Open {
            return Poll::Ready(None);
        }
        handshake.as_mut().poll(cx).map(Some)
    });
    let failed = match shaken.await? {
        Ok(Ok(stream)) => return Some(Encrypted { stream, unflushed: 0 }),
        Ok(Err(error)) => error.to_string(),
        Err(_) => "it took too long".to_owned(),
    };
    tracing::debug!(from = %from.address, connection = from.connection, error = failed, "TLS handshake failed");
    None
}

/// An encrypted stream. Bytes count as written when the kernel has taken them, as a [`Transport`](super::Transport) must count them.
///
/// After `Pending`, the caller must offer the same bytes again. A connection that drops them instead, because its peer does not read,
/// may cut a reply at the end of a record.
pub(super) struct Encrypted {
    stream: TlsStream<TcpStream>,
    /// Number of bytes that were encrypted and not all taken by the kernel.
    unflushed: usize,
}

impl AsyncRead for Encrypted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Encrypted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.unflushed == 0 {
            let record = &bytes[..bytes.len().min(RECORD)];
            self.unflushed = ready!(Pin::new(&mut self.stream).poll_write(cx, record))?;
        }
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        Poll::Ready(Ok(std::mem::take(&mut self.unflushed).min(bytes.len())))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
