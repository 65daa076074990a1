//! `chat-client bench`: what it counts, what it convicts, and what it leaves behind.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    process::{Child, Command, Output, Stdio},
    thread,
};

use serde_json::{Value, json};

use crate::{
    one_shot::{Shell, client_in, objects},
    support::program::{Again, Program, read_reply, run, said},
    tls::complained,
};

/// The object that a bench prints with `--json`, its standard error, and its exit status.
fn measured(output: &Output) -> (Value, String, Option<i32>) {
    let (json, code) = said(output);
    (objects(&json).pop().expect("an object"), complained(output), code)
}

fn bench(shell: &Shell, args: &[&str]) -> (Value, String, Option<i32>) {
    measured(&run(shell.client(&[&["bench", "--json"], args].concat()), ""))
}

/// Texts in messi's inbox, which stay there.
fn left(shell: &Shell) -> Vec<String> {
    let (json, code) = shell.run(&["inbox", "--keep", "--json"], "");
    assert_eq!(code, Some(0));
    objects(&json).iter().map(|message| message["msg"].as_str().expect("a text").to_owned()).collect()
}

/// The token of a login.
fn token(profile: &std::path::Path) -> String {
    let login: Value = serde_json::from_str(&fs::read_to_string(profile).expect("kept")).expect("JSON");
    login["token"].as_str().expect("a token").to_owned()
}

/// A connection of messi that is shown everything after a message, acknowledged or not.
struct Watching {
    stream: TcpStream,
    after: u64,
}

impl Watching {
    fn begin(mut stream: TcpStream, token: &str, after: u64) -> Self {
        let watch = json!({ "command": "watch", "token": token, "after": after });
        write!(stream, "hello 2\n{watch}\n").expect("taken");
        for _ in 0..2 {
            assert!(read_reply(&mut stream).contains("OK"));
        }
        Watching { stream, after }
    }

    /// Waits for so many messages.
    fn wait(&mut self, count: usize) {
        for _ in 0..count {
            loop {
                let event: Value = serde_json::from_str(&read_reply(&mut self.stream)).expect("JSON");
                if event["event"] == "message" {
                    self.after = event["id"].as_u64().expect("a number");
                    break;
                }
            }
        }
    }
}

fn begin(mut client: Command) -> Child {
    client.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts")
}

#[test]
fn every_message_is_counted_once_and_nothing_stays_behind() {
    let shell = Shell::logged_in(&["--no-limits"]);
    for to in ["live", "inbox"] {
        let args = ["--messages", "500", "--clients", "3", "--pipeline", "8", "--to", to, "--verify"];
        let (report, told, code) = bench(&shell, &args);
        assert_eq!((told.as_str(), code), ("", Some(0)));
        for (what, expected) in [
            ("sent", 500),
            ("acknowledged", 500),
            ("delivered", 500),
            ("clients", 3),
            ("refused", 0),
            ("unanswered", 0),
            ("lost", 0),
            ("doubled", 0),
            ("unexpected", 0),
        ] {
            assert_eq!(report[what], expected, "{to}: {what} in {report}");
        }
        assert_eq!((&report["to"], &report["limits"]), (&json!(to), &json!({})));
        assert_eq!(report["delivered_per_second"].is_null(), to == "inbox", "{report}");
        let names = ["min", "p50", "p90", "p99", "p99.9", "p99.99", "max"];
        let latency = names.map(|name| report["latency_us"][name].as_f64().expect("a number"));
        assert!(latency.is_sorted() && latency[0] > 1.0, "{report}");
        assert_eq!(left(&shell), [""; 0]);
    }
    shell.server.stop();
}

#[test]
fn people_see_tables_and_a_plot() {
    let shell = Shell::logged_in(&["--no-limits"]);
    let plot = shell.home.path().join("latency.svg");
    let file = plot.to_str().expect("UTF-8");
    let (table, code) =
        shell.run(&["bench", "--messages", "50", "--rate", "1000", "--plot", file, "--verify"], "");
    assert_eq!(code, Some(0));
    for row in ["sent          50  4 x 16 in flight, 100 bytes", "lost          0", "LATENCY  MIN"] {
        assert!(table.contains(row), "no {row:?} in {table}");
    }
    let svg = fs::read_to_string(&plot).expect("written");
    assert!(svg.starts_with("<svg") && svg.contains("<polyline") && svg.contains("90 %"), "{svg}");
    let nowhere = shell.home.path().join("none/latency.svg");
    let (told, code) = shell.fail(&["bench", "--plot", nowhere.to_str().expect("UTF-8")], "");
    assert!(code == Some(1) && told.contains("No such file"), "{told}");
    shell.server.stop();
}

