//! Samples of the gateway's resources, one per second, and the line of progress.

use std::{
    io::{IsTerminal, Write, stderr},
    time::Duration,
};

use tokio::time::Instant;

use crate::{gateway::Resources, report::Report};

/// Interval between lines of progress if stderr is not a terminal.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(10);

/// Resources of the gateway at one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    /// Time since the start of the load.
    pub(crate) at: Duration,
    pub(crate) resources: Resources,
}

/// All samples of a run.
pub(crate) struct Recorder {
    start: Instant,
    samples: Vec<Sample>,
    last_progress: Duration,
}

impl Recorder {
    pub(crate) fn start() -> Self {
        Self { start: Instant::now(), samples: Vec::new(), last_progress: Duration::ZERO }
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    pub(crate) fn samples(&self) -> &[Sample] {
        &self.samples
    }

    /// Adds a sample, and prints the progress.
    pub(crate) fn record(&mut self, resources: Resources, report: &Report) {
        let at = self.elapsed();
        self.samples.push(Sample { at, resources });
        let is_terminal = stderr().is_terminal();
        if !is_terminal && at < self.last_progress + PROGRESS_INTERVAL && self.samples.len() > 1 {
            return;
        }
        self.last_progress = at;
        let (sums, seconds) = (report.sums(), at.as_secs());
        let line = format!(
            "{:02}:{:02}:{:02}  {} tunnels  {} sessions  {} messages  {} MiB  failures {} expected, {} unexpected, {} wrong  \
             gateway {:.1} MiB, {} files, {} tasks",
            seconds / 3600,
            seconds / 60 % 60,
            seconds % 60,
            resources.tunnels,
            sums.sessions,
            sums.messages,
            sums.bytes >> 20,
            sums.expected,
            sums.unexpected,
            sums.wrong,
            mib(resources.resident),
            resources.files(),
            resources.tasks,
        );
        if is_terminal {
            eprint!("\r\x1b[K{line}");
            let _ = stderr().flush();
        } else {
            eprintln!("{line}");
        }
    }

    /// Ends the line of progress on a terminal.
    pub(crate) fn finish(&self) {
        if stderr().is_terminal() {
            eprintln!();
        }
    }
}

pub(crate) fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
