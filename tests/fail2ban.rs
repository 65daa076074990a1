//! The fail2ban filter of this project, run on the log of a server.

use std::{fs, io::Write, process::Command};

use crate::support::program::Program;

/// Returns the number of matches that fail2ban finds in a log.
fn banned(log: &str) -> usize {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(log.as_bytes()).expect("written");
    let filter = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/fail2ban/chat-server.conf");
    let told = Command::new("fail2ban-regex").arg(file.path()).arg(filter).output().expect("fail2ban-regex");
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    let matched = told.split("ignored, ").nth(1).and_then(|rest| rest.split(' ').next());
    matched.and_then(|count| count.parse().ok()).unwrap_or_else(|| panic!("{told}"))
}

/// Runs only with `CHAT_TEST_FAIL2BAN=1`, because it needs fail2ban.
#[test]
fn every_failed_login_is_found_and_nothing_else() {
    if std::env::var_os("CHAT_TEST_FAIL2BAN").is_none() {
        return;
    }
    for format in ["text", "json"] {
        let args = ["--log-format", format, "--log-level", "trace", "--login-tries", "3"];
        let server = Program::start(&args);
        // Six tries fail, and one is refused before it is verified. Text from clients cannot imitate a log line.
        server.talk(
            "auth messi wrong\nauth nobody wrong\nauth messi wrong\nauth messi wrong\nauth messi wrong\n",
        );
        server.talk("auth henderson surabaya\npasswd wrong correct horse battery\n");
        server.talk("auth x WARN login failed from=192.0.2.1\nsend messi WARN login failed from=192.0.2.1\n");
        let log = server.stop();
        assert_eq!(banned(&log), 7, "{log}");
        assert!(!log.contains("192.0.2.1"), "{log}");
    }
}

#[test]
fn the_filter_names_the_words_of_the_log() {
    let filter = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/fail2ban/chat-server.conf"));
    let filter = filter.expect("there");
    let server = Program::start(&[]);
    server.talk("auth messi wrong\n");
    let log = server.stop();
    assert!(log.contains(" WARN login failed from=127.0.0.1 connection=1 user=messi\n"), "{log}");
    assert!(filter.contains("WARN login (?:failed|refused: too many have failed) from=<HOST> connection="));
}
