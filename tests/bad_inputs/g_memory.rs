//! G8. Floods that nobody reads.

use std::time::Duration;

use tokio::{io::AsyncWriteExt, time::timeout};

use crate::{counted::counted, stage::Served, support::Wire};

/// What the sockets on the way hold, and the pipe in between.
const MOST_TAKEN: usize = 64 << 20;

const TUNNELS: usize = 4;

/// Sends until nothing is taken any more; how much was.
async fn flood(from: &mut Wire) -> usize {
    let (block, mut taken) = (vec![b'x'; 1 << 16], 0);
    while let Ok(written) = timeout(Duration::from_millis(500), from.stream.write(&block)).await {
        taken += written.unwrap();
        assert!(taken < MOST_TAKEN, "no end of it");
    }
    taken
}

async fn g8_a_flood_that_nobody_reads_is_bounded(served: Served) {
    for from_client in [true, false] {
        let counted = counted(served, move |stage, mut begin| async move {
            stage.tunnel().await;
            begin.now().await;
            let mut ends = Vec::new();
            for _ in 0..TUNNELS {
                let (client, server) = stage.tunnel().await;
                ends.push(if from_client { (client, server) } else { (server, client) });
            }
            let mut taken = Vec::new();
            for (flooding, _) in &mut ends {
                taken.push(flood(flooding).await);
            }
            // Nothing is lost of what was taken.
            for ((_, other), taken) in ends.iter_mut().zip(taken) {
                let received = other.exactly(taken).await;
                assert!(received.iter().all(|byte| *byte == b'x'));
            }
        });
        assert!(counted.bytes_max < (TUNNELS as u64) << 20, "{counted:?}");
    }
}

on_both![g8_a_flood_that_nobody_reads_is_bounded];
