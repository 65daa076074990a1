//! Standard output, whose failures are seen.

use std::{
    fs::File,
    io::{self, LineWriter, Write},
    os::fd::AsFd,
};

/// Standard output by lines. [`io::stdout`] takes a descriptor that is not open for writing for a success, and messages would count
/// as shown.
pub(super) enum Stdout {
    Open(LineWriter<File>),
    /// Why there is none.
    Missing(io::Error),
}

impl Stdout {
    pub(super) fn open() -> Self {
        match io::stdout().as_fd().try_clone_to_owned() {
            Ok(owned) => Stdout::Open(LineWriter::new(owned.into())),
            Err(error) => Stdout::Missing(error),
        }
    }
}

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stdout::Open(file) => file.write(bytes),
            Stdout::Missing(error) => Err(io::Error::new(error.kind(), error.to_string())),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Stdout::Open(file) => file.flush(),
            // Nothing was written.
            Stdout::Missing(_) => Ok(()),
        }
    }
}
