//! Echoes of messages, one in flight on each tunnel.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{Layout, Sizes, opening::Client};
use crate::{
    Result,
    figures::{Figures, Work, with_latency},
    http2::Http2,
    trial::{Trial, concurrently},
    websocket::{Check, Message, WebSocket},
};

/// Number of tunnels, and size of the messages.
#[derive(Debug)]
pub(super) struct Kind {
    pub(super) tunnels: usize,
    pub(super) bytes: usize,
}

pub(super) const SMALL: Kind = Kind { tunnels: 64, bytes: 125 };
pub(super) const LARGE: Kind = Kind { tunnels: 16, bytes: 64 * 1024 };

/// Number of connections for all tunnels if the client uses HTTP/2.
const CONNECTIONS: usize = 4;

pub(super) fn sheet(sizes: &Sizes, kind: &Kind, http2: Http2) -> Layout {
    let size =
        if kind.bytes < 1024 { format!("{} B", kind.bytes) } else { format!("{} KiB", kind.bytes / 1024) };
    let versions = match http2 {
        Http2::Neither => String::new(),
        Http2::Client => format!(" from {CONNECTIONS} HTTP/2 connections"),
        Http2::Upstream => " to HTTP/2".to_owned(),
    };
    let heading = format!(
        "echoes of {size} on {} tunnels{versions}, {:?} each round",
        kind.tunnels, sizes.measure_time
    );
    let columns = &[
        ("cpu", "CPU µs per message"),
        ("user", "user"),
        ("system", "system"),
        ("rate", "messages/s"),
        ("p50", "p50 µs"),
        ("p99", "p99 µs"),
    ];
    (heading, columns)
}

pub(super) async fn measure(trial: &Trial, sizes: &Sizes, kind: &Kind) -> Result<Figures> {
    let message = Arc::new(Message::new(kind.bytes));
    trial.enter("opening tunnels");
    let client = Client::of(trial, kind.tunnels, CONNECTIONS).await?;
    let tunnels = client.open_echoes(kind.tunnels, &message).await?;
    let groups = tunnels.into_iter().map(|tunnel| vec![tunnel]).collect();
    trial.enter("warming up");
    let (groups, _) = exchange(groups, &message, sizes.warm_up, Check::Whole).await?;
    trial.enter("exchanging messages");
    let (start, before) = (Instant::now(), trial.cpu()?);
    let (_groups, latencies) = exchange(groups, &message, sizes.measure_time, Check::Ends).await?;
    let elapsed = start.elapsed();
    let cpu = trial.cpu()?.zip(before).map(|(after, before)| after - before);
    let work = Work { units: latencies.len() as f64, elapsed, cpu };
    Ok(with_latency(work.figures(1e6), latencies))
}

/// Exchanges messages for this duration: in each group one at a time, on its tunnels in turn. Waits for the last echoes,
/// and returns the tunnels and the latencies.
pub(super) async fn exchange(
    groups: Vec<Vec<WebSocket>>,
    message: &Arc<Message>,
    duration: Duration,
    check: Check,
) -> Result<(Vec<Vec<WebSocket>>, Vec<Duration>)> {
    let end = Instant::now() + duration;
    let task = |mut group: Vec<WebSocket>| {
        let message = Arc::clone(message);
        async move {
            let mut latencies = Vec::with_capacity(10_000);
            let mut now = Instant::now();
            let mut turn = 0;
            while now < end {
                group[turn].echo(&message, check).await?;
                turn = (turn + 1) % group.len();
                let sent = std::mem::replace(&mut now, Instant::now());
                latencies.push(now - sent);
            }
            Ok((group, latencies))
        }
    };
    let (groups, latencies): (_, Vec<_>) =
        concurrently(groups.into_iter().map(task)).await?.into_iter().unzip();
    Ok((groups, latencies.concat()))
}
