//! The commands: name, access, parameters and help of each. Server, client, `help` and the documentation read this table.

use super::request::{Form, Kind, Parameter};

/// One command.
#[derive(Debug)]
pub struct Spec {
    /// First word of a request.
    pub name: &'static str,
    /// Who may use it.
    pub access: Access,
    /// Its parameters, in order.
    pub parameters: &'static [Parameter],
    /// One sentence of help.
    pub summary: &'static str,
    /// The rest of the help.
    pub help: &'static str,
    /// What the client prints when it succeeded: `{USER}` stands for a parameter, `{messages}` for a field of the reply.
    pub success: &'static str,
    /// What its success means for the client.
    pub client: ClientEffect,
}

/// Who may use a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Any connection.
    Anyone,
    /// A connection with a live session: its own, or that of a token which is given as the first word.
    Session,
}

/// What a command's success means for the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientEffect {
    /// Nothing.
    Nothing,
    /// The reply has a new token.
    GivesToken,
    /// The token is no longer valid.
    EndsToken,
    /// The server closes the connection; the token stays valid.
    EndsConnection,
    /// The server sends events from now on.
    BeginsEvents,
    /// The server sends no more events.
    EndsEvents,
}

impl Spec {
    /// Usage, such as `send [token] USER TEXT`.
    #[must_use]
    pub fn usage(&self) -> String {
        let token = (self.access == Access::Session).then_some("[token]");
        let words = self.parameters.iter().filter_map(|parameter| match parameter.form {
            Form::Word | Form::Rest => Some(parameter.name.to_owned()),
            Form::Optional => Some(format!("[{}]", parameter.name)),
            Form::FieldOnly => None,
        });
        let head = [self.name].into_iter().chain(token).map(str::to_owned);
        let parts: Vec<_> = head.chain(words).collect();
        parts.join(" ")
    }
}

/// Finds a command by its name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Spec> {
    SPECS.into_iter().find(|spec| spec.name == name)
}

/// Every command, in the order in which `help` lists them.
pub static SPECS: [&Spec; 26] = [
    &AUTH,
    &SEND,
    &INBOX,
    &SHOWUSERACTIVE,
    &LOGOUT,
    &HELLO,
    &FETCH,
    &ACK,
    &HISTORY,
    &STATUS,
    &CONVERSATIONS,
    &READ,
    &TYPING,
    &WATCH,
    &UNWATCH,
    &JOIN,
    &LEAVE,
    &ROOMS,
    &MEMBERS,
    &WHO,
    &WHOAMI,
    &SESSIONS,
    &PASSWD,
    &HELP,
    &PING,
    &QUIT,
];

/// `auth USER PASSWORD`
pub static AUTH: Spec = Spec {
    name: "auth",
    access: Access::Anyone,
    parameters: &[Parameter::word("USER", "username"), Parameter::rest("PASSWORD", "password")],
    summary: "Log in. The reply has a token, which proves the session on this or any other connection.",
    help: "PASSWORD is the rest of the line. After the login, commands on this connection need no token. A second login \
           replaces the session of the connection; both sessions stay open.",
    success: "username {USER} logged in, token {tokenid}",
    client: ClientEffect::GivesToken,
};

/// `send TO TEXT`
pub static SEND: Spec = Spec {
    name: "send",
    access: Access::Session,
    parameters: &[
        Parameter::word("TO", "to"),
        Parameter::rest("TEXT", "message"),
        Parameter::field_only("KEY", "key", Kind::Text),
    ],
    summary: "Send a message to a user or to a #room. OK means that it is stored.",
    help: "TEXT is the rest of the line, at most 8,192 bytes. In the JSON form, a `key` of 1 to 64 bytes makes a send safe to \
           repeat: messages with the same key are stored once.",
    success: "Message sent to {TO}",
    client: ClientEffect::Nothing,
};

