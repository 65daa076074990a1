//! The log when nobody reads it, and when there is too much of it.

use crate::support::{
    SENT,
    program::{Program, logging_to},
};

/// Ways in which standard error takes nothing, as a shell redirects it.
const BROKEN: [(&str, &str); 4] = [
    ("full", "2>/dev/full"),
    ("closed", "2>&-"),
    ("its reader is gone", "2> >(true)"),
    // A pipe that this process holds open for reading, and never reads.
    ("never read", "2<>unread"),
];

#[test]
fn a_log_that_cannot_be_written_holds_up_nothing() {
    for (what, redirection) in BROKEN {
        for more in
            [&["--log-level", "trace"][..], &["--log-format", "json", "--max-connections-per-address", "2"]]
        {
            let server = Program::start_by(logging_to(redirection), &[&["--store", "memory"], more].concat());
            // More than a pipe holds.
            for _ in 0..500 {
                server.talk("ping\n");
            }
            let held = [server.connect(), server.connect()];
            // With a limit of two connections, this one is refused and logged.
            server.talk("ping\n");
            drop(held);
            let mut answers = String::new();
            for _ in 0..1000 {
                answers = server.talk("auth lineker nairobi\nauth messi surabaya\nsend messi a\n");
                // The server may not have seen yet that the two connections have ended.
                if !answers.contains("too many") {
                    break;
                }
            }
            assert!(answers.trim_end().ends_with(SENT), "{what}: {answers}");
            server.stop();
        }
    }
}

#[test]
fn an_error_at_start_ends_with_its_status_whatever_the_log_is() {
    for (what, redirection) in BROKEN {
        let mut command = logging_to(redirection);
        let folder = tempfile::tempdir().expect("a folder");
        let status = command.args(["--users", "missing.toml"]).current_dir(folder.path()).status();
        assert_eq!(status.expect("it runs").code(), Some(1), "{what}");
    }
}

#[test]
fn the_log_says_who_did_what_on_which_connection() {
    let server = Program::start(&[
        "--store",
        "memory",
        "--inbox-share",
        "2",
        "--request-rate",
        "1",
        "--request-burst",
        "8",
    ]);
    server.talk("ping\n");
    server.talk("auth messi surabaya\njoin #lab\njoin #lab\nleave #lab\nlogout\n");
    server.talk("auth messi surabaya\nsend lineker a\nsend lineker b\nsend lineker c\n");
    server.talk("auth henderson wrong\n");
    server.talk(format!("auth lineker surabaya\n{}", "ping\n".repeat(9)));
    let log = server.stop();
    for line in [
        "INFO logged in from=127.0.0.1 connection=2 user=messi session=1",
        "INFO joined a room from=127.0.0.1 connection=2 user=messi session=1 room=\"#lab\"",
        "INFO left a room from=127.0.0.1 connection=2 user=messi session=1 room=\"#lab\"",
        "INFO logged out user=messi sessions=\"1\"",
        "INFO a limit was reached limit=\"inbox\" from=127.0.0.1 connection=3 user=messi session=2",
        "WARN login failed from=127.0.0.1 connection=4 user=henderson",
        "INFO a limit was reached limit=\"request_rate\" from=127.0.0.1 connection=5 user=lineker session=1",
    ] {
        assert_eq!(log.matches(line).count(), 1, "{line}\n{log}");
    }
}

#[test]
fn warnings_that_are_alike_are_folded() {
    let server =
        Program::start(&["--store", "memory", "--login-tries-per-address", "1000", "--inbox-limit", "2"]);
    let guesses = "auth nobody wrong\n".repeat(300);
    server.talk(&guesses);
    // Lines about limits, too.
    let flood = "send messi a\n".repeat(60);
    server.talk(format!("auth messi surabaya\n{flood}"));
    let log = server.stop();
    assert_eq!(log.matches("WARN login refused: too many have failed from=127.0.0.1").count(), 20, "{log}");
    assert_eq!(log.matches("INFO a limit was reached limit=\"inbox\"").count(), 20, "{log}");
    assert!(log.contains("INFO and 38 more: a limit was reached limit=\"inbox\" from=127.0.0.1"), "{log}");
    assert!(log.contains("WARN and 270 more: login refused: too many have failed from=127.0.0.1"), "{log}");
}
