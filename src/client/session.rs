//! A conversation: puts the token into requests, and finds it in replies.

use std::io;

use super::{connection::Connection, say};
use crate::{
    commands::{self, Access, Command, TokenEffect},
    protocol::{
        Closing, Token,
        request::{Arguments, Request},
    },
};

/// A connection and the token that its user holds.
pub(super) struct Session {
    connection: Connection,
    token: Option<Token>,
}

/// What came back for a line.
pub(super) struct Said {
    /// The server's JSON.
    pub(super) reply: String,
    /// The same for people.
    pub(super) text: String,
    /// Events that came before it, as the server wrote them.
    pub(super) events: Vec<String>,
    /// The server did not do it.
    pub(super) refused: bool,
    /// The server said goodbye instead of doing it.
    pub(super) goodbye: bool,
}

impl Session {
    pub(super) fn new(connection: Connection) -> Self {
        Session { connection, token: None }
    }

    /// The token as text; empty without one.
    pub(super) fn token(&self) -> String {
        self.token.map(|token| token.reveal()).unwrap_or_default()
    }

    /// Runs one line; `None` if it is blank.
    pub(super) fn ask(&mut self, line: &[u8]) -> io::Result<Option<Said>> {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        // What cannot be parsed is sent as it is: to refuse it is the server's business.
        let mut request = match Request::parse(line) {
            Ok(None) => return Ok(None),
            Ok(Some(request)) => Some(request),
            Err(_) => None,
        };
        let command = request.as_ref().and_then(|request| commands::find(request.command()));
        let given = request.as_mut().and_then(|request| request.take_token().ok().flatten());
        let mut reply = match (self.token, command) {
            (Some(token), Some(command)) if given.is_none() && command.access == Access::Session => {
                self.connection.ask(&with_token(line, command, &token))?
            }
            _ => self.connection.ask(line)?,
        };
        let mut events = Vec::new();
        while say::Reply::parse(&reply).is_event() {
            // After its farewell nothing comes.
            let is_last = say::Reply::parse(&reply).text("event").is_some_and(|event| event == "closing");
            if is_last {
                break;
            }
            events.push(std::mem::replace(&mut reply, self.connection.read_reply()?));
        }
        let arguments =
            request.zip(command).and_then(|(request, command)| request.bind(command.parameters).ok());
        let own = given.is_none_or(|given| Some(given) == self.token);
        let said = self.read(reply, command, &arguments.unwrap_or_default(), own);
        Ok(Some(Said { events, ..said }))
    }

    fn read(
        &mut self,
        reply: String,
        command: Option<&Command>,
        arguments: &Arguments<'_>,
        own: bool,
    ) -> Said {
        let parsed = say::Reply::parse(&reply);
        let refused = parsed.refused();
        if let (Some(command), false) = (command, refused) {
            match command.token {
                TokenEffect::Gives => {
                    self.token = parsed.text("tokenid").and_then(|text| Token::parse(&text));
                }
                // Another session's number may have been given.
                TokenEffect::Ends if own && arguments.number(0).is_none() => self.token = None,
                TokenEffect::Ends | TokenEffect::Keeps => {}
            }
        }
        // A line that is too long is this client's doing; every other last word is the server's.
        let farewell = parsed.text("event").is_some_and(|event| event == "closing");
        let goodbye = farewell
            || refused
                && Closing::ALL.iter().any(|reason| {
                    *reason != Closing::LineTooLong
                        && parsed.text("message").is_some_and(|text| text == reason.text())
                });
        let text = parsed.say(command, arguments);
        Said { reply, text, events: Vec::new(), refused, goodbye }
    }
}

/// The request with the token where its form has it.
fn with_token(line: &[u8], command: &Command, token: &Token) -> Vec<u8> {
    let (head, tail) = if line.starts_with(b"{") {
        (format!("{{\"token\": \"{}\", ", token.reveal()), &line[1..])
    } else {
        let name = line.iter().position(|b| *b != b' ').unwrap_or(0) + command.name.len();
        (format!("{} {}", command.name, token.reveal()), &line[name..])
    };
    [head.as_bytes(), tail].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_goes_where_the_form_has_it() {
        let token = Token::parse("57ea03e6-234a-439d-9602-ea8cb00fed28").expect("a token");
        let check = |line: &str, name: &str, expected: &str| {
            let command = commands::find(name).expect("a command");
            assert_eq!(String::from_utf8_lossy(&with_token(line.as_bytes(), command, &token)), expected);
        };
        check("inbox", "inbox", "inbox 57ea03e6-234a-439d-9602-ea8cb00fed28");
        check("  send  messi  a b", "send", "send 57ea03e6-234a-439d-9602-ea8cb00fed28  messi  a b");
        check(
            "{\"command\": \"inbox\"}",
            "inbox",
            "{\"token\": \"57ea03e6-234a-439d-9602-ea8cb00fed28\", \"command\": \"inbox\"}",
        );
    }
}
