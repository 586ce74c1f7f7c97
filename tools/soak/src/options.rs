//! The command line.

use std::{path::PathBuf, time::Duration};

use clap::Parser;

/// Puts the gateway under mixed load, with upstreams that fail, and checks that nothing is wrong, lost or left.
#[derive(Parser)]
#[command(name = "soak")]
pub(crate) struct Options {
    /// How long the load lasts [default: 1]
    #[arg(long, value_name = "N")]
    minutes: Option<u64>,

    /// The same in seconds; both are added
    #[arg(long, value_name = "N")]
    seconds: Option<u64>,

    /// Clients at the same time, of all kinds together; at least one of each
    #[arg(long, value_name = "N", default_value = "160")]
    pub(crate) clients: usize,

    /// What the clients' choices are made from; the moments are the system's
    #[arg(long, value_name = "N", default_value = "7")]
    seed: u64,

    /// Write a picture of memory and tunnels over time
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
