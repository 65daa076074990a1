//! Requests: `command word word`, or the same as a JSON object.

use std::{borrow::Cow, fmt};

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};

pub use super::parameter::{Form, Kind, Parameter};
use super::parameter::{MAX_NUMBER, Value};
use crate::model::{Refusal, Token, TokenText};

/// Most parameters of a command.
pub const MAX_PARAMETERS: usize = 4;

/// Up to this length, a line is verified without wide registers. That takes more instructions and less time.
const SHORT: usize = 512;

/// A request: the name of a command and its arguments, not matched with the command's parameters yet.
pub struct Request<'a> {
    command: Cow<'a, str>,
    given: Given<'a>,
}

enum Given<'a> {
    Words(&'a str),
    Fields(Fields<'a>),
}

impl<'a> Request<'a> {
    /// Parses the request on a line, which is without its line end; `None` if the line is blank.
    ///
    /// # Errors
    /// [`Refusal::NotUtf8`]; [`Refusal::BadRequest`] if the line has a NUL, or begins with `{` and is not a request in JSON.
    pub fn parse(line: &'a [u8]) -> Result<Option<Self>, Refusal> {
        let is_short = line.len() <= SHORT;
        let text = if is_short { str::from_utf8(line).ok() } else { simdutf8::basic::from_utf8(line).ok() };
        let line = text.ok_or(Refusal::NotUtf8)?;
        if memchr::memchr(0, line.as_bytes()).is_some() {
            return Err(Refusal::BadRequest);
        }
        if line.starts_with('{') {
            return Self::parse_json(line).map(Some);
        }
        if line.bytes().all(is_blank) {
            return Ok(None);
        }
        let (command, rest) = first_word(line);
        Ok(Some(Request { command: Cow::Borrowed(command), given: Given::Words(rest) }))
    }

    fn parse_json(line: &'a str) -> Result<Self, Refusal> {
        let mut fields: Fields<'a> = serde_json::from_str(line).map_err(|_| Refusal::BadRequest)?;
        match fields.take("command") {
            Some(Value::Text(command)) if !command.is_empty() => {
                Ok(Request { command, given: Given::Fields(fields) })
            }
            _ => Err(Refusal::BadRequest),
        }
    }

    /// Name of the command.
    #[must_use]
    pub fn command(&self) -> &str {
        &self.command
    }

    /// Removes the token from the request and returns it, if there is one: as the first word, or as the JSON field `token`.
    ///
    /// # Errors
    /// [`Refusal::BadRequest`] if the JSON field is not a token.
    pub fn take_token(&mut self) -> Result<Option<Token>, Refusal> {
        match &mut self.given {
            Given::Words(rest) => {
                let (word, after) = first_word(rest);
                let token = Token::parse(word);
                if token.is_some() {
                    *rest = after;
                }
                Ok(token)
            }
            Given::Fields(fields) => match fields.take("token") {
                None => Ok(None),
                Some(Value::Text(text)) => Token::parse(&text).ok_or(Refusal::BadRequest).map(Some),
                Some(_) => Err(Refusal::BadRequest),
            },
        }
    }

    /// Removes the token from the request if it is this one and the first word. Returns whether it was.
    pub fn take_known_token(&mut self, known: &TokenText) -> bool {
        let Given::Words(rest) = &mut self.given else {
            return false;
        };
        let after = known.strip_from(rest.trim_start_matches(' '));
        if let Some(after) = after {
            *rest = after;
        }
        after.is_some()
    }

    /// Matches the arguments with the parameters of the command.
    ///
    /// # Errors
    /// [`Refusal::BadRequest`] if an argument is missing, empty or of the wrong type, or if there are too many.
    pub fn bind(self, parameters: &[Parameter]) -> Result<Arguments<'a>, Refusal> {
        let bound = match self.given {
            Given::Words(rest) => bind_words(rest, parameters),
            Given::Fields(fields) => fields.bind(parameters),
        };
        bound.ok_or(Refusal::BadRequest)
    }
}

// Not derived, because arguments are passwords, tokens and messages.
impl fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Request(redacted)")
    }
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// `text` without the blanks at both ends.
fn trim(text: &str) -> &str {
    let bytes = text.as_bytes();
    let begin = bytes.iter().position(|byte| !is_blank(*byte)).unwrap_or(bytes.len());
    let end = bytes.iter().rposition(|byte| !is_blank(*byte)).map_or(begin, |last| last + 1);
    &text[begin..end]
}

/// The first word of `text`, and the text after it.
fn first_word(text: &str) -> (&str, &str) {
    // Most words are short. A search over many bytes at once would take longer to begin.
    let bytes = text.as_bytes();
    let begin = bytes.iter().position(|byte| *byte != b' ').unwrap_or(bytes.len());
    let len = bytes[begin..].iter().position(|byte| *byte == b' ').unwrap_or(bytes.len() - begin);
    text[begin..].split_at(len)
}

