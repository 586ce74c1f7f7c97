//! The scenarios. Each starts processes of its own, and returns figures with checks.

mod drain;
mod hostile;
mod idle;
mod ports;
mod ramp;
mod reconnect;
mod sizes;

use std::{path::PathBuf, time::Duration};

use clap::ValueEnum;

use crate::{
    Result,
    figures::Sheet,
    options::Options,
    proxy::{Ports, Upstream, built},
};

use sizes::Sizes;

/// What is measured.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Scenario {
    Ramp,
    IdleStorm,
    Drain,
    ReconnectStorm,
    Hostile,
    Ports,
}

/// Result of a scenario.
pub(crate) enum Outcome {
    Measured(Sheet),
    /// Not possible here, for this reason.
    Skipped(String),
}

/// Settings of all scenarios.
pub(crate) struct Context {
    program: PathBuf,
    /// Limit of descriptors of each process.
    descriptors: usize,
    sizes: Sizes,
}

impl Context {
    pub(crate) fn new(options: &Options, descriptors: usize) -> Result<Self> {
        let program = options.gateway.clone().map_or_else(built, Ok)?;
        let mut sizes = if options.small { Sizes::small() } else { Sizes::full(descriptors) };
        sizes.ramp_http2 = options.http2_tunnels.unwrap_or(sizes.ramp_http2);
        Ok(Self { program, descriptors, sizes })
    }
}

impl Scenario {
    /// Name on the command line and in the markers of the report.
    pub(crate) fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }

    pub(crate) fn describe(self) -> &'static str {
        match self {
            Self::Ramp => "tunnels are opened, and stay open without traffic",
            Self::IdleStorm => "all tunnels time out together, and nobody reads the log",
            Self::Drain => "SIGTERM with open tunnels, half of whose clients never read",
            Self::ReconnectStorm => "clients lose their upstream, and retry every 100 ms",
            Self::Hostile => "crowds of hostile clients beside live tunnels",
            Self::Ports => "one upstream takes all local ports",
        }
    }

    pub(crate) async fn run(self, context: &Context) -> Result<Outcome> {
        match self {
            Self::Ramp => ramp::run(context).await.map(Outcome::Measured),
            Self::IdleStorm => idle::run(context).await.map(Outcome::Measured),
            Self::Drain => drain::run(context).await.map(Outcome::Measured),
            Self::ReconnectStorm => reconnect::run(context).await.map(Outcome::Measured),
            Self::Hostile => hostile::run(context).await.map(Outcome::Measured),
            Self::Ports => ports::run(context).await,
        }
    }
}

/// Idle timeout that no tunnel reaches.
const LONG: Duration = Duration::from_secs(3600);

/// Upstreams of the probe and of the crowd.
struct Upstreams {
    live: Upstream,
    crowd: Upstream,
}

impl Upstreams {
    async fn start() -> Result<Self> {
        Ok(Self { live: Upstream::start(0).await?, crowd: Upstream::start(0).await? })
    }

    fn ports(&self) -> Ports {
        Ports { live: self.live.port, crowd: self.crowd.port }
    }
}
