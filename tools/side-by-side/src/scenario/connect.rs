//! Short tunnels: open, one echo, close.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::time;

use super::{Layout, Sizes};
use crate::{
    Result,
    figures::{Figures, Work, with_latency},
    trial::{Trial, concurrently},
    websocket::{Check, Message, WebSocket},
};

/// Number of concurrent clients.
const CLIENTS: usize = 32;

/// Time for the proxy to end the last tunnels.
const SETTLE_TIME: Duration = Duration::from_millis(200);

pub(super) fn sheet(sizes: &Sizes) -> Layout {
    let heading =
        format!("{} cycles of open, echo of 125 B, close; {CLIENTS} concurrent clients", sizes.cycles);
    let columns = &[
        ("cpu", "CPU µs per cycle"),
        ("user", "user"),
        ("system", "system"),
        ("rate", "cycles/s"),
        ("p50", "p50 µs"),
        ("p99", "p99 µs"),
    ];
    (heading, columns)
}

pub(super) async fn measure(trial: &Trial, sizes: &Sizes) -> Result<Figures> {
    trial.enter("warming up");
    cycles(trial.address, sizes.cycles / 20).await?;
    trial.enter("opening and closing");
    measure_cycles(trial, sizes.cycles).await
}

/// Figures of `count` cycles. The CPU time includes the proxy's work after the last cycle.
pub(super) async fn measure_cycles(trial: &Trial, count: usize) -> Result<Figures> {
    let (start, before) = (Instant::now(), trial.cpu()?);
    let latencies = cycles(trial.address, count).await?;
    let elapsed = start.elapsed();
    time::sleep(SETTLE_TIME).await;
    let cpu = trial.cpu()?.zip(before).map(|(after, before)| after - before);
    let work = Work { units: latencies.len() as f64, elapsed, cpu };
    Ok(with_latency(work.figures(1e6), latencies))
}

async fn cycles(address: SocketAddr, count: usize) -> Result<Vec<Duration>> {
    let message = Arc::new(Message::new(125));
    let begun = Arc::new(AtomicUsize::new(0));
    let client = |_| {
        let (message, begun) = (Arc::clone(&message), Arc::clone(&begun));
        async move {
            let mut latencies = Vec::with_capacity(2 * count / CLIENTS);
            while begun.fetch_add(1, Ordering::Relaxed) < count {
                let start = Instant::now();
                let mut tunnel = WebSocket::open(address, "/echo").await?;
                tunnel.echo(&message, Check::Whole).await?;
                tunnel.close().await?;
                latencies.push(start.elapsed());
            }
            Ok(latencies)
        }
    };
    Ok(concurrently((0..CLIENTS).map(client)).await?.concat())
}