#[test]
fn over_kills_of_the_server_nothing_is_lost_or_doubled() {
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
    let token = token(&folder.path().join(".local/state/chat-service/default.json"));
    let running = begin(client(&["bench", "--verify", "--json", "--messages", "4000", "--rate", "2000"]));
    let mut after = 0;
    for _ in 0..4 {
        let mut watching = Watching::begin(server.connect(), &token, after);
        watching.wait(500);
        after = watching.after;
        server.stop_now();
        server = start();
    }
    let (report, told, code) = measured(&running.wait_with_output().expect("it ends"));
    assert_eq!((told.as_str(), code), ("", Some(0)), "{report}");
    for (what, expected) in
        [("sent", 4000), ("acknowledged", 4000), ("delivered", 4000), ("lost", 0), ("doubled", 0)]
    {
        assert_eq!(report[what], expected, "{what} in {report}");
    }
    assert!(report["reconnections"].as_u64().is_some_and(|count| count >= 3), "{report}");
    assert_eq!(said(&run(client(&["inbox"]), "")), (String::new(), Some(0)));
    server.stop();
}

/// Between client and server: delivers the message of one number so many times.
fn falsify(server: &Program, number: u64, times: usize) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    let address = server.address;
    thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let server = TcpStream::connect(address).expect("a server");
            let (mut from, mut to) =
                (client.try_clone().expect("cloned"), server.try_clone().expect("cloned"));
            thread::spawn(move || {
                std::io::copy(&mut from, &mut to).ok();
                to.shutdown(Shutdown::Write).ok();
            });
            thread::spawn(move || forward(server, client, number, times));
        }
    });
    port
}

fn forward(server: TcpStream, mut client: TcpStream, number: u64, times: usize) {
    // An object is a line, and an empty line follows it.
    let mut lines = BufReader::new(server);
    let mut object = Vec::new();
    while let Ok(1..) = lines.by_ref().take(1 << 20).read_until(b'\n', &mut object) {
        if !object.ends_with(b"\r\n\r\n") {
            continue;
        }
        let json: Value = serde_json::from_slice(&object).expect("JSON");
        let text = json["msg"].as_str().unwrap_or_default();
        let is_it = text.split(' ').nth(2) == Some(&number.to_string());
        if client.write_all(&object.repeat(if is_it { times } else { 1 })).is_err() {
            break;
        }
        object.clear();
    }
    client.shutdown(Shutdown::Write).ok();
}

#[test]
fn a_server_that_loses_or_doubles_a_message_is_convicted() {
    let shell = Shell::logged_in(&["--no-limits"]);
    for (times, lost, doubled) in [(0, 1, 0), (2, 0, 1), (1, 0, 0)] {
        let port = falsify(&shell.server, 7, times).to_string();
        let profile = format!("times-{times}");
        let client = |args: &[&str]| {
            let mut client = client_in(shell.home.path());
            client.args(["--port", &port, "--profile", &profile]).args(args);
            client
        };
        assert_eq!(run(client(&["login", "messi"]), "surabaya\n").status.code(), Some(0));
        let args = ["bench", "--json", "--verify", "--messages", "100"];
        let (report, told, code) = measured(&run(client(&args), ""));
        assert_eq!((&report["lost"], &report["doubled"]), (&json!(lost), &json!(doubled)), "{report}");
        assert_eq!(report["acknowledged"], 100);
        if times == 1 {
            assert_eq!((told.as_str(), code), ("", Some(0)));
        } else {
            let expected = format!("{lost} messages lost, {doubled} doubled, 0 unexpected");
            assert!(told.contains(&expected), "{told}");
            assert_eq!(code, Some(1));
        }
        assert_eq!(left(&shell), [""; 0]);
    }
    shell.server.stop();
}

