//! What a false server cannot do to the client, and what makes no server a trusted one.

use std::{
    fs,
    io::{Read, Write},
    net::TcpListener,
    os::unix::fs::{PermissionsExt, chown, symlink},
    path::Path,
    process::{Output, Stdio},
    sync::mpsc::sync_channel,
};

use crate::{
    client::{client_of, script, stay},
    support::program::{Program, run, said, terminal},
    tls::{Folder, complained},
};

const PONG: &str = "{\"status\": \"OK\", \"message\": \"pong\"}\r\n\r\n";

#[test]
fn a_reply_without_an_end_is_not_read_for_ever() {
    const WATCHING: &[&str] = &["{\"status\": \"OK\", \"message\": \"watching\"}\r\n\r\n"];
    for (line, replies, expected) in [("ping\n", &["{"][..], ""), ("watch\n", WATCHING, "watching\n")] {
        let (count, sent) = sync_channel(1);
        let (port, serving) = script(replies, move |mut stream| {
            let piece = [b'{'; 16 * 1024];
            let pieces = std::iter::from_fn(|| stream.write_all(&piece).ok()).take(4096).count();
            count.send(pieces * piece.len()).expect("the test waits");
        });
        let output = run(client_of(port), line);
        assert_eq!(
            complained(&output),
            "chat-client: lost the server: it sent a reply of more than 16 MiB, so it is hardly a chat server\n  \
             remedy: check --host and --port, or ask whoever runs the server\n"
        );
        assert_eq!(said(&output), (expected.to_owned(), Some(3)));
        // What the client has not read is in the buffers of the sockets.
        let sent = sent.recv().expect("counted");
        assert!(sent < 64 << 20, "the client has closed the connection");
        serving.join().expect("no panic");
    }
}

#[test]
fn a_false_server_does_nothing_to_a_terminal_with_raw_either() {
    const SENT: &str =
        "{\"m\": \"\u{1b}[2J\t\r\u{7f}\u{9b}\u{61c}\u{200e}\u{2028}\u{202e}\u{2066}\u{feff} é \\u001b\"}";
    let replies = || Box::leak(Box::new([&*Box::leak(format!("{SENT}\r\n\r\n").into_boxed_str())]));
    let (port, serving) = script(replies(), stay);
    let mut client = client_of(port);
    client.arg("--raw");
    assert_eq!(said(&run(client, "ping\n")), (format!("{SENT}\n"), Some(1)), "a pipe gets every byte");
    serving.join().expect("no panic");
    let (port, serving) = script(replies(), stay);
    let (mut screen, theirs) = terminal();
    let mut client = client_of(port);
    client.arg("--raw").stdin(Stdio::piped()).stdout(theirs);
    let mut child = client.spawn().expect("it starts");
    drop(client);
    child.stdin.take().expect("piped").write_all(b"ping\n").expect("taken");
    assert_eq!(child.wait().expect("it ends").code(), Some(1));
    let mut shown = Vec::new();
    // The end of a terminal whose other side is closed is an error.
    screen.read_to_end(&mut shown).ok();
    assert_eq!(
        String::from_utf8_lossy(&shown),
        "{\"m\": \"\\u001b[2J\\u0009\\u000d\\u007f\\u009b\\u061c\\u200e\\u2028\\u202e\\u2066\\ufeff é \\u001b\"}\r\n"
    );
    serving.join().expect("no panic");
}

