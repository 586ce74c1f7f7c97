//! Clients that do not read from an upstream that sends without end.

use tokio::time;

use super::{CONCURRENCY, Layout, Sizes};
use crate::{
    Result,
    figures::Figures,
    trial::{Trial, concurrently},
    websocket::WebSocket,
};

pub(super) fn sheet(sizes: &Sizes) -> Layout {
    let heading =
        format!("{} tunnels with a client that does not read while the upstream sends", sizes.stalled);
    let columns = &[("kib", "KiB per tunnel"), ("later", "later"), ("silent", "CPU ms/s for 1,000 tunnels")];
    (heading, columns)
}

/// `later` is the growth after some more time. With backpressure, both are equal.
pub(super) async fn measure(trial: &Trial, sizes: &Sizes) -> Result<Figures> {
    let address = trial.address;
    trial.enter("warming up");
    drop(WebSocket::open_with_small_buffer(address, "/push").await?);
    let before = trial.settled_pss(sizes.sample_interval).await?;
    trial.enter("opening tunnels");
    let mut tunnels = Vec::with_capacity(sizes.stalled);
    while tunnels.len() < sizes.stalled {
        let count = CONCURRENCY.min(sizes.stalled - tunnels.len());
        tunnels.extend(
            concurrently((0..count).map(|_| WebSocket::open_with_small_buffer(address, "/push"))).await?,
        );
    }
    trial.enter("waiting for the memory to settle");
    let after = trial.settled_pss(sizes.sample_interval).await?;
    let cpu = trial.cpu()?.unwrap_or_default();
    time::sleep(sizes.idle_time).await;
    let silent = trial.cpu()?.unwrap_or_default() - cpu;
    let later = trial.pss()?;

    let count = tunnels.len() as f64;
    Ok(Figures::from([
        ("kib".to_owned(), (after - before) / count),
        ("later".to_owned(), (later - before) / count),
        ("silent".to_owned(), silent.total / sizes.idle_time.as_secs_f64() * 1e3 / (count / 1e3)),
    ]))
}
