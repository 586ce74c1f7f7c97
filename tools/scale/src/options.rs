//! Command line.

use std::{ffi::OsString, path::PathBuf};

use clap::{Parser, Subcommand};

use crate::scenario::Scenario;

/// Behaviour of the gateway with thousands of tunnels: memory, drains, mass timeouts, reconnecting and hostile clients
///
/// Starts the gateway that was built with the profile of this program. Prints a table and checks for each scenario. The exit
/// code is 0 if all checks hold. Linux only; as root it runs in a network namespace of its own.
#[derive(Debug, Parser)]
#[command(name = "scale")]
pub(crate) struct Options {
    /// Scenarios to run [default: all]
    #[arg(long, value_enum, value_delimiter = ',', value_name = "NAMES")]
    pub(crate) scenario: Vec<Scenario>,

    /// Few tunnels and short times, as a test of the program and of the gateway's behaviour
    #[arg(long)]
    pub(crate) small: bool,

    /// Gateway executable [default: the one in the folder of this program]
    #[arg(long, value_name = "PATH")]
    pub(crate) gateway: Option<PathBuf>,

    /// Number of tunnels over HTTP/2 of the ramp [default: 100000]
    #[arg(long, value_name = "N")]
    pub(crate) http2_tunnels: Option<usize>,

    /// Write the figures into this Markdown file, between the markers of each scenario
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,

    #[command(subcommand)]
    pub(crate) action: Option<Action>,
}

/// Internal processes.
#[derive(Debug, Subcommand)]
pub(crate) enum Action {
    /// Execute a command that ends with the parent process
    #[command(hide = true)]
    DieWithParent {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<OsString>,
    },
    /// Run an upstream
    #[command(hide = true)]
    Upstream { port: u16 },
    /// Run an application with the layer, until SIGTERM
    #[command(hide = true)]
    Application { upstream: String, grace_ms: u64 },
}
