//! Cost of messages and of new tunnels by the number of open tunnels.

use std::sync::Arc;

use super::{CONCURRENCY, Layout, Sizes, connect, echo, idle, opening::Client};
use crate::{
    Result,
    figures::{Figures, Work},
    trial::Trial,
    websocket::{Check, Message, WebSocket},
};

/// Numbers of open tunnels.
pub(crate) const STEPS: [usize; 4] = [100, 1_000, 5_000, 9_000];

pub(super) fn sheet(_sizes: &Sizes, tunnels: usize) -> Layout {
    let heading =
        format!("with {tunnels} tunnels open; {CONCURRENCY} messages in flight, on all tunnels in turn");
    let columns = &[
        ("kib", "KiB per tunnel"),
        ("echo", "CPU µs per message of 125 B"),
        ("connect", "CPU µs per open, echo, close"),
    ];
    (heading, columns)
}

pub(super) async fn measure(trial: &Trial, sizes: &Sizes, tunnels: usize) -> Result<Figures> {
    let large = Arc::new(Message::new(idle::MESSAGE));
    let small = Arc::new(Message::new(echo::SMALL.bytes));
    trial.enter("warming up");
    let client = Client::of(trial, tunnels, 1).await?;
    drop(client.open_echoes(8, &large).await?);
    let before = trial.settled_pss(sizes.sample_interval).await?;
    trial.enter("opening tunnels");
    let opened = client.open_echoes(tunnels, &large).await?;
    let kib = (trial.settled_pss(sizes.sample_interval).await? - before) / tunnels as f64;

    trial.enter("exchanging messages");
    let mut groups: Vec<Vec<WebSocket>> = (0..CONCURRENCY).map(|_| Vec::new()).collect();
    opened.into_iter().enumerate().for_each(|(at, tunnel)| groups[at % CONCURRENCY].push(tunnel));
    let (groups, _) = echo::exchange(groups, &small, sizes.warm_up, Check::Ends).await?;
    let (start, cpu) = (std::time::Instant::now(), trial.cpu()?);
    let (_groups, latencies) = echo::exchange(groups, &small, sizes.measure_time, Check::Ends).await?;
    let elapsed = start.elapsed();
    let cpu = trial.cpu()?.zip(cpu).map(|(after, before)| after - before);
    let exchanged = Work { units: latencies.len() as f64, elapsed, cpu }.figures(1e6);

    trial.enter("opening and closing more tunnels");
    let connected = connect::measure_cycles(trial, sizes.cycles / 4).await?;
    let mut figures = Figures::from([("kib".to_owned(), kib)]);
    let costs = [("echo", exchanged.get("cpu")), ("connect", connected.get("cpu"))];
    figures.extend(costs.into_iter().filter_map(|(key, cost)| Some((key.to_owned(), *cost?))));
    Ok(figures)
}
