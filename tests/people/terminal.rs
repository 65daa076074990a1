//! Passwords that are typed at a terminal, or come from a pipe.

use std::{
    io::{Read, Write},
    process::{Command, Stdio},
    thread,
    time::Instant,
};

use super::{Folder, TEXT, told};
use crate::support::{
    SOON,
    program::{chat_server, run, terminal},
};

/// Types each line at a prompt that hides it; returns what the terminal and the program show, and the exit status.
fn type_in(folder: &Folder, args: &[&str], lines: &[&str]) -> (String, Option<i32>) {
    use rustix::termios::{LocalModes, tcgetattr};
    let (mut terminal, theirs) = terminal();
    // The program asks for a password on the terminal of its session, so it gets a session of its own, as at a login.
    let mut command = Command::new("setsid");
    command.args(["--ctty", "--wait", env!("CARGO_BIN_EXE_chat-server"), "user"]).args(args);
    command.current_dir(folder.0.path()).stdin(theirs.try_clone().expect("another"));
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    // The test closes its copies of the program's side, so that a read after the program's end fails instead of blocking.
    drop((command, theirs));
    let mut shown = Vec::new();
    for (i, line) in lines.iter().enumerate() {
        while memchr::memchr_iter(b':', &shown).count() <= i {
            let mut byte = [0];
            terminal.read_exact(&mut byte).expect("a prompt");
            shown.push(byte[0]);
        }
        let began = Instant::now();
        while tcgetattr(&terminal).expect("a terminal").local_modes.contains(LocalModes::ECHO) {
            assert!(began.elapsed() < SOON, "what is typed is shown");
            thread::yield_now();
        }
        terminal.write_all(format!("{line}\r").as_bytes()).expect("typed");
    }
    let code = child.wait().expect("it ends").code();
    // The read fails at its end, because no process has the other side open.
    terminal.read_to_end(&mut shown).ok();
    for pipe in
        [&mut child.stdout.take().expect("piped") as &mut dyn Read, &mut child.stderr.take().expect("piped")]
    {
        pipe.read_to_end(&mut shown).expect("read");
    }
    (String::from_utf8(shown).expect("UTF-8"), code)
}

#[test]
fn a_terminal_is_asked_twice_and_does_not_show_it() {
    let folder = Folder::new(TEXT);
    let (shown, code) = type_in(&folder, &["add", "dan"], &["correct horse", "correct horse"]);
    assert_eq!(code, Some(0), "{shown}");
    assert!(shown.contains("Password for dan: ") && shown.contains("Again: "), "{shown}");
    assert!(shown.contains("dan was added") && !shown.contains("correct"), "{shown}");
    let before = folder.text();
    let (shown, code) = type_in(&folder, &["passwd", "dan"], &["correct horse", "correct house"]);
    assert_eq!(code, Some(1), "{shown}");
    assert!(shown.contains("the two were not the same") && !shown.contains("correct"), "{shown}");
    assert_eq!(folder.text(), before);
}

#[test]
fn a_weak_password_is_hashed_with_a_warning() {
    let hash = |input: &str| {
        let mut command = chat_server();
        command.arg("hash-password");
        told(&run(command, input))
    };
    let (out, err, code) = hash("surabaya\n");
    assert!(out.starts_with("$argon2id$") && code == Some(0));
    assert!(err.starts_with("warning: this is the password of the sample users"), "{err}");
    assert_eq!(hash("correct horse\n").1, "");
}
