//! Each scenario with few tunnels. The program checks its figures; this test checks its verdict and its tables.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a panic is how a test fails")]

use std::{
    path::Path,
    process::Command,
    sync::{Mutex, PoisonError},
};

/// One scenario at a time: they measure times.
static ALONE: Mutex<()> = Mutex::new(());

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

/// Runs a scenario, whose checks must hold. Returns its report.
fn report(scenario: &str) -> String {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let program = Path::new(env!("CARGO_BIN_EXE_scale"));
    build_gateway(program.parent().unwrap());
    // No timeout here: each wait of the program has one.
    let output = Command::new(program).args(["--small", "--scenario", scenario]).output().unwrap();
    let report = String::from_utf8(output.stdout).unwrap();
    let all = format!("{report}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && report.trim_end().ends_with("all checks passed"), "{all}");
    if report.contains("!! SKIPPED") {
        eprintln!("{all}");
    }
    report
}

/// Cells of the rows of the table, without its two header lines.
fn rows(report: &str) -> Vec<Vec<&str>> {
    let lines = report.lines().filter_map(|line| line.strip_prefix("| ")).skip(2);
    lines.map(|line| line.trim_end_matches(" |").split(" | ").collect()).collect()
}

#[test]
fn tunnels_open_over_both_versions_and_cost_little_at_rest() {
    let report = report("ramp");
    let rows = rows(&report);
    assert_eq!(rows.iter().map(|row| (row[0], row[1])).collect::<Vec<_>>(), [("1.1", "200"), ("2", "2000")]);
}

#[test]
fn a_mass_timeout_without_a_reader_of_the_log_slows_no_tunnel() {
    assert_eq!(rows(&report("idle-storm"))[0][..2], ["gateway", "200"]);
}

#[test]
fn a_drain_with_clients_that_never_read_ends_in_time_with_all_counts() {
    let report = report("drain");
    assert_eq!(rows(&report).iter().map(|row| row[1]).collect::<Vec<_>>(), ["100", "1000", "1000"]);
}

#[test]
fn clients_that_lost_their_upstream_come_back_together() {
    let report = report("reconnect-storm");
    let rows = rows(&report);
    assert_eq!(rows[0][0], "gateway");
    assert!(rows.get(1).map_or(report.contains("!! SKIPPED"), |row| row[0] == "HAProxy"), "{report}");
}

#[test]
fn hostile_crowds_slow_no_tunnel() {
    assert_eq!(rows(&report("hostile")).iter().filter(|row| row[1] == "gateway").count(), 4);
}

#[test]
fn an_upstream_without_local_ports_slows_no_other() {
    let report = report("ports");
    assert!(report.contains("!! SKIPPED") || rows(&report)[0][1] == "200", "{report}");
}
