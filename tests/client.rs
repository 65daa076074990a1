//! `chat-client` as people and scripts use it.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    process::{Command, Stdio},
    thread,
};

use crate::support::program::{Program, command, run, said, without_tokens};

fn client(server: &Program, args: &[&str]) -> Command {
    let mut client = command(env!("CARGO_BIN_EXE_chat-client"));
    client.args(["--port", &server.address.port().to_string()]).args(args);
    client
}

#[test]
fn piped_in_each_line_is_run_and_its_reply_printed() {
    let server = Program::start(&[]);
    let input = "auth henderson surabaya\n\nsend messi haloo\n  send  messi  hello gimana kabarnya son  \nshowuseractive\n\
                 inbox\nlogout";
    let (text, code) = said(&run(client(&server, &[]), input));
    assert_eq!(
        without_tokens(&text),
        "username henderson logged in, token TOKEN\nMessage sent to messi\nMessage sent to messi\n\
         {\"users\": [{\"username\": \"henderson\"}]}\n{}\nlogged out\n"
    );
    assert_eq!(code, Some(0));
    let (text, _) = said(&run(client(&server, &[]), "auth messi surabaya\r\ninbox\r\n"));
    assert_eq!(
        text.lines().nth(1),
        Some(
            r#"{"henderson": [{"msg_from": "Jordan Henderson", "msg_to": "Lionel Messi", "msg": "haloo"}, {"msg_from": "Jordan Henderson", "msg_to": "Lionel Messi", "msg": "hello gimana kabarnya son"}]}"#
        )
    );
    server.stop();
}

#[test]
fn a_refusal_is_status_1_and_the_rest_is_still_run() {
    let server = Program::start(&[]);
    let input = "inbox\nauth messi wrong\nauth messi surabaya\nsend maradona hi\ndance\nsend messi\nsend messi hi\nlogout\ninbox\n";
    let (text, code) = said(&run(client(&server, &[]), input));
    assert_eq!(
        without_tokens(&text),
        "Error, not authorized\nError, User Tidak Ada\nusername messi logged in, token TOKEN\n\
         Error, User Tidak Ditemukan\nError, Protocol Tidak Benar\nError, Protocol Tidak Benar\nMessage sent to messi\n\
         logged out\nError, not authorized\n"
    );
    assert_eq!(code, Some(1));
    server.stop();
}

#[test]
fn raw_prints_the_json_untouched() {
    let server = Program::start(&[]);
    let (text, code) = said(&run(client(&server, &["--raw"]), "auth messi surabaya\nsend messi hi\ndance\n"));
    assert_eq!(
        without_tokens(&text),
        "{\"status\": \"OK\", \"tokenid\": \"TOKEN\"}\n{\"status\": \"OK\", \"message\": \"Message Sent\"}\n\
         {\"status\": \"ERROR\", \"message\": \"Protocol Tidak Benar\"}\n"
    );
    assert_eq!(code, Some(1));
    server.stop();
}

#[test]
fn the_json_form_works_too() {
    let server = Program::start(&[]);
    let input = "{\"command\": \"auth\", \"username\": \"messi\", \"password\": \"surabaya\"}\n\
                 {\"command\": \"send\", \"to\": \"messi\", \"message\": \"a\\nb\"}\n{\"command\": \"inbox\"}\n";
    let (text, code) = said(&run(client(&server, &[]), input));
    assert_eq!(
        without_tokens(&text),
        "username messi logged in, token TOKEN\nMessage sent to messi\n\
         {\"messi\": [{\"msg_from\": \"Lionel Messi\", \"msg_to\": \"Lionel Messi\", \"msg\": \"a\\nb\"}]}\n"
    );
    assert_eq!(code, Some(0));
    server.stop();
}

/// A server that says what the test wants: reads one line for each reply, then closes.
fn script(replies: &'static [&'static str]) -> (u16, thread::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    let serving = thread::spawn(move || {
        let (stream, _) = listener.accept().expect("a client");
        let mut lines = BufReader::new(&stream).lines();
        replies
            .iter()
            .map(|reply| {
                let line = lines.next().expect("a line").expect("UTF-8");
                (&stream).write_all(reply.as_bytes()).expect("taken");
                line
            })
            .collect()
    });
    (port, serving)
}

fn client_of(port: u16) -> Command {
    let mut client = command(env!("CARGO_BIN_EXE_chat-client"));
    client.env("CHAT_PORT", port.to_string()).env("CHAT_HOST", "127.0.0.1");
    client
}