/// `inbox`
pub static INBOX: Spec = Spec {
    name: "inbox",
    access: Access::Session,
    parameters: &[],
    summary: "Take messages out of your inbox, at most 1,000 or 1 MiB at a time.",
    help: "Messages are grouped by sender, oldest first. They leave the inbox when the whole reply was written. `fetch` reads \
           them and leaves them in the inbox.",
    success: "{messages}",
    client: ClientEffect::Nothing,
};

/// `showuseractive`
pub static SHOWUSERACTIVE: Spec = Spec {
    name: "showuseractive",
    access: Access::Session,
    parameters: &[],
    summary: "List the users who are logged in.",
    help: "Lists, by name, every user with a live session, connected or not. `who` shows more.",
    success: "{messages}",
    client: ClientEffect::Nothing,
};

/// `logout [SESSION|all]`
pub static LOGOUT: Spec = Spec {
    name: "logout",
    access: Access::Session,
    parameters: &[
        Parameter::optional("SESSION|all", "session", Kind::NumberOr("all")),
        Parameter::field_only("ALL", "all", Kind::Flag),
    ],
    summary: "End this session, another of your sessions, or all of them.",
    help: "SESSION is a number from `sessions`. Without it, the current session ends; with `all`, all of your sessions end.",
    success: "logged out",
    client: ClientEffect::EndsToken,
};

/// `hello VERSION`
pub static HELLO: Spec = Spec {
    name: "hello",
    access: Access::Anyone,
    parameters: &[
        Parameter::number("VERSION", "protocol"),
        Parameter::field_only("DEVICE", "device", Kind::Text),
    ],
    summary: "Switch to dialect 2: error codes, message numbers and times, events.",
    help: "VERSION is 2. The reply has the server's version, what an OK promises, the limits and the commands. The dialect \
           applies to this connection, from the next reply on. The command may be repeated. In the JSON form, `device` names \
           the device, in 1 to 32 printable ASCII characters; `sessions` shows it.",
    success: "protocol {protocol}, {server}, durability {durability}",
    client: ClientEffect::Nothing,
};

/// `fetch [LIMIT]`
pub static FETCH: Spec = Spec {
    name: "fetch",
    access: Access::Session,
    parameters: &[Parameter::optional("LIMIT", "limit", Kind::Number)],
    summary: "Read the oldest messages of your inbox and leave them there.",
    help: "LIMIT is at most 1,000; the default is 50. A reply has at most 1 MiB. `more` says whether the inbox has more \
           messages. `ack` takes messages out of the inbox.",
    success: "{messages}",
    client: ClientEffect::Nothing,
};

/// `ack ID`
pub static ACK: Spec = Spec {
    name: "ack",
    access: Access::Session,
    parameters: &[Parameter::number("ID", "id")],
    summary: "Acknowledge messages: take all up to this number out of your inbox.",
    help: "ID is the number of a message in your inbox. That message and all older ones leave the inbox, those to rooms \
           included. `acked` is their number; it is 0 if they had left the inbox before.",
    success: "{acked} messages taken out of the inbox",
    client: ClientEffect::Nothing,
};

/// `history WITH [LIMIT] [BEFORE]`
pub static HISTORY: Spec = Spec {
    name: "history",
    access: Access::Session,
    parameters: &[
        Parameter::word("WITH", "with"),
        Parameter::optional("LIMIT", "limit", Kind::Number),
        Parameter::optional("BEFORE", "before", Kind::Number),
    ],
    summary: "Read your conversation with a user, or the messages of a room while you were in it.",
    help: "WITH is a user or a #room. Shows the newest messages before the number BEFORE, oldest first: at most LIMIT (default \
           50, at most 1,000) and 1 MiB. `more` says whether there are older messages.",
    success: "{messages}",
    client: ClientEffect::Nothing,
};

