//! Command line.

use std::{path::PathBuf, time::Duration};

use clap::Parser;

/// Soak test of the gateway: mixed clients and faulty upstreams, then checks for wrong data, lost data and leaks
#[derive(Parser)]
#[command(name = "soak")]
pub(crate) struct Options {
    /// Duration of the load in minutes [default: 1]
    #[arg(long, value_name = "N")]
    minutes: Option<u64>,

    /// Duration of the load in seconds, in addition to --minutes
    #[arg(long, value_name = "N")]
    seconds: Option<u64>,

    /// Number of concurrent clients of all kinds; at least one of each kind
    #[arg(long, value_name = "N", default_value = "160")]
    pub(crate) clients: usize,

    /// Seed of the clients' random choices; timing still varies
    #[arg(long, value_name = "N", default_value = "7")]
    seed: u64,

    /// Write a chart of memory and tunnels over time
    #[arg(long, value_name = "FILE.svg")]
    pub(crate) plot: Option<PathBuf>,
}

impl Options {
    pub(crate) fn duration(&self) -> Duration {
        match (self.minutes, self.seconds) {
            (None, None) => Duration::from_secs(60),
            (minutes, seconds) => {
                let minutes = minutes.unwrap_or_default().saturating_mul(60);
                Duration::from_secs(minutes.saturating_add(seconds.unwrap_or_default()))
            }
        }
    }

    pub(crate) fn seed(&self) -> u64 {
        self.seed
    }
}
