//! `help [COMMAND]`: what there is, and how it is used.

use serde::Serialize;

use super::{Access, Answer, COMMANDS, Call, ClientEffect, Command, Reply, find};
use crate::protocol::{
    Refusal,
    reply::render,
    request::{Kind, Parameter},
};

pub(super) static COMMAND: Command = Command {
    name: "help",
    access: Access::Anyone,
    parameters: &[Parameter::optional("COMMAND", "topic", Kind::Text)],
    summary: "List the commands, or explain one.",
    help: "[] stand around what may be left out; a token stands there if the connection has not logged in itself.",
    success: "{help}",
    client: ClientEffect::Nothing,
    run,
};

#[derive(Serialize)]
struct ListReply {
    status: &'static str,
    commands: Vec<Entry>,
}

#[derive(Serialize)]
struct Entry {
    name: &'static str,
    usage: String,
    summary: &'static str,
}

#[derive(Serialize)]
struct TopicReply {
    status: &'static str,
    name: &'static str,
    usage: String,
    help: String,
}

fn run(call: &Call<'_>) -> Answer {
    let body = match call.arguments.optional(0) {
        None => {
            let entry = |command: &&Command| Entry {
                name: command.name,
                usage: command.usage(),
                summary: command.summary,
            };
            render(&ListReply { status: "OK", commands: COMMANDS.iter().map(entry).collect() })
        }
        Some(topic) => match find(topic) {
            None => return Refusal::UnknownCommand.into(),
            Some(command) => render(&TopicReply {
                status: "OK",
                name: command.name,
                usage: command.usage(),
                help: format!("{} {}", command.summary, command.help),
            }),
        },
    };
    Answer::Now(Reply::new(body))
}