#[test]
fn the_token_goes_into_every_request_that_takes_one_and_has_none() {
    const OTHER: &str = "00000000-0000-4000-8000-000000000000";
    let ok = "{\"status\": \"OK\", \"messages\": {}}\r\n\r\n";
    let login = "{\"status\": \"OK\", \"tokenid\": \"57ea03e6-234a-439d-9602-ea8cb00fed28\"}\r\n\r\n";
    let done = "{\"status\": \"OK\"}\r\n\r\n";
    let replies: &'static [&'static str] = Box::leak(Box::new([ok, login, ok, ok, done, ok, done, ok]));
    let (port, serving) = script(replies);
    let input = format!("inbox\nauth m s\ninbox\ndance\nlogout {OTHER}\ninbox\nlogout\ninbox\n");
    let (text, code) = said(&run(client_of(port), input));
    assert_eq!(code, Some(0), "{text}");
    assert_eq!(
        serving.join().expect("served"),
        [
            "inbox",
            "auth m s",
            "inbox 57ea03e6-234a-439d-9602-ea8cb00fed28",
            "dance",
            "logout 00000000-0000-4000-8000-000000000000",
            "inbox 57ea03e6-234a-439d-9602-ea8cb00fed28",
            "logout 57ea03e6-234a-439d-9602-ea8cb00fed28",
            "inbox",
        ]
    );
}

#[test]
fn a_server_that_is_lost_is_status_3() {
    let goodbye = "{\"status\": \"ERROR\", \"message\": \"server is shutting down\"}\r\n\r\n";
    let ok = "{\"status\": \"OK\", \"messages\": {}}\r\n\r\n";
    // Gone without a word, gone with one, gone in the middle of one; something else altogether.
    let cases: [(&'static [&'static str], &str, &str); 4] = [
        (Box::leak(Box::new([ok])), "inbox\ninbox\n", "{}\n"),
        (Box::leak(Box::new([goodbye])), "inbox\n", "Error, server is shutting down\n"),
        (Box::leak(Box::new(["{\"stat"])), "inbox\n", ""),
        (Box::leak(Box::new(["220 mail.example ESMTP\r\n"])), "inbox\n", ""),
    ];
    for (replies, input, expected) in cases {
        let (port, serving) = script(replies);
        let output = run(client_of(port), input);
        assert_eq!(said(&output), (expected.to_owned(), Some(3)));
        serving.join().expect("served");
    }
}

#[test]
fn a_server_that_is_not_there_is_status_3() {
    let unused =
        TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("an address").port();
    let output = run(client_of(unused), "inbox\n");
    assert_eq!(said(&output), (String::new(), Some(3)));
    let told = String::from_utf8(output.stderr).expect("UTF-8");
    assert!(told.contains(&format!("cannot reach 127.0.0.1:{unused}")), "{told}");
}

#[test]
fn wrong_usage_is_status_2() {
    let mut client = command(env!("CARGO_BIN_EXE_chat-client"));
    client.arg("--colour");
    assert_eq!(said(&run(client, "")).1, Some(2));
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let server = Program::start(&[]);
    let mut child = client(&server, &[])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    drop(child.stdout.take());
    child.stdin.take().expect("piped").write_all(b"auth messi surabaya\ninbox\n").expect("taken");
    let output = child.wait_with_output().expect("it ends");
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), b"".as_slice()));
    server.stop();
}

#[test]
fn events_that_come_before_a_reply_are_shown_and_are_no_reply() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    let server = thread::spawn(move || {
        let (stream, _) = listener.accept().expect("a client");
        let mut lines = BufReader::new(stream.try_clone().expect("cloned")).lines();
        let mut stream = stream;
        for answer in [
            "{\"event\": \"message\", \"id\": 1}\r\n\r\n{\"event\": \"acked\", \"upto\": 1}\r\n\r\n{\"status\": \"OK\", \"message\": \"pong\"}\r\n\r\n",
            "{\"event\": \"closing\", \"reason\": \"shutdown\"}\r\n\r\n",
        ] {
            lines.next().expect("a line").expect("UTF-8");
            stream.write_all(answer.as_bytes()).expect("taken");
        }
    });
    let mut client = command(env!("CARGO_BIN_EXE_chat-client"));
    client.args(["--port", &port.to_string()]);
    let (text, code) = said(&run(client, "ping\nping\n"));
    assert_eq!(
        text,
        "{\"event\": \"message\", \"id\": 1}\n{\"event\": \"acked\", \"upto\": 1}\npong\n\
         {\"event\": \"closing\", \"reason\": \"shutdown\"}\n"
    );
    assert_eq!(code, Some(3), "the server went");
    server.join().expect("no panic");
}
