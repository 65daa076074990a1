//! What the commands that only ask print: a line for each thing, or a table.

use std::borrow::Cow;

use serde::Serialize;

use super::{
    super::{
        Exit,
        exit::Failure,
        table::{Table, local_time},
    },
    output::Output,
};
use crate::{
    client::{Client, ClientError, HistoryOptions},
    config::ClientCommand,
    model::Timestamp,
    protocol::objects::{
        ConversationObject, MemberObject, MessageObject, PersonObject, RoomObject, SessionObject, StatusReply,
    },
};

/// Prints a message: time, sender and text; and the room, if it is to one. Further lines of the text begin with a tab.
pub(super) fn message(output: &mut Output, message: &MessageObject) -> Result<(), Failure> {
    if output.is_json {
        return output.json(message);
    }
    let MessageObject { at, from, to, msg, .. } = message;
    let room = if to.starts_with('#') { format!("{to} ") } else { String::new() };
    output.line(&format!("{} {room}{from}: {msg}", local_time(*at)))
}

/// Runs a command that only asks, and prints what comes.
pub(in super::super) async fn ask(
    output: &mut Output,
    client: &Client,
    command: &ClientCommand,
) -> Result<Exit, Failure> {
    let exit = match command {
        ClientCommand::History { with, limit, before, fail_empty } => {
            let page = HistoryOptions { limit: Some(*limit as u64), before: *before };
            let messages = client.history(with, page).await?.messages;
            messages.iter().try_for_each(|one| message(output, one))?;
            if *fail_empty && messages.is_empty() { Exit::Nothing } else { Exit::Done }
        }
        ClientCommand::Read { with, id } => {
            let read = client.read(with, *id).await?;
            if output.is_json { output.json(&read).map(|()| Exit::Done)? } else { Exit::Done }
        }
        ClientCommand::Join { room } => client.join(room).await.map(|()| Exit::Done)?,
        ClientCommand::Leave { room } => client.leave(room).await.map(|()| Exit::Done)?,
        ClientCommand::Status { id } => {
            let status = client.status(*id).await?;
            if output.is_json {
                output.json(&status)?;
            } else {
                output.line(&status_line(&status))?;
            }
            Exit::Done
        }
        ClientCommand::Whoami => whoami(output, client).await?,
        _ => show_list(output, client, command).await?,
    };
    output.flush()?;
    Ok(exit)
}

async fn show_list(output: &mut Output, client: &Client, command: &ClientCommand) -> Result<Exit, Failure> {
    match command {
        ClientCommand::Conversations => {
            let all = client.conversations(Some(1000)).await?.conversations;
            list(output, &all, ["WITH", "UNREAD", "LAST"], conversation)
        }
        ClientCommand::Who => {
            let all = client.who().await?.users;
            list(output, &all, ["USER", "STATE", "LAST SEEN", "NAME"], person)
        }
        ClientCommand::Rooms => {
            let all = all_rooms(client).await?;
            list(output, &all, ["ROOM", "MEMBERS", ""], |room| {
                let joined = if room.joined { "joined" } else { "" };
                [room.room.to_string(), room.members.to_string(), joined.to_owned()]
            })
        }
        ClientCommand::Members { room } => {
            let all = client.members(room).await?.members;
            let row = |member: &MemberObject| [member.username.to_string(), member.name.to_string()];
            list(output, &all, ["USER", "NAME"], row)
        }
        ClientCommand::Sessions => {
            let all = client.sessions().await?.sessions;
            list(output, &all, ["SESSION", "DEVICE", "ADDRESS", "LAST USED", "EXPIRES", ""], session)
        }
        _ => Err(Failure::new(Exit::Usage, "this command has a function of its own")),
    }
}

/// All rooms, page by page.
pub(in super::super) async fn all_rooms(client: &Client) -> Result<Vec<RoomObject>, ClientError> {
    let mut all = Vec::<RoomObject>::new();
    loop {
        let after = all.last().map(|room| room.room.clone());
        let page = client.rooms(after.as_deref()).await?;
        all.extend(page.rooms);
        if !page.more {
            return Ok(all);
        }
    }
}

