//! A session: puts the token into requests, and takes it from replies.

use std::{borrow::Cow, collections::HashMap, io};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{say, visible};
use crate::{
    client::RawClient,
    model::{Closing, MAX_PAGE, Token},
    protocol::{
        request::{Arguments, Request},
        spec::{self, Access, ClientEffect, Spec},
        text,
    },
};

/// A connection, and the token of its user.
pub(super) struct Session {
    client: RawClient,
    token: Option<Token>,
    /// Whether events are streamed.
    watches: bool,
    /// Replies are shown as they are.
    is_raw: bool,
    /// The connection speaks dialect 2, whose `inbox` shows all fields of a message.
    is_dialect_2: bool,
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
    /// The request that takes the messages out of the inbox, when they were shown.
    acknowledge: Option<String>,
}

impl Session {
    pub(super) fn new(client: RawClient, is_raw: bool) -> Self {
        Session { client, token: None, watches: false, is_raw, is_dialect_2: false }
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
    pub(super) async fn ask(
        &mut self,
        line: &[u8],
        tell: impl FnMut(&ServerObject),
    ) -> io::Result<Option<ServerObject>> {
        // A line that cannot be parsed is sent as it is, and the server refuses it.
        let mut request = match Request::parse(line) {
            Ok(None) => return Ok(None),
            Ok(Some(request)) => Some(request),
            Err(_) => None,
        };
        let command = request.as_ref().and_then(|request| spec::find(request.command()));
        let given = request.as_mut().and_then(|request| request.take_token().ok().flatten());
        let own = self.token.filter(|_| command.is_some_and(|command| command.access == Access::Session));
        let arguments =
            request.zip(command).and_then(|(request, command)| request.bind(command.parameters).ok());
        let shows_inbox = !self.is_raw && command.is_some_and(|command| command.name == spec::INBOX.name);
        let line: Cow<'_, [u8]> = match (given.or(own), command) {
            (Some(token), Some(_)) if shows_inbox && arguments.is_some() => {
                format!("{} {} {MAX_PAGE}", spec::FETCH.name, token.reveal()).into_bytes().into()
            }
            (Some(token), Some(command)) if given.is_none() => with_token(line, command, &token).into(),
            _ => line.into(),
        };
        let arguments = arguments.unwrap_or_default();
        let mut said = self.call(&line, (command, &arguments), tell).await?;
        if let (Some(command), false, false) = (command, said.refused, said.goodbye) {
            let own = given.is_none_or(|given| Some(given) == self.token);
            self.apply(&mut said, command.client, own && arguments.number(0).is_none());
            self.is_dialect_2 |= command.name == spec::HELLO.name;
            if let (true, Some(token)) = (shows_inbox, given.or(self.token)) {
                said.show_inbox(&token, self.is_dialect_2);
            }
        }
        Ok(Some(said))
    }

    /// Takes messages that were shown out of the inbox. Returns what the server says if it refuses.
    pub(super) async fn acknowledge(
        &mut self,
        shown: &ServerObject,
        tell: impl FnMut(&ServerObject),
    ) -> io::Result<Option<ServerObject>> {
        let Some(line) = &shown.acknowledge else { return Ok(None) };
        let said = self.call(line.as_bytes(), (None, &Arguments::default()), tell).await?;
        Ok(said.refused.then_some(said))
    }

    async fn call(
        &mut self,
        line: &[u8],
        (command, arguments): (Option<&Spec>, &Arguments<'_>),
        mut tell: impl FnMut(&ServerObject),
    ) -> io::Result<ServerObject> {
        let tell = |json: &str| tell(&ServerObject::new(json.to_owned(), None, &Arguments::default()));
        Ok(ServerObject::new(self.client.call(line, tell).await?, command, arguments))
    }

    /// The next event, if all of it has come.
    pub(super) fn poll_event(&mut self) -> io::Result<Option<ServerObject>> {
        let json = self.client.take_object()?;
        Ok(json.map(|json| ServerObject::new(json, None, &Arguments::default())))
    }

    /// Waits until something comes, which may be a part of an object.
    pub(super) async fn receive(&mut self) -> io::Result<()> {
        self.client.receive().await
    }

    /// Whether no object has come in part.
    pub(super) fn is_between_objects(&self) -> bool {
        self.client.is_between_objects()
    }

    /// Tells the server that no more requests come.
    pub(super) async fn finish(&mut self) -> io::Result<()> {
        self.client.finish().await
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
        ServerObject { json, text, refused, goodbye, last: false, acknowledge: None }
    }

    /// Shows a page of `fetch` as `inbox` would, and has it acknowledged after that. What cannot be understood stays as it is.
    fn show_inbox(&mut self, token: &Token, is_full: bool) {
        let Ok(Page { messages }) = serde_json::from_str(&self.json) else { return };
        let Some(inbox) = Inbox::of(&messages) else { return };
        self.acknowledge = inbox.last.map(|last| format!("{} {} {last}", spec::ACK.name, token.reveal()));
        self.text = visible(&inbox.show(is_full)).into_owned();
    }
}

/// The reply to `fetch`.
#[derive(Deserialize)]
struct Page<'a> {
    #[serde(borrow)]
    messages: Vec<&'a RawValue>,
}

/// What dialect 1 shows of a message.
#[derive(Deserialize)]
struct Short<'a> {
    id: u64,
    #[serde(borrow)]
    from: &'a RawValue,
    #[serde(borrow)]
    msg_from: &'a RawValue,
    #[serde(borrow)]
    msg_to: &'a RawValue,
    #[serde(borrow)]
    msg: &'a RawValue,
}

/// Messages as the reply to `inbox` has them: for each sender, in the order of the first messages.
struct Inbox<'a> {
    senders: Vec<(&'a str, Vec<(Short<'a>, &'a RawValue)>)>,
    /// Number of the last message.
    last: Option<u64>,
}

impl<'a> Inbox<'a> {
    fn of(messages: &[&'a RawValue]) -> Option<Self> {
        let mut inbox = Inbox { senders: Vec::new(), last: None };
        let mut places = HashMap::new();
        for whole in messages {
            let message: Short<'a> = serde_json::from_str(whole.get()).ok()?;
            let sender = message.from.get();
            inbox.last = inbox.last.max(Some(message.id));
            let place = *places.entry(sender).or_insert_with(|| {
                inbox.senders.push((sender, Vec::new()));
                inbox.senders.len() - 1
            });
            inbox.senders[place].1.push((message, whole));
        }
        Some(inbox)
    }

    fn show(&self, is_full: bool) -> String {
        let one = |(Short { msg_from, msg_to, msg, .. }, whole): &(Short<'_>, &RawValue)| {
            if is_full {
                return whole.get().to_owned();
            }
            format!("{{\"msg_from\": {msg_from}, \"msg_to\": {msg_to}, \"msg\": {msg}}}")
        };
        let of = |(sender, messages): &(&str, Vec<_>)| {
            let messages: Vec<String> = messages.iter().map(one).collect();
            format!("{sender}: [{}]", messages.join(", "))
        };
        let senders: Vec<String> = self.senders.iter().map(of).collect();
        format!("{{{}}}", senders.join(", "))
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
