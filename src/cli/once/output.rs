//! Standard output of a command: data, and nothing else.

use std::io::{self, ErrorKind, Write};

use serde::Serialize;

use super::super::{Exit, exit::Failure, stdout::Stdout, visible};

/// What a command prints.
pub(in super::super) struct Output {
    pub(in super::super) is_json: bool,
    place: Place,
}

enum Place {
    Stdout(Stdout),
    Text(String),
}

impl Output {
    /// Standard output.
    pub(super) fn new(is_json: bool) -> Self {
        Output { is_json, place: Place::Stdout(Stdout::open()) }
    }

    /// A text, which is kept.
    pub(in super::super) fn text() -> Self {
        Output { is_json: false, place: Place::Text(String::new()) }
    }

    /// The text so far.
    pub(in super::super) fn into_text(self) -> String {
        match self.place {
            Place::Text(text) => text,
            Place::Stdout(_) => String::new(),
        }
    }

    /// Writes a text and a line end. Further lines of the text begin with a tab. Other characters on which a terminal acts are
    /// escaped.
    pub(in super::super) fn line(&mut self, text: &str) -> Result<(), Failure> {
        let harmless = |line: &str| line.split('\t').map(visible).collect::<Vec<_>>().join("\t");
        let lines: Vec<_> = text.split('\n').map(harmless).collect();
        self.write(&format!("{}\n", lines.join("\n\t")))
    }

    /// Writes an object as a line of JSON.
    pub(in super::super) fn json(&mut self, object: &impl Serialize) -> Result<(), Failure> {
        let json = serde_json::to_string(object)
            .map_err(|error| Failure::new(Exit::Refused, format!("cannot write: {error}")))?;
        self.write(&format!("{}\n", visible(&json)))
    }

    /// Hands everything to the system. What was written before counts as shown.
    pub(in super::super) fn flush(&mut self) -> Result<(), Failure> {
        match &mut self.place {
            Place::Stdout(stdout) => stdout.flush().map_err(|error| failed(&error)),
            Place::Text(_) => Ok(()),
        }
    }

    fn write(&mut self, text: &str) -> Result<(), Failure> {
        match &mut self.place {
            Place::Stdout(stdout) => stdout.write_all(text.as_bytes()).map_err(|error| failed(&error)),
            Place::Text(so_far) => {
                so_far.push_str(text);
                Ok(())
            }
        }
    }
}

/// A program that has read enough and went away is no error.
fn failed(error: &io::Error) -> Failure {
    if error.kind() == ErrorKind::BrokenPipe {
        return Failure::new(Exit::Done, "");
    }
    Failure::new(Exit::Refused, format!("cannot write: {error}"))
}
