//! `chat-server` as an operator uses it: start, signals, logs, errors.

use std::{
    io::{Read, Write},
    thread,
    time::{Duration, Instant},
};

use crate::support::{
    SENT, SOON,
    program::{Program, chat_server, read_reply, run, said},
    users_toml,
};

const GOODBYE: &str = "{\"status\": \"ERROR\", \"message\": \"server is shutting down\"}\r\n\r\n";

#[test]
fn it_says_where_it_listens_and_what_to_do_next() {
    let server =
        Program::start(&["--data", "unused", "--inbox-limit", "5", "--no-limits", "--store", "memory"]);
    let port = server.address.port();
    for part in [
        format!("listens on 127.0.0.1:{port}\n"),
        "from this machine only; --host 0.0.0.0 --tls-port 8890 opens it".to_owned(),
        "users:  3 in ".to_owned(),
        "store:  memory".to_owned(),
        format!("| nc -N 127.0.0.1 {port}\n"),
    ] {
        assert!(server.banner.contains(&part), "{part:?} in {}", server.banner);
    }
    let sends = "send messi a\n".repeat(6);
    let answers = server.talk(format!("auth messi surabaya\n{sends}"));
    assert!(answers.ends_with("{\"status\": \"ERROR\", \"message\": \"inbox full\"}\r\n\r\n"), "{answers}");
    server.stop();
}

#[test]
fn settings_come_from_the_environment_too() {
    let mut command = chat_server();
    command.env("CHAT_HOST", "0.0.0.0").env("CHAT_INBOX_LIMIT", "1").env("CHAT_LOG_LEVEL", "off");
    let server = Program::start_by(command, &["--host", "127.0.0.1"]);
    assert!(server.banner.contains("listens on 127.0.0.1"), "a flag wins: {}", server.banner);
    let answers = server.talk("auth messi surabaya\nsend messi a\nsend messi b\n");
    assert!(answers.contains("inbox full"), "{answers}");
    assert_eq!(server.stop(), "");
}

#[test]
fn it_serves_on_as_many_threads_as_it_is_told() {
    // A single thread is the main thread, which has another name.
    for (threads, others) in [("1", 0), ("3", 3)] {
        let server = Program::start(&["--network-threads", threads, "--store", "memory"]);
        // A thread sets its name when it first runs.
        let began = Instant::now();
        while server.threads("network") != others {
            assert!(began.elapsed() < SOON, "{} threads", server.threads("network"));
            thread::yield_now();
        }
        let mut watcher = server.connect();
        watcher.write_all(b"hello 2\nauth messi surabaya\nwatch\n").expect("taken");
        (0..3).for_each(|_| drop(read_reply(&mut watcher)));
        let answers = server.talk("auth messi surabaya\nsend messi hello\n");
        assert!(answers.contains(SENT), "{answers}");
        let event = read_reply(&mut watcher);
        assert!(event.starts_with("{\"event\": \"message\"") && event.contains("hello"), "{event}");
        server.stop();
    }
    let mut none = chat_server();
    none.args(["--network-threads", "0"]);
    let refused = run(none, "");
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("0 is not in 1..=1024"));
}

#[test]
fn a_signal_answers_what_has_arrived_and_says_goodbye() {
    for signal in ["TERM", "INT"] {
        let server = Program::start(&[]);
        let mut idle = server.connect();
        let mut busy = server.connect();
        busy.write_all(b"auth messi surabaya\n").expect("taken");
        read_reply(&mut busy);
        // The first request is a login whose password is being verified; all others come after it.
        busy.write_all(format!("auth messi wrong\n{}half a line", "send messi a\n".repeat(3000)).as_bytes())
            .expect("taken");
        let began = Instant::now();
        server.signal(signal);
        let mut answers = String::new();
        busy.read_to_string(&mut answers).expect("a clean end");
        assert_eq!(answers.matches(SENT).count(), 3000);
        assert!(answers.starts_with("{\"status\": \"ERROR\", \"message\": \"User Tidak Ada\"}\r\n\r\n"));
        assert!(answers.ends_with(GOODBYE), "{}", &answers[answers.len() - 200..]);
        let mut word = String::new();
        idle.read_to_string(&mut word).expect("a clean end");
        assert_eq!(word, GOODBYE);
        let (code, log) = server.wait();
        assert_eq!(code, Some(0), "{log}");
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    }
}

