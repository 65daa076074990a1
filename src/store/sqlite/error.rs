//! Errors for data in the file that this program would never have written.

/// Returns an error for damaged data; `what` describes it and goes to the log and to `chat-server check`.
pub(super) fn damaged(what: String) -> rusqlite::Error {
    rusqlite::Error::ToSqlConversionFailure(what.into())
}

/// Whether an error is about the content of a row, and not about the file: other rows can be read and written.
pub(super) fn is_damaged_row(error: &rusqlite::Error) -> bool {
    error.sqlite_error().is_none()
}
