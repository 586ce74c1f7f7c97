//! The gateway and its peers, side by side on one machine.
//!
//! ```text
//!  load (this process, one thread) ──▶ proxy (a process of its own, two workers) ──▶ upstream (one thread)
//!        throughput, latency               CPU time and memory from /proc
//! ```
//!
//! Every proxy does the same work in turn, in several rounds, each time in fresh processes; what is reported is
//! the median of the rounds. `cargo run --release -p side-by-side -- --help` names the options.

mod chart;
mod figures;
mod http2;
mod machine;
mod network;
mod options;
mod page;
mod process;
mod proxies;
mod record;
mod report;
mod run;
mod scenario;
mod trial;
mod upstream;
mod usage;
mod websocket;

use std::{error::Error, fs, process::ExitCode};

use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

use options::{Hidden, Options, Outputs};
use record::Record;

type Result<T, E = Box<dyn Error + Send + Sync>> = std::result::Result<T, E>;

fn main() -> ExitCode {
    let options = Options::parse();
    let ended = match options.command {
        Some(Hidden::Leash { command }) => process::leash(&command),
        Some(Hidden::Upstream { port, http2_streams }) => on_threads(1, upstream::serve(port, http2_streams)),
        Some(Hidden::Peer { peer, port, upstream }) => {
            on_threads(proxies::WORKERS, peer.serve(port, upstream))
        }
        Some(Hidden::Merge { ref files }) => {
            Record::merged(files).and_then(|record| write(&record, &options.outputs))
        }
        None => network::enter(&options).and_then(|()| on_threads(1, until_signal(&options))),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("side-by-side: {error}");
            ExitCode::FAILURE
        }
    }
}

/// One thread means this one: what is started from here dies with it.
fn on_threads(count: usize, work: impl Future<Output = Result<()>>) -> Result<()> {
    let mut builder = match count {
        1 => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    builder.worker_threads(count).enable_all().build()?.block_on(work)
}

/// A signal drops the run, and with it every process.
async fn until_signal(options: &Options) -> Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let record = tokio::select! {
        record = run::run(options) => record?,
        _ = interrupt.recv() => return Err("interrupted".into()),
        _ = terminate.recv() => return Err("terminated".into()),
    };
    write(&record, &options.outputs)
}

/// The report on stdout, and the files that were asked for.
fn write(record: &Record, outputs: &Outputs) -> Result<()> {
    let report = report::markdown(record);
    println!("{report}");
    if let Some(file) = &outputs.report {
        fs::write(file, &report).map_err(|error| format!("{}: {error}", file.display()))?;
    }
    if let Some(file) = &outputs.chart {
        fs::write(file, chart::svg(record)).map_err(|error| format!("{}: {error}", file.display()))?;
    }
    outputs.json.as_deref().map_or(Ok(()), |file| record.write(file))
}
