//! Draws how costs grow with the function, a panel for each shape.

use plotters::coord::Shift;
use plotters::prelude::*;
use std::error::Error;
use std::ops::Range;
use std::path::Path;

/// The width and the height of one panel, in pixels.
const PANEL: (u32, u32) = (400, 300);

/// Panels side by side.
const COLUMNS: usize = 3;

/// The passes in one colour, upstream in the other; they differ in grey too.
const PASSES: RGBColor = RGBColor(0, 90, 160);
const UPSTREAM: RGBColor = RGBColor(230, 130, 20);

/// What was counted of one shape: sizes, and instructions retired for each instruction of the
/// function.
pub struct Panel {
    /// The name of the shape.
    pub name: &'static str,
    /// By the passes.
    pub passes: Vec<(f64, f64)>,
    /// By upstream's egraph pass with its alias analysis, on the same function.
    pub upstream: Vec<(f64, f64)>,
}

/// Writes all panels to `path`, with the same axes.
///
/// # Errors
///
/// A file that cannot be written.
pub fn write(path: &Path, panels: &[Panel]) -> Result<(), Box<dyn Error>> {
    let rows = panels.len().div_ceil(COLUMNS);
    let size = (PANEL.0 * COLUMNS as u32, PANEL.1 * rows as u32);
    let root = SVGBackend::new(path, size).into_drawing_area();
    root.fill(&WHITE)?;
    let points = || {
        let lines = panels.iter().flat_map(|it| [&it.passes, &it.upstream]);
        lines.flatten().copied()
    };
    let sizes = range(points().map(|(size, _)| size));
    let costs = range(points().map(|(_, cost)| cost));
    // Room for what the lines are.
    let costs = costs.start..costs.end * 10.0;
    for (panel, area) in panels.iter().zip(root.split_evenly((rows, COLUMNS))) {
        draw(panel, &area, sizes.clone(), costs.clone())?;
    }
    root.present()?;
    Ok(())
}

/// From the least to the greatest, with some room.
fn range(values: impl Iterator<Item = f64> + Clone) -> Range<f64> {
    let least = values.clone().fold(f64::INFINITY, f64::min);
    let greatest = values.fold(1.0, f64::max);
    least.min(greatest) / 1.2..greatest * 1.2
}

/// A power of ten as such; nothing for what is between two of them.
fn power(value: &f64) -> String {
    let exponent = value.log10();
    match (exponent - exponent.round()).abs() < 1e-6 {
        true => format!("10^{exponent:.0}"),
        false => String::new(),
    }
}

fn draw(
    panel: &Panel,
    area: &DrawingArea<SVGBackend<'_>, Shift>,
    sizes: Range<f64>,
    costs: Range<f64>,
) -> Result<(), Box<dyn Error>> {
    let mut chart = ChartBuilder::on(area)
        .caption(panel.name, ("sans-serif", 18))
        .margin(8)
        .x_label_area_size(32)
        .y_label_area_size(56)
        .build_cartesian_2d(sizes.log_scale(), costs.log_scale())?;
    chart
        .configure_mesh()
        .x_desc("instructions of the function")
        .y_desc("retired for each")
        .x_labels(5)
        .y_labels(5)
        .x_label_formatter(&power)
        .y_label_formatter(&power)
        .light_line_style(WHITE)
        .draw()?;
    let lines = [
        (&panel.passes, PASSES, "the passes"),
        (&panel.upstream, UPSTREAM, "upstream's egraph pass"),
    ];
    for (line, colour, label) in lines {
        let style = colour.stroke_width(2);
        chart
            .draw_series(LineSeries::new(line.iter().copied(), style).point_size(3))?
            .label(label)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], style));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperRight)
        .background_style(WHITE.mix(0.8))
        .draw()?;
    Ok(())
}
