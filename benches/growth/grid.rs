//! A table of medians.

use std::collections::HashMap;

/// Rows of what grows, columns of what was measured, some values in each cell.
pub(crate) struct Grid {
    first: &'static str,
    rows: Vec<String>,
    columns: Vec<&'static str>,
    values: HashMap<(usize, &'static str), Vec<f64>>,
}

impl Grid {
    pub(crate) fn new(
        first: &'static str,
        rows: impl IntoIterator<Item = String>,
        columns: &[&'static str],
    ) -> Self {
        let rows = rows.into_iter().collect();
        Grid { first, rows, columns: columns.to_vec(), values: HashMap::new() }
    }

    /// One more value for a cell.
    pub(crate) fn add(&mut self, row: usize, column: &'static str, value: f64) {
        assert!(row < self.rows.len() && self.columns.contains(&column), "no cell {row}, {column}");
        self.values.entry((row, column)).or_default().push(value);
    }

    /// The value of the last round.
    pub(crate) fn last(&self, row: usize, column: &'static str) -> Option<f64> {
        self.values.get(&(row, column))?.last().copied()
    }

    /// The medians of a column at these places of an axis.
    pub(crate) fn points(&self, column: &'static str, axis: &[f64]) -> Vec<(f64, f64)> {
        let at = |(row, x): (usize, &f64)| Some((*x, median(self.values.get(&(row, column))?)));
        axis.iter().enumerate().filter_map(at).collect()
    }

    /// The medians of a row in these columns, at these places of an axis.
    pub(crate) fn across(&self, row: usize, columns: &[&'static str], axis: &[f64]) -> Vec<(f64, f64)> {
        let at = |(x, column): (&f64, &&'static str)| Some((*x, median(self.values.get(&(row, *column))?)));
        axis.iter().zip(columns).filter_map(at).collect()
    }

    /// Ratios (columns that begin with "of ") are shown with the least and the most of all rounds.
    pub(crate) fn markdown(&self) -> String {
        let mut text = format!("| {} | {} |\n", self.first, self.columns.join(" | "));
        text.extend(["|---|", &"---:|".repeat(self.columns.len()), "\n"]);
        for (row, name) in self.rows.iter().enumerate() {
            let cells: Vec<_> = self.columns.iter().map(|column| self.cell(row, column)).collect();
            text.extend(["| ", name, " | ", &cells.join(" | "), " |\n"]);
        }
        text
    }

    fn cell(&self, row: usize, column: &'static str) -> String {
        let Some(values) = self.values.get(&(row, column)) else {
            return "–".to_owned();
        };
        let middle = figure(median(values));
        if !column.starts_with("of ") || values.len() == 1 {
            return middle;
        }
        let least = values.iter().copied().fold(f64::INFINITY, f64::min);
        let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        format!("{middle} ({}–{})", figure(least), figure(most))
    }
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (below, above) = (sorted[(sorted.len() - 1) / 2], sorted[sorted.len() / 2]);
    f64::midpoint(below, above)
}

/// A number with as many digits as say something.
pub(crate) fn figure(value: f64) -> String {
    match value.abs() {
        1000.0.. => grouped(&format!("{value:.0}")),
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// With a comma before each three digits.
pub(crate) fn grouped(digits: &str) -> String {
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
