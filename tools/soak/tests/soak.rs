//! The soak test for a minute, with fewer clients: that its own checks hold, and that every kind of client ran.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a panic is how a test fails")]

use std::{collections::HashMap, path::Path, process::Command};

/// The columns after the name: sessions, messages, MiB, expected ends, unexpected, wrong.
type Row = [u64; 6];

fn rows(table: &str) -> HashMap<&str, Row> {
    // Two header lines.
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

/// Builds the gateway into `folder` if it is missing there, when this package is tested alone.
fn build_gateway(folder: &Path) {
    if folder.join("upgrade-gateway").exists() {
        return;
    }
    eprintln!("the gateway is missing in {}: building it", folder.display());
    let release: &[&str] = if cfg!(debug_assertions) { &[] } else { &["--release"] };
    let mut cargo = Command::new(env!("CARGO"));
    let built = cargo.args(["build", "--locked", "--package", "upgrade-gateway"]).args(release).status();
    assert!(built.unwrap().success(), "the gateway does not build");
}

#[test]
fn nothing_is_wrong_lost_or_leaked_after_a_minute_of_mixed_load() {
    let soak = Path::new(env!("CARGO_BIN_EXE_soak"));
    build_gateway(soak.parent().unwrap());
    // It ends: all its waits are bounded.
    let output = Command::new(soak).args(["--seconds", "60", "--clients", "60"]).output().unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    let all = format!("{printed}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && printed.trim_end().ends_with("all of it holds"), "{all}");

    let rows = rows(&printed);
    assert_eq!(rows.len(), 14, "{all}");
    for (name, [sessions, messages, _, expected, unexpected, wrong]) in rows {
        assert!(sessions > 0 && unexpected == 0 && wrong == 0, "{name}: {all}");
        let never_gets_through = ["upstream refuses", "upstream too late"].contains(&name);
        assert_eq!(messages > 0, !never_gets_through, "{name}: {all}");
        let meets_faults = name.starts_with("upstream") || ["abort", "bad handshake", "idle"].contains(&name);
        assert!(expected > 0 || !meets_faults, "{name}: {all}");
    }
}
