//! Signals: Ctrl-C does not end the client, and what ends it leaves the terminal as it was.

use std::{
    io::{self, Write},
    process,
    sync::{Arc, Mutex, MutexGuard},
};

use rustix::termios::{OptionalActions, Termios, tcsetattr};
use tokio::{
    runtime::Runtime,
    signal::unix::{SignalKind, signal},
    sync::Notify,
};

/// Exit status of a program that a signal has ended.
const BY_SIGNAL: i32 = 128 + 15;

/// The prompt of a terminal without an editor, while a line is read.
#[derive(Default)]
pub(super) struct PlainPrompt(Mutex<Option<String>>);

impl PlainPrompt {
    fn lock(&self) -> MutexGuard<'_, Option<String>> {
        self.0.lock().expect("nothing panics while it is held")
    }

    /// Shows a prompt, until something was read.
    pub(super) fn show<T>(&self, prompt: &str, read: impl FnOnce() -> T) -> T {
        write(prompt);
        *self.lock() = Some(prompt.to_owned());
        let read = read();
        *self.lock() = None;
        read
    }

    /// The terminal has dropped the line: the prompt is on the next one.
    fn repeat(&self) {
        if let Some(prompt) = &*self.lock() {
            write(&format!("\n{prompt}"));
        }
    }
}

fn write(text: &str) {
    let mut output = io::stdout().lock();
    // If the terminal is gone, reading from it fails, too.
    output.write_all(text.as_bytes()).and_then(|()| output.flush()).ok();
}

/// Ctrl-C drops the line and tells `interrupted`. A signal that ends the client leaves the terminal in these modes.
pub(super) fn begin(runtime: &Runtime, modes: Termios, plain: Arc<PlainPrompt>, interrupted: Arc<Notify>) {
    runtime.spawn(async move {
        let of = |kind| signal(kind).ok();
        let (Some(mut interrupt), Some(mut terminate), Some(mut hang_up)) =
            (of(SignalKind::interrupt()), of(SignalKind::terminate()), of(SignalKind::hangup()))
        else {
            return;
        };
        loop {
            tokio::select! {
                _ = interrupt.recv() => {
                    plain.repeat();
                    interrupted.notify_waiters();
                }
                _ = terminate.recv() => break,
                _ = hang_up.recv() => break,
            }
        }
        tcsetattr(io::stdin(), OptionalActions::Now, &modes).ok();
        process::exit(BY_SIGNAL);
    });
}
