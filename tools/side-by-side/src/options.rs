//! Command line.

use std::{ffi::OsString, net::SocketAddr, path::PathBuf};

use clap::{Args, Parser, Subcommand};

use crate::{proxies::BuiltIn, scenario::Scenario};

/// Compares the gateway of this repository with nginx, HAProxy, Caddy, axum-reverse-proxy and a minimal proxy on hyper,
/// all with two workers and the same load: memory per idle tunnel; CPU time per message, GiB, connection and request;
/// throughput and latency.
///
/// Builds the gateway first. Proxies that are not installed are left out, and listed in the report. Progress is printed
/// to stderr, the report to stdout. Requires Linux, and an otherwise idle machine.
#[derive(Debug, Parser)]
#[command(name = "side-by-side", args_conflicts_with_subcommands = false)]
pub(crate) struct Options {
    /// Scenarios to measure [default: all]
    #[arg(long, value_enum, value_delimiter = ',', value_name = "NAMES")]
    pub(crate) scenario: Vec<Scenario>,

    /// Proxies to measure, by their names in the report [default: all]
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    pub(crate) proxy: Vec<String>,

    /// Number of rounds; the report has the median of all rounds
    #[arg(long, value_name = "N", default_value = "5")]
    pub(crate) rounds: usize,

    /// Number of tunnels in the scenarios `idle`, `idle-h2` and `idle-h2-upstream`
    #[arg(long, value_name = "N", default_value = "5000")]
    pub(crate) tunnels: usize,

    /// One round with little load, as a test of the program; the figures are not meaningful
    #[arg(long)]
    pub(crate) quick: bool,

    /// Also measure cost and memory with 100, 1,000, 5,000 and 9,000 open tunnels
    #[arg(long)]
    pub(crate) scaling: bool,

    /// Gateway executable to measure instead of building one, with additional arguments; repeatable, to compare builds in
    /// one run
    #[arg(long, value_name = "[NAME=]PATH [ARGS]")]
    pub(crate) gateway: Vec<String>,

    /// Additional arguments for every gateway
    #[arg(long, value_name = "ARGS", default_value = "", allow_hyphen_values = true)]
    pub(crate) gateway_args: String,

    /// Use the host's network with its congestion control, instead of a network namespace (which requires root)
    #[arg(long)]
    pub(crate) host_network: bool,

    #[command(flatten)]
    pub(crate) outputs: Outputs,

    #[command(subcommand)]
    pub(crate) action: Option<Action>,
}

/// Files to write the results to, in addition to stdout.
#[derive(Debug, Args)]
pub(crate) struct Outputs {
    /// Write the report as Markdown
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) report: Option<PathBuf>,

    /// Write a bar chart as SVG
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) chart: Option<PathBuf>,

    /// Write all measurements as JSON, after each round, so that the results of an interrupted run are kept
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) json: Option<PathBuf>,
}

/// Subcommands. All but `merge` are internal.
#[derive(Debug, Subcommand)]
pub(crate) enum Action {
    /// Merge the JSON files of several runs into one report
    Merge { files: Vec<PathBuf> },
    /// Execute a command that receives SIGTERM when the parent process ends
    #[command(hide = true)]
    DieWithParent {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<OsString>,
    },
    /// Run the upstream
    #[command(hide = true)]
    Upstream {
        port: u16,
        #[arg(long)]
        http2_streams: Option<u32>,
    },
    /// Run one of the proxies that are part of this program
    #[command(hide = true)]
    BuiltIn { proxy: BuiltIn, port: u16, upstream: SocketAddr },
}
