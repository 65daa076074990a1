//! Bytes from the server as objects.

use std::io;

/// Most bytes of an object, up to the end of the empty line after it. A server sends pages of about 1 MiB; only lists of users grow
/// further, and a `who` of 100,000 users fits.
const MAX_OBJECT: usize = 16 * 1024 * 1024;

/// Most bytes that are shown of a line that is no object.
const MAX_SHOWN: usize = 200;

/// What was received and not taken.
#[derive(Default)]
pub(crate) struct Incoming {
    /// The bytes. Others only append to them.
    pub(crate) bytes: Vec<u8>,
    /// Number of bytes at the start that need not be searched for a line end again.
    searched: usize,
    /// Length of the first object without its line end, if that has come.
    object: Option<usize>,
}

impl Incoming {
    /// Takes the first object, if all of it has come: JSON, without the empty line after it.
    ///
    /// # Errors
    /// `InvalidData` if it is no object, or too long for one.
    pub(crate) fn take_object(&mut self) -> io::Result<Option<String>> {
        while let Some(end) = self.next_line_end()? {
            // An object has no line end inside, because strings escape them. Without the empty line, it may have been cut.
            let Some(length) = self.object else {
                self.object = Some(self.first_line(end)?.len());
                continue;
            };
            let object = String::from_utf8(self.bytes[..length].to_vec())
                .map_err(|_| stranger(&self.bytes[..length]))?;
            self.bytes.drain(..=end);
            (self.searched, self.object) = (0, None);
            return Ok(Some(object));
        }
        Ok(None)
    }

    /// Whether no object has come in part.
    pub(crate) fn is_between_objects(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The first line, which ends at `end` and must begin like an object.
    fn first_line(&self, end: usize) -> io::Result<&[u8]> {
        let line = self.bytes[..end].trim_ascii_end();
        if line.starts_with(b"{") { Ok(line) } else { Err(stranger(line)) }
    }

    /// Searches what has come since the last search.
    fn next_line_end(&mut self) -> io::Result<Option<usize>> {
        let found = memchr::memchr(b'\n', &self.bytes[self.searched..]).map(|at| self.searched + at);
        self.searched = found.map_or(self.bytes.len(), |end| end + 1);
        if self.searched > MAX_OBJECT {
            return Err(invalid(format!(
                "it sent a reply of more than {} MiB, so it is hardly a chat server\n  \
                 remedy: check --host and --port, or ask whoever runs the server",
                MAX_OBJECT >> 20
            )));
        }
        Ok(found)
    }
}

/// The error for a line that is no object.
fn stranger(line: &[u8]) -> io::Error {
    let shown = String::from_utf8_lossy(&line[..line.len().min(MAX_SHOWN)]);
    invalid(format!("it is no chat server: it said {shown:?}"))
}

fn invalid(told: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, told)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rustix::time::{ClockId, clock_gettime};

    use super::*;

    /// Gives the bytes in pieces; returns the objects, and the error that ended it.
    fn objects(bytes: &[u8], piece: usize) -> (Vec<String>, Option<String>) {
        let mut incoming = Incoming::default();
        let mut taken = Vec::new();
        for piece in bytes.chunks(piece) {
            incoming.bytes.extend(piece);
            loop {
                match incoming.take_object() {
                    Ok(Some(object)) => taken.push(object),
                    Ok(None) => break,
                    Err(error) => return (taken, Some(error.to_string())),
                }
            }
        }
        assert_eq!(incoming.is_between_objects(), bytes.ends_with(b"\r\n\r\n"));
        (taken, None)
    }

    #[test]
    fn objects_are_the_same_however_they_are_cut() {
        let sent = b"{\"a\": 1}\r\n\r\n{} \n\n{\"b\": \"\\n\"}\r\n\r\n{\"cut\": 1}\r\n";
        for piece in 1..=sent.len() {
            let expected = ["{\"a\": 1}", "{}", "{\"b\": \"\\n\"}"].map(str::to_owned).to_vec();
            assert_eq!(objects(sent, piece), (expected, None), "pieces of {piece}");
        }
    }

    #[test]
    fn what_is_no_object_is_shown_in_part_and_does_nothing_to_a_terminal() {
        for (line, expected) in [
            ("220 \u{1b}[2J\u{202e}\r\n".as_bytes(), r#""220 \u{1b}[2J\u{202e}""#),
            (b"{\"a\": \"\xff\"}\r\n\r\n", "\"{\\\"a\\\": \\\"\u{fffd}\\\"}\""),
            (&[&[b'a'; 3_000][..], b"\n"].concat(), &format!("{:?}", "a".repeat(MAX_SHOWN))),
        ] {
            let error = objects(line, 7).1.expect("an error");
            assert_eq!(error, format!("it is no chat server: it said {expected}"));
        }
    }

    #[test]
    fn an_object_has_a_greatest_length_with_its_empty_line() {
        let object = |length: usize| [&vec![b'{'; length - 4][..], b"\r\n\r\n"].concat();
        for piece in [4_000, usize::MAX] {
            let (taken, error) = objects(&object(MAX_OBJECT), piece);
            assert_eq!((taken.len(), error), (1, None));
            let (taken, error) = objects(&object(MAX_OBJECT + 1), piece);
            assert_eq!(taken.len(), 0);
            let error = error.expect("an error");
            assert!(error.contains("more than 16 MiB") && error.contains("remedy:"), "{error}");
        }
    }

    #[test]
    fn an_end_is_searched_for_in_new_bytes_only() {
        let cpu = || Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).expect("not negative");
        // The line end is missing, then the end of the empty line.
        for start in [&b"{"[..], b"{}\n"] {
            let mut incoming = Incoming::default();
            incoming.bytes.extend(start);
            // Searching everything again takes longer.
            let end = cpu() + Duration::from_secs(4);
            while incoming.bytes.len() < MAX_OBJECT - 1_000 {
                incoming.bytes.extend([b' '; 500]);
                assert_eq!(incoming.take_object().expect("not too long"), None);
                assert!(cpu() < end, "after {} bytes", incoming.bytes.len());
            }
        }
    }
}
