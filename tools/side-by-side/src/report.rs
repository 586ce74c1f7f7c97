//! Report in Markdown.

use std::fmt::Write;

use crate::{
    proxies::Role,
    record::{ProxyInfo, Record},
    scenario::Sheet,
};

/// Report with a description of the machine, and a table for each sheet.
pub(crate) fn markdown(record: &Record) -> String {
    let machine = &record.machine;
    let mut text = format!(
        "# Side by side\n\n\
         {}, {} cores, {:.0} GiB, Linux {}, {}, {}, commit {}. \
         Two workers for each proxy; medians of {} rounds, and the range of the first column.\n\n",
        machine.processor,
        machine.cores,
        machine.memory_gib,
        machine.kernel,
        machine.network,
        machine.date,
        machine.commit,
        record.rounds()
    );
    record.missing.iter().for_each(|line| text += &format!("**{line}**\n\n"));
    record.sheets.iter().for_each(|sheet| text += &table(record, sheet));
    text
}

fn table(record: &Record, sheet: &Sheet) -> String {
    let mut text = format!("## {}: {}\n\n| proxy | version |", sheet.name, sheet.heading);
    let mut rule = "\n| --- | --- |".to_owned();
    let baseline = baseline(record, sheet);
    for (at, column) in sheet.columns.iter().enumerate() {
        let _ = write!(text, " {} |", column.title);
        rule += " ---: |";
        if at == 0 {
            text += " min – max | ratio to the best peer |";
            rule += " ---: | ---: |";
            if let Some(other) = baseline {
                let _ = write!(text, " ratio to {} |", other.name);
                rule += " ---: |";
            }
        }
    }
    text = text + &rule + "\n";
    let best = best_peer(record, sheet);
    for proxy in &record.proxies {
        if let Some(cells) = cells(record, sheet, proxy, best) {
            let name =
                if proxy.role == Role::Gateway { format!("**{}**", proxy.name) } else { proxy.name.clone() };
            let _ = writeln!(text, "| {name} | {} | {} |", proxy.version, cells.join(" | "));
        }
    }
    text + "\n"
}

/// Cells of a proxy; `None` without a measurement.
fn cells(record: &Record, sheet: &Sheet, proxy: &ProxyInfo, best: Option<f64>) -> Option<Vec<String>> {
    if let Some(error) = record.failure(&sheet.name, &proxy.name) {
        return Some(vec![format!("failed: {}", error.replace('|', "\\|").replace('\n', " "))]);
    }
    let summary = |key: &str| record.summary(&sheet.name, &proxy.name, key);
    if record.unsupported(&sheet.name, &proxy.name) {
        return Some(vec!["not supported".to_owned()]);
    }
    sheet.columns.iter().find_map(|column| summary(&column.key))?;
    let mut cells = Vec::new();
    for (at, column) in sheet.columns.iter().enumerate() {
        let found = summary(&column.key);
        cells.push(found.map_or_else(|| "–".to_owned(), |found| number(found.median)));
        if at == 0 {
            let range = found.map(|found| format!("{} – {}", number(found.min), number(found.max)));
            let ratio = found.zip(best).map(|(found, best)| format!("{:.2}", found.median / best));
            cells.extend([range, ratio].map(|cell| cell.unwrap_or_else(|| "–".to_owned())));
            if let Some(other) = baseline(record, sheet) {
                let other = record.summary(&other.name, &proxy.name, &column.key);
                let ratio =
                    found.zip(other).map(|(found, other)| format!("{:.2}", found.median / other.median));
                cells.push(ratio.unwrap_or_else(|| "–".to_owned()));
            }
        }
    }
    Some(cells)
}

/// Sheet of the same work without HTTP/2, if it was measured too.
fn baseline<'a>(record: &'a Record, sheet: &Sheet) -> Option<&'a Sheet> {
    let name = sheet.baseline.as_ref()?;
    record.sheets.iter().find(|other| other.name == *name)
}

