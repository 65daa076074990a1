//! What is wrong with a request, in words for people: from the code, the table of commands and the limits.

use std::fmt::Write;

use crate::{
    model::most_similar,
    protocol::{
        objects::ErrorReply,
        request::Request,
        spec::{self, Spec},
    },
};

/// What is wrong with a line that the server does not understand; `None` if it is a request.
pub(super) fn line(line: &[u8]) -> Option<String> {
    let mut request = match Request::parse(line) {
        Ok(request) => request?,
        Err(_) if line.starts_with(b"{") => return Some("this is not a request in JSON".to_owned()),
        Err(_) => return Some("this is not UTF-8, or has a NUL".to_owned()),
    };
    let Some(command) = spec::find(request.command()) else {
        return Some(unknown_command(request.command()));
    };
    if request.take_token().is_err() {
        return Some("the token is none".to_owned());
    }
    match request.bind(command.parameters) {
        Ok(_) => None,
        Err(_) => Some(format!("usage: {}", command.usage())),
    }
}

/// That there is no such command, and which one may be meant.
pub(super) fn unknown_command(name: &str) -> String {
    let similar = most_similar(name, spec::SPECS.iter().map(|spec| spec.name));
    match similar {
        Some(similar) => format!("no such command {name:?}; did you mean {similar}?"),
        None => format!("no such command {name:?}; help lists them"),
    }
}

/// What is wrong, from the reply to a refused request of dialect 2; `None` if it has no code.
pub(super) fn reply(json: &str) -> Option<String> {
    let refused: ErrorReply = serde_json::from_str(json).ok()?;
    refused.code.is_some().then(|| refusal(&refused, None))
}

/// What is wrong, and what can be done.
pub(super) fn refusal(refused: &ErrorReply, command: Option<&Spec>) -> String {
    let code = refused.code.as_deref().unwrap_or_default();
    let limit = refused.limit.map(grouped).unwrap_or_default();
    let mut told = match code {
        "bad_credentials" => "wrong user name or password".to_owned(),
        "not_authorized" => "not logged in".to_owned(),
        "no_such_user" => "no such user".to_owned(),
        "no_such_room" => "no such room".to_owned(),
        "not_a_member" => "you are not in this room".to_owned(),
        "unknown_command" => "no such command".to_owned(),
        "bad_request" => "the request is not understood".to_owned(),
        "weak_password" => match refused.limit {
            Some(_) => format!("a password has at least {limit} characters"),
            None => "this password is a common one: choose another".to_owned(),
        },
        "message_too_long" | "line_too_long" => match refused.got {
            Some(got) => format!("too long: {} of {limit} bytes", grouped(got)),
            None => format!("too long: at most {limit} bytes"),
        },
        "inbox_full" => format!("the inbox is full: {limit} messages wait"),
        "key_reused" => "this key was used for another message".to_owned(),
        "storage" => "not stored: the server's storage is full".to_owned(),
        _ => refused.message.clone().into_owned(),
    };
    let usage = refused
        .usage
        .clone()
        .or_else(|| command.filter(|_| code == "bad_request").map(|command| command.usage().into()));
    if let Some(usage) = usage {
        write!(told, "; usage: {usage}").expect("a String takes everything");
    }
    if let Some(similar) = &refused.did_you_mean {
        write!(told, "; did you mean {similar}?").expect("a String takes everything");
    }
    if let Some(seconds) = refused.retry_after {
        write!(told, "; again in {} s", grouped(seconds.into())).expect("a String takes everything");
    }
    told
}

/// A number with commas between its thousands.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut shown = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}
