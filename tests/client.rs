//! `chat-client` as users and scripts run it.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    process::{Command, Output, Stdio},
    sync::mpsc::sync_channel,
    thread,
};

use crate::support::{
    SENT, lines,
    program::{Conversation, Program, command, run, said, terminal, without_tokens},
};

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

/// Waits until the client closes the connection.
pub(crate) fn stay(mut stream: &TcpStream) {
    stream.read_to_end(&mut Vec::new()).expect("its end");
}

/// A server for one client: reads one line for each reply, calls `then`, and closes the connection.
pub(crate) fn script(
    replies: &'static [&'static str],
    then: impl FnOnce(&TcpStream) + Send + 'static,
) -> (u16, thread::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    let serving = thread::spawn(move || {
        let (stream, _) = listener.accept().expect("a client");
        let mut lines = BufReader::new(&stream).lines();
        let answer = |reply: &&str| {
            let line = lines.next().expect("a line").expect("UTF-8");
            (&stream).write_all(reply.as_bytes()).expect("taken");
            line
        };
        let asked = replies.iter().map(answer).collect();
        then(&stream);
        asked
    });
    (port, serving)
}

pub(crate) fn client_of(port: u16) -> Command {
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
    let (port, serving) = script(replies, stay);
    let input = format!("inbox\nauth m s\ninbox\ndance\nlogout {OTHER}\ninbox\nlogout\ninbox\n");
    let (text, code) = said(&run(client_of(port), input));
    assert_eq!(code, Some(0), "{text}");
    assert_eq!(
        serving.join().expect("served"),
        [
            "inbox",
            "auth m s",
            "fetch 57ea03e6-234a-439d-9602-ea8cb00fed28 1000",
            "dance",
            "logout 00000000-0000-4000-8000-000000000000",
            "fetch 57ea03e6-234a-439d-9602-ea8cb00fed28 1000",
            "logout 57ea03e6-234a-439d-9602-ea8cb00fed28",
            "inbox",
        ]
    );
}

#[test]
fn a_server_that_is_lost_is_status_3() {
    let goodbye = "{\"status\": \"ERROR\", \"message\": \"server is shutting down\"}\r\n\r\n";
    let ok = "{\"status\": \"OK\", \"messages\": {}}\r\n\r\n";
    // The server closes after a reply, after a goodbye, and in the middle of a reply; the last one speaks another protocol.
    let cases: [(&'static [&'static str], &str, &str); 4] = [
        (Box::leak(Box::new([ok])), "inbox\ninbox\n", "{}\n"),
        (Box::leak(Box::new([goodbye])), "inbox\n", "Error, server is shutting down\n"),
        (Box::leak(Box::new(["{\"stat"])), "inbox\n", ""),
        (Box::leak(Box::new(["220 mail.example ESMTP\r\n"])), "inbox\n", ""),
    ];
    for (replies, input, expected) in cases {
        let (port, serving) = script(replies, |_| {});
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
    const REPLIES: &[&str] = &[
        "{\"event\": \"message\", \"id\": 1}\r\n\r\n{\"event\": \"acked\", \"upto\": 1}\r\n\r\n\
         {\"status\": \"OK\", \"message\": \"pong\"}\r\n\r\n",
        "{\"event\": \"message\", \"id\": 2}\r\n\r\n{\"event\": \"closing\", \"reason\": \"shutdown\"}\r\n\r\n",
    ];
    let (port, serving) = script(REPLIES, |_| {});
    let (text, code) = said(&run(client_of(port), "ping\nping\n"));
    assert_eq!(
        text,
        "{\"event\": \"message\", \"id\": 1}\n{\"event\": \"acked\", \"upto\": 1}\npong\n\
         {\"event\": \"message\", \"id\": 2}\n{\"event\": \"closing\", \"reason\": \"shutdown\"}\n"
    );
    assert_eq!(code, Some(3), "the server went");
    serving.join().expect("no panic");
}

/// Input that begins a watch.
const WATCH: &str = "auth messi surabaya\nhello 2\nwatch\n";

