//! Long streams of large frames, in one direction.

use std::{sync::Arc, time::Instant};

use super::{Outline, Sizes};
use crate::{
    Result,
    figures::{Figures, Work},
    trial::{Trial, at_once},
    websocket::{Message, WebSocket},
};

const TUNNELS: u64 = 4;

/// The payload of each frame; the upstream pushes the same.
const FRAME: u64 = 64 * 1024;

/// Whom the stream goes to.
#[derive(Debug, Clone, Copy)]
pub(super) enum Way {
    Down,
    Up,
}

impl Way {
    fn bytes(self, sizes: &Sizes) -> u64 {
        match self {
            Self::Down => sizes.bulk,
            Self::Up => sizes.bulk / 2,
        }
    }
}

pub(super) fn sheet(sizes: &Sizes, way: Way) -> Outline {
    let whom = match way {
        Way::Down => "the client",
        Way::Up => "the upstream",
    };
    let mib = way.bytes(sizes) >> 20;
    let heading = format!("{mib} MiB to {whom} in frames of 64 KiB, over {TUNNELS} tunnels");
    let columns = &[("cpu", "CPU s per GiB"), ("user", "user"), ("system", "system"), ("rate", "GiB/s")];
    (heading, columns)
}

/// A sixteenth of the stream goes first, uncounted, over tunnels of its own.
pub(super) async fn measure(trial: &Trial, sizes: &Sizes, way: Way) -> Result<Figures> {
    let each = way.bytes(sizes) / TUNNELS;
    trial.enter("warming up");
    stream(trial, way, each / 16).await?;
    trial.enter("streaming");
    let (start, before) = (Instant::now(), trial.cpu()?);
    let _tunnels = stream(trial, way, each).await?;
    let elapsed = start.elapsed();
    let cpu = trial.cpu()?.zip(before).map(|(after, before)| after - before);
    let gib = (each * TUNNELS) as f64 / f64::from(1 << 30);
    Ok(Work { units: gib, elapsed, cpu }.figures(1.0))
}

async fn stream(trial: &Trial, way: Way, bytes: u64) -> Result<Vec<WebSocket>> {
    let address = trial.address;
    let message = Arc::new(Message::new(FRAME as usize));
    let task = |_| {
        let message = Arc::clone(&message);
        async move {
            match way {
                Way::Down => {
                    let mut tunnel = WebSocket::open(address, &format!("/push?bytes={bytes}")).await?;
                    tunnel.receive(bytes).await?;
                    Ok(tunnel)
                }
                Way::Up => {
                    let mut tunnel = WebSocket::open(address, &format!("/sink?bytes={bytes}")).await?;
                    tunnel.send(&message, bytes / FRAME).await?;
                    Ok(tunnel)
                }
            }
        }
    };
    at_once((0..TUNNELS).map(task)).await
}
