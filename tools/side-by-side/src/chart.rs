//! Bar chart of a record: a panel for each sheet, a bar for each proxy.

use std::fmt::Write;

use crate::{proxies::Role, record::Record, report::number, scenario::Sheet};

const PANEL_WIDTH: f64 = 560.0;
const GAP: f64 = 40.0;
const MARGIN: f64 = 32.0;
const HEAD: f64 = 84.0;
/// Height of a panel's two lines of text.
const TITLE: f64 = 50.0;
const BAR: f64 = 20.0;
const STEP: f64 = 27.0;
/// Width of the names before the bars, and of the value after the longest bar.
const NAMES: f64 = 150.0;
const VALUES: f64 = 70.0;

const GATEWAY: &str = "#c2410c";
const PEER: &str = "#94a3b8";
const INK: &str = "#1e293b";
const FAINT: &str = "#64748b";

/// Bar with the name of its proxy. The value is an error if a measurement failed.
struct Bar {
    name: String,
    is_gateway: bool,
    value: Result<f64, ()>,
}

/// Chart with two panels in each row, on a white background.
pub(crate) fn svg(record: &Record) -> String {
    let panels: Vec<_> = record.sheets.iter().map(|sheet| (sheet, bars(record, sheet))).collect();
    let mut body = String::new();
    let mut y = HEAD;
    for row in panels.chunks(2) {
        let rows = row.iter().map(|(_, bars)| bars.len()).max().unwrap_or_default() as f64;
        for (at, (sheet, bars)) in row.iter().enumerate() {
            body += &panel(sheet, bars, MARGIN + at as f64 * (PANEL_WIDTH + GAP), y);
        }
        y += TITLE + rows * STEP + GAP;
    }
    let width = 2.0f64.mul_add(MARGIN, 2.0 * PANEL_WIDTH) + GAP;
    let machine = &record.machine;
    let subtitle = format!(
        "{}, {} cores, Linux {} · {} · two workers each · medians of {} rounds · {} · {}",
        machine.processor,
        machine.cores,
        machine.kernel,
        machine.network,
        record.rounds(),
        machine.date,
        machine.commit
    );
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {y}\" width=\"{width}\" height=\"{y}\" \
         font-family=\"system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif\">\n\
         <rect width=\"{width}\" height=\"{y}\" fill=\"#ffffff\"/>\n{}{}{body}</svg>\n",
        text(
            MARGIN,
            40.0,
            20.0,
            INK,
            "font-weight=\"600\"",
            "WebSocket proxies side by side: shorter is better"
        ),
        text(MARGIN, 62.0, 12.0, FAINT, "", &subtitle),
    )
}

/// Bars of the first column, for all proxies but `direct`.
fn bars(record: &Record, sheet: &Sheet) -> Vec<Bar> {
    let Some(column) = sheet.columns.first() else { return Vec::new() };
    let bar = |proxy: &crate::record::ProxyInfo| {
        let summary = record.summary(&sheet.name, &proxy.name, &column.key);
        let failed = record.failure(&sheet.name, &proxy.name).is_some();
        let value = match summary {
            Some(summary) => Ok(summary.median),
            None if failed => Err(()),
            None => return None,
        };
        Some(Bar { name: proxy.name.clone(), is_gateway: proxy.role == Role::Gateway, value })
    };
    record.proxies.iter().filter(|it| it.role != Role::Direct).filter_map(bar).collect()
}

fn panel(sheet: &Sheet, bars: &[Bar], x: f64, y: f64) -> String {
    let unit = sheet.columns.first().map(|column| column.title.as_str()).unwrap_or_default();
    let mut svg = text(x, y + 14.0, 15.0, INK, "font-weight=\"600\"", &format!("{}: {unit}", sheet.name));
    svg += &text(x, y + 32.0, 12.0, FAINT, "", &sheet.heading);
    let longest = bars.iter().filter_map(|bar| bar.value.ok()).fold(f64::MIN_POSITIVE, f64::max);
    for (at, bar) in bars.iter().enumerate() {
        let top = (at as f64).mul_add(STEP, y + TITLE - 6.0);
        let base = top + BAR * 0.72;
        let weight = if bar.is_gateway { "font-weight=\"600\"" } else { "" };
        svg += &text(x + NAMES - 10.0, base, 13.0, INK, &format!("text-anchor=\"end\" {weight}"), &bar.name);
        let Ok(value) = bar.value else {
            svg += &text(x + NAMES, base, 13.0, FAINT, "font-style=\"italic\"", "failed");
            continue;
        };
        let length = ((PANEL_WIDTH - NAMES - VALUES) * value.max(0.0) / longest).max(1.0);
        let fill = if bar.is_gateway { GATEWAY } else { PEER };
        let _ = writeln!(
            svg,
            "<rect x=\"{:.1}\" y=\"{top:.1}\" width=\"{length:.1}\" height=\"{BAR}\" rx=\"2\" fill=\"{fill}\"/>",
            x + NAMES
        );
        svg += &text(x + NAMES + length + 8.0, base, 13.0, INK, weight, &number(value));
    }
    svg
}

fn text(x: f64, y: f64, size: f64, fill: &str, more: &str, content: &str) -> String {
    let content = escaped(content);
    format!("<text x=\"{x:.1}\" y=\"{y:.1}\" font-size=\"{size}\" fill=\"{fill}\" {more}>{content}</text>\n")
}

fn escaped(content: &str) -> String {
    content.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    #[test]
    fn markup_in_text_is_escaped() {
        assert_eq!(super::escaped("a<b> & \"c\""), "a&lt;b&gt; &amp; &quot;c&quot;");
    }
}