fn watch(client: Command) -> Conversation {
    let mut watcher = Conversation::begin(client);
    watcher.tell(WATCH);
    assert!(watcher.line().starts_with("username messi logged in"));
    watcher.line();
    assert_eq!(watcher.line(), "watching");
    watcher
}

#[test]
fn what_is_watched_is_shown_as_it_comes() {
    let server = Program::start(&[]);
    let mut watcher = watch(client(&server, &[]));
    for text in ["one", "two"] {
        assert!(server.talk(format!("auth messi surabaya\nsend messi {text}\n")).contains(SENT));
        let event = watcher.line();
        assert!(event.starts_with("{\"event\": \"message\"") && event.contains(text), "{event}");
    }
    watcher.tell("ping\n");
    assert_eq!(watcher.line(), "pong");
    watcher.finish();
    assert_eq!(watcher.end(), (vec![], Some(0)));
    server.stop();
}

#[test]
fn what_is_watched_is_shown_before_the_end() {
    let server = Program::start(&[]);
    let sends = lines((0..300).map(|i| format!("send messi number {i}\n")));
    server.talk(format!("auth messi surabaya\n{sends}"));
    let (text, code) = said(&run(client(&server, &[]), WATCH));
    let lines: Vec<_> = text.lines().skip(3).collect();
    assert_eq!(lines.len(), 300, "{text}");
    for (i, line) in lines.iter().enumerate() {
        assert!(line.ends_with(&format!("\"msg\": \"number {i}\"}}")), "{line}");
    }
    assert_eq!(code, Some(0));
    server.stop();
}

#[test]
fn a_server_that_goes_is_noticed_while_nobody_types() {
    let server = Program::start(&[]);
    let watcher = watch(client(&server, &[]));
    let mut idle = Conversation::begin(client(&server, &["--raw"]));
    idle.tell("ping\n");
    assert!(idle.line().contains("pong"));
    server.stop();
    let bye = |text: &str| (vec![text.to_owned()], Some(3));
    assert_eq!(watcher.end(), bye("{\"event\": \"closing\", \"reason\": \"shutdown\"}"));
    assert_eq!(idle.end(), bye("{\"status\": \"ERROR\", \"message\": \"server is shutting down\"}"));
    let server = Program::start(&[]);
    let watcher = watch(client(&server, &[]));
    assert!(server.talk("auth messi surabaya\nsend messi last\n").contains(SENT));
    server.stop_now();
    let (rest, code) = watcher.end();
    assert_eq!(code, Some(3));
    assert!(rest.iter().all(|line| line.contains("\"msg\": \"last\"")), "{rest:?}");
}

#[test]
fn what_comes_right_after_a_reply_is_shown_at_once() {
    const REPLY: &[&str] = &[
        "{\"status\": \"OK\", \"message\": \"pong\"}\r\n\r\n{\"event\": \"message\", \"id\": 1}\r\n\r\n{\"event\": \"acked\"",
    ];
    let (port, serving) = script(REPLY, stay);
    let mut conversation = Conversation::begin(client_of(port));
    conversation.tell("ping\n");
    assert_eq!(conversation.line(), "pong");
    assert_eq!(conversation.line(), "{\"event\": \"message\", \"id\": 1}");
    conversation.finish();
    assert_eq!(conversation.end(), (vec![], Some(0)), "half an event is none");
    serving.join().expect("no panic");
}

#[test]
fn quit_ends_it_whatever_comes_after() {
    let server = Program::start(&[]);
    let (text, code) = said(&run(client(&server, &[]), "ping\nquit\ndance\n"));
    assert_eq!((text.as_str(), code), ("pong\nbye\n", Some(0)));
    let mut typing = Conversation::begin(client(&server, &[]));
    typing.tell("quit\n");
    assert_eq!(typing.end(), (vec!["bye".to_owned()], Some(0)), "although the input goes on");
    server.stop();
}

