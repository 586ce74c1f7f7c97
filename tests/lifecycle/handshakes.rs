//! Handshakes in flight when a drain begins.

use std::{pin::pin, task::Poll, time::Duration};

use test_support::{SWITCHING, ScriptedUpstream, Wire, bounded, handshake};
use tower_upgrade_proxy::{Drain, UpgradeProxyLayer};

use crate::{app, app_that_replaces_101s, until};

async fn is_pending<T>(future: &mut (impl Future<Output = T> + Unpin)) -> bool {
    std::future::poll_fn(|cx| Poll::Ready(std::pin::Pin::new(&mut *future).poll(cx).is_pending())).await
}

#[tokio::test]
async fn a_handshake_that_succeeds_gets_its_101_and_then_the_end() {
    let (upstream, drain) = (ScriptedUpstream::start().await, Drain::new());
    let address = app(UpgradeProxyLayer::new(upstream.upstream()).drain(drain.watcher())).await;
    let mut client = Wire::connect(address).await;
    let mut server = upstream.receive(&mut client, handshake("/")).await;
    let mut drained = pin!(drain.shutdown(Duration::from_secs(60)));
    assert!(is_pending(&mut drained).await, "the handshake is waited for");

    server.send(SWITCHING).await;
    assert_eq!(client.head().await.status(), 101);
    client.expect_end().await;
    client.finish().await;
    // Masked with a key of the proxy.
    assert_eq!(server.exactly(18).await[..2], [0x88, 0x8c]);
    assert!(is_pending(&mut drained).await, "the upstream has not answered");
    server.send(b"\x88\x02\x03\xe9").await;
    let drained = bounded("the drain", drained).await;
    assert_eq!((drained.closed(), drained.total()), (1, 1));
}

#[tokio::test]
async fn a_handshake_that_fails_is_not_waited_for_any_longer() {
    let (upstream, drain) = (ScriptedUpstream::start().await, Drain::new());
    let address = app(UpgradeProxyLayer::new(upstream.upstream()).drain(drain.watcher())).await;
    let mut client = Wire::connect(address).await;
    let mut server = upstream.receive(&mut client, handshake("/")).await;
    let drained = drain.shutdown(Duration::from_secs(60));
    server.send("HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n").await;
    assert_eq!(client.head().await.status(), 401);
    assert_eq!(bounded("the drain", drained).await.total(), 0);
}

#[tokio::test]
async fn a_pending_upgrade_is_aborted_at_the_deadline() {
    let (upstream, drain) = (ScriptedUpstream::start().await, Drain::new());
    let layer = UpgradeProxyLayer::new(upstream.upstream())
        .upgrade_timeout(Duration::from_secs(3600))
        .drain(drain.watcher());
    let address = app_that_replaces_101s(layer).await;
    let mut client = Wire::connect(address).await;
    let mut server = upstream.receive(&mut client, handshake("/")).await;
    server.send(SWITCHING).await;
    until(drain.tunnels(), 1).await;
    let drained = bounded("the drain", drain.shutdown(Duration::from_millis(100))).await;
    assert_eq!((drained.aborted(), drained.total()), (1, 1));
    server.expect_end().await;
}
