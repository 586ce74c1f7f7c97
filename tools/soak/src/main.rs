//! A soak test of the gateway: mixed clients and faulty upstreams for a given time, after which nothing may be wrong, lost
//! or leaked. Linux only: it reads `/proc`.
//!
//! ```text
//! cargo build --release --package upgrade-gateway
//! cargo run --release --package soak -- --minutes 30 --plot soak.svg
//! ```
//!
//! The gateway is a separate process; the clients (`clients/`) and the upstreams (`upstream/`) run in this one. The exit
//! code is 0 if every check holds (`verdict.rs`). `docs/soak.md` describes the load.

mod bytes;
mod clients;
mod gateway;
mod measure;
mod options;
mod plot;
mod report;
mod upstream;
mod verdict;

use std::{error::Error, fs, pin::pin, process::ExitCode, sync::Arc, time::Duration};

use clap::Parser;
use tokio::{
    signal,
    time::{Instant, MissedTickBehavior, interval, timeout},
};

use clients::{Clients, Shared};
use gateway::Gateway;
use measure::{Recorder, Sample};
use options::Options;
use report::Report;
use upstream::Upstreams;

/// Time limit for the gateway to release everything, such as pooled connections to upstreams.
const SETTLING: Duration = Duration::from_secs(120);

#[tokio::main]
async fn main() -> ExitCode {
    match run(&Options::parse()).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("soak: {error}");
            ExitCode::from(2)
        }
    }
}

/// Whether every check holds.
async fn run(options: &Options) -> Result<bool, Box<dyn Error>> {
    allow_many_files()?;
    let upstreams = Upstreams::start().await?;
    let gateway = Gateway::start(&upstreams).await?;
    let before = gateway.before().await?;
    println!("{} for {:?}, seed {}", gateway.describe(), options.duration(), options.seed());

    let report = Arc::new(Report::new());
    let shared = Shared::new(gateway.address(), options.seed(), Arc::clone(&report));
    let clients = Clients::start(&shared, options.clients);
    let mut recorder = Recorder::start();
    let (mut second, end) = (interval(Duration::from_secs(1)), Instant::now() + options.duration());
    second.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut interrupted = pin!(signal::ctrl_c());
    while Instant::now() < end {
        tokio::select! {
            _ = second.tick() => recorder.take(gateway.look().await?, &report),
            _ = &mut interrupted => break,
        }
    }
    let load_ended = recorder.elapsed();
    let mut stopped = pin!(clients.stop());
    let left = loop {
        tokio::select! {
            left = &mut stopped => break left,
            _ = second.tick() => recorder.take(gateway.look().await?, &report),
        }
    };
    // Pooled connections are closed after a while; everything else that remains is a leak.
    let by = Instant::now() + SETTLING;
    let after = loop {
        second.tick().await;
        let now = gateway.look().await?;
        recorder.take(now, &report);
        if now.is_at_rest(&before) || Instant::now() > by {
            break now;
        }
    };
    recorder.finish();
    let (exit, log) = timeout(Duration::from_secs(60), gateway.stop()).await??;
    drop(upstreams);

    println!("\n{}", report.table());
    let ends = verdict::Ends { before, after, left, exit, log };
    let checks = verdict::checks(&report, recorder.samples(), load_ended, &ends);
    let all_hold = checks.iter().all(|check| check.holds);
    checks.iter().for_each(|check| println!("{check}"));
    if let Some(path) = &options.plot {
        fs::write(path, plot::svg(recorder.samples(), load_ended, &report))
            .map_err(|error| format!("{}: {error}", path.display()))?;
    }
    println!("{}", if all_hold { "all of it holds" } else { "FAILED" });
    Ok(all_hold)
}

/// Raises the limit of open files to the maximum, which the gateway inherits.
fn allow_many_files() -> Result<(), Box<dyn Error>> {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
        setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?;
    }
    Ok(())
}
