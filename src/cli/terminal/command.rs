//! What was typed: a message, a command of the protocol, or one of the client.

use super::{super::explain, help};
use crate::{
    config::{ClientCommand, SessionChoice},
    model::most_similar,
    protocol::{
        request::{Arguments, Request},
        spec::{self, Spec},
    },
};

/// What was typed.
#[derive(Debug)]
pub(super) enum Typed {
    Nothing,
    /// A message to the current recipient.
    Text(String),
    /// A message to somebody.
    Send {
        to: String,
        text: String,
    },
    /// Log in; the password is asked for without one.
    Auth {
        user: String,
        password: Option<String>,
    },
    /// Change the password; asked for without them.
    Passwd(Option<(String, String)>),
    /// Sets the current recipient; without one, tells who it is.
    To(Option<String>),
    /// Shows who comes and goes, or does not; without a choice, tells which.
    Presence(Option<bool>),
    /// Shows a conversation: that with the current recipient, if none is named.
    History {
        with: Option<String>,
        limit: Option<u64>,
        before: Option<u64>,
    },
    /// Something that is asked and printed.
    Ask(ClientCommand),
    Logout,
    Help(Option<String>),
    Ping,
    Quit,
    /// What makes no sense, and why.
    Wrong(String),
}

/// Commands of the client, with what they do.
pub(super) const OWN: [(&str, &str); 2] = [
    ("/to USER|#ROOM", "Set the recipient: then a line is a message."),
    ("/presence on|off", "Show who comes and goes, or do not."),
];

/// Commands of the protocol that the client gives by itself.
pub(super) const AUTOMATIC: [&str; 7] = ["inbox", "hello", "fetch", "ack", "typing", "watch", "unwatch"];

/// Reads what was typed. With `has_recipient`, a line that is no command is a message.
pub(super) fn parse(line: &str, has_recipient: bool) -> Typed {
    // A space at the beginning makes everything a message; so does a line break, because commands have none: nothing that was pasted is
    // carried out.
    let is_text = line.starts_with(' ') && has_recipient;
    let trimmed = line.trim();
    if trimmed.is_empty() {
        return Typed::Nothing;
    }
    if is_text {
        return Typed::Text(trimmed.to_owned());
    }
    if let Some(text) = trimmed.strip_prefix("//") {
        return text_to(format!("/{text}"), has_recipient);
    }
    let (line, has_slash) = match trimmed.strip_prefix('/') {
        Some(rest) => (rest, true),
        None => (trimmed, false),
    };
    let (name, rest) = line.split_once([' ', '\n']).unwrap_or((line, ""));
    let rest = rest.trim();
    if trimmed.contains('\n') && name != spec::SEND.name {
        return text_to(trimmed.to_owned(), has_recipient);
    }
    let own = match name {
        // In a conversation, it may begin a sentence.
        "to" | "query" if has_slash || name == "to" && !has_recipient => match (rest, rest.contains(' ')) {
            ("", _) => Some(Typed::To(None)),
            (to, false) => Some(Typed::To(Some(to.to_owned()))),
            (_, true) => Some(Typed::Wrong("usage: /to USER or /to #ROOM".to_owned())),
        },
        "presence" if has_slash => Some(match rest {
            "" => Typed::Presence(None),
            "on" => Typed::Presence(Some(true)),
            "off" => Typed::Presence(Some(false)),
            _ => Typed::Wrong("usage: /presence on or /presence off".to_owned()),
        }),
        "exit" if rest.is_empty() => Some(Typed::Quit),
        _ => None,
    };
    if let Some(own) = own {
        return own;
    }
    // The name that it has in a shell.
    let (name, line) = match line.strip_prefix("login") {
        Some(rest) if name == "login" => (spec::AUTH.name, format!("{}{rest}", spec::AUTH.name)),
        _ => (name, line.to_owned()),
    };
    let Some(command) = spec::find(name) else {
        return match (has_slash, has_recipient) {
            (true, _) => Typed::Wrong(explain::unknown_command(name)),
            (false, true) => Typed::Text(trimmed.to_owned()),
            (false, false) => {
                let unknown = explain::unknown_command(name);
                Typed::Wrong(format!("{unknown}; /to USER sets whom you write to"))
            }
        };
    };
    match of_table(command, &line, rest) {
        Some(Typed::History { with: Some(with), limit: None, before: None })
            if has_recipient && with.bytes().all(|byte| byte.is_ascii_digit()) =>
        {
            Typed::History { with: None, limit: with.parse().ok(), before: None }
        }
        Some(typed) => typed,
        // "hello there" is no command. What may have a password stays here, and so does a room without its #.
        None if has_recipient && !has_slash => match name {
            "auth" | "passwd" => Typed::Wrong(format!("usage: {}", help::usage(command))),
            "join" | "leave" | "members" if !rest.is_empty() && !rest.contains(' ') => {
                let usage = help::usage(command);
                Typed::Wrong(format!("usage: {usage}; with a space before it, such a line is a message"))
            }
            _ => Typed::Text(trimmed.to_owned()),
        },
        None if name == spec::HELP.name => Typed::Wrong(explain::unknown_command(rest)),
        None => {
            let usage = help::usage(command);
            let may_be_text =
                !has_slash && !has_recipient && (rest.contains(' ') || AUTOMATIC.contains(&name));
            let hint = if may_be_text { "; /to USER sets whom you write to" } else { "" };
            Typed::Wrong(format!("usage: {usage}{hint}"))
        }
    }
}

