//! A layer whose services run on several runtimes.

use test_support::{
    Wire, handshake,
    http2::{
        Upstream,
        stream::{expect, send},
    },
    proxy::{Inner, Worker},
};
use tower_upgrade_proxy::UpgradeProxyLayer;

/// Opens a tunnel by way of `worker`, and sends bytes through it both ways.
async fn open(worker: &Worker, upstream: &Upstream) -> Wire {
    let mut client = Wire::connect(worker.address).await;
    client.send(handshake("/")).await;
    let (mut down, mut up) = upstream.next_request().await.begin(http::Response::new(()));
    assert_eq!(client.head().await.status(), 101);
    client.send("ping").await;
    expect(&mut up, "ping").await;
    send(&mut down, b"pong").await;
    client.expect("pong").await;
    // The upstream keeps its end open until the test ends.
    tokio::spawn(async move {
        let _ = up.data().await;
        drop(down);
    });
    client
}

#[tokio::test]
async fn each_runtime_has_its_own_connections() {
    let upstream = Upstream::start().await;
    let layer = UpgradeProxyLayer::new(upstream.upstream());
    let (one, two) =
        (Worker::start(Inner::Forward, &layer).await, Worker::start(Inner::Forward, &layer).await);
    let mut ended = open(&one, &upstream).await;
    open(&one, &upstream).await;
    assert_eq!(upstream.connections(), 1);
    let mut first = open(&two, &upstream).await;
    assert_eq!(upstream.connections(), 2);

    one.stop();
    ended.expect_end().await;
    open(&two, &upstream).await;
    assert_eq!(upstream.connections(), 2);
    first.send("still there").await;
    let three = Worker::start(Inner::Forward, &layer).await;
    open(&three, &upstream).await;
    assert_eq!(upstream.connections(), 3);
    three.stop();
    two.stop();
}

#[tokio::test]
async fn a_layer_can_be_used_on_one_runtime_after_another() {
    let upstream = Upstream::start().await;
    let layer = UpgradeProxyLayer::new(upstream.upstream());
    for number in 1..4 {
        let worker = Worker::start(Inner::Forward, &layer).await;
        open(&worker, &upstream).await;
        worker.stop();
        assert_eq!(upstream.connections(), number);
    }
}
