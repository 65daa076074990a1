//! The server program and the client program over TLS.

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use chat_service::fingerprint::Fingerprint;
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};

use crate::support::{
    SENT, SOON, lines,
    program::{Conversation, Program, chat_server, command, read_reply, run, said},
};

/// A folder with users, a certificate and its key.
pub(crate) struct Folder(tempfile::TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Folder::with_certificate(&[])
    }

    fn with_certificate(names: &[&str]) -> Self {
        let folder = Folder(tempfile::tempdir().expect("a folder"));
        fs::write(folder.path("users.toml"), include_str!("../users.toml")).expect("written");
        let made = folder.make_certificate(names);
        assert!(made.status.success(), "{made:?}");
        folder
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn make_certificate(&self, names: &[&str]) -> Output {
        let mut make = chat_server();
        make.arg("cert").args(names).current_dir(self.0.path());
        run(make, "")
    }

    /// Replaces the certificate and its key; returns the new fingerprint.
    fn replace_certificate(&self) -> Fingerprint {
        let other = tempfile::tempdir_in(self.0.path()).expect("a folder");
        let mut make = chat_server();
        make.args(["cert", "localhost", "127.0.0.1"]).current_dir(other.path());
        assert!(run(make, "").status.success());
        for name in ["tls-cert.pem", "tls-key.pem"] {
            fs::rename(other.path().join(name), self.path(name)).expect("renamed");
        }
        self.fingerprint()
    }

    fn certificate(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_file(self.path("tls-cert.pem")).expect("a certificate")
    }

    fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&self.certificate())
    }

    /// Starts a server with TLS on a free port; returns it with the address of that port.
    pub(crate) fn start(&self, args: &[&str]) -> (Program, SocketAddr) {
        let users = self.path("users.toml");
        let mut all = vec!["--users", users.to_str().expect("UTF-8"), "--tls-port", "0"];
        all.extend(args);
        let server = Program::start(&all);
        let line = server.banner.lines().find(|line| line.contains("  tls:    on ")).expect("a line");
        let address = line.split("on ").nth(1).and_then(|rest| rest.split(',').next()).expect("an address");
        let address = address.parse().expect("an address");
        (server, address)
    }

    /// Runs the client, which keeps known servers in this folder.
    pub(crate) fn client(&self, server: SocketAddr, args: &[&str]) -> Output {
        let mut client = self.client_of(server);
        client.args(args);
        run(client, "auth messi surabaya\nsend messi encrypted\ninbox\n")
    }

    fn client_of(&self, server: SocketAddr) -> Command {
        let mut client = command(env!("CARGO_BIN_EXE_chat-client"));
        client.args(["--host", &server.ip().to_string(), "--port", &server.port().to_string(), "--tls"]);
        client.arg("--known-servers").arg(self.path("known/servers"));
        client
    }
}

type Encrypted = StreamOwned<ClientConnection, TcpStream>;

/// Shakes hands with a server, and accepts only the trusted certificates; returns the encrypted connection.
fn shake_hands(server: SocketAddr, trusted: &[CertificateDer<'static>]) -> Result<Encrypted, String> {
    let mut roots = RootCertStore::empty();
    for certificate in trusted {
        roots.add(certificate.clone()).expect("a certificate");
    }
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").expect("a name");
    let mut session = ClientConnection::new(Arc::new(config), name).expect("a session");
    let mut stream = TcpStream::connect(server).map_err(|error| error.to_string())?;
    stream.set_read_timeout(Some(SOON)).expect("set");
    while session.is_handshaking() {
        session.complete_io(&mut stream).map_err(|error| error.to_string())?;
    }
    Ok(StreamOwned::new(session, stream))
}

fn ask(stream: &mut Encrypted, line: &str) -> String {
    stream.write_all(format!("{line}\n").as_bytes()).expect("taken");
    let mut reply = Vec::new();
    while !reply.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("a reply");
        reply.push(byte[0]);
    }
    String::from_utf8(reply).expect("UTF-8").trim_end().to_owned()
}

fn shown(stream: &Encrypted) -> Fingerprint {
    Fingerprint::of(&stream.conn.peer_certificates().expect("shown")[0])
}

pub(crate) fn complained(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("UTF-8")
}

