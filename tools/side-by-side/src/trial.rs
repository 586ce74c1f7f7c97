//! One proxy between this process and a fresh upstream, for one measurement.

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
    page::Reader,
    process::Process,
    proxies::{Proxy, Side, Site},
    scenario::{Scenario, Sizes},
    usage::{self, Cpu},
};

/// How long a process may take until it answers.
const READY: Duration = Duration::from_secs(20);

/// The processes of a measurement; they end with it.
#[derive(Debug)]
pub(crate) struct Trial {
    /// Where the load goes.
    pub(crate) address: SocketAddr,
    /// Who speaks HTTP/2.
    pub(crate) http2: Http2,
    proxy: Option<Process>,
    _upstream: Process,
    _directory: TempDir,
    phase: Cell<&'static str>,
}

impl Trial {
    /// Starts both, and waits until an ordinary request comes through.
    pub(crate) async fn start(proxy: &Proxy, scenario: Scenario, sizes: &Sizes, files: u64) -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("side-by-side-").tempdir()?;
        let (listen, upstream) = free_addresses()?;
        let (http2, tunnels) = (scenario.http2(), scenario.tunnels(sizes));
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("upstream").arg(upstream.port().to_string());
        // Without a proxy, what the client speaks arrives at the upstream.
        if http2 == Http2::Upstream || http2 == Http2::Client && proxy.side == Side::Direct {
            command.args(["--http2-streams", &sizes.streams.to_string()]);
        }
        let mut upstream_process = Process::spawn(&command, &directory.path().join("upstream.log"))?;
        ready(&mut upstream_process, upstream).await.map_err(|why| format!("upstream: {why}"))?;

        let site = Site { listen, upstream, directory: directory.path(), tunnels, files, http2 };
        let command = proxy.command(&site)?;
        let started = command.map(|command| Process::spawn(&command, &directory.path().join("proxy.log")));
        let mut started = started.transpose()?;
        let address = if started.is_some() { listen } else { upstream };
        if let Some(process) = &mut started {
            ready(process, address).await?;
        }
        let phase = Cell::new("starting");
        Ok(Self { address, http2, proxy: started, _upstream: upstream_process, _directory: directory, phase })
    }

    /// Says what is done now, for the message if it never ends.
    pub(crate) fn enter(&self, phase: &'static str) {
        self.phase.set(phase);
    }

    /// What was entered last.
    pub(crate) fn phase(&self) -> &'static str {
        self.phase.get()
    }

    /// The CPU time of the proxy so far; none on the direct way.
    pub(crate) fn cpu(&self) -> Result<Option<Cpu>> {
        self.proxy.as_ref().map(|proxy| usage::cpu(proxy.group())).transpose()
    }

    /// The memory of the proxy in KiB.
    pub(crate) fn pss(&self) -> Result<f64> {
        self.proxy.as_ref().map_or(Ok(0.0), |proxy| usage::pss(proxy.group()))
    }

    /// The files that the proxy has open.
    pub(crate) fn open_files(&self) -> Result<usize> {
        self.proxy.as_ref().map_or(Ok(0), |proxy| usage::open_files(proxy.group()))
    }

    /// The memory of the proxy in KiB, once it does not change any more: three readings in a row, a step
    /// apart, within 0.2 %. What still changes after 20 s is taken as it is.
    pub(crate) async fn settled_pss(&self, step: Duration) -> Result<f64> {
        let start = Instant::now();
        let mut last = self.pss()?;
        let mut equal = 0;
        while equal < 3 && start.elapsed() < Duration::from_secs(20) {
            time::sleep(step).await;
            let now = self.pss()?;
            equal = if (now - last).abs() <= (now * 0.002).max(16.0) { equal + 1 } else { 0 };
            last = now;
        }
        Ok(last)
    }
}

/// Runs all of these at once. The first error ends the others.
pub(crate) async fn at_once<T: Send + 'static>(
    tasks: impl Iterator<Item = impl Future<Output = Result<T>> + Send + 'static>,
) -> Result<Vec<T>> {
    let mut running: JoinSet<Result<T>> = tasks.collect();
    let mut results = Vec::with_capacity(running.len());
    while let Some(result) = running.join_next().await {
        results.push(result??);
    }
    Ok(results)
}

async fn ready(process: &mut Process, address: SocketAddr) -> Result<()> {
    let start = Instant::now();
    loop {
        let page = async { Reader::open(address).await?.get().await };
        let why = match time::timeout(Duration::from_secs(2), page).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(why)) => why.to_string(),
            Err(_) => "no answer".to_owned(),
        };
        if let Some(epitaph) = process.epitaph() {
            return Err(epitaph.into());
        }
        if start.elapsed() > READY {
            return Err(format!("not ready after {READY:?}: {why}").into());
        }
        time::sleep(Duration::from_millis(20)).await;
    }
}

/// Two that nobody listens on.
fn free_addresses() -> Result<(SocketAddr, SocketAddr)> {
    let one = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let other = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok((one.local_addr()?, other.local_addr()?))
}