fn bind_words<'a>(mut rest: &'a str, parameters: &[Parameter]) -> Option<Arguments<'a>> {
    let mut arguments = Arguments::default();
    for (slot, parameter) in arguments.0.iter_mut().zip(parameters) {
        let given = match parameter.form {
            Form::FieldOnly => continue,
            Form::Word | Form::Optional => {
                let (word, after) = first_word(rest);
                rest = after;
                word
            }
            Form::Rest => trim(std::mem::take(&mut rest)),
        };
        if given.is_empty() && !parameter.is_required() {
            continue;
        }
        *slot = Some(Value::from_word(given, parameter.kind)?);
    }
    rest.bytes().all(|b| b == b' ').then_some(arguments)
}

/// Values of a command's parameters, in the order of its spec.
#[derive(Default)]
pub struct Arguments<'a>([Option<Value<'a>>; MAX_PARAMETERS]);

impl Arguments<'_> {
    /// The value of a required parameter.
    ///
    /// # Panics
    /// If the parameter at `index` is not required, which is a fault in the command's spec.
    #[must_use]
    pub fn text(&self, index: usize) -> &str {
        self.optional(index).expect("a required parameter is bound before its command runs")
    }

    /// The value of an optional parameter.
    #[must_use]
    pub fn optional(&self, index: usize) -> Option<&str> {
        match self.0.get(index)?.as_ref()? {
            Value::Text(text) => Some(text),
            Value::Number(_) | Value::Flag(_) => None,
        }
    }

    /// A number, if one was given.
    #[must_use]
    pub fn number(&self, index: usize) -> Option<u64> {
        match self.0.get(index)?.as_ref()? {
            Value::Number(number) => Some((*number).min(MAX_NUMBER)),
            Value::Text(_) | Value::Flag(_) => None,
        }
    }

    /// Whether a flag was given, and is true.
    #[must_use]
    pub fn flag(&self, index: usize) -> bool {
        matches!(self.0.get(index), Some(Some(Value::Flag(true))))
    }
}

/// Fields of a request in JSON, in the order given. Each name occurs once.
struct Fields<'a>(Vec<(Cow<'a, str>, Value<'a>)>);

impl<'a> Fields<'a> {
    /// `command`, `token` and every parameter.
    const MAX: usize = MAX_PARAMETERS + 2;