fn text_to(text: String, has_recipient: bool) -> Typed {
    if has_recipient {
        Typed::Text(text)
    } else {
        Typed::Wrong("to whom? /to USER or /to #ROOM says so".to_owned())
    }
}

/// A command of the protocol; `None` if it is not used as it should be.
fn of_table(command: &'static Spec, line: &str, rest: &str) -> Option<Typed> {
    match command.name {
        // A text keeps its line breaks.
        "send" => {
            let (to, text) = rest.split_once([' ', '\n'])?;
            let text = text.trim();
            return (!text.is_empty()).then(|| Typed::Send { to: to.to_owned(), text: text.to_owned() });
        }
        "auth" if !rest.is_empty() && !rest.contains(' ') => {
            return Some(Typed::Auth { user: rest.to_owned(), password: None });
        }
        "passwd" if rest.is_empty() => return Some(Typed::Passwd(None)),
        "history" if rest.is_empty() => {
            return Some(Typed::History { with: None, limit: None, before: None });
        }
        _ => {}
    }
    let request = Request::parse(line.as_bytes()).ok()??;
    let arguments = request.bind(command.parameters).ok()?;
    let is_sensible = match (command.name, arguments.optional(0)) {
        ("join" | "leave" | "members", Some(room)) => room.starts_with('#'),
        ("help", Some(topic)) => may_be_topic(topic.trim_start_matches('/')),
        _ => true,
    };
    is_sensible.then(|| bound(command, &arguments))
}

/// Whether something is a command, or a slip of one. "me" is none.
fn may_be_topic(topic: &str) -> bool {
    let is_own = own_command(topic).is_some();
    let is_slip =
        || topic.len() > 4 && most_similar(topic, spec::SPECS.iter().map(|spec| spec.name)).is_some();
    is_own || spec::find(topic).is_some() || is_slip()
}

/// What is said of a command of the client.
pub(super) fn own_command(name: &str) -> Option<(&'static str, &'static str)> {
    OWN.into_iter().find(|(usage, _)| usage[1..].split(' ').next() == Some(name))
}

