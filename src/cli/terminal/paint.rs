//! How messages look on a terminal: local time, a colour for each sender, and a line where a day begins.

use std::{env, io::IsTerminal};

use jiff::civil::Date;

use super::super::{table::local, visible};
use crate::{model::Timestamp, protocol::objects::MessageObject};

/// Colours of senders: those that are readable on dark and on light ground.
const COLOURS: [u8; 12] = [31, 32, 33, 34, 35, 36, 91, 92, 93, 94, 95, 96];

/// Begins further lines of a text.
const INDENT: &str = "      ";

/// Makes the lines of a conversation.
#[derive(Clone)]
pub(super) struct Paint {
    is_coloured: bool,
    /// The user, whose messages are marked.
    me: String,
    /// The day of the last message.
    day: Option<Date>,
}

/// How far an own message is known to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    /// The server has it.
    Stored,
    /// It waits for the server.
    Waiting,
}

impl Paint {
    pub(super) fn new() -> Self {
        let is_plain = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let is_dumb = env::var("TERM").is_ok_and(|term| term == "dumb");
        let is_coloured = !is_plain && !is_dumb && std::io::stdout().is_terminal();
        Paint { is_coloured, me: String::new(), day: None }
    }

    pub(super) fn set_me(&mut self, me: &str) {
        me.clone_into(&mut self.me);
    }

    /// A message: time, room, sender and text; before it, the day if it is another one than that of the message before.
    pub(super) fn message(&mut self, message: &MessageObject) -> String {
        let MessageObject { at, from, to, msg, .. } = message;
        let mark = (*from == self.me).then_some(Mark::Stored);
        self.line(*at, from, to, msg, mark)
    }

    /// An own message.
    pub(super) fn own(&mut self, at: Timestamp, to: &str, text: &str, mark: Mark) -> String {
        let me = self.me.clone();
        self.line(at, &me, to, text, Some(mark))
    }

    fn line(&mut self, at: Timestamp, from: &str, to: &str, text: &str, mark: Option<Mark>) -> String {
        let time = local(at);
        let mut shown = self.day_break(time.date());
        shown += &self.dim(&time.strftime("%H:%M").to_string());
        shown.push(' ');
        if to.starts_with('#') {
            shown += &self.dim(&format!("{} ", visible(to)));
        }
        shown += &self.name(from);
        if !to.starts_with('#') && from == self.me {
            shown += " → ";
            shown += &self.name(to);
        }
        shown += ": ";
        shown += &indented(text);
        match mark {
            Some(Mark::Stored) => shown += &self.dim(" ✓"),
            Some(Mark::Waiting) => shown += &self.dim(" (waiting for the server)"),
            None => {}
        }
        shown.push('\n');
        shown
    }

    /// A line for the day, if it is not that of the message before.
    fn day_break(&mut self, day: Date) -> String {
        if self.day.replace(day) == Some(day) {
            return String::new();
        }
        format!("{}\n", self.dim(&day.strftime("── %A %-d %B %Y ──").to_string()))
    }

    /// What the client itself says.
    pub(super) fn note(&self, text: &str) -> String {
        format!("{}\n", self.dim(&format!("-- {}", indented(text))))
    }

    /// What went wrong.
    pub(super) fn problem(&self, text: &str) -> String {
        format!("{}\n", self.in_colour(31, &format!("!! {}", indented(text))))
    }

    /// That a message was read.
    pub(super) fn was_read(&self, by: &str, text: &str) -> String {
        format!("{}\n", self.dim(&format!("{INDENT}✓✓ {} has read: {}", visible(by), beginning(text))))
    }

    /// That a message is stored that has waited for the server.
    pub(super) fn now_stored(&self, text: &str) -> String {
        format!("{}\n", self.dim(&format!("{INDENT}✓ stored: {}", beginning(text))))
    }

    /// Begins anew: the day of the first message is told.
    pub(super) fn begin(&mut self) {
        self.day = None;
    }

    fn name(&self, name: &str) -> String {
        let sum = name.bytes().fold(0_usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
        self.in_colour(COLOURS[sum % COLOURS.len()], &visible(name))
    }

    fn dim(&self, text: &str) -> String {
        self.in_colour(2, text)
    }

    fn in_colour(&self, colour: u8, text: &str) -> String {
        if self.is_coloured { format!("\u{1b}[{colour}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

/// The first characters of a text.
fn beginning(text: &str) -> String {
    let first: String = text.lines().next().unwrap_or_default().chars().take(40).collect();
    let is_all = first.len() == text.len();
    format!("{}{}", visible(&first), if is_all { "" } else { "…" })
}

/// A text of others: harmless to a terminal, its further lines indented.
fn indented(text: &str) -> String {
    let lines: Vec<_> = text.lines().map(|line| visible(&line.replace('\t', "    ")).into_owned()).collect();
    lines.join(&format!("\n{INDENT}"))
}
