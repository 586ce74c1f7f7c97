//! Round by round, scenario by scenario, each proxy in turn.

use clap::ValueEnum;
use tokio::time;

use crate::{
    Result,
    figures::Figures,
    machine::{self, Machine},
    options::Options,
    proxies::{self, Proxy},
    record::{Contestant, Measurement, Outcome, Record},
    report::number,
    scenario::{STEPS, Scenario, Sheet, Sizes},
    trial::Trial,
};

/// Files that a process has open besides those of its tunnels.
const OTHER_FILES: u64 = 400;

/// Everything that the command line asks for.
pub(crate) async fn run(options: &Options) -> Result<Record> {
    let files = machine::raise_open_files();
    let tunnels = within(files, options.tunnels);
    let sizes = if options.quick { Sizes::quick() } else { Sizes::full(tunnels) };
    let rounds = if options.quick { 1 } else { options.rounds };
    let scenarios = scenarios(options, files);
    let (proxies, missing) = proxies::all(options)?;
    missing.iter().for_each(|line| eprintln!("{line}"));
    let mut record = Record {
        machine: Machine::here(),
        contestants: proxies.iter().map(Contestant::from).collect(),
        missing,
        sheets: scenarios.iter().map(|scenario| scenario.sheet(&sizes)).collect(),
        measurements: Vec::new(),
    };
    for round in 0..rounds {
        for (scenario, sheet) in scenarios.iter().zip(record.sheets.clone()) {
            for turn in 0..proxies.len() {
                let proxy = &proxies[(turn + round) % proxies.len()];
                let has_process = proxy.side != proxies::Side::Direct;
                if has_process || scenario.suits_direct() {
                    let outcome = outcome(*scenario, proxy, &sizes, files).await;
                    eprintln!(
                        "{}/{rounds} {:<16} {:<19} {}",
                        round + 1,
                        sheet.name,
                        proxy.name,
                        line(&sheet, &outcome)
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

/// The scenarios of the command line, in the order of the report.
fn scenarios(options: &Options, files: u64) -> Vec<Scenario> {
    let all = Scenario::value_variants().iter().copied();
    let only_scaling = options.scaling && options.scenario.is_empty();
    let mut wanted: Vec<_> = all
        .filter(|it| !only_scaling && (options.scenario.is_empty() || options.scenario.contains(it)))
        .collect();
    if options.scaling {
        let steps = if options.quick { &STEPS[..1] } else { &STEPS };
        let possible = steps.iter().filter(|&&tunnels| within(files, tunnels) == tunnels);
        wanted.extend(possible.map(|&tunnels| Scenario::Scaling(tunnels)));
    }
    wanted
}

/// As many tunnels as the limit of open files lets a proxy have, which needs two for each.
fn within(files: u64, tunnels: usize) -> usize {
    let most = usize::try_from(files.saturating_sub(OTHER_FILES) / 2).unwrap_or(usize::MAX);
    if tunnels > most {
        eprintln!(
            "WARNING: {files} open files are allowed (ulimit -Hn): {most} tunnels at most, not {tunnels}"
        );
    }
    tunnels.min(most)
}

async fn outcome(scenario: Scenario, proxy: &Proxy, sizes: &Sizes, files: u64) -> Outcome {
    if !proxy.supports(scenario.http2()) {
        return Outcome::Unsupported;
    }
    match measure(scenario, proxy, sizes, files).await {
        Ok(figures) => Outcome::Figures(figures),
        Err(why) => Outcome::Failed(why.to_string()),
    }
}

/// One measurement, with processes of its own.
async fn measure(scenario: Scenario, proxy: &Proxy, sizes: &Sizes, files: u64) -> Result<Figures> {
    let trial =
        Trial::start(proxy, scenario, sizes, files).await.map_err(|why| format!("starting: {why}"))?;
    match time::timeout(sizes.limit, scenario.measure(&trial, sizes)).await {
        Ok(measured) => measured.map_err(|why| format!("{}: {why}", trial.phase()).into()),
        Err(_) => Err(format!("{}: no end within {:?}", trial.phase(), sizes.limit).into()),
    }
}

/// A line for whoever is watching.
fn line(sheet: &Sheet, outcome: &Outcome) -> String {
    match outcome {
        Outcome::Failed(why) => format!("failed: {why}"),
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