fn bound(command: &'static Spec, arguments: &Arguments<'_>) -> Typed {
    let text = |index: usize| arguments.text(index).to_owned();
    let number = |index: usize| arguments.number(index);
    let ask = Typed::Ask;
    match command.name {
        "auth" => Typed::Auth { user: text(0), password: Some(text(1)) },
        "passwd" => Typed::Passwd(Some((text(0), text(1)))),
        "history" => Typed::History { with: Some(text(0)), limit: number(1), before: number(2) },
        "logout" => match (number(0), arguments.flag(1)) {
            (_, true) => ask(ClientCommand::Logout { session: Some(SessionChoice::All) }),
            (Some(session), _) => {
                let session = u32::try_from(session).unwrap_or(u32::MAX);
                ask(ClientCommand::Logout { session: Some(SessionChoice::Number(session)) })
            }
            (None, false) if arguments.optional(0).is_some() => {
                ask(ClientCommand::Logout { session: Some(SessionChoice::All) })
            }
            (None, false) => Typed::Logout,
        },
        "status" => ask(ClientCommand::Status { id: number(0).unwrap_or(0) }),
        "conversations" => ask(ClientCommand::Conversations),
        "read" => ask(ClientCommand::Read { with: text(0), id: number(1).unwrap_or(0) }),
        "join" => ask(ClientCommand::Join { room: text(0) }),
        "leave" => ask(ClientCommand::Leave { room: text(0) }),
        "rooms" => ask(ClientCommand::Rooms),
        "members" => ask(ClientCommand::Members { room: text(0) }),
        "who" | "showuseractive" => ask(ClientCommand::Who),
        "whoami" => ask(ClientCommand::Whoami),
        "sessions" => ask(ClientCommand::Sessions),
        "help" => Typed::Help(arguments.optional(0).map(str::to_owned)),
        "ping" => Typed::Ping,
        "quit" => Typed::Quit,
        // What these are for, this client does by itself.
        _ => Typed::Wrong(format!(
            "{} is not needed: messages are shown as they come, and leave the inbox when they were shown",
            command.name
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(line: &str, has_recipient: bool) -> String {
        format!("{:?}", parse(line, has_recipient))
    }

    #[test]
    fn a_line_is_a_command_or_a_message() {
        for (line, expected) in [
            ("hello there", "Text(\"hello there\")"),
            (" who", "Text(\"who\")"),
            ("hello there", "Text(\"hello there\")"),
            ("who is it?", "Text(\"who is it?\")"),
            ("to lineker", "Text(\"to lineker\")"),
            ("login messi", "Auth { user: \"messi\", password: None }"),
            ("leave me alone", "Text(\"leave me alone\")"),
            ("join team", "Wrong(\"usage: join #ROOM; with a space before it, such a line is a message\")"),
            ("join us now", "Text(\"join us now\")"),
            ("help me", "Text(\"help me\")"),
            ("help histroy", "Help(Some(\"histroy\"))"),
            ("help to", "Help(Some(\"to\"))"),
            ("to be or not to be", "Text(\"to be or not to be\")"),
            ("/to a b", "Wrong(\"usage: /to USER or /to #ROOM\")"),
            ("/presence maybe", "Wrong(\"usage: /presence on or /presence off\")"),
            ("/history 5", "History { with: None, limit: Some(5), before: None }"),
            ("history 5 20", "History { with: Some(\"5\"), limit: Some(20), before: None }"),
            ("read the docs", "Text(\"read the docs\")"),
            ("passwd surabaya", "Wrong(\"usage: passwd OLD NEW\")"),
            ("/who is it?", "Wrong(\"usage: who\")"),
            ("//slash", "Text(\"/slash\")"),
            ("who", "Ask(Who)"),
            ("/who", "Ask(Who)"),
            ("/to #team", "To(Some(\"#team\"))"),
            ("/to", "To(None)"),
            ("/presence off", "Presence(Some(false))"),
            ("send henderson  a b ", "Send { to: \"henderson\", text: \"a b\" }"),
            ("auth messi", "Auth { user: \"messi\", password: None }"),
            ("/history", "History { with: None, limit: None, before: None }"),
            ("history messi 5", "History { with: Some(\"messi\"), limit: Some(5), before: None }"),
            ("/logout all", "Ask(Logout { session: Some(All) })"),
            ("logout", "Logout"),
            ("", "Nothing"),
        ] {
            assert_eq!(shown(line, true), expected, "{line}");
        }
    }

    #[test]
    fn nothing_that_was_pasted_is_carried_out() {
        for pasted in ["Dear Jordan,\nbest\nlogout", "logout\nquit\n.", "/quit\nlogout"] {
            assert_eq!(shown(pasted, true), format!("Text({pasted:?})"));
            assert!(shown(pasted, false).starts_with("Wrong(\"to whom?"), "{pasted}");
        }
        let letter = "send henderson Dear Jordan,\nbest\nlogout";
        assert_eq!(
            shown(letter, false),
            "Send { to: \"henderson\", text: \"Dear Jordan,\\nbest\\nlogout\" }"
        );
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (line, expected) in [
            ("hlep", "did you mean help?"),
            ("/hlep", "did you mean help?"),
            ("hi everybody", "/to USER sets whom you write to"),
            ("join", "usage: join #ROOM"),
            ("send henderson", "usage: send TO TEXT\""),
            ("who is it?", "usage: who; /to USER sets whom you write to"),
            ("/help wat", "no such command \\\"wat\\\""),
            ("ack abc", "usage: ack ID"),
        ] {
            let said = shown(line, false);
            assert!(said.starts_with("Wrong(") && said.contains(expected), "{line}: {said}");
        }
    }
}