/// Smallest median of the first column among the peers.
fn best_peer(record: &Record, sheet: &Sheet) -> Option<f64> {
    let key = &sheet.columns.first()?.key;
    let peers = record.proxies.iter().filter(|proxy| proxy.role == Role::Peer);
    let medians = peers.filter_map(|peer| Some(record.summary(&sheet.name, &peer.name, key)?.median));
    medians.min_by(f64::total_cmp)
}

/// Formats a number with three significant digits, and commas between thousands.
pub(crate) fn number(value: f64) -> String {
    // The difference of two equal measurements may be slightly below zero.
    let value = if value.abs() < 0.000_05 { 0.0 } else { value };
    let digits = match value.abs() {
        0.0 => 0,
        100.0.. => 0,
        10.0.. => 1,
        1.0.. => 2,
        0.1.. => 3,
        _ => 4,
    };
    let plain = format!("{value:.digits$}");
    let (sign, unsigned) = plain.strip_prefix('-').map_or(("", plain.as_str()), |rest| ("-", rest));
    let (whole, fraction) =
        unsigned.split_once('.').map_or((unsigned, ""), |(whole, _)| (whole, &unsigned[whole.len()..]));
    let mut grouped = String::new();
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    format!("{sign}{grouped}{fraction}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        figures::{Column, Figures},
        machine::Machine,
        record::{Measurement, Outcome},
    };

    /// Record with two sheets, of which the first is the baseline of the second.
    fn record(outcomes: [Outcome; 2]) -> Record {
        let sheet = |(name, baseline): (&str, Option<&str>)| Sheet {
            name: name.to_owned(),
            heading: "work".to_owned(),
            columns: vec![Column::new("cpu", "CPU")],
            baseline: baseline.map(str::to_owned),
        };
        let sheets: Vec<_> = [("one", None), ("two", Some("one"))].map(sheet).into();
        let measurement = |(sheet, outcome): (&Sheet, Outcome)| Measurement {
            sheet: sheet.name.clone(),
            proxy: "peer".to_owned(),
            round: 1,
            outcome,
        };
        let measurements = sheets.iter().zip(outcomes).map(measurement).collect();
        let proxy = ProxyInfo { name: "peer".to_owned(), version: "1.0".to_owned(), role: Role::Peer };
        Record {
            machine: Machine::current(),
            proxies: vec![proxy],
            missing: Vec::new(),
            sheets,
            measurements,
        }
    }

    fn cpu(value: f64) -> Outcome {
        Outcome::Figures(Figures::from([("cpu".to_owned(), value)]))
    }

    #[test]
    fn a_sheet_with_a_baseline_has_the_ratio_to_it() {
        let record = record([cpu(10.0), cpu(7.0)]);
        assert!(table(&record, &record.sheets[0]).contains("| ratio to the best peer |\n"));
        let table = table(&record, &record.sheets[1]);
        assert!(table.contains(
            "| ratio to the best peer | ratio to one |\n| --- | --- | ---: | ---: | ---: | ---: |\n"
        ));
        assert!(table.ends_with("| peer | 1.0 | 7.00 | 7.00 – 7.00 | 1.00 | 0.70 |\n\n"), "{table}");
    }

    #[test]
    fn an_unsupported_scenario_is_not_a_failure() {
        let record = record([cpu(10.0), Outcome::Unsupported]);
        let table = table(&record, &record.sheets[1]);
        assert!(table.ends_with("| peer | 1.0 | not supported |\n\n"), "{table}");
    }

    #[test]
    fn numbers_have_three_significant_digits() {
        let cases = [
            (0.0, "0"),
            (-1e-9, "0"),
            (0.012_34, "0.0123"),
            (0.1234, "0.123"),
            (7.0, "7.00"),
            (12.34, "12.3"),
            (999.4, "999"),
            (12_345.6, "12,346"),
            (1_234_567.0, "1,234,567"),
            (-4.5, "-4.50"),
        ];
        for (value, text) in cases {
            assert_eq!(number(value), text);
        }
    }
}
