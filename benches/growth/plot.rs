//! Plots as SVG: panels below each other, each with its legend beside it.

use std::{error::Error, ops::Range, path::Path};

use plotters::{
    coord::{
        Shift,
        ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter},
    },
    element::DashedPathElement,
    prelude::*,
    series::DashedLineSeries,
};

use crate::{bench::Result, grid::grouped};

const WIDTH: u32 = 900;
const HEIGHT: u32 = 320;
const LEGEND: u32 = 230;

/// Colours that people who see few can tell apart, too.
const COLORS: [RGBColor; 6] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(80, 80, 80),
];

/// One diagram.
pub(crate) struct Panel {
    pub(crate) title: &'static str,
    pub(crate) x: X,
    pub(crate) y: Y,
    pub(crate) lines: Vec<Line>,
}

/// The axis of what grows: a logarithmic one, with a mark for each value.
#[derive(Clone)]
pub(crate) struct X {
    pub(crate) label: &'static str,
    pub(crate) marks: Vec<(f64, String)>,
}

/// The axis of what was measured: from 0, or logarithmic.
pub(crate) enum Y {
    Linear(&'static str),
    Log(&'static str),
}

/// One row of points.
pub(crate) struct Line {
    name: String,
    points: Vec<(f64, f64)>,
    is_limit: bool,
}

impl Line {
    pub(crate) fn ours(name: impl Into<String>, points: Vec<(f64, f64)>) -> Self {
        Line { name: name.into(), points, is_limit: false }
    }

    /// It is drawn with dashes.
    pub(crate) fn limit(name: impl Into<String>, points: Vec<(f64, f64)>) -> Self {
        Line { name: name.into(), points, is_limit: true }
    }
}

/// Draws them into a file.
pub(crate) fn draw(path: &Path, panels: &[Panel]) -> Result<()> {
    let height = HEIGHT * u32::try_from(panels.len())?;
    let root = SVGBackend::new(path, (WIDTH, height)).into_drawing_area();
    let failed = |error: Box<dyn Error>| format!("{}: {error}", path.display());
    root.fill(&WHITE)?;
    for (area, panel) in root.split_evenly((panels.len(), 1)).iter().zip(panels) {
        draw_panel(area, panel).map_err(failed)?;
    }
    root.present()?;
    Ok(())
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

fn draw_panel(area: &Area<'_>, panel: &Panel) -> std::result::Result<(), Box<dyn Error>> {
    let (diagram, legend) = area.split_horizontally(WIDTH - LEGEND);
    let (label, y) = panel.y.scale(&panel.lines);
    let mut chart = ChartBuilder::on(&diagram)
        .caption(panel.title, ("sans-serif", 17))
        .margin(12)
        .margin_right(24)
        .x_label_area_size(44)
        .y_label_area_size(76)
        .build_cartesian_2d(panel.x.scale(), y)?;
    chart
        .configure_mesh()
        .x_desc(panel.x.label)
        .y_desc(label)
        .bold_line_style(RGBColor(220, 220, 220))
        .light_line_style(TRANSPARENT)
        .label_style(("sans-serif", 13))
        .axis_desc_style(("sans-serif", 14))
        .draw()?;
    for ((line, color), place) in panel.lines.iter().zip(COLORS).zip(0..) {
        let style = color.stroke_width(2);
        if line.is_limit {
            chart.draw_series(DashedLineSeries::new(line.points.iter().copied(), 6, 4, style))?;
        } else {
            chart.draw_series(LineSeries::new(line.points.iter().copied(), style))?;
        }
        chart.draw_series(line.points.iter().map(|point| Circle::new(*point, 4, color.filled())))?;
        let (x, y) = (4, 52 + 22 * place);
        let key = [(x, y), (x + 30, y)];
        if line.is_limit {
            legend.draw(&DashedPathElement::new(key, 6, 4, style))?;
        } else {
            legend.draw(&PathElement::new(key, style))?;
        }
        legend.draw(&Circle::new((x + 15, y), 4, color.filled()))?;
        legend.draw(&Text::new(line.name.clone(), (x + 38, y - 7), ("sans-serif", 14)))?;
    }
    Ok(())
}

/// An axis with marks of one's own.
struct Scale {
    low: f64,
    high: f64,
    is_log: bool,
    marks: Vec<(f64, String)>,
}

impl X {
    fn scale(&self) -> Scale {
        let (least, most) = bounds(self.marks.iter().map(|(at, _)| *at));
        // Room for the points at both ends.
        let room = (most / least).powf(0.05);
        Scale { low: least / room, high: most * room, is_log: true, marks: self.marks.clone() }
    }
}

impl Y {
    fn scale(&self, lines: &[Line]) -> (&'static str, Scale) {
        let values = || lines.iter().flat_map(|line| line.points.iter().map(|(_, y)| *y));
        match self {
            Y::Linear(label) => {
                let (_, most) = bounds(values());
                let rough = most / 7.0;
                let decade = 10_f64.powf(rough.log10().floor());
                let steps = [1.0, 2.0, 2.5, 5.0, 10.0].map(|step| step * decade);
                let step = steps.into_iter().find(|step| *step >= rough).unwrap_or(rough);
                let marks = (0..10).map(|n| f64::from(n) * step).filter(|at| *at <= most * 1.25);
                let marks = marks.map(|at| (at, short(at))).collect();
                (label, Scale { low: 0.0, high: most * 1.08, is_log: false, marks })
            }
            Y::Log(label) => {
                let (least, most) = bounds(values().filter(|y| *y > 0.0));
                let (low, high) = (10_f64.powf(least.log10().floor()), 10_f64.powf(most.log10().ceil()));
                let (low, high) = (low, if high > low { high } else { low * 10.0 });
                let decades = (-9..12).map(|n| 10_f64.powi(n));
                let marks = decades.filter(|at| (low * 0.99..=high * 1.01).contains(at));
                let marks = marks.map(|at| (at, short(at))).collect();
                (label, Scale { low, high, is_log: true, marks })
            }
        }
    }
}

fn bounds(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (least, most) =
        values.fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), at| (least.min(at), most.max(at)));
    if least <= most { (least, most.max(1e-9)) } else { (1.0, 10.0) }
}

/// A number for a mark: without digits that are 0.
fn short(value: f64) -> String {
    if value >= 1000.0 { grouped(&format!("{value:.0}")) } else { format!("{}", (value * 1e6).round() / 1e6) }
}

impl Ranged for Scale {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    #[expect(clippy::cast_possible_truncation, reason = "pixels")]
    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        let place = |value: f64| if self.is_log { value.max(1e-12).log10() } else { value };
        let part = (place(*value) - place(self.low)) / (place(self.high) - place(self.low));
        limit.0 + (f64::from(limit.1 - limit.0) * part).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, _: Hint) -> Vec<f64> {
        let shown = self.marks.iter().map(|(at, _)| *at);
        shown.filter(|at| (self.low..=self.high).contains(at)).collect()
    }

    fn range(&self) -> Range<f64> {
        self.low..self.high
    }
}

impl ValueFormatter<f64> for Scale {
    #[expect(clippy::float_cmp, reason = "it is one of the marks")]
    fn format_ext(&self, value: &f64) -> String {
        self.marks.iter().find(|(at, _)| at == value).map_or(String::new(), |(_, label)| label.clone())
    }
}
