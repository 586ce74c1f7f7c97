//! G. Faults of tunnels.

use std::time::Duration;

use test_support::{Inner, ScriptedProxy, bounded, ping_pong};
use tower_upgrade_proxy::{Drain, TunnelConfig, UpgradeProxyLayer};

/// Sets timeouts that do not expire during a test.
fn with_long_timeouts(layer: UpgradeProxyLayer) -> UpgradeProxyLayer {
    layer.tunnel(TunnelConfig::new().close_timeout(Duration::from_secs(3600)))
}

async fn g3_reset_of_one_side_closes_only_the_other_side(inner: Inner) {
    let drain = Drain::new();
    let watcher = drain.watcher();
    let proxy = ScriptedProxy::start_with(inner, |layer| with_long_timeouts(layer).drain(watcher)).await;
    let mut others = Vec::new();
    for _ in 0..5 {
        others.push(proxy.tunnel().await);
    }
    for from_client in [true, false] {
        for in_the_middle in [true, false] {
            let (mut client, mut server) = proxy.tunnel().await;
            if in_the_middle {
                // The first two bytes of a frame of 126 bytes.
                client.send(b"\x82\xfe\0\x7e\0\0\0\0ab").await;
                server.expect(b"\x82\xfe\0\x7e\0\0\0\0ab").await;
                server.send(b"\x82\x7e\0\x7eab").await;
                client.expect(b"\x82\x7e\0\x7eab").await;
            }
            let (resetting, mut other) = if from_client { (client, server) } else { (server, client) };
            resetting.reset();
            if from_client && !in_the_middle {
                other.expect_close(1001).await;
            } else {
                other.rest().await;
                other.finish().await;
            }
            bounded("the end of the tunnel", async {
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

async fn g5_half_close_is_passed_on_and_the_other_direction_stays_open(inner: Inner) {
    let proxy = ScriptedProxy::start_with(inner, with_long_timeouts).await;
    for from_client in [true, false] {
        let (client, server) = proxy.tunnel().await;
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

async fn g6_last_bytes_are_delivered_before_the_end(inner: Inner) {
    let proxy = ScriptedProxy::start_with(inner, with_long_timeouts).await;
    let last: Vec<u8> = (0..1_u32 << 20).flat_map(u32::to_be_bytes).collect();
    for from_client in [true, false] {
        let (client, server) = proxy.tunnel().await;
        let (mut closing, mut other) = if from_client { (client, server) } else { (server, client) };
        let bytes = last.clone();
        let closed = tokio::spawn(async move {
            closing.send(bytes).await;
            // Closed, not half-closed.
            drop(closing);
        });
        let rest = other.rest().await;
        closed.await.unwrap();
        assert!(rest.starts_with(&last), "{} of {} bytes", rest.len(), last.len());
        assert!(rest.len() - last.len() <= 25, "more than a Close after the data");
    }
}

on_both![
    g3_reset_of_one_side_closes_only_the_other_side,
    g5_half_close_is_passed_on_and_the_other_direction_stays_open,
    g6_last_bytes_are_delivered_before_the_end,
];
