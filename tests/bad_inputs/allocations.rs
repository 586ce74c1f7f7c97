//! Allocations of the proxy. They are counted per thread: the proxy runs in a thread of its own, clients and
//! upstream in another.

use std::thread;

use allocation_counter::{AllocationInfo, measure};
use test_support::{Inner, ScriptedProxy, ScriptedUpstream, serve};
use tokio::{
    runtime::{Builder, Runtime},
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
};
use tower_upgrade_proxy::{UpgradeProxyLayer, Upstream};

/// Starts the count, so that a test can warm up first.
pub(crate) struct Start {
    requested: UnboundedSender<()>,
    started: UnboundedReceiver<()>,
}

impl Start {
    pub(crate) async fn now(&mut self) {
        self.requested.send(()).unwrap();
        self.started.recv().await.unwrap();
    }
}

/// Returns the allocations of the proxy from [`Start::now`] to the end of `act`.
pub(crate) fn measure_proxy<F: Future<Output = ()>>(
    inner: Inner,
    act: impl FnOnce(ScriptedProxy, Start) -> F + Send + 'static,
) -> AllocationInfo {
    measure_proxy_with(inner, UpgradeProxyLayer::new, act)
}

/// [`measure_proxy`] with a layer for the upstream.
pub(crate) fn measure_proxy_with<F: Future<Output = ()>>(
    inner: Inner,
    layer: fn(Upstream) -> UpgradeProxyLayer,
    act: impl FnOnce(ScriptedProxy, Start) -> F + Send + 'static,
) -> AllocationInfo {
    let (upstreams, mut upstream) = unbounded_channel();
    let (addresses, mut address) = unbounded_channel();
    let (requested, mut request) = unbounded_channel();
    let (starts, started) = unbounded_channel();
    let (ended, mut end) = unbounded_channel::<()>();
    let peers = thread::spawn(move || {
        runtime().block_on(async {
            let upstream = ScriptedUpstream::start().await;
            upstreams.send(upstream.upstream()).unwrap();
            let address = address.recv().await.unwrap();
            act(ScriptedProxy { inner, upstream, address }, Start { requested, started }).await;
        });
        drop(ended);
    });
    let server = thread::spawn(move || {
        let runtime = runtime();
        runtime.block_on(async {
            let layer = layer(upstream.recv().await.unwrap());
            addresses.send(serve(inner.app(layer)).await).unwrap();
            request.recv().await
        });
        measure(|| {
            let _ = starts.send(());
            runtime.block_on(end.recv());
        })
    });
    peers.join().unwrap();
    let allocations = server.join().unwrap();
    assert!(allocations.bytes_total > 0, "the proxy ran on another thread");
    allocations
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}
