//! What both benchmarks do: the work of a request, in parts and as a whole, each part ready to be done any number of times.

mod server;

use std::hint::black_box;

use chat_service::{
    model::{MessageId, Refusal, Stored, Timestamp},
    protocol::{codec::Lines, request::Request, spec::find},
    wire::{
        Language,
        text::{Body, Dialect},
    },
};

use self::server::Connection;

/// What does the work of a case once.
pub(crate) type Work = Box<dyn FnMut() + Send>;

/// One thing to measure.
pub(crate) struct Case {
    /// What it is called, also where its figure is recorded.
    pub(crate) name: &'static str,
    /// Makes what the work needs.
    pub(crate) prepare: fn() -> Work,
}

/// All of them.
pub(crate) const CASES: [Case; 9] = [
    Case { name: "lines_of_16_kib", prepare: lines },
    Case { name: "parse_words", prepare: || parse(send_line(TOKEN)) },
    Case { name: "parse_json", prepare: || parse(send_json(TOKEN)) },
    Case { name: "write_sent_dialect_1", prepare: || write(|| Body::Sent(SENT), Dialect::One) },
    Case { name: "write_sent_dialect_2", prepare: || write(|| Body::Sent(SENT), Dialect::Two) },
    Case { name: "write_error", prepare: || write(|| Body::Refused(Refusal::NoSuchUser), Dialect::Two) },
    Case { name: "inbox_of_50", prepare: || page("inbox") },
    Case { name: "fetch_of_50", prepare: || page("fetch") },
    Case { name: "send", prepare: send },
];

const TOKEN: &str = "57ea03e6-234a-439d-9602-ea8cb00fed28";
const TEXT: &str =
    "a message of about a hundred bytes, as people write them, with nothing special in it at all ...";
const SENT: Stored = Stored { id: MessageId(1_234_567), at: Timestamp(1_780_000_000_123), duplicate: false };

/// What a connection reads at once.
const BUFFER: usize = 16 * 1024;

/// How many messages wait in the inbox that is read.
const WAITING: usize = 50;

fn send_line(token: &str) -> String {
    format!("send {token} henderson {TEXT}")
}

fn send_json(token: &str) -> String {
    format!(
        r#"{{"command": "send", "token": "{token}", "to": "henderson", "message": "{TEXT}", "key": "ci-881"}}"#
    )
}

/// Cuts a full buffer into lines.
fn lines() -> Work {
    let line = send_line(TOKEN) + "\n";
    let mut input = line.repeat(BUFFER / line.len() + 1).into_bytes();
    input.truncate(BUFFER);
    Box::new(move || {
        let mut lines = Lines::new(black_box(&input), false);
        for line in lines.by_ref() {
            black_box(line).expect("no line is too long");
        }
        black_box(lines.rest());
    })
}

/// From a line to the arguments of `send`.
fn parse(line: String) -> Work {
    let command = find("send").expect("a command");
    Box::new(move || {
        let mut request = Request::parse(black_box(line.as_bytes())).expect("a request").expect("not blank");
        black_box(request.command());
        black_box(request.take_token().expect("a token"));
        black_box(request.bind(command.parameters).expect("arguments"));
    })
}

fn write(body: fn() -> Body, dialect: Dialect) -> Work {
    let mut out = Vec::with_capacity(BUFFER);
    Box::new(move || {
        out.clear();
        black_box(dialect).write(black_box(body()), &mut out);
        black_box(&out);
    })
}

/// From a line that asks for an inbox to the reply. The messages stay, since nobody tells that the reply was written.
fn page(command: &str) -> Work {
    let mut henderson = Connection::of("henderson");
    let mut messi = henderson.another("messi");
    for _ in 0..WAITING {
        messi.ask(&send_line(messi.token()));
    }
    let line = format!("{command} {}", henderson.token());
    let shown = String::from_utf8_lossy(henderson.ask(&line)).matches(TEXT).count();
    assert_eq!(shown, WAITING, "messages in the reply of {command}");
    Box::new(move || {
        black_box(henderson.ask(black_box(&line)));
    })
}

/// From the line of a `send` to its reply, the message being stored in memory.
fn send() -> Work {
    let mut messi = Connection::of("messi");
    let line = send_line(messi.token());
    // Each time, because a limit that is reached after a thousand would be counted instead.
    Box::new(move || {
        assert!(messi.ask(black_box(&line)).starts_with(br#"{"status": "OK", "message": "Message Sent""#));
    })
}
