//! Bulk transfer in one direction, in large frames.

use std::{sync::Arc, time::Instant};

use super::{Layout, Sizes};
use crate::{
    Result,
    figures::{Figures, Work},
    trial::{Trial, concurrently},
    websocket::{Message, WebSocket},
};

const TUNNELS: u64 = 4;

/// Payload length of each frame, also of those from the upstream.
const FRAME: u64 = 64 * 1024;

/// Direction of the transfer.
#[derive(Debug, Clone, Copy)]
pub(super) enum Direction {
    Down,
    Up,
}

impl Direction {
    fn bytes(self, sizes: &Sizes) -> u64 {
        match self {
            Self::Down => sizes.bulk,
            Self::Up => sizes.bulk / 2,
        }
    }
}

pub(super) fn sheet(sizes: &Sizes, direction: Direction) -> Layout {
    let receiver = match direction {
        Direction::Down => "the client",
        Direction::Up => "the upstream",
    };
    let mib = direction.bytes(sizes) >> 20;
    let heading = format!("{mib} MiB to {receiver} in frames of 64 KiB, over {TUNNELS} tunnels");
    let columns = &[("cpu", "CPU s per GiB"), ("user", "user"), ("system", "system"), ("rate", "GiB/s")];
    (heading, columns)
}

/// A sixteenth of the transfer is made in advance, over other tunnels, and is not measured.
pub(super) async fn measure(trial: &Trial, sizes: &Sizes, direction: Direction) -> Result<Figures> {
    let each = direction.bytes(sizes) / TUNNELS;
    trial.enter("warming up");
    stream(trial, direction, each / 16).await?;
    trial.enter("streaming");
    let (start, before) = (Instant::now(), trial.cpu()?);
    let _tunnels = stream(trial, direction, each).await?;
    let elapsed = start.elapsed();
    let cpu = trial.cpu()?.zip(before).map(|(after, before)| after - before);
    let gib = (each * TUNNELS) as f64 / f64::from(1 << 30);
    Ok(Work { units: gib, elapsed, cpu }.figures(1.0))
}

async fn stream(trial: &Trial, direction: Direction, bytes: u64) -> Result<Vec<WebSocket>> {
    let address = trial.address;
    let message = Arc::new(Message::new(FRAME as usize));
    let task = |_| {
        let message = Arc::clone(&message);
        async move {
            match direction {
                Direction::Down => {
                    let mut tunnel = WebSocket::open(address, &format!("/push?bytes={bytes}")).await?;
                    tunnel.receive(bytes).await?;
                    Ok(tunnel)
                }
                Direction::Up => {
                    let mut tunnel = WebSocket::open(address, &format!("/sink?bytes={bytes}")).await?;
                    tunnel.send(&message, bytes / FRAME).await?;
                    Ok(tunnel)
                }
            }
        }
    };
    concurrently((0..TUNNELS).map(task)).await
}
