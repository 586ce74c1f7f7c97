//! Order of the measurements: rounds, in each round the scenarios, in each scenario the proxies.

use clap::ValueEnum;
use tokio::time;

use crate::{
    Result,
    figures::Figures,
    machine::{self, Machine},
    options::Options,
    proxies::{self, Proxy},
    record::{Measurement, Outcome, ProxyInfo, Record},
    report::number,
    scenario::{STEPS, Scenario, Sheet, Sizes},
    trial::Trial,
};

/// Open files of a process in addition to those of its tunnels.
const OTHER_FILES: u64 = 400;

/// Makes the measurements selected on the command line.
pub(crate) async fn run(options: &Options) -> Result<Record> {
    let files = machine::raise_open_files();
    let tunnels = limit_tunnels(files, options.tunnels);
    let sizes = if options.quick { Sizes::quick() } else { Sizes::full(tunnels) };
    let rounds = if options.quick { 1 } else { options.rounds };
    let scenarios = scenarios(options, files);
    let (proxies, missing) = proxies::all(options)?;
    missing.iter().for_each(|line| eprintln!("{line}"));
    let mut record = Record {
        machine: Machine::current(),
        proxies: proxies.iter().map(ProxyInfo::from).collect(),
        missing,
        sheets: scenarios.iter().map(|scenario| scenario.sheet(&sizes)).collect(),
        measurements: Vec::new(),
    };
    for round in 0..rounds {
        for (scenario, sheet) in scenarios.iter().zip(record.sheets.clone()) {
            for turn in 0..proxies.len() {
                let proxy = &proxies[(turn + round) % proxies.len()];
                let has_process = proxy.role != proxies::Role::Direct;
                if has_process || scenario.applies_to_direct() {
                    let outcome = outcome(*scenario, proxy, &sizes, files).await;
                    eprintln!(
                        "{}/{rounds} {:<16} {:<19} {}",
                        round + 1,
                        sheet.name,
                        proxy.name,
                        progress(&sheet, &outcome)
                    );
                    let (sheet, proxy) = (sheet.name.clone(), proxy.name.clone());
                    record.measurements.push(Measurement { sheet, proxy, round: round + 1, outcome });
                }
            }
        }
        if let Some(file) = &options.outputs.json {
            record.write(file)?;
        }
    }
    Ok(record)
}

/// Scenarios selected on the command line, in the order of the report.
fn scenarios(options: &Options, files: u64) -> Vec<Scenario> {
    let all = Scenario::value_variants().iter().copied();
    let only_scaling = options.scaling && options.scenario.is_empty();
    let mut wanted: Vec<_> = all
        .filter(|it| !only_scaling && (options.scenario.is_empty() || options.scenario.contains(it)))
        .collect();
    if options.scaling {
        let steps = if options.quick { &STEPS[..1] } else { &STEPS };
        let possible = steps.iter().filter(|&&tunnels| limit_tunnels(files, tunnels) == tunnels);
        wanted.extend(possible.map(|&tunnels| Scenario::Scaling(tunnels)));
    }
    wanted
}

/// Reduces the number of tunnels to the limit of open files; a proxy needs two for each tunnel.
fn limit_tunnels(files: u64, tunnels: usize) -> usize {
    let max = usize::try_from(files.saturating_sub(OTHER_FILES) / 2).unwrap_or(usize::MAX);
    if tunnels > max {
        eprintln!(
            "WARNING: the limit of {files} open files (ulimit -Hn) allows {max} tunnels, not {tunnels}"
        );
    }
    tunnels.min(max)
}

async fn outcome(scenario: Scenario, proxy: &Proxy, sizes: &Sizes, files: u64) -> Outcome {
    if !proxy.supports(scenario.http2()) {
        return Outcome::Unsupported;
    }
    match measure(scenario, proxy, sizes, files).await {
        Ok(figures) => Outcome::Figures(figures),
        Err(error) => Outcome::Failed(error.to_string()),
    }
}

/// Makes one measurement with fresh processes.
async fn measure(scenario: Scenario, proxy: &Proxy, sizes: &Sizes, files: u64) -> Result<Figures> {
    let trial =
        Trial::start(proxy, scenario, sizes, files).await.map_err(|error| format!("starting: {error}"))?;
    match time::timeout(sizes.timeout, scenario.measure(&trial, sizes)).await {
        Ok(measured) => measured.map_err(|error| format!("{}: {error}", trial.phase()).into()),
        Err(_) => Err(format!("{}: timed out after {:?}", trial.phase(), sizes.timeout).into()),
    }
}

/// Text for a line of progress.
fn progress(sheet: &Sheet, outcome: &Outcome) -> String {
    match outcome {
        Outcome::Failed(error) => format!("failed: {error}"),
        Outcome::Unsupported => "not supported".to_owned(),
        Outcome::Figures(figures) => {
            let figure = |column: &crate::figures::Column| {
                let value = figures.get(&column.key)?;
                Some(format!("{} {}", number(*value), column.title))
            };
            sheet.columns.iter().filter_map(figure).collect::<Vec<_>>().join(", ")
        }
    }
}
