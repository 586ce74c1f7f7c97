//! The record as Markdown.

use std::fmt::Write;

use crate::{
    proxies::Side,
    record::{Contestant, Record},
    scenario::Sheet,
};

/// A head, and a table for each sheet.
pub(crate) fn markdown(record: &Record) -> String {
    let machine = &record.machine;
    let mut text = format!(
        "# Side by side\n\n\
         {}, {} cores, {:.0} GiB, Linux {}, {}, {}, commit {}. \
         Each proxy with two workers; medians of {} rounds, and the range of the first column.\n\n",
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
    let beside = beside(record, sheet);
    for (at, column) in sheet.columns.iter().enumerate() {
        let _ = write!(text, " {} |", column.title);
        rule += " ---: |";
        if at == 0 {
            text += " min – max | ratio to the best peer |";
            rule += " ---: | ---: |";
            if let Some(other) = beside {
                let _ = write!(text, " of {} |", other.name);
                rule += " ---: |";
            }
        }
    }
    text = text + &rule + "\n";
    let best = best_peer(record, sheet);
    for contestant in &record.contestants {
        if let Some(cells) = cells(record, sheet, contestant, best) {
            let name = if contestant.side == Side::Ours {
                format!("**{}**", contestant.name)
            } else {
                contestant.name.clone()
            };
            let _ = writeln!(text, "| {name} | {} | {} |", contestant.version, cells.join(" | "));
        }
    }
    text + "\n"
}

/// None for who did not take part.
fn cells(record: &Record, sheet: &Sheet, contestant: &Contestant, best: Option<f64>) -> Option<Vec<String>> {
    if let Some(why) = record.failure(&sheet.name, &contestant.name) {
        return Some(vec![format!("failed: {}", why.replace('|', "\\|").replace('\n', " "))]);
    }
    let summary = |key: &str| record.summary(&sheet.name, &contestant.name, key);
    if record.unsupported(&sheet.name, &contestant.name) {
        return Some(vec!["not supported".to_owned()]);
    }
    sheet.columns.iter().find_map(|column| summary(&column.key))?;
    let mut cells = Vec::new();
    for (at, column) in sheet.columns.iter().enumerate() {
        let found = summary(&column.key);
        cells.push(found.map_or_else(|| "–".to_owned(), |found| number(found.median)));
        if at == 0 {
            let range = found.map(|found| format!("{} – {}", number(found.least), number(found.most)));
            let ratio = found.zip(best).map(|(found, best)| format!("{:.2}", found.median / best));
            cells.extend([range, ratio].map(|cell| cell.unwrap_or_else(|| "–".to_owned())));
            if let Some(other) = beside(record, sheet) {
                let other = record.summary(&other.name, &contestant.name, &column.key);
                let ratio =
                    found.zip(other).map(|(found, other)| format!("{:.2}", found.median / other.median));
                cells.push(ratio.unwrap_or_else(|| "–".to_owned()));
            }
        }
    }
    Some(cells)
}

/// The sheet that this one is to be read beside, if that was measured too.
fn beside<'a>(record: &'a Record, sheet: &Sheet) -> Option<&'a Sheet> {
    let name = sheet.beside.as_ref()?;
    record.sheets.iter().find(|other| other.name == *name)
}

/// The smallest median of the first column among the peers.
fn best_peer(record: &Record, sheet: &Sheet) -> Option<f64> {
    let key = &sheet.columns.first()?.key;
    let peers = record.contestants.iter().filter(|contestant| contestant.side == Side::Peer);
    let medians = peers.filter_map(|peer| Some(record.summary(&sheet.name, &peer.name, key)?.median));
    medians.min_by(f64::total_cmp)
}

/// Three significant digits, thousands set apart.
pub(crate) fn number(value: f64) -> String {
    // A difference of two that are equal may come out a little below zero.
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
    let mut apart = String::new();
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at) % 3 == 0 {
            apart.push(',');
        }
        apart.push(digit);
    }
    format!("{sign}{apart}{fraction}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        figures::{Column, Figures},
        machine::Machine,
        record::{Measurement, Outcome},
    };

    /// Two sheets, the second to be read beside the first.
    fn record(outcomes: [Outcome; 2]) -> Record {
        let sheet = |(name, beside): (&str, Option<&str>)| Sheet {
            name: name.to_owned(),
            heading: "done".to_owned(),
            columns: vec![Column::new("cpu", "CPU")],
            beside: beside.map(str::to_owned),
        };
        let sheets: Vec<_> = [("one", None), ("two", Some("one"))].map(sheet).into();
        let measurement = |(sheet, outcome): (&Sheet, Outcome)| Measurement {
            sheet: sheet.name.clone(),
            proxy: "peer".to_owned(),
            round: 1,
            outcome,
        };
        let measurements = sheets.iter().zip(outcomes).map(measurement).collect();
        let contestant = Contestant { name: "peer".to_owned(), version: "1.0".to_owned(), side: Side::Peer };
        Record {
            machine: Machine::here(),
            contestants: vec![contestant],
            missing: Vec::new(),
            sheets,
            measurements,
        }
    }

    fn cpu(value: f64) -> Outcome {
        Outcome::Figures(Figures::from([("cpu".to_owned(), value)]))
    }

    #[test]
    fn a_sheet_beside_another_has_the_ratio_to_it() {
        let record = record([cpu(10.0), cpu(7.0)]);
        assert!(table(&record, &record.sheets[0]).contains("| ratio to the best peer |\n"));
        let table = table(&record, &record.sheets[1]);
        assert!(
            table
                .contains("| ratio to the best peer | of one |\n| --- | --- | ---: | ---: | ---: | ---: |\n")
        );
        assert!(table.ends_with("| peer | 1.0 | 7.00 | 7.00 – 7.00 | 1.00 | 0.70 |\n\n"), "{table}");
    }

    #[test]
    fn what_a_proxy_cannot_do_is_no_failure() {
        let record = record([cpu(10.0), Outcome::Unsupported]);
        let table = table(&record, &record.sheets[1]);
        assert!(table.ends_with("| peer | 1.0 | not supported |\n\n"), "{table}");
    }

    #[test]
    fn numbers_have_three_digits_that_count() {
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
