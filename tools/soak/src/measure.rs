//! Samples, one per second.

use std::{
    io::{IsTerminal, Write, stderr},
    time::Duration,
};

use tokio::time::Instant;

use crate::{gateway::Holdings, report::Report};

/// Interval of the lines of progress without a terminal.
const QUIET: Duration = Duration::from_secs(10);

#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    pub(crate) at: Duration,
    pub(crate) holdings: Holdings,
}

pub(crate) struct Recorder {
    start: Instant,
    samples: Vec<Sample>,
    shown: Duration,
}

impl Recorder {
    pub(crate) fn start() -> Self {
        Self { start: Instant::now(), samples: Vec::new(), shown: Duration::ZERO }
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    pub(crate) fn samples(&self) -> &[Sample] {
        &self.samples
    }

    /// Adds a sample and prints the progress.
    pub(crate) fn take(&mut self, holdings: Holdings, report: &Report) {
        let at = self.elapsed();
        self.samples.push(Sample { at, holdings });
        let is_terminal = stderr().is_terminal();
        if !is_terminal && at < self.shown + QUIET && self.samples.len() > 1 {
            return;
        }
        self.shown = at;
        let (sums, seconds) = (report.sums(), at.as_secs());
        let line = format!(
            "{:02}:{:02}:{:02}  {} tunnels  {} sessions  {} messages  {} MiB  errors {} expected, {} not, {} wrong  \
             gateway {:.1} MiB, {} files, {} tasks",
            seconds / 3600,
            seconds / 60 % 60,
            seconds % 60,
            holdings.tunnels,
            sums.sessions,
            sums.messages,
            sums.bytes >> 20,
            sums.expected,
            sums.unexpected,
            sums.wrong,
            mib(holdings.resident),
            holdings.files(),
            holdings.tasks,
        );
        if is_terminal {
            eprint!("\r\x1b[K{line}");
            let _ = stderr().flush();
        } else {
            eprintln!("{line}");
        }
    }

    /// Ends the line of progress.
    pub(crate) fn finish(&self) {
        if stderr().is_terminal() {
            eprintln!();
        }
    }
}

pub(crate) fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
