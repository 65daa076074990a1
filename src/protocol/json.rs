//! JSON as the wire has it: a space after `:` and `,`, and no raw character that could act on a terminal.
//!
//! The form is fixed to the byte, because people read it with netcat and scripts cut it with `grep`.

use std::io;

use serde::Serialize;
use serde_json::ser::{CharEscape, Formatter, Serializer};

/// End of every reply and event: an empty line.
pub const END: &[u8] = b"\r\n\r\n";

/// Writes an object and [`END`].
pub fn write_object(object: &impl Serialize, out: &mut Vec<u8>) {
    write_json(object, out);
    out.extend_from_slice(END);
}

/// Writes `value` as JSON in the form that all replies have.
///
/// # Panics
/// If `value` has a map whose keys are not strings: a fault in the code, not in the data.
pub fn write_json(value: &impl Serialize, out: &mut Vec<u8>) {
    value
        .serialize(&mut Serializer::with_formatter(out, Wire))
        .expect("a Vec takes every byte, and replies have string keys only");
}

/// Writes `text` as a JSON string in the form that all replies have.
pub fn write_string(text: &str, out: &mut Vec<u8>) {
    if is_plain(text.as_bytes()) { write_plain(text, out) } else { write_json(&text, out) }
}

/// Whether no character needs an escape.
fn is_plain(text: &[u8]) -> bool {
    const BLOCK: usize = 16;
    let is_special = |byte: u8| !matches!(byte, b' '..=b'~') || byte == b'"' || byte == b'\\';
    let Some(last) = text.last_chunk::<BLOCK>() else {
        return !text.iter().any(|byte| is_special(*byte));
    };
    // No early exit within a block, so the compiler checks 16 bytes at once.
    let mut special = [false; BLOCK];
    for block in text.as_chunks::<BLOCK>().0.iter().chain([last]) {
        for (special, byte) in special.iter_mut().zip(block) {
            *special |= is_special(*byte);
        }
    }
    special == [false; BLOCK]
}

/// Writes a text in which no character needs an escape, such as the name of a user or a room, as a JSON string.
pub fn write_plain(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    out.extend_from_slice(text.as_bytes());
    out.push(b'"');
}

/// Writes a number.
pub fn write_number(number: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// Length of `text` as a JSON string, in bytes, with its quotes.
#[must_use]
pub fn string_len(text: &str) -> usize {
    let escaped: usize = text
        .chars()
        .map(|c| match c {
            '"' | '\\' | '\n' | '\r' | '\t' => 2,
            c if is_terminal_unsafe(c) => 6,
            c => c.len_utf8(),
        })
        .sum();
    escaped + 2
}

/// Digits of escapes.
const HEX: &[u8; 16] = b"0123456789abcdef";

/// The escape of a character with four digits.
fn four_digits(c: u32) -> [u8; 6] {
    let digit = |shift: u32| HEX[(c >> shift & 0xf) as usize];
    [b'\\', b'u', digit(12), digit(8), digit(4), digit(0)]
}

/// Whether a character acts on a terminal or changes how others are shown. Such characters are always escaped.
#[must_use]
pub fn is_terminal_unsafe(c: char) -> bool {
    matches!(c,
        '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{61c}' | '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// Formatter for the JSON of the wire.
struct Wire;

impl Formatter for Wire {
    fn begin_array_value<W: ?Sized + io::Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { out.write_all(b", ") }
    }

    fn begin_object_key<W: ?Sized + io::Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { out.write_all(b", ") }
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, out: &mut W) -> io::Result<()> {
        out.write_all(b": ")
    }

    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        out: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut raw = 0;
        // Every hidden character is DEL or has a first byte of its own above ASCII: plain ASCII is one write.
        if !fragment.is_ascii() || memchr::memchr(0x7f, fragment.as_bytes()).is_some() {
            for (at, c) in fragment.char_indices().filter(|&(_, c)| is_terminal_unsafe(c)) {
                out.write_all(&fragment.as_bytes()[raw..at])?;
                out.write_all(&four_digits(u32::from(c)))?;
                raw = at + c.len_utf8();
            }
        }
        out.write_all(&fragment.as_bytes()[raw..])
    }

    fn write_char_escape<W: ?Sized + io::Write>(
        &mut self,
        out: &mut W,
        escape: CharEscape,
    ) -> io::Result<()> {
        match escape {
            CharEscape::Quote => out.write_all(b"\\\""),
            CharEscape::ReverseSolidus => out.write_all(b"\\\\"),
            CharEscape::Solidus => out.write_all(b"/"),
            CharEscape::LineFeed => out.write_all(b"\\n"),
            CharEscape::CarriageReturn => out.write_all(b"\\r"),
            CharEscape::Tab => out.write_all(b"\\t"),
            CharEscape::Backspace => out.write_all(b"\\u0008"),
            CharEscape::FormFeed => out.write_all(b"\\u000c"),
            CharEscape::AsciiControl(byte) => out.write_all(&four_digits(byte.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn json(value: &impl Serialize) -> String {
        let mut out = Vec::new();
        write_json(value, &mut out);
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn strings_are_escaped_as_the_wire_has_it() {
        assert_eq!(json(&"a\"b\\c\nd\re\tf/g"), r#""a\"b\\c\nd\re\tf/g""#);
        assert_eq!(json(&"\0\u{8}\u{c}\u{1b}[31m"), r#""\u0000\u0008\u000c\u001b[31m""#);
        assert_eq!(json(&"\u{7f}\u{85}\u{9f}\u{a0}"), "\"\\u007f\\u0085\\u009f\u{a0}\"");
        assert_eq!(
            json(&"\u{61c}\u{200d}\u{200e}\u{200f}\u{2010}"),
            "\"\\u061c\u{200d}\\u200e\\u200f\u{2010}\""
        );
        assert_eq!(json(&"\u{2027}\u{2028}\u{202e}\u{202f}"), "\"\u{2027}\\u2028\\u202e\u{202f}\"");
        assert_eq!(json(&"\u{2066}\u{2069}\u{feff}"), r#""\u2066\u2069\ufeff""#);
        assert_eq!(json(&"selamat pagi 👋 שלום"), "\"selamat pagi 👋 שלום\"");
    }

    #[test]
    fn objects_have_a_space_after_colon_and_comma() {
        assert_eq!(json(&serde_json::json!({"a": [1, 2], "b": {}})), r#"{"a": [1, 2], "b": {}}"#);
    }

    proptest! {
        #[test]
        fn every_string_comes_back_and_none_hides(text in any::<String>()) {
            let shown = json(&text);
            prop_assert!(!shown.chars().any(is_terminal_unsafe));
            prop_assert_eq!(string_len(&text), shown.len());
            prop_assert_eq!(&serde_json::from_str::<String>(&shown).expect("JSON"), &text);
            let mut out = Vec::new();
            write_string(&text, &mut out);
            prop_assert_eq!(out, shown.into_bytes());
        }
    }
}
