//! `chat-client` as a command of a shell: what it prints, what it leaves in the inbox, and its exit status.

use std::{
    fs,
    io::Read,
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    thread,
};

use serde_json::Value;

use crate::{
    support::program::{Again, Program, command, run, said},
    tls::{Folder, complained},
};

/// A server, and a home folder for its clients.
pub(crate) struct Shell {
    pub(crate) server: Program,
    pub(crate) home: tempfile::TempDir,
}

impl Shell {
    pub(crate) fn start(args: &[&str]) -> Self {
        Shell { server: Program::start(args), home: tempfile::tempdir().expect("a folder") }
    }

    /// With messi and henderson logged in, in the profiles `default` and `h`.
    pub(crate) fn logged_in(args: &[&str]) -> Self {
        let shell = Shell::start(args);
        assert_eq!(shell.run(&["login", "messi"], "surabaya\n"), (String::new(), Some(0)));
        assert_eq!(
            shell.run(&["--profile", "h", "login", "henderson"], "surabaya\n"),
            (String::new(), Some(0))
        );
        shell
    }

    fn port(&self) -> String {
        self.server.address.port().to_string()
    }

    pub(crate) fn client(&self, args: &[&str]) -> Command {
        let mut client = client_in(self.home.path());
        client.env("CHAT_PORT", self.port()).args(args);
        client
    }

    fn output(&self, args: &[&str], input: impl AsRef<[u8]>) -> Output {
        run(self.client(args), input)
    }

    /// Standard output and exit status.
    pub(crate) fn run(&self, args: &[&str], input: impl AsRef<[u8]>) -> (String, Option<i32>) {
        said(&self.output(args, input))
    }

    /// Standard error and exit status.
    pub(crate) fn fail(&self, args: &[&str], input: impl AsRef<[u8]>) -> (String, Option<i32>) {
        let output = self.output(args, input);
        assert_eq!(said(&output).0, "", "data on standard output");
        (complained(&output), output.status.code())
    }

    pub(crate) fn profile(&self, name: &str) -> PathBuf {
        self.home.path().join(format!(".local/state/chat-service/{name}.json"))
    }

    /// Texts of henderson's inbox, which stay there.
    pub(crate) fn waiting(&self) -> Vec<String> {
        let (json, code) = self.run(&["--profile", "h", "inbox", "--keep", "--json"], "");
        assert_eq!(code, Some(0));
        objects(&json).iter().map(|message| message["msg"].as_str().expect("a text").to_owned()).collect()
    }
}

pub(crate) fn client_in(home: &Path) -> Command {
    let mut client = command(env!("CARGO_BIN_EXE_chat-client"));
    client.env("HOME", home).env_remove("XDG_STATE_HOME").env_remove("XDG_CONFIG_HOME").env("TZ", "UTC");
    client
}

