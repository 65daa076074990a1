//! How long the client waits, and what it says of a server that is late, hangs or is gone.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    process::Stdio,
    time::{Duration, Instant},
};

use crate::{
    one_shot::{Shell, client_in},
    support::program::{Again, command, run, said},
    tls::complained,
};

/// A server that accepts connections and says nothing.
fn silent() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address").to_string();
    (listener, address)
}

#[test]
fn lines_in_a_pipe_wait_as_long_as_they_are_told() {
    let (_silent, address) = silent();
    for more in [&[][..], &["--raw"]] {
        let mut client = command(env!("CARGO_BIN_EXE_chat-client"));
        client.args(["--host", &address, "--timeout", "0.2"]).args(more);
        let output = run(client, "ping\nping\n");
        assert_eq!(said(&output), (String::new(), Some(3)));
        assert_eq!(complained(&output), "chat-client: lost the server: no reply within 200ms\n");
    }
}

#[test]
fn nobody_knows_whether_messages_came_while_the_server_is_away() {
    let (_silent, address) = silent();
    let shell = Shell::logged_in(&[]);
    for (waiting, status) in [(&["wait"][..], 5), (&["listen", "--count", "1"], 5), (&["listen"], 0)] {
        let mut client = client_in(shell.home.path());
        client.args(["--host", &address, "--timeout", "0.2"]).args(waiting);
        client.env("CHAT_TOKEN", "57ea03e6-234a-439d-9602-ea8cb00fed28");
        let output = run(client, "");
        assert_eq!(said(&output), (String::new(), Some(3)), "{waiting:?}");
        assert_eq!(complained(&output), format!("chat-client: {address} has not answered\n"));
        // With a server, it is known.
        let output = run(shell.client(&[&["--timeout", "2"], waiting].concat()), "");
        assert_eq!(said(&output), (String::new(), Some(status)), "{waiting:?}");
        assert_eq!(complained(&output), "");
    }
    shell.server.stop();
}

#[test]
fn who_waits_for_messages_waits_for_the_server_too() {
    let again = Again::prepare();
    let home = tempfile::tempdir().expect("a folder");
    let client = |args: &[&str]| {
        let mut client = client_in(home.path());
        client.env("CHAT_PORT", &again.port).args(args);
        client
    };
    let server = again.start();
    for (profile, user) in [("default", "messi"), ("h", "henderson")] {
        let login = client(&["--profile", profile, "login", user]);
        assert_eq!(said(&run(login, "surabaya\n")).1, Some(0));
    }
    assert_eq!(said(&run(client(&["send", "henderson", "hi"]), "")).1, Some(0));
    server.stop();
    let mut waiting = client(&["--profile", "h", "wait", "--timeout", "60"]);
    waiting.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut waiting = waiting.spawn().expect("it starts");
    let mut told = String::new();
    let mut errors = BufReader::new(waiting.stderr.take().expect("piped"));
    errors.read_line(&mut told).expect("a line");
    assert!(told.contains("refused") && told.ends_with("; trying again\n"), "{told}");
    let server = again.start();
    let output = waiting.wait_with_output().expect("it ends");
    let (shown, code) = said(&output);
    assert!(shown.ends_with(" messi: hi\n"), "{shown}");
    assert_eq!(code, Some(0));
    server.stop();
    // Not for ever; and a command that does not wait fails at once.
    let output = run(client(&["--profile", "h", "wait", "--timeout", "1"]), "");
    assert_eq!(said(&output), (String::new(), Some(3)));
    assert_eq!(said(&run(client(&["send", "henderson", "hi"]), "")).1, Some(3));
}

#[test]
fn a_send_without_an_answer_says_how_it_is_repeated() {
    let shell = Shell::logged_in(&[]);
    shell.server.signal("STOP");
    for (more, status) in [(&[][..], 3), (&["--wait", "acked"], 5)] {
        let args = [&["send", "henderson", "hi", "--timeout", "0.2"], more].concat();
        let (told, code) = shell.fail(&args, "");
        assert_eq!(code, Some(status), "{told}");
        assert!(
            told.contains("the message may or may not be stored\n  remedy: send it again with --key "),
            "{told}"
        );
        let key = told
            .rsplit_once("--key ")
            .and_then(|(_, rest)| rest.split(',').next())
            .expect("a key")
            .to_owned();
        shell.server.signal("CONT");
        for _ in 0..2 {
            assert_eq!(shell.run(&["send", "henderson", "hi", "--key", &key], "").1, Some(0));
        }
        shell.server.signal("STOP");
    }
    shell.server.signal("CONT");
    assert_eq!(shell.waiting(), ["hi", "hi"]);
    shell.server.stop();
}

#[test]
fn a_command_of_exec_gets_whole_lines() {
    let shell = Shell::logged_in(&[]);
    let taken = shell.home.path().join("taken");
    assert_eq!(shell.run(&["send", "henderson", "-"], "one\ntwo\n").1, Some(0));
    let script = format!("while read -r line; do echo \"<$line>\"; done > {}", taken.display());
    assert_eq!(shell.run(&["--profile", "h", "wait", "--exec", &script], "").1, Some(0));
    assert_eq!(fs::read_to_string(&taken).expect("written"), "<one>\n<two>\n");
    // So a text of whole lines is the same at both ends.
    let script = format!("cat > {}", taken.display());
    assert_eq!(shell.run(&["send", "henderson"], "one\n\ntwo\n").1, Some(0));
    assert_eq!(shell.run(&["--profile", "h", "wait", "--exec", &script], "").1, Some(0));
    assert_eq!(fs::read_to_string(&taken).expect("written"), "one\n\ntwo\n");
    shell.server.stop();
}

#[test]
fn a_home_folder_that_does_not_exist_is_not_made() {
    let shell = Shell::start(&[]);
    let nowhere = shell.home.path().join("nowhere");
    let mut client = shell.client(&["login", "messi"]);
    client.env("HOME", &nowhere);
    let output = run(client, "surabaya\n");
    assert_eq!(said(&output), (String::new(), Some(1)));
    assert!(complained(&output).contains("there is no home folder"), "{}", complained(&output));
    assert!(!nowhere.exists());
    shell.server.stop();
}

/// A server that greets, and refuses to stream for a minute.
fn busy() -> String {
    let (listener, address) = silent();
    std::thread::spawn(move || {
        let (stream, _) = listener.accept().expect("a client");
        let mut requests = BufReader::new(stream.try_clone().expect("another"));
        let refusal =
            r#"{"status": "ERROR", "message": "Too Many", "code": "rate_limited", "retry_after": 60}"#;
        for reply in [r#"{"status": "OK"}"#, refusal] {
            requests.read_line(&mut String::new()).expect("a request");
            (&stream).write_all(format!("{reply}\r\n\r\n").as_bytes()).expect("taken");
        }
        // Until the client goes away.
        requests.read_line(&mut String::new()).ok();
    });
    address
}

#[test]
fn a_limit_does_not_make_a_wait_longer_than_it_may_be() {
    let home = tempfile::tempdir().expect("a folder");
    let mut client = client_in(home.path());
    client.args(["--host", &busy(), "wait", "--timeout", "10"]);
    client.env("CHAT_TOKEN", "57ea03e6-234a-439d-9602-ea8cb00fed28");
    let began = Instant::now();
    let output = run(client, "");
    assert_eq!(said(&output), (String::new(), Some(1)));
    assert!(complained(&output).contains("again in 60 s (rate_limited)"), "{output:?}");
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
}
