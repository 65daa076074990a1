//! Whatever a line says: it is refused for the right reason or understood, and means the same in words and in JSON.

use chat_service::{
    model::{MAX_LINE, Refusal},
    protocol::{
        request::{Arguments, Kind, Request},
        spec::{Access, SPECS, Spec},
    },
};
use serde_json::{Map, Value};

/// The input is a line.
///
/// # Panics
/// If the parser is wrong.
pub fn check_line(line: &[u8]) {
    let parsed = Request::parse(line);
    let text = std::str::from_utf8(line);
    assert_eq!(matches!(parsed, Err(Refusal::NotUtf8)), text.is_err());
    let Ok(text) = text else {
        return;
    };
    if text.contains('\0') {
        assert!(matches!(parsed, Err(Refusal::BadRequest)));
    } else if text.starts_with('{') {
        check_object(line);
    } else {
        let is_blank = text.bytes().all(|byte| matches!(byte, b' ' | b'\t'));
        assert_eq!(matches!(parsed, Ok(None)), is_blank);
        assert!(parsed.is_ok(), "words are always a request of some kind");
        for command in SPECS {
            check_words(line, command);
        }
    }
}

/// The input is an object, or what stands in one, or what stands in a send.
///
/// # Panics
/// If the parser is wrong.
pub fn check_json(input: &[u8]) {
    check_object(input);
    for before in [&b"{"[..], b"{\"command\": \"send\", \"to\": \"messi\", ", b"{\"command\": \"history\", "]
    {
        check_object(&[before, input].concat());
    }
}

/// What a request gives for a command's parameters, as the JSON form has it; `None` if it does not fit.
fn understood(line: &[u8], command: &Spec) -> Option<Map<String, Value>> {
    let mut request = Request::parse(line).ok()??;
    let token = match command.access {
        Access::Anyone => None,
        Access::Session => request.take_token().ok()?,
    };
    let arguments: Arguments<'_> = request.bind(command.parameters).ok()?;
    let mut fields = Map::new();
    fields.extend(token.map(|token| ("token".to_owned(), token.reveal().into())));
    for (index, parameter) in command.parameters.iter().enumerate() {
        let text = arguments.optional(index).map(Value::from);
        let number = || arguments.number(index).map(Value::from);
        let flag = || arguments.flag(index).then_some(Value::Bool(true));
        fields.extend(text.or_else(number).or_else(flag).map(|value| (parameter.field.to_owned(), value)));
    }
    for value in fields.values() {
        assert!(!value.as_str().is_some_and(|text| text.is_empty() || text.contains('\0')));
        assert!(value.as_u64().is_none_or(|number| i64::try_from(number).is_ok()));
    }
    Some(fields)
}

fn check_words(line: &[u8], command: &Spec) {
    let Some(mut fields) = understood(line, command) else {
        return;
    };
    let word = |kind| matches!(kind, Kind::NumberOr(_));
    let is_word = |field: &str| command.parameters.iter().any(|p| p.field == field && word(p.kind));
    if fields.iter().any(|(field, value)| value.is_string() && is_word(field)) {
        // `logout all` is another field in JSON.
        return;
    }
    let given = fields.clone();
    fields.insert("command".to_owned(), command.name.into());
    let json = serde_json::to_vec(&fields).expect("JSON");
    if json.len() <= MAX_LINE {
        assert_eq!(understood(&json, command), Some(given), "in JSON");
    }
}

fn check_object(line: &[u8]) {
    let Ok(Some(request)) = Request::parse(line) else {
        return;
    };
    let name = request.command().to_owned();
    if !line.starts_with(b"{") {
        return;
    }
    let value: Map<String, Value> = serde_json::from_slice(line).expect("what is understood is JSON");
    assert_eq!(value["command"], Value::from(name.as_str()));
    for command in SPECS {
        let Some(fields) = understood(line, command) else {
            continue;
        };
        for (field, understood) in &fields {
            let given = &value[field];
            let is_same = match understood {
                // A token is shown in lower case, a large number is taken for the largest.
                Value::String(text) => {
                    given == understood
                        || field == "token" && given.as_str().is_some_and(|g| g.eq_ignore_ascii_case(text))
                }
                Value::Number(number) => {
                    given.as_u64().is_none_or(|given| Some(given.min(i64::MAX as u64)) == number.as_u64())
                }
                other => given == other,
            };
            assert!(is_same, "{field}");
        }
        let unused = value.iter().filter(|(field, _)| *field != "command" && !fields.contains_key(*field));
        assert!(unused.into_iter().all(|(_, value)| *value == Value::Bool(false)), "a field was ignored");
    }
}