#[test]
fn limits_of_the_server_are_named_and_counted() {
    let shell = Shell::logged_in(&["--inbox-limit", "50", "--max-connections-per-user", "4"]);
    let (report, told, code) = bench(&shell, &["--to", "inbox", "--messages", "120", "--clients", "2"]);
    assert_eq!(report["limits"], json!({ "inbox_full": 70 }), "{report}");
    assert_eq!((&report["acknowledged"], &report["refused"]), (&json!(50), &json!(70)));
    assert_eq!(code, Some(1));
    assert!(told.contains("the server has refused: inbox_full (70)") && told.contains("remedy:"), "{told}");
    assert_eq!(left(&shell), [""; 0]);
    // Two connections are taken: one asks, and one watches.
    let (report, told, code) = bench(&shell, &["--messages", "10", "--pipeline", "1", "--clients", "5"]);
    assert_eq!(report["limits"], json!({ "too_many_connections": 3 }), "{report}");
    assert_eq!((&report["clients"], &report["delivered"], code), (&json!(2), &json!(10), Some(1)));
    assert!(told.contains("too_many_connections (3)"), "{told}");
    shell.server.stop();

    let shell = Shell::logged_in(&["--request-rate", "100", "--request-burst", "200"]);
    let (report, _, code) = bench(&shell, &["--messages", "400", "--clients", "2", "--verify"]);
    let limited = report["limits"]["rate_limited"].as_u64().expect("named");
    assert_eq!(report["refused"], limited, "{report}");
    assert!(limited > 0 && code == Some(1), "{report}");
    assert_eq!((&report["lost"], &report["unexpected"]), (&json!(0), &json!(0)));
    shell.server.stop();

    let shell = Shell::logged_in(&["--max-connections-per-address", "3"]);
    let (told, code) = shell.fail(&["bench", "--messages", "10"], "");
    assert!(told.contains("it refused the connection: too many connections"), "{told}");
    assert_eq!(code, Some(3));
    shell.server.stop();
}

#[test]
fn messages_of_others_stay_in_the_inbox() {
    let shell = Shell::logged_in(&["--no-limits"]);
    let others = token(&shell.profile("h"));
    let mut watching = Watching::begin(shell.server.connect(), &token(&shell.profile("default")), 0);
    let running = begin(shell.client(&["bench", "--json", "--messages", "300", "--rate", "200"]));
    watching.wait(1);
    shell.server.talk(format!("send {others} messi hi\n"));
    let (report, told, code) = measured(&running.wait_with_output().expect("it ends"));
    assert_eq!((&report["delivered"], code), (&json!(300), Some(0)), "{report}");
    assert!(told.contains("a message of others is in the inbox"), "{told}");
    let left: Vec<_> = left(&shell);
    assert_eq!(left[0], "hi", "all before it has left the inbox");
    let (told, code) = shell.fail(&["bench"], "");
    assert!(code == Some(1) && told.contains("there are messages in the inbox"), "{told}");
    assert_eq!(shell.run(&["inbox"], "").1, Some(0));
    shell.server.stop();
}

#[test]
fn an_interrupt_ends_the_sends_and_nothing_stays_behind() {
    let shell = Shell::logged_in(&["--no-limits"]);
    let mut watching = Watching::begin(shell.server.connect(), &token(&shell.profile("default")), 0);
    let args = ["bench", "--json", "--verify", "--duration", "1h", "--rate", "500"];
    let running = begin(shell.client(&args));
    watching.wait(100);
    let signal = Command::new("kill").args(["-s", "INT", &running.id().to_string()]).status();
    assert!(signal.expect("kill").success());
    let (report, told, code) = measured(&running.wait_with_output().expect("it ends"));
    assert_eq!((told.as_str(), code), ("", Some(0)), "{report}");
    assert!(report["sent"].as_u64().is_some_and(|sent| (100..1_800_000).contains(&sent)), "{report}");
    assert_eq!((&report["sent"], &report["lost"]), (&report["delivered"], &json!(0)));
    assert_eq!(left(&shell), [""; 0]);
    shell.server.stop();
}

#[test]
fn wrong_numbers_are_wrong_usage() {
    let shell = Shell::logged_in(&[]);
    for (args, told) in [
        (&["--messages", "1", "--duration", "1s"][..], "cannot be used with"),
        (&["--size", "63"], "64..=8192"),
        (&["--pipeline", "257"], "1..=256"),
        (&["--to", "room"], "live, inbox"),
    ] {
        let (error, code) = shell.fail(&[&["bench"], args].concat(), "");
        assert_eq!(code, Some(2), "{args:?}: {error}");
        assert!(error.contains(told), "{args:?}: {error}");
    }
    shell.server.stop();
}
