//! A program on a terminal: what is typed, and what stands on the screen.

use std::{
    fs::File,
    io::{Read, Write},
    num::NonZeroU16,
    path::Path,
    process::{Child, Command},
    sync::{Arc, Condvar, Mutex},
    thread,
    time::Instant,
};

use rustix::termios::{Winsize, tcsetwinsize};

use super::{
    SOON,
    program::{Program, command, run, terminal},
};

/// Rows and columns of the terminal.
const SIZE: (u16, u16) = (24, 80);

fn screen() -> vt100::Parser {
    let size = |number| NonZeroU16::new(number).expect("not 0");
    vt100::Parser::new(size(SIZE.0), size(SIZE.1), 1000)
}

/// What is on the screen.
#[derive(Default)]
struct Seen {
    parser: Option<vt100::Parser>,
    has_ended: bool,
}

/// A program on a terminal.
pub(crate) struct Terminal {
    keyboard: File,
    seen: Arc<(Mutex<Seen>, Condvar)>,
    child: Child,
}

impl Terminal {
    pub(crate) fn start(mut client: Command) -> Self {
        let (keyboard, theirs) = terminal();
        set_size(&keyboard, SIZE);
        // It must be the terminal of the process, because passwords are asked for on that.
        let mut shell = command("setsid");
        shell.args(["--ctty", "--wait"]).arg(client.get_program()).args(client.get_args());
        for (name, value) in client.get_envs() {
            match value {
                Some(value) => shell.env(name, value),
                None => shell.env_remove(name),
            };
        }
        client = shell;
        client
            .stdin(theirs.try_clone().expect("another"))
            .stdout(theirs.try_clone().expect("another"))
            .stderr(theirs);
        let child = client.spawn().expect("it starts");
        drop(client);
        let seen = Arc::<(Mutex<Seen>, Condvar)>::default();
        seen.0.lock().expect("nobody panics").parser = Some(screen());
        let (shared, mut screen) = (seen.clone(), keyboard.try_clone().expect("another"));
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            // Reading fails when the program has ended.
            while let Ok(read @ 1..) = screen.read(&mut bytes) {
                let mut seen = shared.0.lock().expect("nobody panics");
                seen.parser.as_mut().expect("set").process(&bytes[..read]);
                shared.1.notify_all();
            }
            shared.0.lock().expect("nobody panics").has_ended = true;
            shared.1.notify_all();
        });
        Terminal { keyboard, seen, child }
    }

    pub(crate) fn type_keys(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).expect("taken");
    }

    /// Waits until the screen is as it should be.
    pub(crate) fn until(&self, what: &str, is_right: impl Fn(&vt100::Screen) -> bool) {
        let (seen, changed) = &*self.seen;
        let end = Instant::now() + SOON;
        let mut seen = seen.lock().expect("nobody panics");
        while !is_right(seen.parser.as_ref().expect("set").screen()) {
            let left = end.saturating_duration_since(Instant::now());
            let shown = seen.parser.as_ref().expect("set").screen().contents();
            assert!(!left.is_zero(), "no {what:?} on the screen:\n{shown}");
            assert!(!seen.has_ended, "ended without {what:?}:\n{shown}");
            seen = changed.wait_timeout(seen, left).expect("nobody panics").0;
        }
    }

    /// Waits until a line of the screen is this one.
    pub(crate) fn line(&self, line: &str) {
        self.until(line, |screen| screen.contents().lines().any(|shown| shown.trim_end() == line));
    }

    /// Waits until a line of the screen ends so.
    pub(crate) fn line_end(&self, end: &str) {
        self.until(end, |screen| screen.contents().lines().any(|shown| shown.ends_with(end)));
    }

    /// Waits until the last line of the screen is this one, and the cursor `back` columns before its end.
    pub(crate) fn draft(&self, line: &str, back: u16) {
        self.until(line, |screen| {
            let contents = screen.contents();
            let width = u16::try_from(line.chars().count()).expect("short");
            contents.trim_end().lines().last() == Some(line.trim_end())
                && screen.cursor_position().1 == width - back
        });
    }

    /// Gives the terminal another size, as somebody does who resizes its window.
    pub(crate) fn resize(&self, (rows, columns): (u16, u16)) {
        let size = |number| NonZeroU16::new(number).expect("not 0");
        let mut seen = self.seen.0.lock().expect("nobody panics");
        seen.parser.as_mut().expect("set").screen_mut().set_size(size(rows), size(columns));
        drop(seen);
        set_size(&self.keyboard, (rows, columns));
    }

    /// The screen as it is now.
    pub(crate) fn screen(&self) -> vt100::Screen {
        self.seen.0.lock().expect("nobody panics").parser.as_ref().expect("set").screen().clone()
    }

    pub(crate) fn contents(&self) -> String {
        self.seen.0.lock().expect("nobody panics").parser.as_ref().expect("set").screen().contents()
    }

    /// Waits until the program has ended; returns its exit status.
    pub(crate) fn end(self) -> Option<i32> {
        self.end_with_screen().1
    }

    /// Waits until the program has ended; returns what stands on the screen, and its exit status.
    pub(crate) fn end_with_screen(mut self) -> (String, Option<i32>) {
        let (seen, changed) = &*self.seen;
        let seen = seen.lock().expect("nobody panics");
        let (seen, waited) =
            changed.wait_timeout_while(seen, SOON, |seen| !seen.has_ended).expect("nobody panics");
        let shown = seen.parser.as_ref().expect("set").screen().contents();
        assert!(!waited.timed_out(), "it does not end:\n{shown}");
        drop(seen);
        (shown, self.child.wait().expect("it ran").code())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn set_size(terminal: &File, (rows, columns): (u16, u16)) {
    let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(terminal, size).expect("a terminal");
}

pub(crate) fn client_in(home: &Path, port: u16, args: &[&str]) -> Command {
    let mut client = command(env!("CARGO_BIN_EXE_chat-client"));
    client
        .env("HOME", home)
        .env_remove("XDG_STATE_HOME")
        .env_remove("XDG_CONFIG_HOME")
        .env_remove("NO_COLOR");
    client.env("TERM", "xterm").env("TZ", "UTC").env("CHAT_PORT", port.to_string()).args(args);
    client
}

/// A server, messi at a terminal, and henderson in a shell.
pub(crate) struct Stage {
    pub(crate) server: Program,
    pub(crate) home: tempfile::TempDir,
}

impl Stage {
    pub(crate) fn set(args: &[&str]) -> Self {
        let stage = Stage { server: Program::start(args), home: tempfile::tempdir().expect("a folder") };
        stage.shell(&["login", "messi"], "surabaya\n");
        stage.shell(&["--profile", "h", "login", "henderson"], "surabaya\n");
        stage
    }

    pub(crate) fn client(&self, args: &[&str]) -> Command {
        client_in(self.home.path(), self.server.address.port(), args)
    }

    /// Runs a command of a shell, and returns what it prints.
    pub(crate) fn shell(&self, args: &[&str], input: &str) -> String {
        let output = run(self.client(args), input);
        assert_eq!(output.status.code(), Some(0), "{args:?}: {output:?}");
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    /// Henderson sends messi a message.
    pub(crate) fn henderson_says(&self, text: &str) {
        self.shell(&["--profile", "h", "send", "messi", "-"], text);
    }

    /// Messi at the prompt, writing to henderson.
    pub(crate) fn messi(&self, args: &[&str]) -> Terminal {
        let mut messi = Terminal::start(self.client(args));
        messi.draft("messi> ", 0);
        messi.type_keys("/to henderson\r");
        messi.draft("messi → henderson> ", 0);
        messi
    }

    /// Texts that have arrived at henderson.
    pub(crate) fn arrived(&self) -> Vec<String> {
        let shown = self.shell(&["--profile", "h", "--json", "history", "messi", "--limit", "1000"], "");
        let text = |line: &str| {
            let message: serde_json::Value = serde_json::from_str(line).expect("JSON");
            (message["from"] == "messi").then(|| message["msg"].as_str().expect("a text").to_owned())
        };
        shown.lines().filter_map(text).collect()
    }
}

impl Stage {
    /// Number of the newest message between messi and henderson.
    pub(crate) fn newest(&self) -> u64 {
        let shown = self.shell(&["--profile", "h", "--json", "history", "messi", "--limit", "1"], "");
        let message: serde_json::Value = serde_json::from_str(shown.trim()).expect("JSON");
        message["id"].as_u64().expect("a number")
    }

    /// Waits until henderson's message was taken, or read.
    pub(crate) fn until_state(&self, id: u64, state: &str) {
        let end = Instant::now() + SOON;
        loop {
            let shown = self.shell(&["--profile", "h", "--json", "status", &id.to_string()], "");
            let status: serde_json::Value = serde_json::from_str(shown.trim()).expect("JSON");
            if status["state"] == state || state == "read" && status["read_at"].is_string() {
                break;
            }
            assert!(Instant::now() < end, "message {id} is not {state}: {status}");
        }
    }
}