#[test]
fn a_certificate_is_made_once_and_its_key_is_private() {
    let folder = Folder::new();
    let mode = |name: &str| fs::metadata(folder.path(name)).expect("there").permissions().mode() & 0o777;
    assert_eq!((mode("tls-key.pem"), mode("tls-cert.pem")), (0o600, 0o644));
    let before = fs::read(folder.path("tls-key.pem")).expect("read");
    let again = folder.make_certificate(&[]);
    assert_eq!(again.status.code(), Some(1));
    assert!(complained(&again).contains("remedy:"), "{again:?}");
    fs::remove_file(folder.path("tls-cert.pem")).expect("removed");
    assert_eq!(folder.make_certificate(&[]).status.code(), Some(1));
    assert_eq!(fs::read(folder.path("tls-key.pem")).expect("read"), before);
    assert!(!folder.path("tls-cert.pem").exists(), "half of a pair");
}

#[test]
fn a_server_is_trusted_on_first_use_and_then_only_with_its_certificate() {
    let folder = Folder::new();
    let (server, address) = folder.start(&[]);
    let first = folder.client(address, &[]);
    let (text, code) = said(&first);
    assert_eq!(code, Some(0), "{first:?}");
    assert!(text.contains("encrypted"), "{text}");
    assert!(complained(&first).contains(&folder.fingerprint().to_string()), "{first:?}");
    let known = fs::read_to_string(folder.path("known/servers")).expect("pinned");
    assert_eq!(known, format!("{address} {}\n", folder.fingerprint()));
    let mode = fs::metadata(folder.path("known/servers")).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let second = folder.client(address, &[]);
    assert_eq!((said(&second).1, complained(&second).as_str()), (Some(0), ""));
    // The server has another certificate at the same address.
    let old = folder.fingerprint();
    let new = folder.replace_certificate();
    server.wait_for_log(&format!("certificate reloaded fingerprint={new}"));
    let third = folder.client(address, &[]);
    let told = complained(&third);
    assert_eq!(said(&third), (String::new(), Some(3)));
    assert!(told.contains("HAS CHANGED") && told.contains(&old.to_string()), "{told}");
    assert!(told.contains(&new.to_string()) && told.contains("known/servers"), "{told}");
    assert_eq!(fs::read_to_string(folder.path("known/servers")).expect("there"), known, "untouched");
    // The remedy that the client prints for an expected change.
    fs::write(folder.path("known/servers"), "").expect("written");
    assert_eq!(said(&folder.client(address, &[])).1, Some(0));
    let log = server.stop();
    assert_eq!(log.matches("logged in").count(), 3, "nothing was sent to the stranger: {log}");
}

#[test]
fn an_authority_that_is_named_is_the_only_one() {
    let (folder, other) = (Folder::new(), Folder::new());
    let (server, address) = folder.start(&[]);
    let ca = folder.path("tls-cert.pem");
    let right = folder.client(address, &["--ca", ca.to_str().expect("UTF-8")]);
    assert_eq!((said(&right).1, complained(&right).as_str()), (Some(0), ""), "{right:?}");
    let ca = other.path("tls-cert.pem");
    let wrong = folder.client(address, &["--ca", ca.to_str().expect("UTF-8")]);
    assert_eq!(said(&wrong), (String::new(), Some(3)), "{wrong:?}");
    assert!(!folder.path("known/servers").exists());
    let missing = folder.client(address, &["--ca", "nowhere.pem"]);
    assert_eq!(said(&missing).1, Some(3));
    assert!(complained(&missing).contains("nowhere.pem"), "{missing:?}");
    server.stop();
}

#[test]
fn what_is_not_tls_harms_nobody() {
    let folder = Folder::new();
    let (server, address) = folder.start(&[]);
    let mut open = shake_hands(address, &[folder.certificate()]).expect("a handshake");
    for garbage in ["auth messi surabaya\n".as_bytes(), &[0; 4096], &[0x16, 3, 1, 0xff, 0xff], b""] {
        let mut stream = TcpStream::connect(address).expect("a connection");
        stream.write_all(garbage).expect("taken");
        stream.shutdown(std::net::Shutdown::Write).expect("shut down");
        let mut rest = Vec::new();
        // The server closes the connection, with an alert or by a reset, and sends nothing of the line protocol.
        stream.read_to_end(&mut rest).ok();
        assert!(!rest.contains(&b'{'), "{rest:?}");
    }
    assert!(ask(&mut open, "ping").contains("pong"));
    // Encrypted and plain connections reach the same server.
    ask(&mut open, "auth messi surabaya");
    let mut plain = server.connect();
    plain.write_all(b"auth henderson surabaya\nsend messi hi\n").expect("taken");
    assert!(read_reply(&mut plain).contains("tokenid"));
    assert_eq!(read_reply(&mut plain), SENT);
    assert!(ask(&mut open, "inbox").contains("\"hi\""));
    drop((open, plain));
    server.stop();
}

