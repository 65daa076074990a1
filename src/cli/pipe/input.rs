//! Standard input as lines. Nothing is read before it is asked for: what comes after `quit` is for the program behind.

use std::{
    fs::File,
    io::{self, ErrorKind, IsTerminal, Read},
    os::fd::{AsFd, BorrowedFd},
    sync::Arc,
};

use tokio::task::{JoinHandle, spawn_blocking};

use super::super::TERMINAL_LINE;

/// Standard input.
pub(super) struct Input {
    /// Not [`io::stdin`], whose buffer would take more than a line.
    file: Arc<File>,
    /// A read that has begun.
    reading: Option<JoinHandle<io::Result<Vec<u8>>>>,
    /// Bytes that were read and not taken.
    received: Vec<u8>,
    ended: bool,
    is_terminal: bool,
}

/// A line of the input.
pub(super) struct Line {
    /// Without its line end.
    pub(super) text: Vec<u8>,
    /// The terminal has, or may have, dropped what was typed or pasted after this.
    pub(super) is_cut: bool,
}

impl Input {
    pub(super) fn open() -> io::Result<Self> {
        let file = File::from(io::stdin().as_fd().try_clone_to_owned()?);
        let is_terminal = file.is_terminal();
        Ok(Input { file: Arc::new(file), reading: None, received: Vec::new(), ended: false, is_terminal })
    }

    /// Whether it is a terminal.
    pub(super) fn is_terminal(&self) -> bool {
        self.is_terminal
    }

    /// The next line, if all of it has come. The last line may have no line end.
    pub(super) fn take_line(&mut self) -> Option<Line> {
        let end = match memchr::memchr(b'\n', &self.received) {
            Some(end) => end + 1,
            None if self.ended && !self.received.is_empty() => self.received.len(),
            None => return None,
        };
        let mut text: Vec<u8> = self.received.drain(..end).collect();
        if text.ends_with(b"\n") {
            text.pop();
        }
        let is_cut = self.is_terminal && text.len() >= TERMINAL_LINE;
        if text.ends_with(b"\r") {
            text.pop();
        }
        Some(Line { text, is_cut })
    }

    /// Whether the input has ended.
    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Waits until something comes, which may be a part of a line. Nothing is lost if the future is dropped.
    pub(super) async fn receive(&mut self) -> io::Result<()> {
        let file = &self.file;
        let reading = self.reading.get_or_insert_with(|| {
            let file = file.clone();
            spawn_blocking(move || {
                let mut chunk = vec![0; 16 * 1024];
                let read = (&*file).read(&mut chunk)?;
                chunk.truncate(read);
                Ok(chunk)
            })
        });
        let read = reading.await;
        self.reading = None;
        match read.map_err(io::Error::other)? {
            Ok(chunk) => {
                self.ended = chunk.is_empty();
                self.received.extend(chunk);
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(()),
            // Another program may have made the terminal non-blocking.
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
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
