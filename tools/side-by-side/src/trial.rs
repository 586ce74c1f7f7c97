//! Processes of one measurement: a proxy and its upstream.

use std::{
    cell::Cell,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    process::Command,
    time::{Duration, Instant},
};

use tempfile::TempDir;
use tokio::{task::JoinSet, time};

use crate::{
    Result,
    http2::Http2,
    page_client::PageClient,
    process::Process,
    proxies::{Proxy, Role, Setup},
    scenario::{Scenario, Sizes},
    usage::{self, Cpu},
};

/// Maximum time until a process responds.
const READY_TIMEOUT: Duration = Duration::from_secs(20);

/// Running processes of a measurement. They end when it is dropped.
#[derive(Debug)]
pub(crate) struct Trial {
    /// Address for the load: the proxy's, or without one the upstream's.
    pub(crate) address: SocketAddr,
    /// Side with HTTP/2.
    pub(crate) http2: Http2,
    proxy: Option<Process>,
    _upstream: Process,
    _directory: TempDir,
    phase: Cell<&'static str>,
}

impl Trial {
    /// Starts both processes, and waits until an ordinary request succeeds.
    pub(crate) async fn start(proxy: &Proxy, scenario: Scenario, sizes: &Sizes, files: u64) -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("side-by-side-").tempdir()?;
        let (listen, upstream) = free_addresses()?;
        let (http2, tunnels) = (scenario.http2(), scenario.tunnels(sizes));
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("upstream").arg(upstream.port().to_string());
        // Without a proxy, the upstream needs the client's HTTP version.
        if http2 == Http2::Upstream || http2 == Http2::Client && proxy.role == Role::Direct {
            command.args(["--http2-streams", &sizes.streams.to_string()]);
        }
        let mut upstream_process = Process::spawn(&command, &directory.path().join("upstream.log"))?;
        wait_until_ready(&mut upstream_process, upstream)
            .await
            .map_err(|error| format!("upstream: {error}"))?;

        let setup = Setup { listen, upstream, directory: directory.path(), tunnels, files, http2 };
        let command = proxy.command(&setup)?;
        let started = command.map(|command| Process::spawn(&command, &directory.path().join("proxy.log")));
        let mut started = started.transpose()?;
        let address = if started.is_some() { listen } else { upstream };
        if let Some(process) = &mut started {
            wait_until_ready(process, address).await?;
        }
        let phase = Cell::new("starting");
        Ok(Self { address, http2, proxy: started, _upstream: upstream_process, _directory: directory, phase })
    }

    /// Sets the current phase of the measurement, for error messages.
    pub(crate) fn enter(&self, phase: &'static str) {
        self.phase.set(phase);
    }

    /// Current phase.
    pub(crate) fn phase(&self) -> &'static str {
        self.phase.get()
    }

    /// CPU time of the proxy so far; `None` without a proxy.
    pub(crate) fn cpu(&self) -> Result<Option<Cpu>> {
        self.proxy.as_ref().map(|proxy| usage::cpu(proxy.group())).transpose()
    }

    /// Memory of the proxy in KiB.
    pub(crate) fn pss(&self) -> Result<f64> {
        self.proxy.as_ref().map_or(Ok(0.0), |proxy| usage::pss(proxy.group()))
    }

    /// Number of files that the proxy has open.
    pub(crate) fn open_files(&self) -> Result<usize> {
        self.proxy.as_ref().map_or(Ok(0), |proxy| usage::open_files(proxy.group()))
    }

    /// Memory of the proxy in KiB when it is stable: three readings in a row, `interval` apart, within 0.2 %. After 20 s
    /// the last reading is returned, stable or not.
    pub(crate) async fn settled_pss(&self, interval: Duration) -> Result<f64> {
        let start = Instant::now();
        let mut last = self.pss()?;
        let mut equal = 0;
        while equal < 3 && start.elapsed() < Duration::from_secs(20) {
            time::sleep(interval).await;
            let now = self.pss()?;
            equal = if (now - last).abs() <= (now * 0.002).max(16.0) { equal + 1 } else { 0 };
            last = now;
        }
        Ok(last)
    }
}

/// Runs all tasks concurrently. The first error ends the others.
pub(crate) async fn concurrently<T: Send + 'static>(
    tasks: impl Iterator<Item = impl Future<Output = Result<T>> + Send + 'static>,
) -> Result<Vec<T>> {
    let mut running: JoinSet<Result<T>> = tasks.collect();
    let mut results = Vec::with_capacity(running.len());
    while let Some(result) = running.join_next().await {
        results.push(result??);
    }
    Ok(results)
}

/// Requests the page until the response is valid, the process has ended, or the timeout is over.
async fn wait_until_ready(process: &mut Process, address: SocketAddr) -> Result<()> {
    let start = Instant::now();
    loop {
        let page = async { PageClient::open(address).await?.get().await };
        let error = match time::timeout(Duration::from_secs(2), page).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "no response".to_owned(),
        };
        if let Some(report) = process.exit_report() {
            return Err(report.into());
        }
        if start.elapsed() > READY_TIMEOUT {
            return Err(format!("not ready after {READY_TIMEOUT:?}: {error}").into());
        }
        time::sleep(Duration::from_millis(20)).await;
    }
}

/// Two addresses without a listener.
fn free_addresses() -> Result<(SocketAddr, SocketAddr)> {
    let one = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let other = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok((one.local_addr()?, other.local_addr()?))
}
