//! The line that is typed: an editor with history and completion, or plain lines on a terminal that cannot do more.

use std::{
    borrow::Cow,
    io::{self, BufRead, Write},
    path::PathBuf,
    sync::{Arc, Mutex},
};

use rustix::termios::tcgetwinsize;
use rustyline::{
    Cmd, CompletionType, ConditionalEventHandler, Config, Context, Editor as LineEditor, Event, EventContext,
    EventHandler, Helper, RepeatCount, completion::Completer, error::ReadlineError, highlight::Highlighter,
    hint::Hinter, history::DefaultHistory, validate::Validator,
};
use tokio::sync::Notify;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::{
    super::TERMINAL_LINE,
    command::{AUTOMATIC, OWN},
    guard::PlainPrompt,
    printer::{Screen, Sink},
};
use crate::protocol::spec::{self, Access};

/// Lines that are kept from run to run.
const HISTORY: usize = 1000;

/// Names that can be completed.
#[derive(Default)]
pub(super) struct Names {
    pub(super) users: Vec<String>,
    pub(super) rooms: Vec<String>,
}

/// What the keys tell.
#[derive(Default)]
pub(super) struct Keys {
    pub(super) screen: Arc<Screen>,
    /// A key was pressed.
    pub(super) pressed: Notify,
    /// A message is being typed.
    pub(super) writes: std::sync::atomic::AtomicBool,
    /// What is typed so far.
    draft: Mutex<String>,
}

impl Keys {
    /// Number of rows of the prompt and of what is typed so far, on a screen of `columns`.
    pub(super) fn rows(&self, prompt: &str, columns: usize) -> usize {
        rows(prompt, &self.draft.lock().expect("nothing panics while it is held"), columns)
    }
}

/// What came of a line.
pub(super) enum Line {
    Typed(String),
    /// It was dropped.
    Dropped,
    /// It is cut, because the terminal takes no longer ones.
    Cut,
    /// The terminal is at its end.
    End,
}

/// Reads lines from a terminal.
pub(super) enum Editor {
    Full { editor: Box<LineEditor<Completion, DefaultHistory>>, history: Option<PathBuf>, keys: Arc<Keys> },
    Plain(Arc<PlainPrompt>),
}

impl Editor {
    /// The best editor for the terminal, and where texts are printed while a line is edited.
    pub(super) fn open(
        history: Option<PathBuf>,
        names: Arc<Mutex<Names>>,
        keys: Arc<Keys>,
        plain: Arc<PlainPrompt>,
    ) -> (Self, Sink) {
        Self::full(history, names, keys).unwrap_or((Editor::Plain(plain), Sink::Plain))
    }

    fn full(
        history: Option<PathBuf>,
        names: Arc<Mutex<Names>>,
        keys: Arc<Keys>,
    ) -> Result<(Self, Sink), ReadlineError> {
        let config = Config::builder()
            .max_history_size(HISTORY)?
            .history_ignore_dups(true)?
            .completion_type(CompletionType::List)
            .build();
        let mut editor = LineEditor::with_config(config)?;
        let printer = editor.create_external_printer()?;
        editor.set_helper(Some(Completion { names, keys: keys.clone() }));
        editor.bind_sequence(Event::Any, EventHandler::Conditional(Box::new(Watcher(keys.clone()))));
        if let Some(history) = &history {
            // There is none at first.
            editor.load_history(history).ok();
        }
        Ok((Editor::Full { editor: Box::new(editor), history, keys }, Sink::Above(Box::new(printer))))
    }

    /// Reads a line.
    pub(super) fn read(&mut self, prompt: &str) -> Line {
        match self {
            Editor::Full { editor, keys, .. } => {
                keys.screen.turn();
                let read = editor.readline(prompt);
                keys.screen.turn();
                match read {
                    Ok(line) => Line::Typed(line),
                    Err(ReadlineError::Interrupted) => Line::Dropped,
                    Err(_) => Line::End,
                }
            }
            Editor::Plain(plain) => plain.show(prompt, read_plain),
        }
    }

    /// Keeps a line for later, also for later runs.
    pub(super) fn remember(&mut self, line: &str) {
        if let Editor::Full { editor, history, .. } = self
            && editor.add_history_entry(line).is_ok_and(|is_new| is_new)
            && let Some(history) = history
        {
            // A history that cannot be kept is no reason to say something at each line.
            editor.append_history(history).ok();
        }
    }

    /// Takes a line off the screen that was typed, unless something was printed below it.
    pub(super) fn erase(&self, prompt: &str, line: &str) {
        let Editor::Full { keys, .. } = self else { return };
        let Ok(size) = tcgetwinsize(io::stdout()) else { return };
        let rows = rows(prompt, line, size.ws_col.into());
        keys.screen.if_untouched(|| {
            let mut output = io::stdout().lock();
            write!(output, "\u{1b}[{rows}A\r\u{1b}[J").and_then(|()| output.flush()).ok();
        });
    }
}

/// Number of rows that a prompt and a line take on a screen of `columns`.
fn rows(prompt: &str, line: &str, columns: usize) -> usize {
    let (mut rows, mut column) = (1, prompt.width());
    for c in line.chars() {
        let width = c.width().unwrap_or(0);
        if c == '\n' {
            (rows, column) = (rows + 1, 0);
        } else if column + width > columns {
            (rows, column) = (rows + 1, width);
        } else {
            column += width;
        }
    }
    if column == columns { rows + 1 } else { rows }
}

