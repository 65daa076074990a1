//! `chat-server cert`: makes a self-signed certificate and its key, for a server without a certificate authority.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose,
    date_time_ymd,
};
use thiserror::Error;

use crate::{
    config::{Files, TLS_PORT, TlsFiles},
    files,
    fingerprint::Fingerprint,
};

/// Validity of a certificate. A client that pins it ignores this; a client that uses `--ca` does not.
const VALID: Duration = Duration::from_hours(24 * 3650);

/// A certificate is valid from this long before it was made, because clocks differ.
const SKEW: Duration = Duration::from_hours(24);

/// Why no certificate was made.
#[derive(Debug, Error)]
pub enum CertError {
    /// A file exists already.
    #[error(
        "{file} is there already, and is not overwritten\n  remedy: move it away, or write elsewhere with --tls-cert FILE --tls-key FILE"
    )]
    Exists {
        /// The file.
        file: String,
    },
    /// A file cannot be written.
    #[error("{file}: {cause}\n  remedy: name files that can be written with --tls-cert FILE --tls-key FILE")]
    Write {
        /// The file.
        file: String,
        /// The system's reason.
        cause: io::Error,
    },
    /// A name cannot be in a certificate.
    #[error(
        "no certificate can be made for {names}: {problem}\n  remedy: give DNS names and IP addresses only"
    )]
    Names {
        /// The names, as given.
        names: String,
        /// The reason.
        problem: rcgen::Error,
    },
    /// Standard output failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Makes a certificate and its key, writes them, and prints how to use them.
pub(super) fn make(files: &Files, tls: &TlsFiles, names: &[String]) -> Result<(), CertError> {
    let (cert_path, key_path) = tls.paths(files);
    let names = if names.is_empty() { usual_names() } else { names.to_vec() };
    let (cert, key) = sign(&names).map_err(|problem| CertError::Names { names: names.join(" "), problem })?;
    write_both([
        (&key_path, files::PRIVATE, key.serialize_pem().as_bytes()),
        (&cert_path, 0o644, cert.pem().as_bytes()),
    ])?;
    let mut out = io::stdout();
    writeln!(out, "{}: a certificate for {}", cert_path.display(), names.join(" "))?;
    writeln!(out, "{}: its key, to be kept secret", key_path.display())?;
    writeln!(out, "  fingerprint: {}", Fingerprint::of(cert.der()))?;
    let host = names.first().map_or("localhost", String::as_str);
    let mut flags = String::new();
    for (flag, path) in [
        ("--users", (files.users != Path::new("users.toml")).then_some(&files.users)),
        ("--tls-cert", tls.tls_cert.as_ref()),
        ("--tls-key", tls.tls_key.as_ref()),
    ] {
        if let Some(path) = path {
            flags = format!("{flags} {flag} {}", path.display());
        }
    }
    writeln!(out, "  server: chat-server --tls-port {TLS_PORT}{flags}")?;
    writeln!(out, "  client: chat-client --tls --host {host} --ca {}", cert_path.display())?;
    Ok(())
}

/// The names of this machine.
fn usual_names() -> Vec<String> {
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    // A host name need not be a valid DNS name.
    let own = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let is_dns = |name: &str| {
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.".contains(&b))
    };
    if is_dns(&own) && !names.contains(&own) {
        names.push(own);
    }
    names
}

fn sign(names: &[String]) -> Result<(rcgen::Certificate, KeyPair), rcgen::Error> {
    // ECDSA with P-256.
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, names.first().map_or("chat-server", String::as_str));
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let epoch = date_time_ymd(1970, 1, 1);
    params.not_before = epoch + now.saturating_sub(SKEW);
    params.not_after = epoch + now + VALID;
    Ok((params.self_signed(&key)?, key))
}

/// Writes both files, or leaves neither.
fn write_both(pair: [(&PathBuf, u32, &[u8]); 2]) -> Result<(), CertError> {
    let mut made: Vec<&Path> = Vec::new();
    let written = (|| {
        let mut open = Vec::new();
        // Both are made before anything is in one of them.
        for (path, mode, bytes) in pair {
            let file = files::create_new(path, mode);
            open.push((path, file.map_err(|cause| failed(path, cause))?, bytes));
            made.push(path);
        }
        for (path, mut file, bytes) in open {
            files::write_synced(&mut file, bytes)
                .and_then(|()| files::sync_folder(files::parent(path)))
                .map_err(|cause| failed(path, cause))?;
        }
        Ok(())
    })();
    if written.is_err() {
        for path in made {
            fs::remove_file(path).ok();
        }
    }
    written
}

fn failed(path: &Path, cause: io::Error) -> CertError {
    let file = path.display().to_string();
    if cause.kind() == io::ErrorKind::AlreadyExists {
        CertError::Exists { file }
    } else {
        CertError::Write { file, cause }
    }
}
