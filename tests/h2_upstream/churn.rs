//! Tunnels that open and close concurrently, on several threads.

use std::{sync::Arc, time::Duration};

use http::Response;
use test_support::{
    TestProxy, Wire, handshake,
    http2::{
        ReceivedRequest, Upstream,
        stream::{finish, rest, send},
    },
    proxy::Inner,
};
use tokio::task::JoinSet;
use tower_upgrade_proxy::{Http2, UpgradeProxyLayer};

/// Sends the received bytes back after their end, unless the client has disconnected.
async fn echo(mut incoming: ReceivedRequest) {
    if let Ok(mut down) = incoming.respond.send_response(Response::new(()), false)
        && let Ok((bytes, _)) = rest(&mut incoming.body).await
    {
        send(&mut down, &bytes).await;
        finish(&mut down);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_stream_is_lost_or_used_twice() {
    let upstream = Arc::new(Upstream::allowing(2).await);
    let http2 = Http2::new().max_connections(3);
    let layer = UpgradeProxyLayer::new(upstream.upstream()).http2(http2);
    let proxy = TestProxy::start(Inner::Forward, layer.connect_timeout(Duration::from_secs(60))).await;
    let receiving = Arc::clone(&upstream);
    tokio::spawn(async move {
        loop {
            tokio::spawn(echo(receiving.next_request().await));
        }
    });
    let mut clients = JoinSet::new();
    for number in 0..40 {
        let address = proxy.address;
        clients.spawn(async move {
            for round in 0..10 {
                let mut client = Wire::connect(address).await;
                let text = format!("{number} in round {round}");
                client.send(handshake("/")).await;
                if (number + round) % 7 == 0 {
                    // Disconnects after the request.
                    continue;
                }
                let head = client.head().await;
                assert_eq!(head.status(), 101, "{text}");
                client.send(&text).await;
                match (number + round) % 3 {
                    0 => client.reset(),
                    _ => {
                        client.finish().await;
                        assert_eq!(client.rest().await, text.as_bytes());
                    }
                }
            }
        });
    }
    clients.join_all().await;
    assert!(upstream.connections() <= 3, "{} connections", upstream.connections());
}
