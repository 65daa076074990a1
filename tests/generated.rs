//! The man pages in `man` and the completion scripts in `completions` are those that the programs print.
//!
//! `UPDATE_GENERATED=1 cargo test generated` writes them anew.

use std::{fs, path::Path};

use chat_service::config::{ClientArgs, ServerArgs};
use clap::CommandFactory;

use crate::support::program::{chat_server, command, run, said};

/// File, program, and the arguments with which it prints the file.
const FILES: [(&str, &str, &[&str]); 8] = [
    ("man/chat-client.1", "chat-client", &["man"]),
    ("man/chat-server.1", "chat-server", &["man"]),
    ("completions/chat-client.bash", "chat-client", &["completions", "bash"]),
    ("completions/chat-server.bash", "chat-server", &["completions", "bash"]),
    ("completions/_chat-client", "chat-client", &["completions", "zsh"]),
    ("completions/_chat-server", "chat-server", &["completions", "zsh"]),
    ("completions/chat-client.fish", "chat-client", &["completions", "fish"]),
    ("completions/chat-server.fish", "chat-server", &["completions", "fish"]),
];

fn printed(program: &str, args: &[&str]) -> String {
    let mut program = match program {
        "chat-server" => chat_server(),
        _ => command(env!("CARGO_BIN_EXE_chat-client")),
    };
    program.args(args);
    let (text, code) = said(&run(program, ""));
    assert_eq!(code, Some(0), "{args:?}");
    text
}

#[test]
fn the_files_are_those_that_the_programs_print() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (name, program, args) in FILES {
        let (file, text) = (root.join(name), printed(program, args));
        if std::env::var_os("UPDATE_GENERATED").is_some() {
            fs::write(&file, text).expect("written");
            continue;
        }
        let kept = fs::read_to_string(&file).unwrap_or_default();
        assert!(kept == text, "{name} is not what {program} prints: UPDATE_GENERATED=1 cargo test generated");
    }
}

/// Returns what bash proposes for the last word.
fn proposed(program: &str, words: &[&str]) -> Vec<String> {
    // As bash calls it: the program, the word, and the one before it.
    let script = r#"
        source "$1"; shift
        COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
        function=$(complete -p "$1"); function=${function#*-F }; function=${function%% *}
        "$function" "$1" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
        printf '%s\n' "${COMPREPLY[@]}"
    "#;
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("completions/{program}.bash"));
    let mut bash = command("bash");
    bash.args(["--norc", "-c", script, "bash"]).arg(file).arg(program).args(words);
    let (text, code) = said(&run(bash, ""));
    assert_eq!(code, Some(0), "{words:?}");
    text.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn bash_completes_commands_flags_and_values() {
    let check = |program: &str, words: &[&str], expected: &[&str]| {
        assert_eq!(proposed(program, words), expected, "{program} {words:?}");
    };
    check("chat-client", &["se"], &["send", "sessions"]);
    check("chat-client", &["--pro"], &["--profile"]);
    check("chat-client", &["send", "--wa"], &["--wait"]);
    check("chat-client", &["send", "--wait", ""], &["acked", "read"]);
    check("chat-client", &["--json", "listen", "--exe"], &["--exec"]);
    check("chat-client", &["completions", "z"], &["zsh"]);
    check("chat-server", &["--store", ""], &["sqlite", "memory"]);
    check("chat-server", &["ha"], &["hash-password"]);
    check("chat-server", &["user", "re"], &["reclaim", "remove"]);
    check("chat-server", &["user", "add", "--re"], &["--reclaim"]);
}

/// Returns each command that has no commands below it, with those above it.
fn commands(program: &clap::Command, path: &str) -> Vec<String> {
    let below = program.get_subcommands().flat_map(|command| {
        let path = format!("{path}{}", command.get_name());
        if command.has_subcommands() { commands(command, &format!("{path} ")) } else { vec![path] }
    });
    below.collect()
}

#[test]
fn a_page_has_all_commands() {
    for (name, program, count) in
        [("chat-client", ClientArgs::command(), 20), ("chat-server", ServerArgs::command(), 13)]
    {
        let page = printed(name, &["man"]).replace("\\-", "-");
        let headings: Vec<_> = page.lines().filter_map(|line| line.strip_prefix(".SS ")).collect();
        let commands = commands(&program, "");
        assert!(commands.len() >= count, "{commands:?}");
        for command in commands {
            let is_it = |heading: &str| {
                let heading = heading.trim_matches('"');
                heading.strip_prefix(&command).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
            };
            assert_eq!(headings.iter().filter(|heading| is_it(heading)).count(), 1, "{command}");
        }
    }
}