    fn take(&mut self, name: &str) -> Option<Value<'a>> {
        let at = self.0.iter().position(|(given, _)| given == name)?;
        Some(self.0.swap_remove(at).1)
    }

    fn bind(mut self, parameters: &[Parameter]) -> Option<Arguments<'a>> {
        let mut arguments = Arguments::default();
        for (slot, parameter) in arguments.0.iter_mut().zip(parameters) {
            match self.take(parameter.field) {
                Some(value) if value.fits(parameter.kind) => *slot = Some(value),
                None if !parameter.is_required() => {}
                _ => return None,
            }
        }
        self.0.is_empty().then_some(arguments)
    }
}

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of strings, numbers and booleans")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields: Vec<(Cow<'de, str>, Value<'de>)> = Vec::new();
                while let Some((name, value)) = map.next_entry::<Value<'de>, Value<'de>>()? {
                    let Value::Text(name) = name else {
                        return Err(A::Error::custom("a name is a string"));
                    };
                    if fields.len() == Fields::MAX || fields.iter().any(|(known, _)| *known == name) {
                        return Err(A::Error::custom("too many fields, or one twice"));
                    }
                    fields.push((name, value));
                }
                Ok(Fields(fields))
            }
        }

        deserializer.deserialize_map(Object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEND: &[Parameter] = &[
        Parameter::word("USER", "to"),
        Parameter::rest("TEXT", "message"),
        Parameter::field_only("KEY", "key", Kind::Text),
    ];
    const PAGE: &[Parameter] = &[
        Parameter::word("WITH", "with"),
        Parameter::optional("LIMIT", "limit", Kind::Number),
        Parameter::optional("BEFORE", "before", Kind::NumberOr("now")),
        Parameter::field_only("all", "all", Kind::Flag),
    ];
    const TOKEN: &str = "57ea03e6-234a-439d-9602-ea8cb00fed28";

    /// The command, whether a token was given, and the arguments; or the refusal's code.
    fn parse(line: &str, parameters: &[Parameter]) -> Result<Vec<String>, &'static str> {
        let mut request = Request::parse(line.as_bytes()).map_err(Refusal::code)?.ok_or("blank")?;
        let command = request.command().to_owned();
        let token = request.take_token().map_err(Refusal::code)?;
        let arguments = request.bind(parameters).map_err(Refusal::code)?;
        let given = (0..parameters.len()).filter_map(|i| {
            let number = || arguments.number(i).map(|number| number.to_string());
            let flag = || arguments.flag(i).then(|| "true".to_owned());
            arguments.optional(i).map(str::to_owned).or_else(number).or_else(flag)
        });
        Ok([command].into_iter().chain(token.map(|t| t.reveal())).chain(given).collect())
    }

    fn check(line: &str, parameters: &[Parameter], expected: &[&str]) {
        let expected = expected.iter().map(ToString::to_string).collect();
        assert_eq!(parse(line, parameters), Ok(expected), "{line:?}");
    }

    #[test]
    fn words_are_separated_by_spaces_and_the_rest_is_kept() {
        check("send messi haloo", SEND, &["send", "messi", "haloo"]);
        check("  send   messi   a  b\tc \t ", SEND, &["send", "messi", "a  b\tc"]);
        check("send messi \t a", SEND, &["send", "messi", "a"]);
        check(&format!("send {TOKEN} messi haloo"), SEND, &["send", TOKEN, "messi", "haloo"]);
        check(&format!("send messi {TOKEN}"), SEND, &["send", "messi", TOKEN]);
        check("inbox  ", &[], &["inbox"]);
    }

    #[test]
    fn too_few_words_and_too_many() {
        for line in ["send", "send messi", "send messi  \t ", &format!("send {TOKEN} messi")] {
            assert_eq!(parse(line, SEND), Err("bad_request"), "{line:?}");
        }
        for line in ["inbox x", "inbox \t", &format!("inbox {TOKEN} {TOKEN}")] {
            assert_eq!(parse(line, &[]), Err("bad_request"), "{line:?}");
        }
    }

    #[test]
    fn numbers_and_what_may_be_left_out() {
        check("history messi", PAGE, &["history", "messi"]);
        check("history messi  7 ", PAGE, &["history", "messi", "7"]);
        check(
            "history messi 007 9223372036854775807",
            PAGE,
            &["history", "messi", "7", "9223372036854775807"],
        );
        check("history messi 1 now", PAGE, &["history", "messi", "1", "now"]);
        for line in
            ["history", "history messi x", "history messi -1", "history messi +1", "history messi 1 2 3"]
        {
            assert_eq!(parse(line, PAGE), Err("bad_request"), "{line:?}");
        }
        check("history messi 99999999999999999999", PAGE, &["history", "messi", "9223372036854775807"]);
        check(r#"{"command": "history", "with": "messi", "before": 3}"#, PAGE, &["history", "messi", "3"]);
        check(r#"{"command": "history", "with": "messi", "all": true}"#, PAGE, &["history", "messi", "true"]);
        for field in [
            r#""limit": "7""#,
            r#""limit": -1"#,
            r#""limit": 1.0"#,
            r#""before": "now""#,
            r#""all": 1"#,
            r#""with": 1"#,
        ] {
            let line = format!(r#"{{"command": "history", "with": "messi", {field}}}"#);
            assert_eq!(parse(&line, PAGE), Err("bad_request"), "{line}");
        }
    }

    #[test]
    fn blank_lines_are_no_requests() {
        for line in ["", " ", "\t", " \t \t"] {
            assert_eq!(parse(line, &[]), Err("blank"), "{line:?}");
        }
        assert_eq!(parse("\r", &[]), Ok(vec!["\r".to_owned()]));
    }

    #[test]
    fn what_is_not_text_is_refused() {
        assert_eq!(parse("inbox\0", &[]), Err("bad_request"));
        assert_eq!(parse("\0", &[]), Err("bad_request"));
        for bytes in [&b"send messi \xff"[..], b"\xc3", b"\xed\xa0\x80", b"\xc0\x80"] {
            assert_eq!(Request::parse(bytes).err(), Some(Refusal::NotUtf8), "{bytes:?}");
        }
    }

    #[test]
    fn the_json_form_takes_the_text_as_it_is() {
        check(r#"{"command": "inbox"}"#, &[], &["inbox"]);
        check(r#"{"message":" a\nb ","to":"messi","command":"send"}"#, SEND, &["send", "messi", " a\nb "]);
        let line =
            format!(r#"{{"command": "send", "token": "{TOKEN}", "to": "m", "message": "x", "key": "k"}}"#);
        check(&line, SEND, &["send", TOKEN, "m", "x", "k"]);
        check(
            r#"{"c\u006fmmand": "send", "to": "m", "message": "\ud83d\udc4b"}"#,
            SEND,
            &["send", "m", "👋"],
        );
    }

    #[test]
    fn the_json_form_is_strict() {
        for fields in [
            r#""to": "m""#,
            r#""to": "m", "message": """#,
            r#""to": "m", "message": 1"#,
            r#""to": "m", "message": null"#,
            r#""to": "m", "message": ["x"]"#,
            r#""to": "m", "message": "x", "extra": "y""#,
            r#""to": "m", "message": "x", "to": "m""#,
            r#""to": "m", "message": "x", "key": """#,
            r#""to": "m", "message": "a\u0000b""#,
            r#""to": "m", "message": "\ud800""#,
            r#""to": "m", "message": "x", "token": "x""#,
            r#""to": "m", "message": "x"} {""#,
        ] {
            let line = format!(r#"{{"command": "send", {fields}}}"#);
            assert_eq!(parse(&line, SEND), Err("bad_request"), "{line}");
        }
        for line in [
            "{",
            "{}",
            r#"{"command": ""}"#,
            r#"{"to": "m"}"#,
            r#"{"command": 1}"#,
            r#"{"command": "send", "to": "m",}"#,
        ] {
            assert_eq!(parse(line, SEND), Err("bad_request"), "{line}");
        }
    }
}
