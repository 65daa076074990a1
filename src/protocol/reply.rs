//! Replies: one JSON object each, ended by an empty line.
//!
//! The form is fixed to the byte: a space after `:` and `,`, keys in the order shown, and no raw character that
//! could reach into the terminal of somebody who reads with netcat.

use std::io;

use serde::Serialize;
use serde_json::ser::{CharEscape, Formatter, Serializer};

use super::{Closing, Dialect, Refusal, Timestamp};

/// What stands after each reply.
pub const END: &[u8] = b"\r\n\r\n";

/// What a reply says.
#[derive(Debug)]
pub enum Body {
    /// `{"status": "OK"}`
    Done,
    /// `{"status": "OK", "message": …}`
    Said(&'static str),
    /// `{"status": "OK", "message": "Message Sent"}`, in dialect 2 with the message's number and time.
    Sent(Sent),
    /// `{"status": "ERROR", "message": …}`, in dialect 2 with the code.
    Refused(Refusal),
    /// Made by [`render`] already.
    Rendered(Vec<u8>),
}

/// A message that was sent.
#[derive(Debug, Clone, Copy)]
pub struct Sent {
    /// Its number.
    pub id: u64,
    /// When the server took it.
    pub at: Timestamp,
    /// It was there already.
    pub duplicate: bool,
}

impl Body {
    /// Writes the reply and its end.
    pub fn write(&self, dialect: Dialect, out: &mut Vec<u8>) {
        match self {
            Body::Done => out.extend_from_slice(b"{\"status\": \"OK\"}\r\n\r\n"),
            Body::Said(text) => write_object(&Said { status: "OK", message: text }, out),
            Body::Sent(_) if dialect == Dialect::One => {
                out.extend_from_slice(b"{\"status\": \"OK\", \"message\": \"Message Sent\"}\r\n\r\n");
            }
            Body::Sent(sent) => sent.write(out),
            Body::Refused(refusal) => {
                let code = (dialect == Dialect::Two).then(|| refusal.code());
                let retry_after = match refusal {
                    Refusal::RateLimited { retry_after } => Some(*retry_after),
                    _ => None,
                };
                write_object(&Failed { status: "ERROR", message: refusal.text(), code, retry_after }, out);
            }
            Body::Rendered(bytes) => out.extend_from_slice(bytes),
        }
    }
}

impl Sent {
    /// By hand: it is what is written most.
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"status\": \"OK\", \"message\": \"Message Sent\", \"id\": ");
        write_number(self.id, out);
        out.extend_from_slice(b", \"at\": \"");
        self.at.write(out);
        out.push(b'"');
        if self.duplicate {
            out.extend_from_slice(b", \"duplicate\": true");
        }
        out.extend_from_slice(b"}\r\n\r\n");
    }
}

#[derive(Serialize)]
struct Said<'a> {
    status: &'a str,
    message: &'a str,
}

#[derive(Serialize)]
struct Failed<'a> {
    status: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<u32>,
}

#[derive(Serialize)]
struct Farewell<'a> {
    event: &'a str,
    reason: &'a str,
}

/// The last word on a connection that the server ends.
pub fn write_closing(reason: Closing, dialect: Dialect, out: &mut Vec<u8>) {
    match dialect {
        Dialect::One => {
            let message = reason.text();
            write_object(&Failed { status: "ERROR", message, code: None, retry_after: None }, out);
        }
        Dialect::Two => write_object(&Farewell { event: "closing", reason: reason.reason() }, out),
    }
}

fn write_object(object: &impl Serialize, out: &mut Vec<u8>) {
    write_json(object, out);
    out.extend_from_slice(END);
}

/// A reply from what serializes as its object, with its end.
#[must_use]
pub fn render(object: &impl Serialize) -> Body {
    let mut out = Vec::new();
    write_object(object, &mut out);
    Body::Rendered(out)
}

/// `value` as JSON in the form that all replies have.
///
/// # Panics
/// If `value` has a map whose keys are not strings: a fault in the code, not in the data.
pub fn write_json(value: &impl Serialize, out: &mut Vec<u8>) {
    value
        .serialize(&mut Serializer::with_formatter(out, Wire))
        .expect("a Vec takes every byte, and replies have string keys only");
}

