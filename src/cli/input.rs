//! Standard input as lines, without waiting for more than has come.

use std::{
    fs::File,
    io::{self, IsTerminal, Read},
    os::fd::{AsFd, BorrowedFd},
};

/// Standard input.
pub(super) struct Input {
    /// Not [`io::stdin`], whose buffer would hide data from a poll.
    file: File,
    /// Bytes that were read and not taken.
    received: Vec<u8>,
    ended: bool,
}

impl Input {
    pub(super) fn open() -> io::Result<Self> {
        let file = File::from(io::stdin().as_fd().try_clone_to_owned()?);
        Ok(Input { file, received: Vec::new(), ended: false })
    }

    /// Whether it is a terminal.
    pub(super) fn is_terminal(&self) -> bool {
        self.file.is_terminal()
    }

    /// The next line with its line end, if all of it has come. The last line may have no line end.
    pub(super) fn take_line(&mut self) -> Option<Vec<u8>> {
        let end = match memchr::memchr(b'\n', &self.received) {
            Some(end) => end + 1,
            None if self.ended && !self.received.is_empty() => self.received.len(),
            None => return None,
        };
        Some(self.received.drain(..end).collect())
    }

    /// Whether the input has ended.
    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Waits until something comes, which may be a part of a line.
    pub(super) fn receive(&mut self) -> io::Result<()> {
        let mut chunk = [0; 16 * 1024];
        match self.file.read(&mut chunk) {
            Ok(read) => {
                self.ended = read == 0;
                self.received.extend(&chunk[..read]);
                Ok(())
            }
            // Another program may have made the terminal non-blocking.
            Err(error) if matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock) => {
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}

impl AsFd for Input {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}
