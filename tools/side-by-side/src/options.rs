//! The command line.

use std::{ffi::OsString, net::SocketAddr, path::PathBuf};

use clap::{Args, Parser, Subcommand};

use crate::{proxies::Peer, scenario::Scenario};

/// Measures the gateway of this repository beside nginx, HAProxy, Caddy, axum-reverse-proxy and a proxy written by
/// hand, all with two workers, doing the same work: memory per idle tunnel, CPU time per message, per GiB, per
/// connection and per request, throughput and latency.
///
/// Builds the gateway first. Peers that are not installed are named in the report and left out. Progress goes to
/// stderr, the report to stdout. Needs Linux, and nothing else that is busy on the machine.
#[derive(Debug, Parser)]
#[command(name = "side-by-side", args_conflicts_with_subcommands = false)]
pub(crate) struct Options {
    /// What to measure [default: all]
    #[arg(long, value_enum, value_delimiter = ',', value_name = "NAMES")]
    pub(crate) scenario: Vec<Scenario>,

    /// Which proxies take part, by the names of the report [default: all]
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    pub(crate) proxy: Vec<String>,

    /// How often each measurement is made; the median counts
    #[arg(long, value_name = "N", default_value = "5")]
    pub(crate) rounds: usize,

    /// Tunnels of the scenarios `idle`, `idle-h2` and `idle-h2-upstream`
    #[arg(long, value_name = "N", default_value = "5000")]
    pub(crate) tunnels: usize,

    /// A few seconds in all: does everything still work? One round, and figures that mean nothing
    #[arg(long)]
    pub(crate) quick: bool,

    /// Measure too how cost and memory grow with the number of open tunnels: 100, 1,000, 5,000, 9,000
    #[arg(long)]
    pub(crate) scaling: bool,

    /// A gateway to measure instead of building one: an executable, and what to add to its command line.
    /// Repeatable, to compare two builds in one run
    #[arg(long, value_name = "[NAME=]PATH [ARGS]")]
    pub(crate) gateway: Vec<String>,

    /// What to add to the command line of every gateway
    #[arg(long, value_name = "ARGS", default_value = "", allow_hyphen_values = true)]
    pub(crate) gateway_args: String,

    /// Measure in the host's network, with its congestion control, even where root could have one of its own
    #[arg(long)]
    pub(crate) host_network: bool,

    #[command(flatten)]
    pub(crate) outputs: Outputs,

    #[command(subcommand)]
    pub(crate) command: Option<Hidden>,
}

/// Where results go besides stdout.
#[derive(Debug, Args)]
pub(crate) struct Outputs {
    /// Write the report here too, Markdown
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) report: Option<PathBuf>,

    /// Write a bar chart, SVG
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) chart: Option<PathBuf>,

    /// Write every single measurement, JSON; after each round, so that an interrupted run is not lost
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) json: Option<PathBuf>,
}

/// What this program also is.
#[derive(Debug, Subcommand)]
pub(crate) enum Hidden {
    /// Make one report of the JSON files of several runs
    Merge { files: Vec<PathBuf> },
    /// Become a command that dies with its parent
    #[command(hide = true)]
    Leash {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<OsString>,
    },
    /// Be the upstream
    #[command(hide = true)]
    Upstream {
        port: u16,
        #[arg(long)]
        http2_streams: Option<u32>,
    },
    /// Be one of the proxies that are compiled in
    #[command(hide = true)]
    Peer { peer: Peer, port: u16, upstream: SocketAddr },
}