#[test]
fn a_peer_that_neither_reads_nor_stops_cannot_keep_the_server_up() {
    let server = Program::start(&["--no-limits"]);
    let mut flood = server.connect();
    flood.set_nonblocking(true).expect("set");
    let lines = "haloo\n".repeat(10_000);
    while flood.write(lines.as_bytes()).is_ok() {}
    let began = Instant::now();
    server.signal("TERM");
    let (code, log) = server.wait();
    assert_eq!(code, Some(0), "{log}");
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

#[test]
fn a_second_signal_ends_the_server_at_once() {
    let server = Program::start(&["--no-limits"]);
    let mut flood = server.connect();
    flood.set_nonblocking(true).expect("set");
    let lines = "haloo\n".repeat(10_000);
    while flood.write(lines.as_bytes()).is_ok() {}
    let mut idle = server.connect();
    // A connection that is not accepted yet would get no goodbye.
    idle.write_all(b"ping\n").expect("taken");
    read_reply(&mut idle);
    server.signal("TERM");
    // The goodbye shows that the first signal has arrived.
    idle.read_exact(&mut [0; 10]).expect("a goodbye");
    server.signal("INT");
    let (code, log) = server.wait();
    assert_eq!(code, Some(130), "{log}");
}

#[test]
fn no_secret_and_no_message_gets_into_a_log() {
    for format in ["text", "json"] {
        let server = Program::start(&["--log-format", format, "--log-level", "trace"]);
        let answers = server.talk(
            "auth messi surabaya\nauth messi wrong-canary\nauth user-canary surabaya\nsend messi text-canary\n\
             send nobody-canary text-canary\ncommand-canary x\ninbox\n{\"command\": \"send\", \"to\": \"messi\", \
             \"message\": \"text-canary\", \"key\": \"key-canary\"}\n{\"command\": \"text-canary\nshowuseractive\n\
             inbox\nlogout\nauth messi surabaya\nsend messi text-canary\n",
        );
        let tokens: Vec<_> = answers.split("\"tokenid\": \"").skip(1).map(|rest| &rest[..36]).collect();
        assert_eq!(tokens.len(), 2, "{answers}");
        for token in &tokens {
            server.talk(format!("inbox {token}\nsend {token} messi text-canary\nlogout {token}\n"));
        }
        let log = server.stop();
        assert!(log.contains("login failed") && log.contains("logged in"), "{log}");
        for secret in ["surabaya", "canary"].iter().chain(&tokens) {
            assert!(!log.contains(secret), "{secret} in {log}");
        }
        if format == "json" {
            for line in log.lines() {
                serde_json::from_str::<serde_json::Value>(line).expect("a JSON object in each line");
            }
        }
    }
}

#[test]
fn a_users_file_that_is_wrong_stops_the_start_and_says_where() {
    let folder = tempfile::tempdir().expect("a folder");
    let users = folder.path().join("users.toml");
    let check = |content: &str, expected: &[&str]| {
        std::fs::write(&users, content).expect("written");
        let mut command = chat_server();
        command.args(["--port", "0", "--users"]).arg(&users);
        let output = run(command, "");
        let told = String::from_utf8(output.stderr).expect("UTF-8");
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert!(expected.iter().all(|part| told.contains(part)), "{told}");
    };
    let good = users_toml();
    check(
        "[users.messi]\nname = \"M\"\nhair = \"brown\"\n",
        &["users.toml:3: unknown field `hair`", "remedy: "],
    );
    check(
        &good.replace("users.messi", "users.Messi"),
        &["users.toml:1: \"Messi\" is not a user name", "remedy: "],
    );
    check(
        &good.replace("password = \"$argon2id", "password = \"$argon9"),
        &["users.toml:4: messi's password is"],
    );
    check("users = [", &["users.toml:1: ", "remedy: "]);
    std::fs::remove_file(&users).expect("removed");
    let mut command = chat_server();
    command.args(["--port", "0", "--users"]).arg(&users);
    let told = String::from_utf8(run(command, "").stderr).expect("UTF-8");
    assert!(told.contains("users.toml: No such file") && told.contains("remedy: "), "{told}");
}

#[test]
fn a_password_in_clear_works_and_is_warned_of() {
    let folder = tempfile::tempdir().expect("a folder");
    let users = folder.path().join("plain.toml");
    std::fs::write(&users, "[users.ann]\nname = \"Ann\"\npassword = \"in the clear\"\n").expect("written");
    let server = Program::start(&["--users", users.to_str().expect("UTF-8")]);
    let answers = server.talk("auth ann in the clear\nauth ann in the dark\n");
    assert!(answers.contains("tokenid") && answers.contains("User Tidak Ada"), "{answers}");
    let log = server.stop();
    assert!(
        log.contains("plain.toml:3: ann's password is stored in clear") && log.contains("hash-password"),
        "{log}"
    );
    assert!(!log.contains("in the clear\n") && !log.contains("in the dark"), "{log}");
}

#[test]
fn the_remedy_for_a_password_in_clear_works() {
    let mut command = chat_server();
    command.arg("hash-password");
    let (hash, code) = said(&run(command, "korrect horse\n"));
    assert_eq!(code, Some(0));
    let folder = tempfile::tempdir().expect("a folder");
    let users = folder.path().join("hashed.toml");
    let text = format!("[users.ann]\nname = \"Ann\"\npassword = \"{}\"\n", hash.trim_end());
    std::fs::write(&users, text).expect("written");
    let server = Program::start(&["--users", users.to_str().expect("UTF-8")]);
    assert!(server.talk("auth ann korrect horse\n").contains("tokenid"));
    assert!(!server.stop().contains("in clear"));
    for input in ["", "\n", " surabaya\n"] {
        let mut command = chat_server();
        command.arg("hash-password");
        assert_eq!(said(&run(command, input)), (String::new(), Some(1)), "{input:?}");
    }
}

#[test]
fn a_port_that_is_taken_is_told_with_a_remedy() {
    let server = Program::start(&[]);
    let folder = tempfile::tempdir().expect("a folder");
    let users = folder.path().join("users.toml");
    std::fs::write(&users, users_toml()).expect("written");
    let mut command = chat_server();
    command.args(["--port", &server.address.port().to_string(), "--users"]).arg(&users);
    let output = run(command, "");
    let told = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!(output.status.code(), Some(1));
    assert!(told.contains("cannot listen on 127.0.0.1:") && told.contains("--port"), "{told}");
    server.stop();
}

#[test]
fn wrong_usage_is_status_2() {
    let mut command = chat_server();
    command.args(["--port", "many"]);
    assert_eq!(said(&run(command, "")).1, Some(2));
}
