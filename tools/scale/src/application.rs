//! An application with the layer, whose hooks count: a process of its own.

use std::{
    collections::{BTreeMap, HashSet},
    io::Write,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use hyper_util::{rt::TokioExecutor, server::conn::auto};
use test_support::{
    Inner,
    serve::{listen, serve_auto_with},
};
use tokio::signal::unix::{SignalKind, signal};
use tower_upgrade_proxy::{Drain, OnTunnel, TunnelInfo, TunnelSummary, UpgradeProxyLayer, Upstream};

use crate::Result;

/// Limits that are not to be measured.
const UNLIMITED: usize = 1_000_000;

/// Start of the line of the log with the calls of the hooks.
pub(crate) const HOOKS: &str = "hooks: ";

/// Calls of the hooks.
#[derive(Clone, Default)]
struct Counts(Arc<Mutex<Calls>>);

#[derive(Default)]
struct Calls {
    opened: usize,
    /// By the reason of the end.
    closed: BTreeMap<&'static str, usize>,
    /// Tunnels that were opened and not closed.
    open: HashSet<u64>,
    /// Calls for a tunnel that was open already, or not open.
    wrong: usize,
}

impl OnTunnel for Counts {
    fn on_open(&self, tunnel: &TunnelInfo) {
        let mut calls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        calls.opened += 1;
        calls.wrong += usize::from(!calls.open.insert(tunnel.id()));
    }

    fn on_close(&self, tunnel: &TunnelInfo, summary: &TunnelSummary) {
        let mut calls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *calls.closed.entry(summary.end().reason()).or_default() += 1;
        calls.wrong += usize::from(!calls.open.remove(&tunnel.id()));
    }
}

impl Counts {
    /// The numbers of calls in one line.
    fn list(&self) -> String {
        let calls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (closed, wrong) = (calls.closed.values().sum::<usize>(), calls.wrong);
        let reasons: Vec<_> =
            calls.closed.iter().map(|(reason, number)| format!("{number} {reason}")).collect();
        format!("{} opened, {closed} closed ({}), {wrong} wrong", calls.opened, reasons.join(", "))
    }
}

/// Serves until SIGTERM, then drains, and logs the summary of the drain and the counts of the hooks.
pub(crate) async fn serve(upstream: &str, grace: Duration) -> Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let (drain, counts) = (Drain::new(), Counts::default());
    let layer = UpgradeProxyLayer::new(upstream.parse::<Upstream>()?.http2())
        .max_tunnels(UNLIMITED)
        .max_handshakes(UNLIMITED)
        .idle_timeout(None)
        .drain(drain.watcher())
        .on_tunnel(counts.clone());
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http2().enable_connect_protocol().max_concurrent_streams(u32::MAX);
    let listener = listen(([0, 0, 0, 0], 0).into());
    println!("listening on {}", serve_auto_with(builder, listener, Inner::Application.app(layer)));
    std::io::stdout().flush()?;
    terminate.recv().await;
    let summary = drain.shutdown(grace).await;
    eprintln!("tunnels ended: {summary}\n{HOOKS}{}", counts.list());
    Ok(())
}
