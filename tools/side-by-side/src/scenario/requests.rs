//! Ordinary requests on persistent connections, one in flight on each.

use std::time::{Duration, Instant};

use super::{Layout, Sizes};
use crate::{
    Result,
    figures::{Figures, Work, with_latency},
    page_client::PageClient,
    trial::{Trial, concurrently},
};

const CONNECTIONS: usize = 64;

pub(super) fn sheet(sizes: &Sizes) -> Layout {
    let heading = format!(
        "ordinary GET requests, responses of 125 B, {CONNECTIONS} connections, {:?} each round",
        sizes.measure_time
    );
    let columns = &[
        ("cpu", "CPU µs per request"),
        ("user", "user"),
        ("system", "system"),
        ("rate", "requests/s"),
        ("p50", "p50 µs"),
        ("p99", "p99 µs"),
    ];
    (heading, columns)
}

pub(super) async fn measure(trial: &Trial, sizes: &Sizes) -> Result<Figures> {
    let address = trial.address;
    trial.enter("connecting");
    let clients = concurrently((0..CONNECTIONS).map(|_| PageClient::open(address))).await?;
    trial.enter("warming up");
    let (clients, _) = exchange(clients, sizes.warm_up).await?;
    trial.enter("sending requests");
    let (start, before) = (Instant::now(), trial.cpu()?);
    let (_clients, latencies) = exchange(clients, sizes.measure_time).await?;
    let elapsed = start.elapsed();
    let cpu = trial.cpu()?.zip(before).map(|(after, before)| after - before);
    let work = Work { units: latencies.len() as f64, elapsed, cpu };
    Ok(with_latency(work.figures(1e6), latencies))
}

/// Sends requests for this duration. Returns the clients and the latencies.
async fn exchange(clients: Vec<PageClient>, duration: Duration) -> Result<(Vec<PageClient>, Vec<Duration>)> {
    let end = Instant::now() + duration;
    let task = |mut client: PageClient| async move {
        let mut latencies = Vec::with_capacity(10_000);
        let mut now = Instant::now();
        while now < end {
            client.get().await?;
            let sent = std::mem::replace(&mut now, Instant::now());
            latencies.push(now - sent);
        }
        Ok((client, latencies))
    };
    let (clients, latencies): (_, Vec<_>) =
        concurrently(clients.into_iter().map(task)).await?.into_iter().unzip();
    Ok((clients, latencies.concat()))
}
