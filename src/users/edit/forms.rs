//! What is written into the users file: users, decisions, removals.

use toml_edit::{Datetime, Document, InlineTable, Value};

use super::{
    super::lines::{with, with_line_after},
    NewUser, REMOVED,
};
use crate::{model::UserName, users::Decision};

/// TOML for a key that is a user name. With a dot in it, it would be two keys.
fn key_of(username: &UserName) -> String {
    if username.contains('.') { format!("\"{username}\"") } else { username.to_string() }
}

/// TOML for a text.
pub(super) fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// Puts a user's table at the end.
pub(super) fn append(text: &mut String, new: &NewUser) {
    let end = if text.contains("\r\n") { "\r\n" } else { "\n" };
    if !text.is_empty() {
        if !text.ends_with('\n') {
            text.push_str(end);
        }
        text.push_str(end);
    }
    let NewUser { username, name, country, hash, decision } = new;
    let mut line = |line: String| text.extend([line.as_str(), end]);
    line(format!("[users.{}]", key_of(username)));
    line(format!("name = {}", quoted(name)));
    if !country.is_empty() {
        line(format!("country = {}", quoted(country)));
    }
    line(format!("password = {}", quoted(hash)));
    if let Some(Decision { at, kind }) = decision {
        line(format!("{} = {at}", kind.key()));
    }
}

/// The text with the time at which a user was removed; `None` if the table of those has a form that is not changed in place.
pub(super) fn with_removed(
    text: &str,
    document: &Document<&str>,
    username: &UserName,
    at: &str,
) -> Option<String> {
    let line = format!("{} = {at}", key_of(username));
    let Some(removed) = document.get(REMOVED) else {
        let end = if text.contains("\r\n") { "\r\n" } else { "\n" };
        let separate = if text.is_empty() || text.ends_with('\n') { "" } else { end };
        let blank = if text.trim().is_empty() { "" } else { end };
        return Some(format!("{text}{separate}{blank}[{REMOVED}]{end}{line}{end}"));
    };
    let removed = removed.as_table()?;
    if let Some(item) = removed.get(username) {
        return Some(with(text, item.span()?, at));
    }
    let last = removed.iter().filter_map(|(_, item)| item.span()).map(|place| place.end).max()?;
    Some(with_line_after(text, last, &line))
}

/// Puts a user at the end of the inline table of users.
pub(super) fn insert(users: &mut InlineTable, new: &NewUser) {
    let NewUser { username, name, country, hash, decision } = new;
    let mut user = InlineTable::new();
    user.insert("name", name.as_str().into());
    if !country.is_empty() {
        user.insert("country", country.as_str().into());
    }
    user.insert("password", hash.as_str().into());
    if let Some(Decision { at, kind }) = decision
        && let Ok(at) = at.to_string().parse::<Datetime>()
    {
        user.insert(kind.key(), at.into());
    }
    let mut user = Value::from(user);
    // What stood between the last one and the closing brace stands there again.
    if let Some((_, last)) = users.iter_mut().last() {
        let suffix = last.decor().suffix().cloned().unwrap_or_default();
        last.decor_mut().set_suffix("");
        user.decor_mut().set_suffix(suffix);
    }
    users.insert(&**username, user);
}
