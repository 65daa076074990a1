//! A session: puts the token into requests, and takes it from replies.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd},
};

use super::{connection::Connection, say};
use crate::{
    model::{Closing, Token},
    protocol::{
        request::{Arguments, Request},
        spec::{self, Access, ClientEffect, Spec},
        text,
    },
};

/// A connection, and the token of its user.
pub(super) struct Session {
    connection: Connection,
    token: Option<Token>,
    /// Whether events are streamed.
    watches: bool,
}

/// An object from the server: a reply or an event.
pub(super) struct ServerObject {
    /// The JSON.
    pub(super) json: String,
    /// A line for people.
    pub(super) text: String,
    /// The request was refused.
    pub(super) refused: bool,
    /// The server closes the connection, and this is the reason.
    pub(super) goodbye: bool,
    /// The server closes the connection, as the request has asked.
    pub(super) last: bool,
}

impl Session {
    pub(super) fn new(connection: Connection) -> Self {
        Session { connection, token: None, watches: false }
    }

    /// The token as text; empty without one.
    pub(super) fn token(&self) -> String {
        self.token.map(|token| token.reveal()).unwrap_or_default()
    }

    /// Whether events are streamed.
    pub(super) fn watches(&self) -> bool {
        self.watches
    }

    /// Sends a line and waits for its reply; `None` if the line is blank. Passes events that come before the reply to `tell`.
    pub(super) fn ask(
        &mut self,
        line: &[u8],
        mut tell: impl FnMut(&ServerObject),
    ) -> io::Result<Option<ServerObject>> {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        // A line that cannot be parsed is sent as it is, and the server refuses it.
        let mut request = match Request::parse(line) {
            Ok(None) => return Ok(None),
            Ok(Some(request)) => Some(request),
            Err(_) => None,
        };
        let command = request.as_ref().and_then(|request| spec::find(request.command()));
        let given = request.as_mut().and_then(|request| request.take_token().ok().flatten());
        let sent = match (self.token, command) {
            (Some(token), Some(command)) if given.is_none() && command.access == Access::Session => {
                self.connection.send(&with_token(line, command, &token))
            }
            _ => self.connection.send(line),
        };
        let arguments =
            request.zip(command).and_then(|(request, command)| request.bind(command.parameters).ok());
        let arguments = arguments.unwrap_or_default();
        loop {
            // If the line could not be sent, the server may have sent the reason.
            let mut said = match self.connection.object() {
                Ok(json) => ServerObject::new(json, command, &arguments),
                Err(error) => return sent.and(Err(error)),
            };
            if said.goodbye {
                return Ok(Some(said));
            }
            if !say::Reply::parse(&said.json).is_event() {
                let own = given.is_none_or(|given| Some(given) == self.token);
                if let (Some(command), false) = (command, said.refused) {
                    self.apply(&mut said, command.client, own && arguments.number(0).is_none());
                }
                return Ok(Some(said));
            }
            tell(&said);
        }
    }

    /// The next event, if all of it has come.
    pub(super) fn poll_event(&mut self) -> io::Result<Option<ServerObject>> {
        let json = self.connection.take_object()?;
        Ok(json.map(|json| ServerObject::new(json, None, &Arguments::default())))
    }

    /// Waits until something comes, which may be a part of an object.
    pub(super) fn receive(&mut self) -> io::Result<()> {
        self.connection.receive()
    }

    /// Whether no object has come in part.
    pub(super) fn is_between_objects(&self) -> bool {
        self.connection.is_between_objects()
    }

    /// Tells the server that no more requests come.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        self.connection.finish()
    }

    /// Applies the effect of a command. A login gives a token, and the end of this session (not of another one) takes it.
    fn apply(&mut self, said: &mut ServerObject, effect: ClientEffect, this_session: bool) {
        match effect {
            ClientEffect::GivesToken => {
                self.token =
                    say::Reply::parse(&said.json).text("tokenid").and_then(|text| Token::parse(&text));
            }
            ClientEffect::EndsToken if this_session => self.token = None,
            ClientEffect::EndsConnection => said.last = true,
            ClientEffect::BeginsEvents => self.watches = true,
            ClientEffect::EndsEvents => self.watches = false,
            ClientEffect::EndsToken | ClientEffect::Nothing => {}
        }
    }
}

impl AsFd for Session {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.connection.as_fd()
    }
}

impl ServerObject {
    fn new(json: String, command: Option<&Spec>, arguments: &Arguments<'_>) -> Self {
        let parsed = say::Reply::parse(&json);
        let refused = parsed.refused();
        // A line that is too long is an error of the user; every other reason is the server's.
        let farewell = parsed.text("event").is_some_and(|event| event == "closing");
        let goodbye = farewell
            || refused
                && Closing::ALL.iter().any(|reason| {
                    *reason != Closing::LineTooLong
                        && parsed.text("message").is_some_and(|text| text == text::closing(*reason))
                });
        let text = parsed.say(command, arguments);
        ServerObject { json, text, refused, goodbye, last: false }
    }
}

/// The request with the token, in words or in JSON.
fn with_token(line: &[u8], command: &Spec, token: &Token) -> Vec<u8> {
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
            let command = spec::find(name).expect("a command");
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
