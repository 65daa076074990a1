//! The latency by percentile, as a diagram.

use std::{error::Error, fs, path::Path};

use hdrhistogram::Histogram;
use plotters::prelude::*;

use super::report::milliseconds;

/// Width and height in pixels.
const SIZE: (u32, u32) = (900, 420);

/// Points between a percentile and the one that is half as far from 100.
const TICKS: u32 = 5;

/// Draws a histogram of nanoseconds into a file.
///
/// # Errors
/// Why it cannot be written.
pub(super) fn draw(file: &Path, latency: &Histogram<u64>) -> Result<(), String> {
    let mut svg = String::new();
    draw_into(&mut svg, latency).map_err(|error| error.to_string())?;
    fs::write(file, svg).map_err(|error| error.to_string())
}

/// One message in so many takes longer, and how long the others take at most, in milliseconds.
fn points(latency: &Histogram<u64>) -> Vec<(f64, f64)> {
    let below_all = latency.iter_quantiles(TICKS).filter(|step| step.quantile() < 1.0);
    below_all.map(|step| (1.0 / (1.0 - step.quantile()), milliseconds(step.value_iterated_to()))).collect()
}

fn draw_into(svg: &mut String, latency: &Histogram<u64>) -> Result<(), Box<dyn Error>> {
    let points = points(latency);
    let rarest = points.last().map_or(10.0, |(x, _)| x.max(10.0));
    let longest = milliseconds(latency.max()).max(0.001);
    let root = SVGBackend::with_string(svg, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .caption("Latency by percentile", ("sans-serif", 17))
        .margin(12)
        .margin_right(30)
        .x_label_area_size(44)
        .y_label_area_size(76)
        .build_cartesian_2d((1.0..rarest).log_scale(), 0.0..longest * 1.05)?;
    chart
        .configure_mesh()
        .x_desc("percentile")
        .y_desc("ms")
        // A tenth is left at 90 %, a hundredth at 99 %.
        .x_label_formatter(&|x| format!("{} %", round(100.0 - 100.0 / x)))
        .light_line_style(TRANSPARENT)
        .draw()?;
    chart.draw_series(LineSeries::new(points, RGBColor(0, 114, 178).stroke_width(2)))?;
    root.present()?;
    drop(chart);
    Ok(())
}

/// Without the digits that floating point adds.
fn round(percent: f64) -> f64 {
    (percent * 1e6).round() / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_says_how_rare_a_latency_is() {
        let mut latency = Histogram::new(3).expect("3 digits");
        latency.auto(true);
        for i in 1..=1000 {
            latency.record(i * 1_000_000).expect("it fits");
        }
        let points = points(&latency);
        assert!(points.is_sorted(), "both grow: {points:?}");
        let (_, median) = points.iter().find(|(x, _)| *x >= 2.0).expect("the half");
        assert!((500.0..502.0).contains(median), "{median}");
        let mut svg = String::new();
        draw_into(&mut svg, &latency).expect("drawn");
        assert!(svg.contains("90 %") && svg.contains("99 %") && svg.contains("<polyline"), "{svg}");
    }

    #[test]
    fn nothing_measured_is_an_empty_diagram() {
        let mut svg = String::new();
        draw_into(&mut svg, &Histogram::new(3).expect("3 digits")).expect("drawn");
        assert!(svg.ends_with("</svg>\n"), "{svg}");
    }
}
