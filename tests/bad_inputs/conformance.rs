//! Checks of docs/conformance.md: every row and every clause has tests, and the named tests exist.

use std::{
    fs,
    ops::RangeInclusive,
    path::{Path, PathBuf},
};

/// The first and last row of each section, by its letter. Numbers may be missing.
const ROWS: &[(char, RangeInclusive<usize>)] = &[
    ('A', 1..=8),
    ('B', 1..=11),
    ('C', 1..=4),
    ('D', 1..=14),
    ('E', 1..=7),
    ('F', 1..=4),
    ('G', 1..=17),
    ('J', 1..=11),
    ('K', 1..=9),
    ('L', 1..=9),
];

/// A line of a table: its cells.
type Row = Vec<String>;

/// The folder of the workspace.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Returns the rows of the table in the section whose heading begins with `heading`.
fn table(heading: &str) -> Vec<Row> {
    let guide = read(&root().join("docs/conformance.md"));
    let section = guide.split("\n## ").find(|section| section.starts_with(heading));
    let section = section.unwrap_or_else(|| panic!("no section {heading:?}"));
    let lines = section.lines().filter(|line| line.starts_with('|')).skip(2);
    // A bar within a cell is escaped.
    lines
        .map(|line| {
            let cells = line.replace("\\|", "\u{0}");
            let cells = cells.trim_matches('|').split('|');
            cells.map(|cell| cell.trim().replace('\u{0}', "|")).collect()
        })
        .collect()
}

/// Returns the names in backticks.
fn named(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

/// Returns the source files that `path` may refer to: a path below `src`, or a file of this or another
/// program.
fn sources(path: &str) -> Vec<PathBuf> {
    if path.ends_with(".rs") {
        return vec![root().join(path)];
    }
    let path = path.replace("::", "/");
    ["tests/bad_inputs", "tests", "gateway/tests", "src"]
        .iter()
        .flat_map(|folder| ["", "/mod", "/main"].map(|file| format!("{folder}/{path}{file}.rs")))
        .map(|file| root().join(file))
        .filter(|file| file.is_file())
        .collect()
}

/// Returns the lines before the function `name`, if `text` contains it.
fn function<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let found = ["(", "<"].iter().find_map(|next| text.find(&format!("fn {name}{next}")))?;
    text[..found].rfind("\n\n").map_or(Some(""), |start| Some(&text[start..found]))
}

/// Returns whether the function is a test.
fn is_test(text: &str, name: &str) -> bool {
    let Some(before) = function(text, name) else { return false };
    let mut lists = text.split("on_both![").skip(1).filter_map(|list| list.split(']').next());
    before.contains("#[test]")
        || before.contains("#[tokio::test")
        || lists.any(|list| list.split(',').any(|listed| listed.trim() == name))
}

#[track_caller]
fn expect_test(test: &str) {
    let (path, name) = test.rsplit_once("::").unwrap_or_else(|| panic!("{test}: not `file::function`"));
    let sources = sources(path);
    assert!(!sources.is_empty(), "{test}: no such file");
    let found = sources.iter().any(|source| is_test(&read(source), name));
    assert!(found, "{test}: no such test in {sources:?}");
}

/// A function, or a constant, of the sources: `module::function` or `module::Type::function`.
#[track_caller]
fn expect_item(item: &str) {
    let mut path: Vec<&str> = item.split("::").collect();
    let name = path.pop().unwrap();
    path.retain(|part| part.starts_with(char::is_lowercase));
    let path = root().join("src").join(path.join("/"));
    let sources = [path.with_extension("rs"), path.join("mod.rs")];
    let is_here = |text: &str| function(text, name).is_some() || text.contains(&format!("const {name}:"));
    let found = sources.iter().filter(|source| source.is_file()).any(|source| is_here(&read(source)));
    assert!(found, "{item}: not in {sources:?}");
}

/// Returns the tests named in the last cell of a row, and requires that each exists.
#[track_caller]
fn tests(row: &Row) -> Vec<String> {
    let tests: Vec<String> = named(row.last().unwrap()).into_iter().map(str::to_owned).collect();
    assert!(!tests.is_empty(), "{row:?}: no test");
    tests.iter().for_each(|test| expect_test(test));
    tests
}

/// Returns the row that a test is named after: `B11` for `b11_subprotocol`.
fn row_of(function: &str) -> Option<(char, usize)> {
    let (row, _) = function.split_once('_')?;
    let mut rest = row.chars();
    let letter = rest.next()?.to_ascii_uppercase();
    Some((letter, rest.as_str().parse().ok()?))
}

#[test]
fn every_row_is_in_its_table_with_tests_named_after_it() {
    for (letter, numbers) in ROWS {
        let rows = table(&format!("{letter}. "));
        let number = |row: &Row| row[0].strip_prefix(*letter).unwrap().parse::<usize>().unwrap();
        let ids: Vec<usize> = rows.iter().map(number).collect();
        assert!(ids.is_sorted_by(|one, next| one < next), "{letter}: {ids:?}");
        assert_eq!((ids.first(), ids.last()), (Some(numbers.start()), Some(numbers.end())), "{letter}");
        for row in &rows {
            assert_eq!(row.len(), 4, "{row:?}");
            assert!(row.iter().all(|cell| !cell.is_empty()), "{row:?}");
            let own = format!("::{}_", row[0].to_ascii_lowercase());
            let tests = tests(row);
            assert!(tests.iter().any(|test| test.contains(&own)), "{row:?}: no test is named after it");
        }
    }
}

#[test]
fn every_test_named_after_a_row_is_listed_there() {
    for entry in fs::read_dir(root().join("tests/bad_inputs")).unwrap() {
        let file = entry.unwrap().path();
        let text = read(&file);
        let module = file.file_stem().unwrap().to_str().unwrap();
        for function in text.split("fn ").skip(1).filter_map(|rest| rest.split(['(', '<']).next()) {
            let Some((letter, number)) = row_of(function) else { continue };
            let Some((_, numbers)) = ROWS.iter().find(|(row, _)| *row == letter) else { continue };
            assert!(numbers.contains(&number), "{module}::{function}: no such row");
            let rows = table(&format!("{letter}. "));
            let row = rows.iter().find(|row| row[0] == format!("{letter}{number}")).unwrap();
            let test = format!("{module}::{function}");
            assert!(named(&row[3]).contains(&test.as_str()), "{test} is not in the table");
        }
    }
}

#[test]
fn decisions_of_hyper_and_h2_have_a_reason_and_a_test() {
    for row in table("Behaviour of hyper and h2") {
        assert_eq!(row.len(), 4, "{row:?}");
        assert!(row.iter().all(|cell| !cell.is_empty()), "{row:?}");
        tests(&row);
    }
}

#[test]
fn every_clause_has_a_link_a_function_and_tests() {
    let clauses = table("Clauses");
    let standards = ["9110", "9112", "6455", "8441", "9113", "9931", "7239", "6585"];
    for standard in standards {
        let link = format!("https://www.rfc-editor.org/rfc/rfc{standard}#section-");
        assert!(clauses.iter().any(|row| row[0].contains(&link)), "no clause of RFC {standard}");
    }
    for row in &clauses {
        assert_eq!(row.len(), 3, "{row:?}");
        assert!(row[0].contains("](https://www.rfc-editor.org/rfc/rfc"), "{row:?}");
        let functions = named(&row[1]);
        assert!(!functions.is_empty() || row[1].contains("hyper") || row[1].contains("h2"), "{row:?}");
        functions.into_iter().filter(|item| item.contains("::")).for_each(expect_item);
        tests(row);
    }
}
