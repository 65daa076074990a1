//! The lines of a user in the text of the users file: where they are, and the text without them.

use std::ops::Range;

use toml_edit::{Item, TableLike, Value};

/// The text with other text in one place of it.
pub(super) fn with(text: &str, place: Range<usize>, new: &str) -> String {
    [&text[..place.start], new, &text[place.end..]].concat()
}

/// What of the text a user takes up, from a key to the end of a value.
pub(super) enum Lines {
    /// A table of its own, with its header.
    Table(Range<usize>),
    /// Keys of another table: one with an inline table, or several dotted ones, in the order of the file.
    Keys(Vec<Range<usize>>),
}

/// Where a user stands in a table of users that is no inline table.
pub(super) fn lines_of(users: &dyn TableLike, username: &str) -> Option<Lines> {
    let (key, item) = users.get_key_value(username)?;
    let key = key.span()?;
    let Some(table) = item.as_table() else {
        let place = key.start..item.span()?.end;
        return Some(Lines::Keys(Vec::from([place])));
    };
    let mut keys = Vec::new();
    for (field, value) in table {
        keys.push(table.key(field)?.span()?.start..value.span()?.end);
    }
    keys.sort_unstable_by_key(|place| place.start);
    let last = keys.last()?.end;
    Some(if table.is_dotted() { Lines::Keys(keys) } else { Lines::Table(key.start..last) })
}

/// The text without a user and the comment right above.
pub(super) fn without(text: &str, lines: Lines) -> String {
    match lines {
        Lines::Table(place) => {
            let (begin, mut end) = whole_lines(text, &place);
            let mut begin = with_comment_above(text, begin);
            while end < text.len() && text[end..line_end(text, end)].trim().is_empty() {
                end = line_end(text, end);
            }
            if end == text.len() {
                // The blank lines that set the last one off.
                while begin > 0 && text[line_start(text, begin - 1)..begin].trim().is_empty() {
                    begin = line_start(text, begin - 1);
                }
            }
            with(text, begin..end, "")
        }
        Lines::Keys(places) => {
            let mut text = text.to_owned();
            for (i, place) in places.iter().enumerate().rev() {
                let (begin, end) = whole_lines(&text, place);
                let begin = if i == 0 { with_comment_above(&text, begin) } else { begin };
                text.replace_range(begin..end, "");
            }
            text
        }
    }
}

/// The text in which a user's table has this key, next to the password, with this value; `None` if the user is not there.
/// `is_inline` says whether the table of users is an inline one.
pub(super) fn set_beside_password(
    text: &str,
    users: &dyn TableLike,
    is_inline: bool,
    username: &str,
    (key, value): (&str, &str),
) -> Option<String> {
    let item = users.get(username)?;
    let user = item.as_table_like()?;
    if let Some(there) = user.get(key) {
        return Some(with(text, there.span()?, value));
    }
    let (password, end) = (user.get_key_value("password")?.0.span()?, user.get("password")?.span()?.end);
    let before = &text[..password.start];
    // Keys with dots: `messi.password = "…"`.
    let begin = before.rfind(['\n', ',', '{']).map_or(0, |at| at + 1);
    let prefix = before[begin..].trim_start_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
    let prefix = if before.trim_end().ends_with('.') { prefix } else { "" };
    let pair = format!("{prefix}{key} = {value}");
    let is_inline = is_inline || matches!(item, Item::Value(Value::InlineTable(_)));
    Some(if is_inline {
        with(text, end..end, &format!(", {pair}"))
    } else {
        with_line_after(text, end, &pair)
    })
}

/// The text with a line after the one in which a place is.
pub(super) fn with_line_after(text: &str, place: usize, line: &str) -> String {
    let at = line_end(text, place);
    let end = if text[..at].ends_with("\r\n") || (!text[..at].ends_with('\n') && text.contains("\r\n")) {
        "\r\n"
    } else {
        "\n"
    };
    let before = if text[..at].ends_with('\n') { "" } else { end };
    with(text, at..at, &format!("{before}{line}{end}"))
}

/// Where the lines of a place begin and end.
fn whole_lines(text: &str, place: &Range<usize>) -> (usize, usize) {
    (line_start(text, place.start), line_end(text, place.end))
}

fn line_start(text: &str, at: usize) -> usize {
    text[..at].rfind('\n').map_or(0, |end| end + 1)
}

fn line_end(text: &str, at: usize) -> usize {
    text[at..].find('\n').map_or(text.len(), |end| at + end + 1)
}

/// Where the comment right above a line begins, or else the line. What the file begins with is about all of it.
fn with_comment_above(text: &str, line: usize) -> usize {
    let mut begin = line;
    while begin > 0 {
        let above = line_start(text, begin - 1);
        if !text[above..begin].trim_start().starts_with('#') {
            return begin;
        }
        begin = above;
    }
    line
}
