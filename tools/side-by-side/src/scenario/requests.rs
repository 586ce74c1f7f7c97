//! Ordinary requests, one in flight on each of the connections, which stay.

use std::time::{Duration, Instant};

use super::{Outline, Sizes};
use crate::{
    Result,
    figures::{Figures, Work, with_latency},
    page::Reader,
    trial::{Trial, at_once},
};

const CONNECTIONS: usize = 64;

pub(super) fn sheet(sizes: &Sizes) -> Outline {
    let heading = format!(
        "ordinary GET requests, responses of 125 B, {CONNECTIONS} connections, {:?} each round",
        sizes.counted
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
    let readers = at_once((0..CONNECTIONS).map(|_| Reader::open(address))).await?;
    trial.enter("warming up");
    let (readers, _) = ask(readers, sizes.warm_up).await?;
    trial.enter("asking");
    let (start, before) = (Instant::now(), trial.cpu()?);
    let (_readers, latencies) = ask(readers, sizes.counted).await?;
    let elapsed = start.elapsed();
    let cpu = trial.cpu()?.zip(before).map(|(after, before)| after - before);
    let work = Work { units: latencies.len() as f64, elapsed, cpu };
    Ok(with_latency(work.figures(1e6), latencies))
}

async fn ask(readers: Vec<Reader>, duration: Duration) -> Result<(Vec<Reader>, Vec<Duration>)> {
    let end = Instant::now() + duration;
    let task = |mut reader: Reader| async move {
        let mut latencies = Vec::with_capacity(10_000);
        let mut now = Instant::now();
        while now < end {
            reader.get().await?;
            let sent = std::mem::replace(&mut now, Instant::now());
            latencies.push(now - sent);
        }
        Ok((reader, latencies))
    };
    let (readers, latencies): (_, Vec<_>) = at_once(readers.into_iter().map(task)).await?.into_iter().unzip();
    Ok((readers, latencies.concat()))
}