/// `status ID`
pub static STATUS: Spec = Spec {
    name: "status",
    access: Access::Session,
    parameters: &[Parameter::number("ID", "id")],
    summary: "Show whether a message that you sent or received has left its recipient's inbox.",
    help: "`state` is `stored` while the message waits, then `acked`, with the time. For a message to a room, `recipients` is \
           the number of recipients and `acked` how many of them have acknowledged it; `state` is `acked` when all have.",
    success: "{state}",
    client: ClientEffect::Nothing,
};

/// `conversations [LIMIT]`
pub static CONVERSATIONS: Spec = Spec {
    name: "conversations",
    access: Access::Session,
    parameters: &[Parameter::optional("LIMIT", "limit", Kind::Number)],
    summary: "List your conversations, newest first: the last message, and how many are unread.",
    help: "With users, and in the rooms that you are in: at most LIMIT (default 50, at most 1,000) and 1 MiB; `more` is there if \
           there are more. `unread` is the number of messages of others after your read marker, `read_upto`: at most 100, and \
           of the newest 1,000 messages of the conversation.",
    success: "{conversations}",
    client: ClientEffect::Nothing,
};

/// `read WITH ID`
pub static READ: Spec = Spec {
    name: "read",
    access: Access::Session,
    parameters: &[Parameter::word("WITH", "with"), Parameter::number("ID", "id")],
    summary: "Move your read marker of a conversation to a message: a person has read everything up to it.",
    help: "WITH is a user or a #room, ID the number of a message of that conversation. The marker moves forward only; `upto` is \
           where it is then. It is the same on all devices, and does not move the inbox: `ack` does.",
    success: "read up to message {upto}",
    client: ClientEffect::Nothing,
};

/// `typing TO`
pub static TYPING: Spec = Spec {
    name: "typing",
    access: Access::Session,
    parameters: &[Parameter::word("TO", "to")],
    summary: "Tell a user or a #room that you are typing.",
    help: "Only connections that watch are told, and nothing is stored. In each conversation, one in three seconds is told; \
           others have no effect.",
    success: "told {TO}",
    client: ClientEffect::Nothing,
};

/// `watch`
pub static WATCH: Spec = Spec {
    name: "watch",
    access: Access::Session,
    parameters: &[
        Parameter::field_only("AFTER", "after", Kind::Number),
        Parameter::field_only("OWN", "own", Kind::Flag),
    ],
    summary: "Stream events on this connection: the messages in your inbox, then new ones as they come.",
    help: "Needs `hello 2`. An event has the key `event` and never `status`: `message` (it stays in the inbox until `ack`), \
           `acked`, `delivered`, `presence`, `session_ended`. A second `watch` repeats nothing. In the JSON form, `after` is the number of a message: the stream \
           begins after it, and has messages that were acknowledged since, too. `own` (true) adds the messages that your other \
           connections send.",
    success: "{message}",
    client: ClientEffect::BeginsEvents,
};

/// `unwatch`
pub static UNWATCH: Spec = Spec {
    name: "unwatch",
    access: Access::Session,
    parameters: &[],
    summary: "Stop streaming events on this connection.",
    help: "The connection stays open. A later `watch` starts again with the messages in the inbox.",
    success: "{message}",
    client: ClientEffect::EndsEvents,
};

/// `join #ROOM`
pub static JOIN: Spec = Spec {
    name: "join",
    access: Access::Session,
    parameters: &[Parameter::word("#ROOM", "room")],
    summary: "Join a room, creating it if needed; its messages arrive in your inbox.",
    help: "The name of a room is # and 1 to 32 of a-z, 0-9, '.', '_' and '-'. Every user may join every room. A second `join` \
           has no effect. You can be in at most 1,000 rooms.",
    success: "{message} {#ROOM}",
    client: ClientEffect::Nothing,
};

