//! Passwords and tokens reach neither a log nor the data folder, wherever they stand in a request.

use std::{fs, path::Path};

use super::ALONE;
use crate::support::program::Program;

/// Passwords in clear, right and wrong, that occur nowhere else.
const CANARIES: [&str; 4] =
    ["kanari-Benar-7f3a", "kanari-Salah-9c1e", "kanari-Nyasar-4d20", "kanari-Putus-b8e6"];

/// A text that must be found; otherwise the search finds nothing at all.
const FOUND: &str = "a message that is kept";

/// Returns requests with right and wrong passwords and with a token, each in its place and out of it.
fn with_passwords(token: &str) -> Vec<u8> {
    let [right, wrong, misplaced, _] = CANARIES;
    let mut lines = format!(
        "auth messi {right}
auth messi {wrong}
auth nobody {wrong}
auth {misplaced} {wrong}
auth {misplaced}
auth
{misplaced}
{misplaced} messi
help {misplaced}
hello {misplaced}
ping {misplaced}
send {token} {misplaced} haloo
send {misplaced} {token}
history {token} {misplaced}
fetch {token} {misplaced}
ack {token} {misplaced}
join {token} {misplaced}
status {misplaced}
inbox {token} {token}
{token} inbox
{token}
whoami {token}
logout {misplaced}
{{\"command\": \"auth\", \"username\": \"messi\", \"password\": \"{right}\"}}
{{\"command\": \"auth\", \"username\": \"messi\", \"password\": \"{wrong}\"}}
{{\"command\": \"auth\", \"username\": \"{misplaced}\", \"password\": [\"{wrong}\"]}}
{{\"command\": \"{misplaced}\", \"token\": \"{token}\"}}
{{\"command\": \"whoami\", \"token\": \"{token}\", \"{misplaced}\": 1}}
{{\"command\": \"auth\", \"password\": \"{right}
send messi {FOUND}
"
    )
    .into_bytes();
    lines.extend_from_slice(format!("auth messi {misplaced}\0\nauth \u{1b}[2J{misplaced} x\n").as_bytes());
    lines.extend_from_slice(b"auth messi \xff");
    lines.extend_from_slice(misplaced.as_bytes());
    lines.push(b'\n');
    lines
}

/// Returns the forms in which a token may be kept.
fn forms(token: &str) -> Vec<Vec<u8>> {
    let hex = token.replace('-', "");
    let bytes = (0..16).map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).expect("hexadecimal"));
    vec![token.into(), token.to_uppercase().into(), hex.to_uppercase().into(), bytes.collect(), hex.into()]
}

fn contains(bytes: &[u8], what: &[u8]) -> bool {
    memchr::memmem::find(bytes, what).is_some()
}

/// Returns the name and content of each file of the folder.
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    entries.map(|path| (path.display().to_string(), fs::read(&path).expect("a file"))).collect()
}

pub(super) fn token_in(reply: &str) -> String {
    let (_, token) = reply.split_once("\"tokenid\": \"").unwrap_or_else(|| panic!("not logged in: {reply}"));
    token[..36].to_owned()
}

fn check(log_format: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let (users, data) = (folder.path().join("users.toml"), folder.path().join("data"));
    let toml = format!("[users.messi]\nname = \"M\"\npassword = \"{}\"\n", CANARIES[0]);
    fs::write(&users, toml).expect("written");
    let path = |path: &Path| path.to_str().expect("UTF-8").to_owned();
    let (users, data_arg) = (path(&users), path(&data));
    let args = ["--users", &users, "--data", &data_arg, "--log-format", log_format, "--log-level", "trace"];
    let server = Program::start(&args);

    let token = token_in(&server.talk(format!("auth messi {}\n", CANARIES[0])));
    let answers = server.talk(with_passwords(&token));
    let mut tokens: Vec<_> =
        answers.split("\r\n\r\n").filter(|r| r.contains("tokenid")).map(token_in).collect();
    assert_eq!(tokens.len(), 2, "{answers}");
    tokens.push(token);
    // One line is not finished, and one is too long.
    server.talk(format!("auth messi {}", CANARIES[3]));
    server.talk(format!("auth messi {}", CANARIES[3].repeat(2_000)));
    server.talk(format!("logout {}\n", tokens[0]));

    let mut seen = files(&data);
    let (banner, log) = (server.banner.clone(), server.stop());
    seen.extend(files(&data));
    assert!(seen.iter().any(|(_, bytes)| contains(bytes, FOUND.as_bytes())), "the search is blind");
    assert!(log.contains("logged in") && log.contains("login failed"), "{log}");
    seen.extend([("the log".to_owned(), log.into_bytes()), ("the banner".to_owned(), banner.into_bytes())]);
    let secrets = CANARIES.map(|canary| canary.as_bytes().to_vec());
    let secrets: Vec<_> = secrets.into_iter().chain(tokens.iter().flat_map(|token| forms(token))).collect();
    for (name, bytes) in &seen {
        for secret in &secrets {
            assert!(!contains(bytes, secret), "{:?} is in {name}", String::from_utf8_lossy(secret));
        }
    }
}

#[test]
fn no_password_and_no_token_is_in_a_log_or_in_the_data_folder() {
    let _alone = ALONE.blocking_lock();
    for log_format in ["text", "json"] {
        check(log_format);
    }
}