pub(crate) fn objects(lines: &str) -> Vec<Value> {
    lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// The text after the time and the sender, of each line.
pub(crate) fn texts(shown: &str) -> Vec<&str> {
    shown.lines().map(|line| line.split_once(": ").map_or(line, |(_, text)| text)).collect()
}

#[test]
fn a_login_is_kept_for_later_commands_and_ends_with_logout() {
    let shell = Shell::start(&[]);
    let (told, code) = shell.fail(&["send", "henderson", "hi"], "");
    assert_eq!(code, Some(4));
    assert!(told.contains("not logged in") && told.contains("remedy: chat-client login USER"), "{told}");
    assert_eq!(shell.fail(&["login", "messi"], "wrong\n").1, Some(1));
    assert!(!shell.profile("default").exists());

    let login = shell.output(&["login", "messi"], "surabaya\n");
    assert_eq!((said(&login), complained(&login)), ((String::new(), Some(0)), String::new()), "quiet");
    let mode = fs::metadata(shell.profile("default")).expect("kept").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(shell.run(&["send", "henderson", "backup", "done"], ""), (String::new(), Some(0)));
    let (who, _) = shell.run(&["whoami"], "");
    assert!(
        who.starts_with(&format!("messi (Lionel Messi) at 127.0.0.1:{}, session ", shell.port())),
        "{who}"
    );
    assert!(who.contains("30 days left"), "{who}");
    // Where one has logged in is known.
    let mut anywhere = client_in(shell.home.path());
    anywhere.arg("whoami");
    assert_eq!(said(&run(anywhere, "")).1, Some(0));

    // Another login is the only session after it.
    assert_eq!(shell.run(&["login", "messi"], "surabaya\n").1, Some(0));
    let (sessions, _) = shell.run(&["sessions", "--json"], "");
    assert_eq!(objects(&sessions).len(), 1, "{sessions}");
    assert_eq!(shell.run(&["logout"], "").1, Some(0));
    assert!(!shell.profile("default").exists());
    assert_eq!(shell.fail(&["whoami"], "").1, Some(4));
    assert_eq!(shell.run(&["logout"], "").1, Some(0), "nothing is left to do");
    shell.server.stop();
}

#[test]
fn a_token_is_sent_nowhere_else() {
    let shell = Shell::logged_in(&[]);
    // Another server, which must not even be called.
    let other = TcpListener::bind("127.0.0.1:0").expect("a free port");
    other.set_nonblocking(true).expect("set");
    let mut elsewhere = client_in(shell.home.path());
    elsewhere.args(["--port", &other.local_addr().expect("an address").port().to_string(), "whoami"]);
    let output = run(elsewhere, "");
    assert_eq!(output.status.code(), Some(4));
    assert!(complained(&output).contains("not logged in at this server"), "{output:?}");
    assert!(other.accept().is_err(), "it was called");
    // Beyond this machine, nothing goes in clear.
    let mut far = client_in(shell.home.path());
    far.args(["--host", "192.0.2.1", "whoami"]).env("CHAT_TOKEN", "57ea03e6-234a-439d-9602-ea8cb00fed28");
    let output = run(far, "");
    assert_eq!(output.status.code(), Some(2));
    assert!(complained(&output).contains("--tls, or --insecure-plaintext"), "{output:?}");
    // A file that others can read is not used.
    fs::set_permissions(shell.profile("default"), fs::Permissions::from_mode(0o644)).expect("set");
    let (told, code) = shell.fail(&["whoami"], "");
    assert_eq!(code, Some(1));
    assert!(told.contains("others can read the token") && told.contains("chmod 600"), "{told}");
    shell.server.stop();
}

#[test]
fn tokens_and_passwords_come_from_files_and_the_environment() {
    let shell = Shell::logged_in(&[]);
    let login: Value =
        serde_json::from_str(&fs::read_to_string(shell.profile("default")).expect("kept")).expect("JSON");
    let token = login["token"].as_str().expect("a token");
    let file = shell.home.path().join("token");
    fs::write(&file, format!("{token}\n")).expect("written");
    let with_file = ["--profile", "none", "--token-file", file.to_str().expect("UTF-8"), "whoami"];
    assert!(shell.run(&with_file, "").0.starts_with("messi "));
    let mut with_variable = shell.client(&["--profile", "none", "whoami"]);
    with_variable.env("CHAT_TOKEN", token);
    assert!(said(&run(with_variable, "")).0.starts_with("messi "));
    fs::write(&file, "no token\n").expect("written");
    assert_eq!(shell.fail(&with_file, "").1, Some(2));

    // A session that has ended is renewed with the password of a file.
    assert_eq!(shell.run(&["logout", "all"], "").1, Some(0));
    assert_eq!(shell.run(&["login", "messi"], "surabaya\n").1, Some(0));
    let talk = shell.server.talk("auth messi surabaya\nlogout all\n");
    assert!(talk.contains("OK"), "{talk}");
    assert_eq!(shell.fail(&["send", "henderson", "hi"], "").1, Some(4));
    let password = shell.home.path().join("password");
    fs::write(&password, "surabaya\n").expect("written");
    let renewed = ["--password-file", password.to_str().expect("UTF-8"), "send", "henderson", "hi"];
    assert_eq!(shell.run(&renewed, ""), (String::new(), Some(0)));
    assert_eq!(shell.run(&["whoami"], "").1, Some(0), "the new token is kept");
    assert_eq!(shell.waiting(), ["hi"]);
    shell.server.stop();
}

#[test]
fn a_message_is_sent_from_arguments_or_from_standard_input() {
    let shell = Shell::logged_in(&[]);
    let check = |args: &[&str], input: &[u8], expected: Option<i32>| {
        let output = shell.output(&[&["send", "henderson"], args].concat(), input);
        assert_eq!(output.status.code(), expected, "{args:?}: {output:?}");
        complained(&output)
    };
    check(&["backup", "done"], b"", Some(0));
    check(&["-"], b"one\ntwo\n\n", Some(0));
    check(&[], b"tail\n-3\nlog", Some(0));
    check(&["--lines"], b"a\n\nb\r\nc", Some(0));
    check(&["--key", "job-1", "once"], b"", Some(0));
    check(&["--key", "job-1", "once"], b"", Some(0));
    check(&["--", "--lines"], b"", Some(0));
    assert!(check(&["--key", "job-1", "another"], b"", Some(1)).contains("key_reused"));
    assert!(check(&["-"], b"\n", Some(1)).contains("the text is empty"));
    assert!(check(&["-"], &[b'x'; 8193], Some(1)).contains("8,193 of 8,192 bytes"));
    assert!(check(&["-"], b"\xff", Some(1)).contains("not UTF-8"));
    let long = [&b"fits\n"[..], &[b'x'; 8193], b"\nnever\n"].concat();
    assert!(check(&["--lines"], &long, Some(1)).contains("line 2: too long"));
    assert_eq!(shell.fail(&["send", "nobody", "hi"], "").1, Some(1));
    let (told, _) = shell.fail(&["send", "hendreson", "hi"], "");
    assert!(told.contains("no such user; did you mean henderson? (no_such_user)"), "{told}");
    let expected = ["backup done", "one\ntwo", "tail\n-3\nlog", "a", "b", "c", "once", "--lines", "fits"];
    assert_eq!(shell.waiting(), expected);
    let (sent, _) = shell.run(&["--json", "send", "henderson", "hi"], "");
    let sent = &objects(&sent)[0];
    assert!(sent["id"].is_u64() && sent["at"].is_string() && sent["status"] == "OK", "{sent}");
    shell.server.stop();
}

#[test]
fn what_was_written_has_left_the_inbox_and_nothing_else() {
    let shell = Shell::logged_in(&["--store", "memory"]);
    assert_eq!(shell.run(&["--profile", "h", "inbox"], ""), (String::new(), Some(0)));
    assert_eq!(shell.run(&["--profile", "h", "inbox", "--fail-empty"], "").1, Some(6));
    assert_eq!(shell.run(&["send", "henderson", "--lines"], "a\nb\nc\n").1, Some(0));
    assert_eq!(shell.run(&["send", "henderson", "-"], "two\nlines").1, Some(0));
    assert_eq!(shell.waiting().len(), 4);
    let full = fs::File::options().write(true).open("/dev/full").expect("Linux");
    let mut client = shell.client(&["--profile", "h", "inbox"]);
    let output = client.stdin(Stdio::null()).stdout(full).output().expect("it runs");
    assert_eq!(output.status.code(), Some(1));
    assert!(complained(&output).contains("cannot write: No space left on device"), "{output:?}");
    assert_eq!(shell.waiting().len(), 4, "what was not written stays");
    // Whoever reads it is gone before the first message.
    let mut client = shell.client(&["--profile", "h", "inbox"]);
    client.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let output = client.stdout(writer).output().expect("it runs");
    assert_eq!((output.status.code(), complained(&output).as_str()), (Some(0), ""));
    assert_eq!(shell.waiting().len(), 4);
    let (shown, code) = shell.run(&["--profile", "h", "inbox"], "");
    assert_eq!(code, Some(0));
    assert_eq!(texts(&shown), ["a", "b", "c", "two", "\tlines"], "{shown}");
    assert!(
        shown.starts_with("20")
            && shown.lines().all(|line| line.starts_with('\t') || line.contains(" messi: "))
    );
    assert!(shell.waiting().is_empty());
    let (told, code) = shell.run(&["history", "henderson", "--limit", "2"], "");
    assert_eq!((texts(&told), code), (vec!["c", "two", "\tlines"], Some(0)));
    assert_eq!(shell.run(&["history", "lineker", "--fail-empty"], "").1, Some(6));
    shell.server.stop();
}

#[test]
fn a_script_waits_for_messages_as_long_as_it_wants() {
    let shell = Shell::logged_in(&[]);
    let waited = shell.fail(&["--profile", "h", "wait", "--timeout", "1"], "");
    assert_eq!(waited, (String::new(), Some(5)));
    assert_eq!(
        shell.run(&["--profile", "h", "listen", "--timeout", "1"], "").1,
        Some(0),
        "as long as it was to"
    );
    // What waits is included, oldest first.
    assert_eq!(shell.run(&["send", "henderson", "--lines"], "a\nb\nc\n").1, Some(0));
    let (shown, code) = shell.run(&["--profile", "h", "wait", "--timeout", "30s"], "");
    assert_eq!((texts(&shown), code), (vec!["a"], Some(0)));
    let (shown, code) = shell.run(&["--profile", "h", "listen", "--count", "2", "--json"], "");
    let shown: Vec<_> = objects(&shown).iter().map(|message| message["msg"].to_string()).collect();
    assert_eq!((shown, code), (vec!["\"b\"".to_owned(), "\"c\"".to_owned()], Some(0)));
    assert!(shell.waiting().is_empty());
    // And what comes later.
    let mut client = shell.client(&["--profile", "h", "wait"]);
    let waiting = client.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("it starts");
    assert_eq!(shell.run(&["send", "henderson", "now"], "").1, Some(0));
    let output = waiting.wait_with_output().expect("it ends");
    assert_eq!(texts(&said(&output).0), ["now"]);
    shell.server.stop();
}

#[test]
fn a_command_takes_messages_and_its_failure_leaves_them() {
    let shell = Shell::logged_in(&[]);
    assert_eq!(shell.run(&["send", "henderson", "--lines"], "a\nbad\nc\n").1, Some(0));
    let listen = |script: &str, more: &[&str]| {
        let base = ["--profile", "h", "listen", "--timeout", "20s", "--exec", script];
        shell.output(&[&base[..], more].concat(), "")
    };
    let output =
        listen("read -r text; echo \"$CHAT_FROM $CHAT_TO $CHAT_ID $text\"; test \"$text\" != bad", &[]);
    let (shown, code) = said(&output);
    assert_eq!(code, Some(7), "{output:?}");
    assert_eq!(shown, "messi henderson 1 a\nmessi henderson 2 bad\n");
    let told = complained(&output);
    assert!(told.contains("exit status 1") && told.contains("message 2 and those after it stay"), "{told}");
    assert_eq!(shell.waiting(), ["bad", "c"]);
    // The second try succeeds.
    let mark = shell.home.path().join("mark");
    let script = format!("test -e {0} || {{ touch {0}; exit 3; }}", mark.display());
    assert_eq!(listen(&script, &["--retries", "1", "--count", "1"]).status.code(), Some(0));
    assert_eq!(shell.waiting(), ["c"]);
    // Killed in the middle of a command: the message stays.
    let mut client = shell.client(&["--profile", "h", "listen", "--exec", "echo begun; exec sleep 1000"]);
    let mut listening = client.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("it starts");
    let mut begun = [0; 6];
    listening.stdout.as_mut().expect("piped").read_exact(&mut begun).expect("begun");
    listening.kill().expect("killed");
    listening.wait().expect("it ran");
    Command::new("pkill").args(["-f", "^sleep 1000$"]).status().expect("pkill");
    assert_eq!(shell.waiting(), ["c"]);
    shell.server.stop();
}

#[test]
fn a_sender_waits_until_a_message_was_taken_or_read() {
    let shell = Shell::logged_in(&[]);
    let (told, code) = shell.fail(&["send", "henderson", "hi", "--wait", "acked", "--timeout", "0.3"], "");
    assert_eq!(code, Some(5));
    assert!(told.contains("message 1: it is stored, and waits in the inbox"), "{told}");
    let wait = |state: &str| {
        let mut client = shell.client(&["send", "henderson", "there?", "--wait", state, "--timeout", "60s"]);
        client.stdin(Stdio::null()).stdout(Stdio::null()).spawn().expect("it starts")
    };
    let mut acked = wait("acked");
    assert_eq!(shell.run(&["--profile", "h", "listen", "--count", "2"], "").1, Some(0));
    assert_eq!(acked.wait().expect("it ends").code(), Some(0));
    let mut read = wait("read");
    assert_eq!(shell.run(&["--profile", "h", "wait"], "").1, Some(0));
    assert!(read.try_wait().expect("it runs").is_none(), "taken is not read");
    assert_eq!(shell.run(&["--profile", "h", "read", "messi", "3"], "").1, Some(0));
    assert_eq!(read.wait().expect("it ends").code(), Some(0));
    shell.server.stop();
}

#[test]
fn a_server_is_named_as_people_write_it() {
    let shell = Shell::logged_in(&[]);
    let gone = TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("an address");
    let server = shell.server.address.to_string();
    for (hosts, expected) in [
        (server.clone(), Some(0)),
        (format!("{gone}"), Some(3)),
        ("[::1".to_owned(), Some(2)),
        ("chat.example:0".to_owned(), Some(2)),
    ] {
        let mut client = client_in(shell.home.path());
        client.args(["--host", &hosts, "--profile", "new", "login", "messi"]);
        let output = run(client, "surabaya\n");
        assert_eq!(output.status.code(), expected, "{hosts}: {output:?}");
    }
    // Several are tried in turn, and the token is good for each.
    let both = format!("{gone},{server}");
    for args in [&["login", "messi"][..], &["whoami"], &["send", "messi", "hi"]] {
        let mut client = client_in(shell.home.path());
        client.args(["--profile", "two", "--host", &both]).args(args);
        assert_eq!(said(&run(client, "surabaya\n")).1, Some(0), "{args:?}");
    }
    let mut client = client_in(shell.home.path());
    client.args(["--host", &server, "--port", "1", "whoami"]);
    assert_eq!(run(client, "").status.code(), Some(2));
    // The device is named.
    let (sessions, _) = shell.run(&["--device", "pi in the attic", "sessions"], "");
    assert!(sessions.contains("pi in the attic"), "{sessions}");
    shell.server.stop();
}

#[test]
fn tls_on_the_plain_port_and_the_reverse_are_told() {
    let folder = Folder::new();
    let (server, encrypted) = folder.start(&[]);
    let home = tempfile::tempdir().expect("a folder");
    let login = |args: &[&str]| {
        let mut client = client_in(home.path());
        client.args(args).args(["login", "messi"]);
        let output = run(client, "surabaya\n");
        (complained(&output), output.status.code())
    };
    let (told, code) = login(&["--host", &server.address.to_string(), "--tls"]);
    assert_eq!(code, Some(3));
    assert!(told.contains("it does not speak TLS") && told.contains("remedy: leave --tls out"), "{told}");
    let (told, code) = login(&["--host", &encrypted.to_string()]);
    assert_eq!(code, Some(3));
    assert!(told.contains("it speaks TLS") && told.contains("remedy: --tls"), "{told}");
    // With TLS, the login knows the server by its certificate, and goes nowhere else.
    assert_eq!(login(&["--host", &encrypted.to_string(), "--tls"]).1, Some(0));
    let whoami = || {
        let mut client = client_in(home.path());
        client.arg("whoami");
        let output = run(client, "");
        (complained(&output), output.status.code())
    };
    assert_eq!(whoami(), (String::new(), Some(0)), "TLS and the port are part of the login");
    fs::remove_file(home.path().join(".config/chat-service/known_servers")).expect("it was known");
    let profile = home.path().join(".local/state/chat-service/default.json");
    let kept = fs::read_to_string(&profile).expect("kept");
    let (before, after) = kept.split_once("sha256:").expect("a fingerprint");
    fs::write(&profile, format!("{before}sha256:{}{}", "0".repeat(64), &after[64..])).expect("written");
    let (told, code) = whoami();
    assert_eq!(code, Some(3));
    assert!(told.contains("NOT THE ONE WITH WHICH YOU LOGGED IN"), "{told}");
    server.stop();
}

#[test]
fn a_send_that_is_repeated_over_kills_of_the_server_arrives_once() {
    let again = Again::prepare();
    let (folder, port) = (&again.folder, &again.port);
    let start = || again.start();
    let mut server = start();
    let client = |args: &[&str]| {
        let mut client = client_in(folder.path());
        client.args(["--port", port]).args(args);
        client
    };
    assert_eq!(run(client(&["login", "messi"]), "surabaya\n").status.code(), Some(0));
    for i in 0..50 {
        let mut send = client(&["send", "henderson", "--key", &format!("job-{i}"), &format!("message {i}")]);
        let sending = thread::spawn(move || {
            loop {
                match run_quiet(&mut send) {
                    Some(0) => break,
                    Some(3) => {}
                    other => panic!("{other:?}"),
                }
            }
        });
        server.stop_now();
        server = start();
        sending.join().expect("sent");
    }
    assert_eq!(run(client(&["--profile", "h", "login", "henderson"]), "surabaya\n").status.code(), Some(0));
    let (shown, _) = said(&run(client(&["--profile", "h", "inbox"]), ""));
    let expected: Vec<_> = (0..50).map(|i| format!("message {i}")).collect();
    assert_eq!(texts(&shown), expected);
    server.stop();
}

fn run_quiet(command: &mut Command) -> Option<i32> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().expect("it runs").code()
}