#[test]
fn a_host_that_is_known_by_its_certificate_is_not_called_without_tls() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("known_servers");
    let hosts = ["chat.example.org", "192.0.2.1", "[2001:db8::1]", "0.0.0.0", "127.0.0.1"];
    let known = hosts.map(|host| format!("{host}:8890 sha256:{}\n", "ab".repeat(32))).concat();
    fs::write(&file, known).expect("written");
    set_mode(&file, 0o600);
    let call = |host: &str, port: u16, args: &[&str]| {
        let mut client = client_of(port);
        client.args(["--host", host]).arg("--known-servers").arg(&file).args(args);
        run(client, "ping\n")
    };
    // Linux takes 0.0.0.0 for this machine, but not every system does.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.set_nonblocking(true).expect("set");
    let port = listener.local_addr().expect("an address").port();
    for host in ["0.0.0.0", "192.0.2.1", "2001:DB8::1", "chat.example.org"] {
        let output = call(host, port, &[]);
        assert_eq!(said(&output), (String::new(), Some(2)), "{host}: {output:?}");
        let told = complained(&output);
        let shown = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        let expected = format!("chat-client: cannot reach {shown}:{port}: it was reached with TLS before");
        assert!(told.starts_with(&expected), "{told}");
        assert!(
            told.contains("could read a password") && told.contains("remedy: --tls, or --insecure-plaintext")
        );
    }
    assert!(listener.accept().is_err(), "there was no connection");
    for (host, args) in [("0.0.0.0", &["--insecure-plaintext"][..]), ("127.0.0.1", &[])] {
        let (port, serving) = script(&[PONG], stay);
        let output = call(host, port, args);
        assert_eq!(said(&output), ("pong\n".to_owned(), Some(0)), "{host}: {output:?}");
        assert_eq!(complained(&output), "");
        serving.join().expect("no panic");
    }
    // Of a host that is not known, nothing is asked.
    fs::write(&file, "").expect("written");
    let (port, serving) = script(&[PONG], stay);
    assert_eq!(said(&call("0.0.0.0", port, &[])), ("pong\n".to_owned(), Some(0)));
    serving.join().expect("no panic");
}

/// A server with TLS, and the file in which the client knows it.
fn known_server() -> (Folder, Program, impl Fn(&Folder) -> Output) {
    let folder = Folder::new();
    let (server, address) = folder.start(&[]);
    let call = move |folder: &Folder| folder.client(address, &[]);
    assert_eq!(said(&call(&folder)).1, Some(0), "the first connection");
    (folder, server, call)
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("set");
}

#[test]
fn known_servers_that_others_can_write_are_not_used() {
    let (folder, server, call) = known_server();
    let (file, inside) = (folder.path("known/servers"), folder.path("known"));
    let check_refused = |expected: &str| {
        let output = call(&folder);
        assert_eq!(said(&output), (String::new(), Some(3)), "{expected}: {output:?}");
        let told = complained(&output);
        assert!(told.contains(expected) && told.contains("remedy: "), "{told}");
    };
    let check_used = |what: &str| {
        let output = call(&folder);
        assert_eq!((said(&output).1, complained(&output).as_str()), (Some(0), ""), "{what}");
    };
    for mode in [0o620, 0o602, 0o666] {
        set_mode(&file, mode);
        check_refused(&format!(
            "others can write it, and could make a false server a known one\n  remedy: check what is in it, and chmod 600 {}",
            file.display()
        ));
    }
    set_mode(&file, 0o644);
    check_used("a file that others can read");
    set_mode(&inside, 0o777);
    check_refused("others can replace it");
    let known = fs::read(&file).expect("there");
    fs::remove_file(&file).expect("removed");
    check_refused("others can replace it");
    assert!(!file.exists(), "nothing is remembered there");
    fs::write(&file, known).expect("written");
    set_mode(&inside, 0o1777);
    check_used("a folder with the sticky bit");
    // Only root can give a file away.
    for (path, expected) in
        [(&file, "it belongs to another user"), (&inside, "its folder belongs to another user")]
    {
        if chown(path, Some(12), None).is_ok() {
            check_refused(expected);
            chown(path, Some(0), None).expect("taken back");
        }
    }
    server.stop();
}

#[test]
fn known_servers_are_no_link() {
    let (folder, server, call) = known_server();
    let (file, other) = (folder.path("known/servers"), folder.path("known/other"));
    fs::rename(&file, &other).expect("renamed");
    symlink(&other, &file).expect("linked");
    let kept = fs::read_to_string(&other).expect("there");
    for _ in ["a link to a file", "a link to nothing"] {
        let output = call(&folder);
        assert_eq!(said(&output), (String::new(), Some(3)), "{output:?}");
        let told = complained(&output);
        assert!(told.contains("a link, or no regular file, has this name\n  remedy:"), "{told}");
        fs::remove_file(&other).ok();
    }
    assert!(!other.exists(), "nothing is created where a link points");
    fs::remove_file(&file).expect("removed");
    assert_eq!(said(&call(&folder)).1, Some(0));
    assert_eq!(fs::read_to_string(&file).expect("there"), kept);
    server.stop();
}
