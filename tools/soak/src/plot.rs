//! Chart of memory and tunnels over time, as SVG.

use std::{fmt::Write, time::Duration};

use crate::{Sample, measure::mib, report::Report};

const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 180.0;
const LEFT: f64 = 72.0;
const RIGHT: f64 = 32.0;
const HEAD: f64 = 108.0;
const STEP: f64 = HEIGHT + 72.0;

const MEMORY: &str = "#c2410c";
const TUNNELS: &str = "#0f766e";
const INK: &str = "#1e293b";
const FAINT: &str = "#64748b";
const GRID: &str = "#e2e8f0";

/// Maximum number of points of a line; more would not be distinguishable.
const POINTS: usize = 600;

/// Chart with two panels on a white background.
pub(crate) fn svg(samples: &[Sample], load: Duration, report: &Report) -> String {
    let (sums, width, height) = (report.sums(), LEFT + WIDTH + RIGHT, 2.0f64.mul_add(STEP, HEAD));
    let subtitle = format!(
        "{} sessions, {} messages, {} MiB verified · {} expected failures, {} unexpected, {} with wrong bytes",
        sums.sessions,
        sums.messages,
        sums.bytes >> 20,
        sums.expected,
        sums.unexpected,
        sums.wrong
    );
    let panel = |title: &str, color: &str, top: f64, value: fn(&Sample) -> f64| {
        let points =
            samples.iter().map(|sample| (sample.at.as_secs_f64(), value(sample))).collect::<Vec<_>>();
        panel(title, color, top, &points, load.as_secs_f64())
    };
    let memory =
        panel("resident memory of the gateway, MiB", MEMORY, HEAD, |sample| mib(sample.resources.resident));
    let tunnels = panel("open tunnels", TUNNELS, HEAD + STEP, |sample| sample.resources.tunnels as f64);
    let title = match load.as_secs() {
        seconds @ 0..120 => format!("Soak test of {seconds} seconds"),
        seconds => format!("Soak test of {} minutes", seconds / 60),
    };
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
         height=\"{height}\" font-family=\"system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif\">\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"#ffffff\"/>\n{}{}{memory}{tunnels}</svg>\n",
        text(LEFT, 36.0, 20.0, INK, "font-weight=\"600\"", &title),
        text(LEFT, 58.0, 12.0, FAINT, "", &subtitle),
    )
}

fn panel(title: &str, color: &str, top: f64, points: &[(f64, f64)], load: f64) -> String {
    let end = points.last().map_or(1.0, |(at, _)| *at).max(1.0);
    let step = round(points.iter().map(|(_, value)| *value).fold(1.0, f64::max) / 4.0);
    let maximum = step * 4.0;
    let (x, y) = (|at: f64| LEFT + at / end * WIDTH, |value: f64| top + HEIGHT - value / maximum * HEIGHT);
    let mut svg = text(LEFT, top - 10.0, 14.0, INK, "font-weight=\"600\"", title);
    for line in 0..=4 {
        let value = f64::from(line) * step;
        svg += &rule((LEFT, y(value)), (LEFT + WIDTH, y(value)), GRID);
        svg += &text(LEFT - 8.0, y(value) + 4.0, 12.0, FAINT, "text-anchor=\"end\"", &value.to_string());
    }
    let minutes = round(end / 60.0 / 8.0);
    for mark in 0..=(end / 60.0 / minutes) as u32 {
        let at = f64::from(mark) * minutes;
        let label = format!("{:.*} min", usize::from(minutes.fract() > 0.0), at);
        svg += &text(x(at * 60.0), top + HEIGHT + 18.0, 12.0, FAINT, "text-anchor=\"middle\"", &label);
    }
    svg += &rule((x(load), top), (x(load), top + HEIGHT), FAINT);
    svg += &text(x(load) - 6.0, top + 14.0, 12.0, FAINT, "text-anchor=\"end\"", "end of load");
    let mut line = String::new();
    for (at, value) in thinned(points) {
        let _ = write!(line, "{:.1},{:.1} ", x(at), y(value));
    }
    let _ = writeln!(
        svg,
        "<polyline points=\"{}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"1.5\"/>",
        line.trim_end()
    );
    svg
}

/// Reduces the points to about [`POINTS`]: the maximum of each group of neighbours.
fn thinned(points: &[(f64, f64)]) -> impl Iterator<Item = (f64, f64)> {
    let size = points.len().div_ceil(POINTS).max(1);
    points.chunks(size).filter_map(|chunk| chunk.iter().copied().max_by(|(_, a), (_, b)| a.total_cmp(b)))
}

/// Rounds up to 1, 2, 2.5, 5 or 10 times a power of ten.
fn round(number: f64) -> f64 {
    let unit = 10.0f64.powf(number.max(0.01).log10().floor());
    let steps = [1.0, 2.0, 2.5, 5.0, 10.0];
    steps.iter().map(|step| step * unit).find(|step| *step >= number).unwrap_or(number)
}

fn rule((x1, y1): (f64, f64), (x2, y2): (f64, f64), stroke: &str) -> String {
    format!("<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" stroke=\"{stroke}\"/>\n")
}

/// Text element. `content` must need no escaping.
fn text(x: f64, y: f64, size: f64, fill: &str, more: &str, content: &str) -> String {
    format!("<text x=\"{x:.1}\" y=\"{y:.1}\" font-size=\"{size}\" fill=\"{fill}\" {more}>{content}</text>\n")
}
