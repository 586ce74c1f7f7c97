//! G. Faults inside tunnels.

use std::time::Duration;

use tower_upgrade_proxy::{Drain, TunnelConfig, UpgradeProxyLayer};

use crate::{
    stage::Served,
    support::{bounded, ping_pong},
};

/// No timeout that could end a tunnel before the test does.
fn patient(layer: UpgradeProxyLayer) -> UpgradeProxyLayer {
    layer.tunnel(TunnelConfig::new().close_timeout(Duration::from_secs(3600)))
}

async fn g3_a_reset_from_either_side_closes_the_other_and_nothing_else(served: Served) {
    let drain = Drain::new();
    let watcher = drain.watcher();
    let stage = served.stage_with(|layer| patient(layer).drain(watcher)).await;
    let mut others = Vec::new();
    for _ in 0..5 {
        others.push(stage.tunnel().await);
    }
    for from_client in [true, false] {
        for in_the_middle in [true, false] {
            let (mut client, mut server) = stage.tunnel().await;
            if in_the_middle {
                // A frame of 126 bytes, of which two have come.
                client.send(b"\x82\xfe\0\x7e\0\0\0\0ab").await;
                server.expect(b"\x82\xfe\0\x7e\0\0\0\0ab").await;
                server.send(b"\x82\x7e\0\x7eab").await;
                client.expect(b"\x82\x7e\0\x7eab").await;
            }
            let (resets, mut other) = if from_client { (client, server) } else { (server, client) };
            resets.reset();
            other.rest().await;
            if !from_client {
                // It was told a Close, and may answer.
                other.finish().await;
            }
            bounded("the tunnel to be over", async {
                while drain.active() > others.len() {
                    tokio::task::yield_now().await;
                }
            })
            .await;
        }
    }
    for (client, server) in &mut others {
        ping_pong(client, server).await;
    }
}

async fn g5_a_half_close_is_passed_on_and_the_other_direction_goes_on(served: Served) {
    let stage = served.stage_with(patient).await;
    for from_client in [true, false] {
        let (client, server) = stage.tunnel().await;
        let (mut first, mut second) = if from_client { (client, server) } else { (server, client) };
        first.send("last").await;
        first.finish().await;
        second.expect("last").await;
        second.expect_end().await;
        for _ in 0..3 {
            second.send("still").await;
            first.expect("still").await;
        }
        second.finish().await;
        first.expect_end().await;
    }
}

async fn g6_the_last_bytes_are_delivered_before_the_end(served: Served) {
    let stage = served.stage_with(patient).await;
    let last: Vec<u8> = (0..1_u32 << 20).flat_map(u32::to_be_bytes).collect();
    for from_client in [true, false] {
        let (client, server) = stage.tunnel().await;
        let (mut leaving, mut other) = if from_client { (client, server) } else { (server, client) };
        let bytes = last.clone();
        let left = tokio::spawn(async move {
            leaving.send(bytes).await;
            // Closed, not half-closed.
            drop(leaving);
        });
        let rest = other.rest().await;
        left.await.unwrap();
        assert!(rest.starts_with(&last), "{} of {} bytes", rest.len(), last.len());
        assert!(rest.len() - last.len() <= 25, "a Close at most");
    }
}

on_both![
    g3_a_reset_from_either_side_closes_the_other_and_nothing_else,
    g5_a_half_close_is_passed_on_and_the_other_direction_goes_on,
    g6_the_last_bytes_are_delivered_before_the_end,
];
