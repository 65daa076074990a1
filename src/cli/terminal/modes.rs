//! Modes of the terminal while no line is edited.

use std::io;

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

/// What is typed between two lines waits for the next one, Ctrl-D too, and is not echoed twice. The terminal is as it was when this
/// is dropped.
pub(super) struct Modes {
    original: Termios,
    between: Termios,
}

impl Modes {
    /// `None` if standard input is no terminal.
    pub(super) fn take() -> Option<Self> {
        let original = tcgetattr(io::stdin()).ok()?;
        let mut between = original.clone();
        between.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
        Some(Modes { original, between })
    }

    pub(super) fn original(&self) -> &Termios {
        &self.original
    }

    /// Between two lines.
    pub(super) fn between(&self) {
        tcsetattr(io::stdin(), OptionalActions::Now, &self.between).ok();
    }

    /// As it was.
    pub(super) fn restore(&self) {
        tcsetattr(io::stdin(), OptionalActions::Now, &self.original).ok();
    }
}

impl Drop for Modes {
    fn drop(&mut self) {
        self.restore();
    }
}
