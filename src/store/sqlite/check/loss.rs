//! Whether something is lost that was there before.

use rusqlite::Transaction;

use super::{super::marks::Marks, Report};

/// Compares what there is with what there was, if the marks are of this file.
pub(super) fn compare(transaction: &Transaction<'_>, marks: &Marks, report: &mut Report) {
    let count =
        |sql: &str| transaction.query_row(sql, [], |row| row.get::<_, i64>(0)).map_or(0, i64::cast_unsigned);
    let file = transaction.query_row("SELECT id FROM file", [], |row| row.get(0));
    let found = Marks {
        messages: count("SELECT max(indexed, (SELECT coalesce(max(id), 0) FROM messages)) FROM state"),
        cursors: count("SELECT max(folded, (SELECT coalesce(max(seq), 0) FROM cursors)) FROM state"),
        stays: count("SELECT count(*) FROM stays"),
        names: count("SELECT count(*) FROM names"),
        ..*marks
    };
    if let Some(lack) = marks.lack(&found).filter(|_| marks.is_synced && file == Ok(marks.file)) {
        report.problem(format!("something is lost: {lack}"));
    }
}
