//! Comparison of the gateway with other proxies on one machine.
//!
//! ```text
//!  load (this process, one thread) ──▶ proxy (a separate process, two workers) ──▶ upstream (one thread)
//!        throughput, latency               CPU time and memory from /proc
//! ```
//!
//! All proxies do the same work, one after the other, in several rounds, with fresh processes for each measurement.
//! The report has the median of the rounds. `cargo run --release -p side-by-side -- --help` lists the options.

mod chart;
mod figures;
mod http2;
mod machine;
mod network;
mod options;
mod page_client;
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

use options::{Action, Options, Outputs};
use record::Record;

type Result<T, E = Box<dyn Error + Send + Sync>> = std::result::Result<T, E>;

fn main() -> ExitCode {
    let options = Options::parse();
    let result = match options.action {
        Some(Action::DieWithParent { command }) => process::die_with_parent(&command),
        Some(Action::Upstream { port, http2_streams }) => on_threads(1, upstream::serve(port, http2_streams)),
        Some(Action::BuiltIn { proxy, port, upstream }) => {
            on_threads(proxies::WORKERS, proxy.serve(port, upstream))
        }
        Some(Action::Merge { ref files }) => {
            Record::merged(files).and_then(|record| write(&record, &options.outputs))
        }
        None => network::enter(&options).and_then(|()| on_threads(1, until_signal(&options))),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("side-by-side: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs `work` on a runtime with `count` threads. With one it is the calling thread, because the kernel ends child
/// processes together with the thread that started them.
fn on_threads(count: usize, work: impl Future<Output = Result<()>>) -> Result<()> {
    let mut builder = match count {
        1 => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    builder.worker_threads(count).enable_all().build()?.block_on(work)
}

/// Runs the measurements and writes the results. On a signal the run is dropped, which ends all processes.
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

/// Prints the report, and writes the files given on the command line.
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
