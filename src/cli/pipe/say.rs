//! Renders replies for people, one line each.

use std::collections::HashMap;

use serde_json::value::RawValue;

use super::visible;
use crate::protocol::{request::Arguments, spec::Spec};

/// The fields of a reply, each as JSON.
pub(super) struct Reply<'a> {
    json: &'a str,
    fields: HashMap<String, &'a RawValue>,
}

impl<'a> Reply<'a> {
    pub(super) fn parse(json: &'a str) -> Self {
        Reply { json, fields: serde_json::from_str(json).unwrap_or_default() }
    }

    /// Whether the status is not OK.
    pub(super) fn refused(&self) -> bool {
        self.text("status").is_none_or(|status| status != "OK")
    }

    /// The value of a field that is a string.
    pub(super) fn text(&self, field: &str) -> Option<String> {
        serde_json::from_str(self.fields.get(field)?.get()).ok()
    }

    /// The line for people.
    pub(super) fn say(&self, command: Option<&Spec>, arguments: &Arguments<'_>) -> String {
        let line = match (self.refused(), command) {
            (true, _) => self.text("message").map(|message| format!("Error, {message}")),
            (false, Some(command)) => self.fill(command, arguments),
            (false, None) => None,
        };
        visible(&line.unwrap_or_else(|| self.json.to_owned())).into_owned()
    }

    /// The command's sentence with the values of parameters and fields; `None` if a field is missing.
    fn fill(&self, command: &Spec, arguments: &Arguments<'_>) -> Option<String> {
        let mut line = String::new();
        let mut rest = command.success;
        while let Some((before, after)) = rest.split_once('{') {
            let (name, after) = after.split_once('}')?;
            let parameter = command.parameters.iter().position(|parameter| parameter.name == name);
            let value = match parameter {
                Some(index) => arguments.optional(index).map(str::to_owned),
                None => self.text(name).or_else(|| Some(self.fields.get(name)?.get().to_owned())),
            };
            line.push_str(before);
            line.push_str(&value?);
            rest = after;
        }
        line.push_str(rest);
        Some(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{request::Request, spec};

    fn check(line: &str, reply: &str, expected: &str) {
        let mut request = Request::parse(line.as_bytes()).expect("a request").expect("not blank");
        let command = spec::find(request.command());
        request.take_token().expect("no bad token");
        let arguments = command.and_then(|command| request.bind(command.parameters).ok()).unwrap_or_default();
        assert_eq!(Reply::parse(reply).say(command, &arguments), expected);
    }

    #[test]
    fn replies_as_the_first_client_printed_them() {
        check(
            "auth messi surabaya",
            r#"{"status": "OK", "tokenid": "57ea03e6-234a-439d-9602-ea8cb00fed28"}"#,
            "username messi logged in, token 57ea03e6-234a-439d-9602-ea8cb00fed28",
        );
        check("send messi haloo", r#"{"status": "OK", "message": "Message Sent"}"#, "Message sent to messi");
        check("inbox", r#"{"status": "OK", "messages": {}}"#, "{}");
        check("logout", r#"{"status": "OK"}"#, "logged out");
        check("auth x y", r#"{"status": "ERROR", "message": "User Tidak Ada"}"#, "Error, User Tidak Ada");
    }

    #[test]
    fn what_is_not_understood_is_shown_as_it_is() {
        check("dance", r#"{"status": "OK", "steps": 3}"#, r#"{"status": "OK", "steps": 3}"#);
        check("inbox", r#"{"status": "OK"}"#, r#"{"status": "OK"}"#);
        check("inbox", "220 mail.example ESMTP", "220 mail.example ESMTP");
        check("inbox", "{\"status\": \"ERROR\", \"message\": \"\\u001b[2J\"}", "Error, \\u001b[2J");
    }
}
