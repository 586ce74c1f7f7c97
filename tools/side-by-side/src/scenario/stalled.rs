//! Clients that never read, of an upstream that never stops.

use tokio::time;

use super::{Outline, Sizes, WAVE};
use crate::{
    Result,
    figures::Figures,
    trial::{Trial, at_once},
    websocket::WebSocket,
};

pub(super) fn sheet(sizes: &Sizes) -> Outline {
    let heading = format!("{} tunnels whose client does not read while the upstream pushes", sizes.stalled);
    let columns = &[("kib", "KiB per tunnel"), ("later", "later"), ("silent", "CPU ms/s for 1,000 tunnels")];
    (heading, columns)
}

/// `later` is the same growth after a silence: equal, if the proxy holds the upstream back.
pub(super) async fn measure(trial: &Trial, sizes: &Sizes) -> Result<Figures> {
    let address = trial.address;
    trial.enter("warming up");
    drop(WebSocket::open_narrow(address, "/push").await?);
    let before = trial.settled_pss(sizes.settle).await?;
    trial.enter("opening tunnels");
    let mut tunnels = Vec::with_capacity(sizes.stalled);
    while tunnels.len() < sizes.stalled {
        let wave = WAVE.min(sizes.stalled - tunnels.len());
        tunnels.extend(at_once((0..wave).map(|_| WebSocket::open_narrow(address, "/push"))).await?);
    }
    trial.enter("waiting for the memory to settle");
    let after = trial.settled_pss(sizes.settle).await?;
    let cpu = trial.cpu()?.unwrap_or_default();
    time::sleep(sizes.silence).await;
    let silent = trial.cpu()?.unwrap_or_default() - cpu;
    let later = trial.pss()?;

    let count = tunnels.len() as f64;
    Ok(Figures::from([
        ("kib".to_owned(), (after - before) / count),
        ("later".to_owned(), (later - before) / count),
        ("silent".to_owned(), silent.total / sizes.silence.as_secs_f64() * 1e3 / (count / 1e3)),
    ]))
}
