//! G8. Floods of data that the other side does not read.

use std::time::Duration;

use test_support::{Inner, Wire};
use tokio::{io::AsyncWriteExt, time::timeout};

use crate::allocations::measure_proxy;

/// Maximum size of the data in the buffers of the sockets and in the pipe.
const MOST_TAKEN: usize = 64 << 20;

const TUNNELS: usize = 4;

/// Sends until no more data is accepted. Returns the number of accepted bytes.
async fn flood(from: &mut Wire) -> usize {
    let (block, mut taken) = (vec![b'x'; 1 << 16], 0);
    while let Ok(written) = timeout(Duration::from_millis(500), from.stream.write(&block)).await {
        taken += written.unwrap();
        assert!(taken < MOST_TAKEN, "the proxy takes data without limit");
    }
    taken
}

async fn g8_unread_flood_is_bounded(inner: Inner) {
    for from_client in [true, false] {
        let allocations = measure_proxy(inner, move |proxy, mut start| async move {
            proxy.tunnel().await;
            start.now().await;
            let mut ends = Vec::new();
            for _ in 0..TUNNELS {
                let (client, server) = proxy.tunnel().await;
                ends.push(if from_client { (client, server) } else { (server, client) });
            }
            let mut taken = Vec::new();
            for (flooding, _) in &mut ends {
                taken.push(flood(flooding).await);
            }
            // All accepted data is delivered.
            for ((_, other), taken) in ends.iter_mut().zip(taken) {
                let received = other.exactly(taken).await;
                assert!(received.iter().all(|byte| *byte == b'x'));
            }
        });
        assert!(allocations.bytes_max < (TUNNELS as u64) << 20, "{allocations:?}");
    }
}

on_both![g8_unread_flood_is_bounded];