#[test]
fn wrong_usage_is_status_2_and_names_what_is_meant() {
    let shell = Shell::logged_in(&[]);
    for (args, told) in [
        (&["sned", "henderson", "hi"][..], "a similar subcommand exists: 'send'"),
        (&["send"], "Usage: chat-client send"),
        (&["--raw", "whoami"], "--json"),
        (&["send", "henderson", "--lines", "text"], "--lines is for standard input"),
        (&["wait", "--timeout", "soon"], "--timeout"),
        (&["--profile", "../x", "whoami"], "--profile"),
        (&["--device", "\u{e9}", "whoami"], "printable ASCII"),
        (&["logout", "x"], "a number from `sessions`, or all"),
    ] {
        let (error, code) = shell.fail(args, "");
        assert_eq!(code, Some(2), "{args:?}: {error}");
        assert!(error.contains(told), "{args:?}: {error}");
    }
    shell.server.stop();
}

#[test]
fn lists_are_tables_or_objects() {
    let shell = Shell::logged_in(&[]);
    assert_eq!(shell.run(&["join", "#team"], "").1, Some(0));
    assert_eq!(shell.run(&["send", "#team", "hello"], "").1, Some(0));
    let (who, _) = shell.run(&["who"], "");
    let lines: Vec<_> = who.lines().collect();
    assert!(lines[0].starts_with("USER       STATE"), "{who}");
    assert_eq!(lines.len(), 4, "{who}");
    assert_eq!(shell.run(&["rooms"], "").0, "ROOM   MEMBERS\n#team  1        joined\n");
    assert_eq!(shell.run(&["members", "#team"], "").0, "USER   NAME\nmessi  Lionel Messi\n");
    let (conversations, _) = shell.run(&["conversations"], "");
    assert!(
        conversations.contains("#team  0       20") && conversations.ends_with("messi: hello\n"),
        "{conversations}"
    );
    let (status, _) = shell.run(&["status", "1"], "");
    assert!(status.starts_with("1 acked, stored 20"), "{status}");
    for args in
        [&["who"][..], &["rooms"], &["members", "#team"], &["sessions"], &["whoami"], &["conversations"]]
    {
        let (json, code) = shell.run(&[&["--json"], args].concat(), "");
        assert_eq!(code, Some(0));
        assert!(!objects(&json).is_empty(), "{args:?}");
    }
    assert_eq!(shell.run(&["leave", "#team"], "").1, Some(0));
    assert_eq!(shell.fail(&["leave", "#team"], "").1, Some(1));
    shell.server.stop();
}

#[test]
fn a_password_is_changed_without_being_an_argument() {
    let shell = Shell::logged_in(&[]);
    let (told, code) = shell.fail(&["passwd"], "surabaya\nshort\n");
    assert_eq!(code, Some(1));
    assert!(told.contains("a password has at least 8 characters"), "{told}");
    assert_eq!(shell.run(&["passwd"], "surabaya\na long enough one\n").1, Some(0));
    assert_eq!(shell.fail(&["passwd"], "surabaya\na long enough one\n").1, Some(1));
    assert_eq!(shell.run(&["whoami"], "").1, Some(0), "this session stays");
    shell.server.stop();
}