#[test]
fn many_lines_at_once_are_all_answered_and_a_clean_end_counts_as_one() {
    let folder = Folder::new();
    let (server, address) = folder.start(&[]);
    let mut stream = shake_hands(address, &[folder.certificate()]).expect("a handshake");
    ask(&mut stream, "auth messi surabaya");
    let text = "x".repeat(8_000);
    let lines = lines((0..200).map(|i| format!("send messi {i} {text}\n")));
    // The last line has no line end.
    stream.write_all(format!("{lines}fetch 1000").as_bytes()).expect("taken");
    stream.conn.send_close_notify();
    stream.flush().expect("taken");
    let mut all = String::new();
    stream.read_to_string(&mut all).expect("a clean end");
    assert_eq!(all.matches(SENT).count(), 200);
    assert!(all.trim_end().ends_with("\"more\": true}"), "{}", &all[all.len() - 100..]);
    server.stop();
}

#[test]
fn a_cut_loses_the_line_that_was_not_finished() {
    let folder = Folder::new();
    let (server, address) = folder.start(&[]);
    let mut stream = shake_hands(address, &[folder.certificate()]).expect("a handshake");
    ask(&mut stream, "auth messi surabaya");
    stream.write_all(b"send messi whole\nsend messi cut in").expect("taken");
    // An attacker on the network can end the connection, but cannot send a close notification for the client.
    stream.sock.shutdown(std::net::Shutdown::Write).expect("shut down");
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).ok();
    assert_eq!(String::from_utf8_lossy(&rest).matches("Message Sent").count(), 1);
    let answers = server.talk("auth messi surabaya\ninbox\n");
    assert!(answers.contains("whole") && !answers.contains("cut in"), "{answers}");
    server.stop();
}

#[test]
fn a_bad_pair_is_reported_and_the_old_one_kept() {
    let folder = Folder::new();
    let (server, address) = folder.start(&[]);
    let (trusted, old) = (folder.certificate(), folder.fingerprint());
    let other = Folder::new();
    fs::copy(other.path("tls-cert.pem"), folder.path("tls-cert.pem")).expect("copied");
    server.wait_for_log("keeping the certificate that is in use");
    server.signal("HUP");
    let stream = shake_hands(address, &[trusted]).expect("a handshake");
    assert_eq!(shown(&stream), old);
    drop(stream);
    let log = server.stop();
    assert!(log.contains("is not the key of the certificate"), "{log}");
}

/// 100 reloads with `CHAT_TEST_LONG=1`.
#[expect(clippy::print_stdout, reason = "a measurement, for --nocapture")]
#[test]
fn certificates_are_reloaded_under_handshakes_and_nobody_fails() {
    let reloads = if std::env::var_os("CHAT_TEST_LONG").is_some() { 100 } else { 8 };
    let folder = Folder::new();
    let (server, address) = folder.start(&["--no-limits"]);
    let mut open = shake_hands(address, &[folder.certificate()]).expect("a handshake");
    // All certificates are made beforehand, so that each handshake can trust them all.
    // (Each has another name; otherwise a client would try them all.)
    let pair = |i: usize| Folder::with_certificate(&[&format!("host{i}"), "localhost"]);
    let pairs: Vec<_> = (0..reloads).map(pair).collect();
    let trusted: Vec<_> = pairs.iter().chain([&folder]).map(Folder::certificate).collect();
    let (done, shaken) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let stream = shake_hands(address, &trusted);
                    stream.unwrap_or_else(|error| panic!("a handshake failed: {error}"));
                    shaken.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for pair in &pairs {
            for name in ["tls-cert.pem", "tls-key.pem"] {
                fs::rename(pair.path(name), folder.path(name)).expect("renamed");
            }
            server.wait_for_log(&format!("certificate reloaded fingerprint={}", folder.fingerprint()));
        }
        done.store(true, Ordering::Relaxed);
    });
    let last = shake_hands(address, &trusted).expect("a handshake");
    assert_eq!(shown(&last), folder.fingerprint());
    assert!(ask(&mut open, "ping").contains("pong"), "connections from before go on");
    println!("{reloads} reloads under {} handshakes", shaken.load(Ordering::Relaxed));
    assert!(shaken.load(Ordering::Relaxed) > reloads);
    drop((open, last));
    server.stop();
}