/// `text` as a JSON string in the form that all replies have.
pub fn write_string(text: &str, out: &mut Vec<u8>) {
    if is_plain(text.as_bytes()) { write_plain(text, out) } else { write_json(&text, out) }
}

/// Whether all characters stand for themselves.
fn is_plain(text: &[u8]) -> bool {
    const BLOCK: usize = 16;
    let is_special = |byte: u8| !matches!(byte, b' '..=b'~') || byte == b'"' || byte == b'\\';
    let Some(last) = text.last_chunk::<BLOCK>() else {
        return !text.iter().any(|byte| is_special(*byte));
    };
    // Each byte of a block has a place of its own, and there is no end before the last: a block is looked at at once.
    let mut special = [false; BLOCK];
    for block in text.as_chunks::<BLOCK>().0.iter().chain([last]) {
        for (special, byte) in special.iter_mut().zip(block) {
            *special |= is_special(*byte);
        }
    }
    special == [false; BLOCK]
}

/// The same of a text whose characters all stand for themselves, as names of users and of rooms have only such.
pub fn write_plain(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    out.extend_from_slice(text.as_bytes());
    out.push(b'"');
}

/// A number as JSON has it.
pub fn write_number(number: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// How many bytes `text` has as a JSON string, quotes included.
#[must_use]
pub fn string_len(text: &str) -> usize {
    let escaped: usize = text
        .chars()
        .map(|c| match c {
            '"' | '\\' | '\n' | '\r' | '\t' => 2,
            c if is_hidden(c) => 6,
            c => c.len_utf8(),
        })
        .sum();
    escaped + 2
}

/// Characters that a terminal obeys or that change how others show: never raw on the wire.
#[must_use]
pub fn is_hidden(c: char) -> bool {
    matches!(c,
        '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{61c}' | '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// The JSON form of the wire.
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
            for (at, c) in fragment.char_indices().filter(|&(_, c)| is_hidden(c)) {
                out.write_all(&fragment.as_bytes()[raw..at])?;
                write!(out, "\\u{:04x}", u32::from(c))?;
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
            CharEscape::AsciiControl(byte) => write!(out, "\\u{byte:04x}"),
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

    #[test]
    fn errors_and_last_words() {
        let mut out = Vec::new();
        for dialect in [Dialect::One, Dialect::Two] {
            Body::Refused(Refusal::NotAuthorized).write(dialect, &mut out);
            Body::Sent(Sent { id: 7, at: Timestamp(0), duplicate: true }).write(dialect, &mut out);
            write_closing(Closing::Shutdown, dialect, &mut out);
        }
        assert_eq!(
            String::from_utf8(out).expect("UTF-8"),
            "{\"status\": \"ERROR\", \"message\": \"not authorized\"}\r\n\r\n\
             {\"status\": \"OK\", \"message\": \"Message Sent\"}\r\n\r\n\
             {\"status\": \"ERROR\", \"message\": \"server is shutting down\"}\r\n\r\n\
             {\"status\": \"ERROR\", \"message\": \"not authorized\", \"code\": \"not_authorized\"}\r\n\r\n\
             {\"status\": \"OK\", \"message\": \"Message Sent\", \"id\": 7, \"at\": \"1970-01-01T00:00:00.000Z\", \"duplicate\": true}\r\n\r\n\
             {\"event\": \"closing\", \"reason\": \"shutdown\"}\r\n\r\n"
        );
    }

    proptest! {
        #[test]
        fn every_string_comes_back_and_none_hides(text in any::<String>()) {
            let shown = json(&text);
            prop_assert!(!shown.chars().any(is_hidden));
            prop_assert_eq!(string_len(&text), shown.len());
            prop_assert_eq!(&serde_json::from_str::<String>(&shown).expect("JSON"), &text);
            let mut out = Vec::new();
            write_string(&text, &mut out);
            prop_assert_eq!(out, shown.into_bytes());
        }
    }
}
