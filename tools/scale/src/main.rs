//! Behaviour of the gateway with thousands of tunnels.
//!
//! ```text
//! cargo build --release --package upgrade-gateway
//! cargo run --release --package scale -- --report docs/scale.md
//! ```
//!
//! ```text
//! crowd (this process, one thread) ──▶ gateway (two workers) ──▶ upstream of the crowd (a process)
//! probe (a thread): live tunnels   ──▶                       ──▶ upstream of the probe (a process)
//! ```
//!
//! Each [scenario] starts fresh processes. In one of them the [application] with the layer takes the place of the gateway. The crowd
//! consists of raw sockets, so that the load costs less than the gateway; the probe measures the round-trip times of a few tunnels that have nothing to do with the crowd.
//! `docs/scale.md` has the figures.
#![cfg(target_os = "linux")]

mod application;
mod crowd;
mod figures;
mod http2;
mod machine;
mod options;
mod process;
mod proxy;
mod report;
mod scenario;
mod upstream;
mod usage;
mod websocket;

use std::{error::Error, process::ExitCode, time::Duration};

use clap::{Parser, ValueEnum};

use options::{Action, Options};
use scenario::{Context, Outcome, Scenario};

type Result<T, E = Box<dyn Error + Send + Sync>> = std::result::Result<T, E>;

fn main() -> ExitCode {
    let options = Options::parse();
    let result = match &options.action {
        Some(Action::DieWithParent { command }) => process::die_with_parent(command).map(|()| true),
        Some(Action::Upstream { port }) => on_this_thread(upstream::serve(*port)).map(|()| true),
        Some(Action::Application { upstream, grace_ms }) => {
            let grace = Duration::from_millis(*grace_ms);
            on_this_thread(application::serve(upstream, grace)).map(|()| true)
        }
        None => machine::enter_namespace().and_then(|()| on_this_thread(run(&options))),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("scale: {error}");
            ExitCode::from(2)
        }
    }
}

/// Runs `work` on this thread: the kernel ends child processes together with the thread that started them.
fn on_this_thread<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}

/// Runs the scenarios. Returns true if all checks hold.
async fn run(options: &Options) -> Result<bool> {
    let descriptors = machine::raise_descriptors()?;
    let context = Context::new(options, descriptors)?;
    let machine = machine::description(descriptors);
    println!("{machine}\n");
    let scenarios = match &options.scenario[..] {
        [] => Scenario::value_variants(),
        selected => selected,
    };
    let mut all_hold = true;
    for scenario in scenarios {
        let name = scenario.name();
        let outcome = scenario.run(&context).await.map_err(|error| format!("{name}: {error}"))?;
        let text = report::markdown(&outcome);
        println!("## {name}: {}\n\n{text}", scenario.describe());
        if let Outcome::Measured(sheet) = &outcome {
            all_hold &= sheet.checks.iter().all(|check| check.holds);
            if let Some(file) = &options.report {
                report::write(file, &name, &format!("{machine}.\n\n{text}"))?;
            }
        }
    }
    println!("{}", if all_hold { "all checks passed" } else { "FAILED" });
    Ok(all_hold)
}
