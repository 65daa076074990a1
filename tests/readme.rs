//! Compares the README and the other pages with the programs.
//!
//! With `CHAT_TEST_NC=1`, a shell runs the lines that show `nc`. Otherwise, their input is sent over a socket.

use std::{fs, path::Path, process::Command};

use chat_service::{
    config::ServerArgs,
    model::{Closing, Refusal},
    protocol::{
        request::{Form, Parameter},
        spec::SPECS,
        text,
    },
};

use clap::CommandFactory;

use crate::support::{
    program::{Program, command, run, said, without_tokens},
    terminal::{Terminal, client_in},
};

fn page(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).expect("a page")
}

/// Returns the commands of the README's console blocks, each with its output.
fn console(text: &str) -> Vec<(String, String)> {
    let mut commands: Vec<(String, String)> = Vec::new();
    for block in text.split("```console\n").skip(1) {
        let block = block.split("```").next().expect("a block");
        for line in block.lines() {
            match (line.strip_prefix("$ "), commands.last_mut()) {
                (Some(command), _) => commands.push((command.to_owned(), String::new())),
                (None, Some((_, shown))) => push_line(shown, line),
                (None, None) => panic!("{line:?} before any command"),
            }
        }
    }
    commands
}

fn push_line(text: &mut String, line: &str) {
    text.extend([line, "\n"]);
}

/// Returns what `printf 'TEXT'` prints.
fn printf(text: &str) -> String {
    let text = text.strip_prefix("printf '").and_then(|rest| rest.strip_suffix('\'')).expect("printf '…'");
    text.replace("\\n", "\n")
}

fn netcat(server: &Program, line: &str, input: &str) -> String {
    if std::env::var_os("CHAT_TEST_NC").is_none() {
        return server.talk(printf(input));
    }
    let line = line.replace("8889", &server.address.port().to_string());
    let mut shell = Command::new("sh");
    shell.args(["-c", &line]);
    let (text, code) = said(&run(shell, ""));
    assert_eq!(code, Some(0), "{line}");
    text
}

fn client(server: &Program) -> Command {
    let mut client = command(env!("CARGO_BIN_EXE_chat-client"));
    client.env("CHAT_PORT", server.address.port().to_string());
    client
}

/// Types at the client's prompt what a session shows, and returns what then stands on the screen.
///
/// What was typed stands behind a prompt. A message that was typed is shown with its time instead.
fn type_in(server: &Program, session: &str) -> String {
    let home = tempfile::tempdir().expect("a folder");
    let mut person = Terminal::start(client_in(home.path(), server.address.port(), &[]));
    for line in session.lines() {
        if line.starts_with("Password of ") {
            person.line(line);
            person.type_keys("surabaya\r");
        } else if let Some((prompt, input)) = line.split_once("> ") {
            person.draft(&format!("{prompt}> "), 0);
            person.type_keys(&format!("{input}\r"));
        } else if let Some(message) = line.strip_suffix(" ✓") {
            let (_, text) = message.split_once(": ").expect("a text");
            person.type_keys(&format!("{text}\r"));
            person.line_end(&line[5..]);
        }
    }
    let (shown, code) = person.end_with_screen();
    assert_eq!(code, Some(0));
    shown.replace(&server.address.to_string(), "127.0.0.1:8889")
}

