//! One minute of the soak test, with fewer clients. The program checks its own results; this test checks its verdict, and
//! the counts of each kind of client.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a panic is how a test fails")]

use std::{collections::HashMap, path::Path, process::Command};

/// Columns after the name: sessions, messages, MiB, expected ends, unexpected, wrong.
type Row = [u64; 6];

fn rows(table: &str) -> HashMap<&str, Row> {
    // The table begins with two header lines.
    let lines = table.lines().filter_map(|line| line.strip_prefix("| ")).skip(2);
    lines
        .map(|line| {
            let mut cells = line.trim_end_matches(" |").split(" | ");
            let name = cells.next().unwrap();
            let numbers = cells.map(|cell| cell.parse().unwrap()).collect::<Vec<_>>();
            (name, numbers.try_into().unwrap())
        })
        .collect()
}

/// Builds the gateway if it is missing in `folder`, which happens when this package is tested alone.
fn build_gateway(folder: &Path) {
    if folder.join("upgrade-gateway").exists() {
        return;
    }
    eprintln!("building the gateway, which is missing in {}", folder.display());
    let release: &[&str] = if cfg!(debug_assertions) { &[] } else { &["--release"] };
    let mut cargo = Command::new(env!("CARGO"));
    let built = cargo.args(["build", "--locked", "--package", "upgrade-gateway"]).args(release).status();
    assert!(built.unwrap().success(), "the gateway does not build");
}

#[test]
fn a_minute_of_mixed_load_passes_all_checks() {
    let soak = Path::new(env!("CARGO_BIN_EXE_soak"));
    build_gateway(soak.parent().unwrap());
    // No timeout here: each wait of the program has one.
    let output = Command::new(soak).args(["--seconds", "60", "--clients", "60"]).output().unwrap();
    let report = String::from_utf8(output.stdout).unwrap();
    let all = format!("{report}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && report.trim_end().ends_with("all checks passed"), "{all}");

    let rows = rows(&report);
    assert_eq!(rows.len(), 14, "{all}");
    for (name, [sessions, messages, _, expected, unexpected, wrong]) in rows {
        assert!(sessions > 0 && unexpected == 0 && wrong == 0, "{name}: {all}");
        let never_opens = ["upstream refuses", "upstream too slow"].contains(&name);
        assert_eq!(messages > 0, !never_opens, "{name}: {all}");
        let has_faults = name.starts_with("upstream") || ["abort", "bad handshake", "idle"].contains(&name);
        assert!(expected > 0 || !has_faults, "{name}: {all}");
    }
}
