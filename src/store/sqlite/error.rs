//! Errors for data in the file that this program would never have written.

/// Returns an error for damaged data; `what` describes it and goes to the log and to `chat-server check`.
pub(super) fn damaged(what: String) -> rusqlite::Error {
    rusqlite::Error::ToSqlConversionFailure(what.into())
}
