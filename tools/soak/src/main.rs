//! Soak test of the gateway: mixed clients and faulty upstreams for a given time, then checks for wrong data, lost
//! data and leaks. Linux only, because it reads `/proc`.
//!
//! ```text
//! cargo build --release --package upgrade-gateway
//! cargo run --release --package soak -- --minutes 30 --plot soak.svg
//! ```
//!
//! The gateway is a separate process; the clients (`clients/`) and the upstreams (`upstream/`) are part of this
//! one. The exit code is 0 if all checks (`checks.rs`) hold. `docs/soak.md` describes the load.

mod bytes;
mod checks;
mod clients;
mod gateway;
mod measure;
mod options;
mod plot;
mod report;
mod upstream;

use std::{error::Error, fs, pin::pin, process::ExitCode, sync::Arc, time::Duration};

use clap::Parser;
use tokio::{
    signal,
    time::{Instant, MissedTickBehavior, interval, timeout},
};

use checks::FinalState;
use clients::{Clients, Context};
use gateway::Gateway;
use measure::{Recorder, Sample};
use options::Options;
use report::Report;
use upstream::Upstreams;

/// Maximum time for the gateway to release its resources after the load, for example pooled connections to upstreams.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(120);

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

/// Runs the test. Returns true if all checks hold.
async fn run(options: &Options) -> Result<bool, Box<dyn Error>> {
    allow_many_files()?;
    let upstreams = Upstreams::start().await?;
    let gateway = Gateway::start(&upstreams).await?;
    let baseline = gateway.baseline().await?;
    println!("{} for {:?}, seed {}", gateway.describe(), options.duration(), options.seed());

    let report = Arc::new(Report::new());
    let context = Context::new(gateway.address(), options.seed(), Arc::clone(&report));
    let clients = Clients::start(&context, options.clients);
    let mut recorder = Recorder::start();
    let (mut second, end) = (interval(Duration::from_secs(1)), Instant::now() + options.duration());
    second.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut interrupted = pin!(signal::ctrl_c());
    while Instant::now() < end {
        tokio::select! {
            _ = second.tick() => recorder.record(gateway.resources().await?, &report),
            _ = &mut interrupted => break,
        }
    }
    let load_ended = recorder.elapsed();
    let mut stopped = pin!(clients.stop());
    let running_clients = loop {
        tokio::select! {
            running = &mut stopped => break running,
            _ = second.tick() => recorder.record(gateway.resources().await?, &report),
        }
    };
    // Pooled connections close after their idle timeout. Everything else that is still open is a leak.
    let deadline = Instant::now() + SETTLE_TIMEOUT;
    let after = loop {
        second.tick().await;
        let now = gateway.resources().await?;
        recorder.record(now, &report);
        if now.is_back_to(&baseline) || Instant::now() > deadline {
            break now;
        }
    };
    recorder.finish();
    let (exit, log) = timeout(Duration::from_secs(60), gateway.stop()).await??;
    drop(upstreams);

    println!("\n{}", report.table());
    let state = FinalState { baseline, after, running_clients, exit, log };
    let checks = checks::all(&report, recorder.samples(), load_ended, &state);
    let all_hold = checks.iter().all(|check| check.holds);
    checks.iter().for_each(|check| println!("{check}"));
    if let Some(path) = &options.plot {
        fs::write(path, plot::svg(recorder.samples(), load_ended, &report))
            .map_err(|error| format!("{}: {error}", path.display()))?;
    }
    println!("{}", if all_hold { "all checks passed" } else { "FAILED" });
    Ok(all_hold)
}

/// Raises the limit of open files to its maximum. The gateway inherits it.
fn allow_many_files() -> Result<(), Box<dyn Error>> {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
        setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?;
    }
    Ok(())
}
