//! Text that does nothing to a terminal.

use std::{borrow::Cow, fmt::Write};

use crate::protocol::json::is_terminal_unsafe;

/// The text with characters escaped on which a terminal acts. Our server sends none of them, but this may be another one.
pub(super) fn visible(text: &str) -> Cow<'_, str> {
    if !text.contains(is_terminal_unsafe) {
        return text.into();
    }
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if is_terminal_unsafe(c) {
            write!(shown, "\\u{:04x}", u32::from(c)).expect("a String takes every character");
        } else {
            shown.push(c);
        }
    }
    shown.into()
}