#[test]
fn a_watch_that_is_not_seen_off_is_status_3() {
    const WATCHING: &str = "{\"status\": \"OK\", \"message\": \"watching\"}\r\n\r\n";
    let check = |more: &str, expected: &str, status| {
        let replies = Box::leak(Box::new([&*Box::leak(format!("{WATCHING}{more}").into_boxed_str())]));
        let (port, serving) = script(replies, stay);
        let output = run(client_of(port), "watch\n");
        assert_eq!(said(&output), (format!("watching\n{expected}"), Some(status)), "{output:?}");
        serving.join().expect("no panic");
    };
    let event = "{\"event\": \"message\", \"id\": 1}";
    check(&format!("{event}\r\n\r\n"), &format!("{event}\n"), 0);
    check(&format!("{event}\r\n\r\n{{\"event\""), &format!("{event}\n"), 3);
    check("garbage\r\n", "", 3);
    let closing = "{\"event\": \"closing\", \"reason\": \"shutdown\"}";
    check(&format!("{closing}\r\n\r\n"), &format!("{closing}\n"), 3);
}

/// Runs the client with a server that replies to one line and then is silent for longer than the client waits.
fn beside_a_silent_server(line: &str, reply: &'static [&'static str]) -> Output {
    let (over, ended) = sync_channel::<()>(0);
    let (port, serving) = script(reply, move |_| assert!(ended.recv().is_err()));
    let mut client = client_of(port);
    client.args(["--farewell", "0"]);
    let output = run(client, line);
    drop(over);
    serving.join().expect("no panic");
    output
}

#[test]
fn a_silent_server_does_not_hold_a_watch_for_ever() {
    const WATCHING: &[&str] = &["{\"status\": \"OK\", \"message\": \"watching\"}\r\n\r\n"];
    let output = beside_a_silent_server("watch\n", WATCHING);
    assert_eq!(said(&output), ("watching\n".to_owned(), Some(3)));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "chat-client: lost the server: timed out\n");
}

#[test]
fn who_watches_nothing_does_not_wait_for_the_end() {
    const PONG: &[&str] = &["{\"status\": \"OK\", \"message\": \"pong\"}\r\n\r\n"];
    let output = beside_a_silent_server("ping\n", PONG);
    assert_eq!(said(&output), ("pong\n".to_owned(), Some(0)), "what was asked was done");
}

#[test]
fn output_that_cannot_be_written_is_told() {
    let server = Program::start(&[]);
    let mut client = client(&server, &[]);
    let full = std::fs::File::options().write(true).open("/dev/full").expect("Linux");
    let mut child =
        client.stdin(Stdio::piped()).stdout(full).stderr(Stdio::piped()).spawn().expect("it starts");
    child.stdin.take().expect("piped").write_all(b"ping\nping\n").expect("taken");
    let output = child.wait_with_output().expect("it ends");
    let told = String::from_utf8(output.stderr).expect("UTF-8");
    assert!(told.contains("cannot write: No space left on device"), "{told}");
    assert_eq!(output.status.code(), Some(1));
    server.stop();
}

#[test]
fn what_comes_at_a_prompt_is_shown_on_a_line_of_its_own() {
    let server = Program::start(&[]);
    let (mut screen, theirs) = terminal();
    let mut client = client(&server, &["--classic"]);
    client.stdin(theirs.try_clone().expect("another")).stdout(theirs).stderr(Stdio::null());
    let mut child = client.spawn().expect("it starts");
    drop(client);
    let mut shown = String::new();
    let mut show_until = |text: &str, screen: &mut std::fs::File| {
        while !shown.ends_with(text) {
            let mut byte = [0];
            screen.read_exact(&mut byte).expect("more");
            shown.push(char::from(byte[0]));
        }
        without_tokens(&std::mem::take(&mut shown))
    };
    show_until("Command :", &mut screen);
    for line in WATCH.lines() {
        screen.write_all(format!("{line}\n").as_bytes()).expect("typed");
        show_until(&format!("{line}\r\n"), &mut screen);
        show_until(":", &mut screen);
    }
    server.talk("auth messi surabaya\nsend messi haloo\n");
    let told = show_until("Command", &mut screen);
    assert!(told.contains("\r\n{\"event\": \"message\""), "{told:?}");
    assert!(told.ends_with("\"msg\": \"haloo\"}\r\nCommand"), "{told:?}");
    // Ctrl-D.
    screen.write_all(&[4]).expect("typed");
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
    server.stop();
}
