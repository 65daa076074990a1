//! Finds request lines in the bytes of a read, without copying them.

use crate::model::MAX_LINE;

/// A line is longer than [`MAX_LINE`] bytes. It is unknown where the next line begins, so the connection must be closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLong;

/// The complete lines at the front of `input`, each without its LF or CRLF.
///
/// With `ended`, no byte follows, and the last line needs no line end. The bytes of an incomplete line are left in
/// [`rest`](Lines::rest): at most `MAX_LINE + 1`, with the CR of a CRLF.
#[derive(Debug)]
pub struct Lines<'a> {
    rest: &'a [u8],
    ended: bool,
}

impl<'a> Lines<'a> {
    /// Lines of `input`, which begins with a line.
    #[must_use]
    pub fn new(input: &'a [u8], ended: bool) -> Self {
        Lines { rest: input, ended }
    }

    /// The bytes after the last complete line.
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    fn cut(&self) -> Option<(&'a [u8], &'a [u8])> {
        match memchr::memchr(b'\n', self.rest) {
            Some(at) => Some((&self.rest[..at], &self.rest[at + 1..])),
            None if self.ended && !self.rest.is_empty() => Some((self.rest, &[])),
            None => None,
        }
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = Result<&'a [u8], TooLong>;

    fn next(&mut self) -> Option<Self::Item> {
        let Some((line, rest)) = self.cut() else {
            return (without_cr(self.rest).len() > MAX_LINE).then_some(Err(TooLong));
        };
        let line = without_cr(line);
        if line.len() > MAX_LINE {
            return Some(Err(TooLong));
        }
        self.rest = rest;
        Some(Ok(line))
    }
}

/// A line without the CR of its line end.
fn without_cr(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(input: &[u8], ended: bool, lines: &[&[u8]], rest: &[u8]) {
        let mut cut = Lines::new(input, ended);
        let got: Vec<_> = cut.by_ref().map(|line| line.expect("short")).collect();
        assert_eq!((got.as_slice(), cut.rest()), (lines, rest), "{input:?}");
    }

    #[test]
    fn a_line_ends_in_lf_or_crlf() {
        check(b"a\nb\r\n\nc", false, &[b"a", b"b", b""], b"c");
        check(b"a\r\r\n", false, &[b"a\r"], b"");
        check(b"a\rb\n", false, &[b"a\rb"], b"");
    }

    #[test]
    fn the_end_of_input_ends_the_last_line() {
        check(b"a\nb", true, &[b"a", b"b"], b"");
        check(b"a\nb\r", true, &[b"a", b"b"], b"");
        check(b"a\n", true, &[b"a"], b"");
        check(b"", true, &[], b"");
    }

    #[test]
    fn the_limit_does_not_count_the_line_end() {
        let longest = vec![b'x'; MAX_LINE];
        for end in ["\n", "\r\n"] {
            let input = [&longest[..], end.as_bytes()].concat();
            assert_eq!(Lines::new(&input, false).next(), Some(Ok(&longest[..])));
            let input = [b"x", &input[..]].concat();
            assert_eq!(Lines::new(&input, false).next(), Some(Err(TooLong)));
        }
    }

    #[test]
    fn a_line_is_too_long_before_its_end_has_come() {
        let mut input = vec![b'x'; MAX_LINE];
        assert_eq!(Lines::new(&input, false).next(), None);
        input.push(b'\r');
        assert_eq!(Lines::new(&input, false).next(), None, "the CR may be half of the line end");
        input.push(b'x');
        assert_eq!(Lines::new(&input, false).next(), Some(Err(TooLong)));
    }
}
