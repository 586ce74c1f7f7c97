//! Report in Markdown.

use std::{fs, path::Path};

use crate::{Result, scenario::Outcome};

/// Table, checks and notes of a scenario.
pub(crate) fn markdown(outcome: &Outcome) -> String {
    let sheet = match outcome {
        Outcome::Measured(sheet) => sheet,
        Outcome::Skipped(reason) => return format!("!! SKIPPED: {reason}\n"),
    };
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let header: Vec<String> = sheet.columns.iter().map(ToString::to_string).collect();
    let mut rule = vec!["---:".to_owned(); header.len()];
    rule[0] = "---".to_owned();
    let mut text = line(&header) + &line(&rule);
    sheet.rows.iter().for_each(|row| text += &line(row));
    text += "\n";
    let (holding, failed): (Vec<_>, Vec<_>) = sheet.checks.iter().partition(|check| check.holds);
    text += &format!("- {} of {} checks hold\n", holding.len(), sheet.checks.len());
    for check in failed {
        text += &format!("- **FAILED**: {}\n", check.text);
    }
    for note in &sheet.notes {
        text += &format!("- {note}\n");
    }
    text
}

/// Replaces the text between the markers of the scenario.
pub(crate) fn write(file: &Path, name: &str, text: &str) -> Result<()> {
    let named = |error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
    let old = fs::read_to_string(file).map_err(|error| named(&error))?;
    let new = replace(&old, name, text).map_err(|error| named(&error))?;
    Ok(fs::write(file, new).map_err(|error| named(&error))?)
}

fn replace(document: &str, name: &str, text: &str) -> Result<String, String> {
    let (begin, end) = (format!("<!-- figures of {name} -->"), format!("<!-- end of {name} -->"));
    let missing = || format!("no {begin} and {end}");
    let (before, rest) = document.split_once(&begin).ok_or_else(missing)?;
    let (_, after) = rest.split_once(&end).ok_or_else(missing)?;
    Ok(format!("{before}{begin}\n\n{}\n\n{end}{after}", text.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::Sheet;

    #[test]
    fn text_between_the_markers_is_replaced() {
        let old = "a\n<!-- figures of ramp -->\n\nold\n\n<!-- end of ramp -->\nb";
        let new = replace(old, "ramp", "new\n").unwrap();
        assert_eq!(new, old.replace("old", "new"));
        assert!(replace(old, "drain", "new").is_err());
    }

    #[test]
    fn a_failed_check_is_visible() {
        let mut sheet = Sheet::new(&["tunnels", "time"]);
        sheet.row(["1".to_owned(), "2 s".to_owned()]);
        sheet.check(false, "exit code 1".to_owned());
        let expected = "| tunnels | time |\n| --- | ---: |\n| 1 | 2 s |\n\n- 0 of 1 checks hold\n- **FAILED**: exit code 1\n";
        assert_eq!(markdown(&Outcome::Measured(sheet)), expected);
    }
}