fn list<T: Serialize, const N: usize>(
    output: &mut Output,
    all: &[T],
    head: [&str; N],
    row: impl Fn(&T) -> [String; N],
) -> Result<Exit, Failure> {
    if output.is_json {
        all.iter().try_for_each(|one| output.json(one))?;
        return Ok(Exit::Done);
    }
    let mut table = Table::new(head);
    for one in all {
        table.add(row(one));
    }
    table.lines().try_for_each(|line| output.line(&line))?;
    Ok(Exit::Done)
}

fn state(active: bool, connected: bool) -> &'static str {
    match (connected, active) {
        (true, _) => "connected",
        (false, true) => "logged in",
        (false, false) => "",
    }
}

fn time(at: Option<Timestamp>) -> String {
    at.map(|at| local_time(at).to_string()).unwrap_or_default()
}

fn person(person: &PersonObject) -> [String; 4] {
    let seen = if person.connected { String::new() } else { time(person.last_seen) };
    let state = state(person.active, person.connected).to_owned();
    [person.username.to_string(), state, seen, person.name.to_string()]
}

fn conversation(conversation: &ConversationObject) -> [String; 3] {
    let last = conversation.last.as_ref().map(|message| {
        let text: Cow<'_, str> = message.msg.lines().next().unwrap_or_default().into();
        format!("{} {}: {text}", local_time(message.at), message.from)
    });
    [conversation.with.to_string(), conversation.unread.to_string(), last.unwrap_or_default()]
}

fn session(session: &SessionObject) -> [String; 6] {
    let current = if session.current { "this one" } else { "" };
    [
        session.session.to_string(),
        session.device.as_deref().unwrap_or_default().to_owned(),
        session.address.map(|address| address.to_string()).unwrap_or_default(),
        time(Some(session.last_used)),
        time(Some(session.expires)),
        current.to_owned(),
    ]
}

fn status_line(status: &StatusReply) -> String {
    let StatusReply { id, state, at, acked_at, recipients, acked, read_at, read, .. } = status;
    let mut parts = vec![format!("{id} {state}"), format!("stored {}", local_time(*at))];
    parts.extend(acked_at.map(|at| format!("acknowledged {}", local_time(at))));
    parts.extend(read_at.map(|at| format!("read {}", local_time(at))));
    parts.extend(acked.zip(*recipients).map(|(acked, of)| format!("acknowledged by {acked} of {of}")));
    parts.extend(read.map(|read| format!("read by {read}")));
    parts.join(", ")
}

/// Whose session it is, where, and how long it lasts.
#[derive(Serialize)]
struct Whoami<'a> {
    username: &'a str,
    name: &'a str,
    session: u32,
    server: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    days_left: Option<u64>,
}

async fn whoami(output: &mut Output, client: &Client) -> Result<Exit, Failure> {
    let who = client.whoami().await?;
    let sessions = client.sessions().await?.sessions;
    let current = sessions.iter().find(|session| session.current);
    let server = client.server();
    let now = jiff::Timestamp::now().as_millisecond();
    let expires = current.map(|session| session.expires);
    let days_left = expires.map(|expires| expires.0.saturating_sub(now).max(0).unsigned_abs().div_ceil(DAY));
    if output.is_json {
        let (username, name, session) = (&*who.username, &*who.name, who.session);
        output.json(&Whoami { username, name, session, server: &server, expires, days_left })?;
        return Ok(Exit::Done);
    }
    let lasts = days_left.map(|days| format!(", {days} days left if it is not used")).unwrap_or_default();
    output.line(&format!("{} ({}) at {server}, session {}{lasts}", who.username, who.name, who.session))?;
    Ok(Exit::Done)
}

/// Milliseconds of a day.
const DAY: u64 = 24 * 60 * 60 * 1000;
