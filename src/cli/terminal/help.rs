//! What `help` says.

use std::fmt::Write;

use unicode_width::UnicodeWidthStr;

use super::{
    super::explain,
    command::{AUTOMATIC, OWN, own_command},
};
use crate::protocol::spec::{self, Spec};

/// All commands that a person may want, as a table of this width.
pub(super) fn all(columns: usize) -> String {
    let own = OWN.into_iter().map(|(usage, summary)| (usage.to_owned(), summary));
    let others = spec::SPECS.iter().filter(|spec| !AUTOMATIC.contains(&spec.name));
    let all: Vec<_> = own.chain(others.map(|spec| (usage(spec), spec.summary))).collect();
    let widest = all.iter().map(|(usage, _)| usage.len()).max().unwrap_or(0) + 2;
    let mut shown = String::new();
    for (usage, summary) in all {
        let mut usage = usage.as_str();
        for line in wrapped(summary, columns.saturating_sub(widest)) {
            writeln!(shown, "{usage:widest$}{line}").expect("a String takes everything");
            usage = "";
        }
    }
    shown
        + "Messages are shown as they come. A line that begins with a space is a message.\n\
           Tab completes, Up brings back earlier lines. help COMMAND tells more.\n"
}

/// What one command does; that there is none, otherwise.
pub(super) fn of(topic: &str, columns: usize) -> Result<String, String> {
    let topic = topic.trim_start_matches('/');
    if let Some((usage, summary)) = own_command(topic) {
        return Ok(format!("{usage}\n{summary}\n"));
    }
    let spec = spec::find(topic).ok_or_else(|| explain::unknown_command(topic))?;
    let text = wrapped(&format!("{} {}", spec.summary, spec.help), columns);
    Ok(format!("{}\n{}\n", usage(spec), text.join("\n")))
}

/// How a command is written at the prompt, where a session needs no token.
pub(super) fn usage(spec: &Spec) -> String {
    spec.usage().replace(" [token]", "")
}

/// Lines of whole words, at most so wide, unless a word is wider, or the room is too narrow for words.
fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let columns = columns.max(20);
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last_mut().expect("there is one");
        if line.is_empty() {
            line.push_str(word);
        } else if line.width() + 1 + word.width() <= columns {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_fits_the_screen_and_lists_what_people_want() {
        let shown = all(80);
        assert!(shown.lines().all(|line| line.width() <= 80), "{shown}");
        assert!(shown.starts_with("/to USER|#ROOM"), "{shown}");
        for spec in spec::SPECS {
            let is_listed = shown.lines().any(|line| line.split(' ').next() == Some(spec.name));
            assert_eq!(is_listed, !AUTOMATIC.contains(&spec.name), "{}", spec.name);
        }
    }
}
