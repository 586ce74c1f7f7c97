//! docs/nginx.md has exactly the tested set-ups and differences.

use std::collections::BTreeSet;

use crate::case::Case;

const PAGE: &str = include_str!("../../docs/nginx.md");

/// The heading of the table of differences.
const TABLE: &str = "## Differences";

macro_rules! files {
    ($($name:literal),*) => { [$(($name, include_str!(concat!("../nginx/", $name)))),*] };
}

/// Each block equals the file that the comment before it names, and each file has its block.
pub(crate) fn every_block_is_the_tested_file() {
    let files = files![
        "a.conf",
        "a.rs",
        "b.conf",
        "b.rs",
        "c.conf",
        "c.rs",
        "cache.rs",
        "d.conf",
        "d.rs",
        "e.conf",
        "e.rs",
        "f.conf",
        "f.rs",
        "pitfalls.conf"
    ];
    for (name, text) in files {
        let marker = format!("<!-- tests/nginx/{name} -->\n");
        let (_, rest) = PAGE.split_once(&marker).unwrap_or_else(|| panic!("no block of {name}"));
        let language = if name.ends_with(".rs") { "rust" } else { "nginx" };
        let block = rest.strip_prefix(&format!("```{language}\n")).expect("a block follows its comment");
        let (block, _) = block.split_once("```\n").expect("a block has an end");
        assert_eq!(block, text, "the block of {name}");
    }
    assert_eq!(PAGE.matches("<!-- tests/nginx/").count(), files.len());
}

/// The rows of the table are the reasons of the cases.
pub(crate) fn every_difference_has_its_row(cases: &[Case]) {
    let reasons: BTreeSet<&str> = cases.iter().flat_map(Case::rows).collect();
    assert_eq!(rows(), reasons.into_iter().collect::<Vec<_>>(), "rows of the page; reasons of the cases");
}

/// The first cells of the table, sorted.
fn rows() -> Vec<&'static str> {
    let (_, table) = PAGE.split_once(TABLE).expect("the page has a table of differences");
    let lines =
        table.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    let mut rows: Vec<_> = lines.skip(2).filter_map(|line| line.split('|').nth(1)).map(str::trim).collect();
    rows.sort_unstable();
    rows
}

/// There are at least forty requests, and no two cases with one name.
pub(crate) fn there_are_enough_requests_with_unique_names(cases: &[Case]) {
    let names: BTreeSet<_> = cases.iter().map(Case::title).collect();
    assert_eq!(names.len(), cases.len(), "a name is used twice");
    assert!(cases.iter().map(Case::requests).sum::<usize>() >= 40);
}