#[test]
fn a_server_that_stops_says_goodbye_over_tls_too() {
    let folder = Folder::new();
    let (server, address) = folder.start(&[]);
    let mut stream = shake_hands(address, &[folder.certificate()]).expect("a handshake");
    assert!(ask(&mut stream, "ping").contains("pong"));
    server.signal("TERM");
    let mut rest = String::new();
    stream.read_to_string(&mut rest).expect("a clean end");
    assert_eq!(rest, "{\"status\": \"ERROR\", \"message\": \"server is shutting down\"}\r\n\r\n");
    assert_eq!(server.wait().0, Some(0));
}

#[test]
fn what_is_watched_is_shown_as_it_comes_over_tls_too() {
    let folder = Folder::new();
    let (server, address) = folder.start(&[]);
    let mut watcher = Conversation::begin(folder.client_of(address));
    watcher.tell("auth messi surabaya\nhello 2\nwatch\n");
    (0..3).for_each(|_| drop(watcher.line()));
    // The events take more than one TLS record.
    let texts: Vec<_> = (0..20).map(|i| format!("{i} {}", "x".repeat(5000))).collect();
    let sends = lines(texts.iter().map(|text| format!("send messi {text}\n")));
    server.talk(format!("auth messi surabaya\n{sends}"));
    for text in &texts {
        let event = watcher.line();
        assert!(event.ends_with(&format!("\"msg\": \"{text}\"}}")), "{event}");
    }
    // Messages that wait are also shown when the input of the client ends.
    let mut late = Conversation::begin(folder.client_of(address));
    late.tell("auth messi surabaya\nhello 2\nwatch\n");
    late.finish();
    let (rest, code) = late.end();
    assert_eq!((rest.len(), code), (3 + texts.len(), Some(0)));
    server.stop();
    assert_eq!(
        watcher.end(),
        (vec!["{\"event\": \"closing\", \"reason\": \"shutdown\"}".to_owned()], Some(3))
    );
}

#[test]
fn who_does_not_shake_hands_is_ended_and_too_many_are_refused() {
    let folder = Folder::new();
    let (server, address) = folder.start(&["--login-deadline", "1", "--max-connections", "1"]);
    let mut silent = TcpStream::connect(address).expect("a connection");
    silent.set_read_timeout(Some(SOON)).expect("set");
    // It counts as a connection, so there is no room for another one.
    let refused = shake_hands(address, &[folder.certificate()]);
    assert!(refused.is_err(), "refused");
    assert_eq!(silent.read(&mut [0; 16]).ok(), Some(0), "ended without a word");
    server.stop();
}

fn refused(args: &[&str], folder: &Path) -> String {
    let mut server: Command = chat_server();
    server.args(["--port", "0"]).args(args).current_dir(folder);
    let output = run(server, "");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    complained(&output)
}

#[test]
fn beyond_this_machine_nothing_is_unencrypted_unless_that_is_asked_for() {
    let folder = Folder::new();
    let told = refused(&["--host", "0.0.0.0"], folder.0.path());
    assert!(told.contains("--tls-port") && told.contains("--insecure-plaintext"), "{told}");
    // A server on `0.0.0.0` does not start while a user has the sample password.
    for args in
        [&["--host", "0.0.0.0", "--insecure-plaintext"][..], &["--host", "0.0.0.0", "--tls-port", "0"]]
    {
        let told = refused(args, folder.0.path());
        assert!(told.contains("henderson, lineker, messi") && told.contains("user passwd"), "{told}");
    }
    let hash = chat_service::users::hash(&chat_service::model::Secret::new("correct horse".into()));
    let one = format!("[users.messi]\nname = \"M\"\npassword = \"{}\"\n", hash.as_str());
    fs::write(folder.path("users.toml"), one).expect("written");
    let (server, address) = folder.start(&["--host", "0.0.0.0"]);
    assert!(address.ip().is_unspecified(), "{}", server.banner);
    assert!(server.address.ip().is_loopback(), "{}", server.banner);
    assert!(!server.banner.contains("WARNING"), "{}", server.banner);
    server.stop();
    let (server, _) = folder.start(&["--host", "0.0.0.0", "--insecure-plaintext"]);
    assert!(server.address.ip().is_unspecified(), "{}", server.banner);
    assert!(server.banner.contains("WARNING"), "{}", server.banner);
    server.stop();
}

#[test]
fn a_key_that_everybody_can_read_is_refused_and_one_for_the_group_is_reported() {
    let folder = Folder::new();
    let key = folder.path("tls-key.pem");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).expect("set");
    let told = refused(&["--tls-port", "0"], folder.0.path());
    assert!(told.contains("everybody can read the private key") && told.contains("remedy:"), "{told}");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o640)).expect("set");
    let (server, _) = folder.start(&[]);
    let log = server.stop();
    assert!(log.contains("the group can read the private key"), "{log}");
}
