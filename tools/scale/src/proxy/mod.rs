//! The proxies as processes, between the load and the upstreams.

mod application;
mod gateway;
mod haproxy;

use std::path::Path;

pub(crate) use application::Application;
pub(crate) use gateway::{Exit, Gateway, built};
pub(crate) use haproxy::Haproxy;

use crate::{
    Result,
    process::{Log, Process},
};

/// Worker threads of each proxy.
const WORKERS: usize = 2;

/// Number of routes of the crowd, each with an upstream address of its own, so that local ports suffice.
pub(crate) const ROUTES: usize = 4;

/// Path of the tunnels that are measured.
pub(crate) const LIVE: &str = "/live";

/// Path of a route of the crowd.
pub(crate) fn crowd_path(route: usize) -> String {
    format!("/crowd/{}", 1 + route % ROUTES)
}

/// Ports of the upstreams.
#[derive(Clone, Copy)]
pub(crate) struct Ports {
    pub(crate) live: u16,
    pub(crate) crowd: u16,
}

/// Upstream process, which listens on all loopback addresses.
pub(crate) struct Upstream {
    process: Process,
    pub(crate) port: u16,
}

impl Upstream {
    /// Starts an upstream on this port; 0 selects a free one.
    pub(crate) async fn start(port: u16) -> Result<Self> {
        let arguments = ["upstream".to_owned(), port.to_string()];
        let mut process = Process::spawn(&std::env::current_exe()?, &arguments, &Log::Inherit)?;
        let address = process.line_after("listening on ").await?;
        Ok(Self { process, port: port_of(&address)? })
    }

    /// Kills the process, which ends all its connections.
    pub(crate) async fn kill(self) -> Result<()> {
        self.process.kill().await
    }
}

fn port_of(address: &str) -> Result<u16> {
    let (_, port) = address.rsplit_once(':').ok_or_else(|| format!("no port in {address:?}"))?;
    Ok(port.parse()?)
}

/// Address of an upstream of the crowd.
fn crowd_address(route: usize, ports: Ports) -> String {
    format!("127.0.1.{}:{}", 1 + route, ports.crowd)
}

/// The log in a file, or nothing.
fn read_log(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}