fn read_plain() -> Line {
    let mut line = Vec::new();
    match io::stdin().lock().read_until(b'\n', &mut line) {
        Ok(0) | Err(_) => Line::End,
        Ok(_) => {
            if line.ends_with(b"\n") {
                line.pop();
            }
            if line.len() >= TERMINAL_LINE {
                return Line::Cut;
            }
            String::from_utf8(line).map_or(Line::Dropped, Line::Typed)
        }
    }
}

/// Sees every key, and changes none.
struct Watcher(Arc<Keys>);

impl ConditionalEventHandler for Watcher {
    fn handle(&self, _: &Event, _: RepeatCount, _: bool, context: &EventContext<'_>) -> Option<Cmd> {
        let Watcher(keys) = self;
        keys.screen.key();
        let line = context.line();
        let writes = !line.trim().is_empty() && !line.starts_with('/');
        keys.writes.store(writes, std::sync::atomic::Ordering::Relaxed);
        keys.pressed.notify_one();
        None
    }
}

/// Completes commands, users and rooms.
pub(super) struct Completion {
    names: Arc<Mutex<Names>>,
    keys: Arc<Keys>,
}

impl Completer for Completion {
    type Candidate = String;

    fn complete(&self, line: &str, at: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<String>)> {
        let names = self.names.lock().expect("nothing panics while it is held");
        Ok(complete(&line[..at], &names))
    }
}

impl Helper for Completion {}
impl Validator for Completion {}
impl Hinter for Completion {
    type Hint = String;

    /// Gives none. The editor calls this whenever the line is another one.
    fn hint(&self, line: &str, _: usize, _: &Context<'_>) -> Option<String> {
        line.clone_into(&mut self.keys.draft.lock().expect("nothing panics while it is held"));
        None
    }
}
impl Highlighter for Completion {
    fn highlight_candidate<'c>(&self, candidate: &'c str, _: CompletionType) -> Cow<'c, str> {
        candidate.trim_end().into()
    }
}

/// Where the word at the end of a line begins, and what it may become.
fn complete(line: &str, names: &Names) -> (usize, Vec<String>) {
    let begin = line.rfind([' ', '\n']).map_or(0, |space| space + 1);
    let word = &line[begin..];
    let with_space = |name: &str| format!("{name} ");
    if begin == 0 {
        let (slash, start) = word.strip_prefix('/').map_or(("", word), |start| ("/", start));
        let own = OWN.iter().filter_map(|(usage, _)| usage.split([' ', '/']).find(|word| !word.is_empty()));
        let people = spec::SPECS.iter().map(|spec| spec.name).filter(|name| !AUTOMATIC.contains(name));
        let own = own.filter(|name| name.starts_with(start)).map(|name| format!("/{name} "));
        let mut found: Vec<_> =
            people.filter(|name| name.starts_with(start)).map(|name| format!("{slash}{name} ")).collect();
        found.extend(own.filter(|_| slash == "/" || word.is_empty()));
        found.sort_unstable();
        found.dedup();
        return (begin, found);
    }
    let command = line.split(' ').next().unwrap_or_default().trim_start_matches('/');
    let is_first = line[..begin].trim_end() == line[..begin].split(' ').next().unwrap_or_default();
    let takes = match command {
        "to" => "to",
        "help" if is_first => {
            let found = spec::SPECS.iter().map(|spec| spec.name).filter(|name| name.starts_with(word));
            return (begin, found.map(with_space).collect());
        }
        _ => spec::find(command)
            .filter(|spec| spec.access == Access::Session && is_first)
            .and_then(|spec| spec.parameters.first())
            .map_or("", |parameter| parameter.field),
    };
    let users =
        names.users.iter().filter(|_| matches!(takes, "to" | "with" | "username") || takes.is_empty());
    let rooms = names.rooms.iter().filter(|_| matches!(takes, "to" | "with" | "room") || takes.is_empty());
    let found = users
        .chain(rooms)
        .filter(|_| !word.is_empty() || !takes.is_empty())
        .filter(|name| name.starts_with(word));
    (begin, found.map(|name| with_space(name)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_completed_by_their_place() {
        let all = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let names = Names { users: all(&["henderson", "lineker", "messi"]), rooms: all(&["#lab", "#team"]) };
        for (line, begin, expected) in [
            ("se", 0, &["send ", "sessions "][..]),
            ("/pre", 0, &["/presence "]),
            ("send h", 5, &["henderson "]),
            ("send ", 5, &["henderson ", "lineker ", "messi ", "#lab ", "#team "]),
            ("/to #", 4, &["#lab ", "#team "]),
            ("join #t", 5, &["#team "]),
            ("join ", 5, &["#lab ", "#team "]),
            ("help hi", 5, &["history "]),
            ("hello mes", 6, &["messi "]),
            ("hello ", 6, &[]),
        ] {
            let expected: Vec<_> = expected.iter().map(|name| (*name).to_owned()).collect();
            assert_eq!(complete(line, &names), (begin, expected), "{line}");
        }
    }

    #[test]
    fn rows_are_counted_as_a_terminal_wraps() {
        for (line, columns, expected) in [
            ("", 40, 1),
            ("hello", 40, 1),
            (&"x".repeat(37), 40, 1),
            (&"x".repeat(38), 40, 2),
            (&"x".repeat(39), 40, 2),
            ("a\nb\nc", 40, 3),
            (&"漢".repeat(19), 40, 2),
        ] {
            assert_eq!(rows("> ", line, columns), expected, "{line}");
        }
    }
}
