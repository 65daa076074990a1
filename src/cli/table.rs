//! Tables and times, as people read them.

use jiff::{Timestamp as Instant, ZonedDateTime, tz::TimeZone};
use unicode_width::UnicodeWidthStr;

use super::visible;
use crate::model::Timestamp;

/// Rows of texts, in columns that are as wide as needed.
pub(super) struct Table<const N: usize> {
    rows: Vec<[String; N]>,
}

impl<const N: usize> Table<N> {
    pub(super) fn new(head: [&str; N]) -> Self {
        Table { rows: vec![head.map(str::to_owned)] }
    }

    pub(super) fn add(&mut self, row: [String; N]) {
        self.rows.push(row.map(|cell| visible(&cell).into_owned()));
    }

    /// The lines. Columns are two spaces apart, and lines end without spaces.
    pub(super) fn lines(&self) -> impl Iterator<Item = String> {
        let mut widths = [0; N];
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = cell.width().max(*width);
            }
        }
        self.rows.iter().map(move |row| {
            let mut line = String::new();
            for (width, cell) in widths.iter().zip(row) {
                line.push_str(cell);
                line.extend(std::iter::repeat_n(' ', width - cell.width() + 2));
            }
            line.truncate(line.trim_end().len());
            line
        })
    }
}

/// A time in the time zone of the system, as `2026-11-28 07:58:12`.
pub(super) fn local_time(at: Timestamp) -> impl std::fmt::Display {
    local(at).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// A time in the time zone of the system.
pub(super) fn local(at: Timestamp) -> ZonedDateTime {
    Instant::from_millisecond(at.0).unwrap_or(Instant::MAX).to_zoned_datetime(TimeZone::system())
}