/// A session without its times and its day.
fn without_times(session: &str) -> String {
    let plain = |line: &str| {
        if line.starts_with("── ") {
            return "── DAY ──".to_owned();
        }
        let is_time = line.get(..6).is_some_and(|time| time.as_bytes()[2] == b':' && time.ends_with(' '));
        if is_time { format!("TIME{}", &line[5..]) } else { line.trim_end().to_owned() }
    };
    session.trim_end().lines().map(plain).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_sessions_of_the_readme_go_as_it_says() {
    let users = Path::new(env!("CARGO_MANIFEST_DIR")).join("users.toml");
    let server = Program::start(&["--users", users.to_str().expect("UTF-8")]);
    let mut seen = [0; 3];
    for (line, expected) in console(&page("README.md")) {
        let (got, expected) = if let Some((input, _)) = line.split_once(" | nc -N 127.0.0.1 8889") {
            seen[0] += 1;
            (netcat(&server, &line, input), expected.replace('\n', "\r\n"))
        } else if let Some(input) = line.strip_suffix(" | cargo run -q --release --bin chat-client") {
            seen[1] += 1;
            (said(&run(client(&server), printf(input))).0, expected)
        } else if line == "cargo run -q --release --bin chat-client" {
            seen[2] += 1;
            (without_times(&type_in(&server, &expected)), without_times(&expected))
        } else {
            panic!("no test knows how to run {line:?}")
        };
        assert_eq!(without_tokens(&got), without_tokens(&expected), "{line}");
    }
    assert_eq!(seen, [2, 1, 1]);
    server.stop();
}

#[test]
fn every_command_is_in_the_readme_and_on_the_protocol_page() {
    let (readme, protocol) = (page("README.md"), page("docs/protocol.md"));
    for command in SPECS {
        let usage = command.usage().replace('|', "\\|");
        let row = format!("| `{usage}` | {} |", command.summary);
        assert!(readme.contains(&row), "not in the README: {row}");
        let fields = json_fields(&protocol, &usage);
        let expected: Vec<_> = command.parameters.iter().map(json_field).collect();
        assert_eq!(fields, expected, "the JSON fields of {usage} on the protocol page");
    }
}

/// Returns the protocol page's notation for a parameter: its field, with a `?` if it may be left out.
fn json_field(parameter: &Parameter) -> String {
    let is_optional = matches!(parameter.form, Form::Optional | Form::FieldOnly);
    format!("`{}`{}", parameter.field, if is_optional { "?" } else { "" })
}

/// Returns the parts of the second cell of a command's row on the protocol page, without the value in brackets.
fn json_fields(protocol: &str, usage: &str) -> Vec<String> {
    let row = protocol.split_once(&format!("\n| `{usage}` |")).map(|(_, rest)| rest);
    let row = row.unwrap_or_else(|| panic!("not on the protocol page: {usage}"));
    let cell = row.split('|').next().expect("a cell").trim();
    let cell = cell.split_once(" (").map_or(cell, |(fields, _)| fields);
    cell.split([',', ' ']).filter(|part| !part.is_empty() && *part != "or").map(str::to_owned).collect()
}

#[test]
fn every_error_is_on_the_protocol_page() {
    let protocol = page("docs/protocol.md");
    for refusal in Refusal::ALL {
        let row = format!("| `{}` | {} |", refusal.code(), text::refusal(refusal));
        assert!(protocol.contains(&row), "{row}");
    }
    for reason in Closing::ALL {
        assert!(protocol.contains(&format!("`{}`", text::closing(*reason))), "{reason:?}");
    }
}

#[test]
fn every_dependency_has_its_reason() {
    let (manifest, reasons) = (page("Cargo.toml"), page("docs/dependencies.md"));
    let manifest: toml::Table = toml::from_str(&manifest).expect("TOML");
    let mut seen = 0;
    for table in ["dependencies", "dev-dependencies"] {
        for name in manifest[table].as_table().expect("a table").keys() {
            let rows = reasons.lines().filter(|line| line.starts_with('|'));
            let named = rows.filter(|row| {
                row.split('|').nth(1).is_some_and(|cell| cell.split([',', ' ']).any(|n| n == name))
            });
            assert_eq!(named.count(), 1, "{name}");
            seen += 1;
        }
    }
    assert!(seen > 10);
}

#[test]
fn the_sample_users_are_those_of_the_readme() {
    let loaded = chat_service::users::parse(&page("users.toml"), "users.toml").expect("understood");
    let mut people: Vec<_> = loaded
        .users
        .iter()
        .map(|user| (user.username.as_ref(), user.name.as_str(), user.country.as_str()))
        .collect();
    people.sort_unstable();
    assert_eq!(
        people,
        [
            ("henderson", "Jordan Henderson", "Inggris"),
            ("lineker", "Gary Lineker", "Inggris"),
            ("messi", "Lionel Messi", "Argentina")
        ]
    );
    assert_eq!(loaded.warnings, [""; 0]);
}

#[test]
fn every_promise_of_the_security_page_names_a_test_that_exists() {
    let mut known = Vec::new();
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let mut folders = vec![tests.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|kind| kind == "rs") {
                let module = path.strip_prefix(&tests).expect("below it").with_extension("");
                let module = module.to_str().expect("UTF-8").replace('/', "::");
                let text = std::fs::read_to_string(&path).expect("UTF-8");
                let names = text.split("fn ").skip(1).filter_map(|rest| rest.split('(').next());
                known.extend(names.map(|name| format!("{module}::{name}")));
            }
        }
    }
    let security = page("docs/security.md");
    let named: Vec<_> = security.split('`').skip(1).step_by(2).filter(|name| name.contains("::")).collect();
    assert!(named.len() > 15);
    for name in named {
        let end = format!("::{name}");
        assert!(known.iter().any(|other| other == name || other.ends_with(&end)), "{name}");
    }
}

#[test]
fn the_limits_of_the_security_page_are_those_of_the_program() {
    let security = page("docs/security.md");
    let server = ServerArgs::command();
    let mut seen = 0;
    for line in security.lines().filter(|line| line.starts_with("| `--")) {
        let mut cells = line.split('|').skip(1).map(str::trim);
        let flag = cells.next().expect("a cell").trim_matches('`').trim_start_matches("--").to_owned();
        let argument = server.get_arguments().find(|argument| argument.get_long() == Some(flag.as_str()));
        let argument = argument.unwrap_or_else(|| panic!("{flag}"));
        let default: Vec<_> =
            argument.get_default_values().iter().filter_map(|value| value.to_str()).collect();
        let shown = cells.next().filter(|cell| *cell != "–");
        assert_eq!(default, shown.into_iter().collect::<Vec<_>>(), "{flag}");
        seen += 1;
    }
    assert_eq!(seen, 22);
}
