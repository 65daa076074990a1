//! However bytes are cut on their way, the same lines come out.

use chat_service::{
    model::MAX_LINE,
    protocol::codec::{Lines, TooLong},
};

/// Stands for so many bytes, so that short inputs come to the limit.
const LONG: (u8, usize) = (0xfe, MAX_LINE / 2);

/// The first byte says how many cuts there are, those after it how far apart they are; the rest is what is cut.
///
/// # Panics
/// If they do not.
pub fn check(input: &[u8]) {
    let Some((count, rest)) = input.split_first() else {
        return;
    };
    let (cuts, rest) = rest.split_at(rest.len().min(usize::from(count % 32)));
    let mut bytes = Vec::new();
    for byte in rest.iter().take(256) {
        let times = if *byte == LONG.0 { LONG.1 } else { 1 };
        bytes.resize(bytes.len() + times, *byte);
    }
    let mut whole = Cut::default();
    whole.take(&bytes, true);
    let mut parts = Cut::default();
    let mut left = &bytes[..];
    for cut in cuts {
        let at = (usize::from(*cut) * if *cut > 200 { 100 } else { 1 }).min(left.len());
        parts.take(&left[..at], false);
        left = &left[at..];
    }
    parts.take(left, true);
    assert_eq!(whole.lines, parts.lines);
    assert_eq!(whole.end, parts.end);
    let expected: Vec<_> = bytes.split(|byte| *byte == b'\n').collect();
    assert!(
        whole.lines.iter().zip(expected).all(|(line, raw)| line == raw.strip_suffix(b"\r").unwrap_or(raw))
    );
}

#[derive(Default)]
struct Cut {
    lines: Vec<Vec<u8>>,
    end: Option<TooLong>,
    rest: Vec<u8>,
}

impl Cut {
    fn take(&mut self, bytes: &[u8], ended: bool) {
        if self.end.is_some() {
            return;
        }
        self.rest.extend_from_slice(bytes);
        let mut lines = Lines::new(&self.rest, ended);
        for line in lines.by_ref() {
            match line {
                Ok(line) => self.lines.push(line.to_vec()),
                Err(too_long) => {
                    self.end = Some(too_long);
                    break;
                }
            }
        }
        let rest = lines.rest().to_vec();
        assert!(self.end.is_some() || rest.len() <= MAX_LINE + 1, "it would keep what can be no line");
        assert!(!ended || self.end.is_some() || rest.is_empty(), "bytes are left");
        self.rest = rest;
    }
}