/// `leave #ROOM`
pub static LEAVE: Spec = Spec {
    name: "leave",
    access: Access::Session,
    parameters: &[Parameter::word("#ROOM", "room")],
    summary: "Leave a room.",
    help: "Messages that came while you were in the room stay in your inbox and in your history.",
    success: "{message} {#ROOM}",
    client: ClientEffect::Nothing,
};

/// `rooms`
pub static ROOMS: Spec = Spec {
    name: "rooms",
    access: Access::Session,
    parameters: &[Parameter::optional("AFTER", "after", Kind::Text)],
    summary: "List all rooms.",
    help: "Shows the number of members of each room, and whether you are one: 1,000 rooms by name, those after the #room AFTER. \
           `more` is there if there are more.",
    success: "{rooms}",
    client: ClientEffect::Nothing,
};

/// `members #ROOM`
pub static MEMBERS: Spec = Spec {
    name: "members",
    access: Access::Session,
    parameters: &[Parameter::word("#ROOM", "room")],
    summary: "List the members of a room that you are in.",
    help: "Members are listed by name.",
    success: "{members}",
    client: ClientEffect::Nothing,
};

/// `who`
pub static WHO: Spec = Spec {
    name: "who",
    access: Access::Session,
    parameters: &[],
    summary: "List all users: logged in, connected, last seen.",
    help: "`active` means that the user has a live session, `connected` that one of these sessions has a connection or had one \
           five seconds ago. `last_seen` is null for a user who is connected and for one who never was.",
    success: "{users}",
    client: ClientEffect::Nothing,
};

/// `whoami`
pub static WHOAMI: Spec = Spec {
    name: "whoami",
    access: Access::Session,
    parameters: &[],
    summary: "Show your user name, session and dialect.",
    help: "Shows the number of the session, and the dialect of this connection.",
    success: "{username} ({name}), session {session}",
    client: ClientEffect::Nothing,
};

/// `sessions`
pub static SESSIONS: Spec = Spec {
    name: "sessions",
    access: Access::Session,
    parameters: &[],
    summary: "List your sessions.",
    help: "Each session has a number, for `logout`. A session ends when it was not used for 30 days, and at the latest after 90 \
           days.",
    success: "{sessions}",
    client: ClientEffect::Nothing,
};

/// `passwd OLD NEW`
pub static PASSWD: Spec = Spec {
    name: "passwd",
    access: Access::Session,
    parameters: &[Parameter::word("OLD", "old"), Parameter::rest("NEW", "new")],
    summary: "Change your password; your other sessions end.",
    help: "OLD is one word (in the JSON form, any text). NEW is the rest of the line: at least 8 characters, and none of the \
           common passwords. The session in which you change it stays open.",
    success: "password changed",
    client: ClientEffect::Nothing,
};

/// `help [COMMAND]`
pub static HELP: Spec = Spec {
    name: "help",
    access: Access::Anyone,
    parameters: &[Parameter::optional("COMMAND", "topic", Kind::Text)],
    summary: "List the commands, or explain one.",
    help: "Words in [] are optional. A token is needed where the connection has not logged in.",
    success: "{help}",
    client: ClientEffect::Nothing,
};

/// `ping`
pub static PING: Spec = Spec {
    name: "ping",
    access: Access::Anyone,
    parameters: &[],
    summary: "Check that the server is alive; replies `pong`.",
    help: "The reply comes after the replies to all earlier requests.",
    success: "{message}",
    client: ClientEffect::Nothing,
};

/// `quit`
pub static QUIT: Spec = Spec {
    name: "quit",
    access: Access::Anyone,
    parameters: &[],
    summary: "Close the connection. The session stays open.",
    help: "Earlier requests are answered first; later ones are ignored.",
    success: "{message}",
    client: ClientEffect::EndsConnection,
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_name_of_its_own() {
        for (i, spec) in SPECS.iter().enumerate() {
            assert_eq!(SPECS.iter().position(|other| other.name == spec.name), Some(i), "{}", spec.name);
        }
    }
}
