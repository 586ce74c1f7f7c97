//! A layer whose services run on several runtimes.

use std::{net::SocketAddr, thread};

use tokio::{runtime::Builder, sync::oneshot};
use tower_upgrade_proxy::UpgradeProxyLayer;

use crate::{
    proxy::Proxy,
    streams::{expect, send},
    support::Wire,
    upstream::Upstream,
};

/// A runtime on a thread of its own with a service of `layer`, until it is dropped.
struct Worker {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Worker {
    async fn start(layer: &UpgradeProxyLayer) -> Self {
        let layer = layer.clone();
        let (started, address) = oneshot::channel();
        let (stop, stopped) = oneshot::channel();
        let thread = thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let proxy = Proxy::start(layer).await;
                started.send(proxy.address).unwrap();
                let _ = stopped.await;
            });
        });
        Self { address: address.await.unwrap(), stop: Some(stop), thread: Some(thread) }
    }

    /// A tunnel by way of this runtime, with bytes through it both ways.
    async fn open(&self, upstream: &Upstream) -> Wire {
        let mut client = Wire::connect(self.address).await;
        client.send(crate::support::handshake("/")).await;
        let (mut down, mut up) = upstream.asked().await.begin(http::Response::new(()));
        assert_eq!(client.head().await.status(), 101);
        client.send("ping").await;
        expect(&mut up, "ping").await;
        send(&mut down, b"pong").await;
        client.expect("pong").await;
        // The upstream holds its end for as long as the test runs.
        tokio::spawn(async move {
            let _ = up.data().await;
            drop(down);
        });
        client
    }

    /// Shuts the runtime down, with all its tasks.
    fn stop(mut self) {
        drop(self.stop.take());
        self.thread.take().unwrap().join().unwrap();
    }
}

#[tokio::test]
async fn each_runtime_has_its_own_connections() {
    let upstream = Upstream::start().await;
    let layer = UpgradeProxyLayer::new(upstream.marked());
    let (one, two) = (Worker::start(&layer).await, Worker::start(&layer).await);
    let mut ended = one.open(&upstream).await;
    one.open(&upstream).await;
    assert_eq!(upstream.connections(), 1);
    let mut first = two.open(&upstream).await;
    assert_eq!(upstream.connections(), 2);

    one.stop();
    ended.expect_end().await;
    two.open(&upstream).await;
    assert_eq!(upstream.connections(), 2);
    first.send("still there").await;
    let three = Worker::start(&layer).await;
    three.open(&upstream).await;
    assert_eq!(upstream.connections(), 3);
    three.stop();
    two.stop();
}

#[tokio::test]
async fn a_layer_can_be_used_on_one_runtime_after_another() {
    let upstream = Upstream::start().await;
    let layer = UpgradeProxyLayer::new(upstream.marked());
    for number in 1..4 {
        let worker = Worker::start(&layer).await;
        worker.open(&upstream).await;
        worker.stop();
        assert_eq!(upstream.connections(), number);
    }
}
