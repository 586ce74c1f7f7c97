//! What the proxy allocates. That is counted by thread, so it has one for itself; clients and upstream share
//! another.

use std::thread;

use allocation_counter::{AllocationInfo, measure};
use tokio::{
    runtime::{Builder, Runtime},
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
};
use tower_upgrade_proxy::UpgradeProxyLayer;

use crate::{
    stage::{Served, Stage},
    support::{Scripted, serve},
};

/// Where the count begins, for those who warm up before.
pub(crate) struct Begin {
    wanted: UnboundedSender<()>,
    begun: UnboundedReceiver<()>,
}

impl Begin {
    pub(crate) async fn now(&mut self) {
        self.wanted.send(()).unwrap();
        self.begun.recv().await.unwrap();
    }
}

/// What the proxy allocated from [`Begin::now`] to the end of `act`.
pub(crate) fn counted<F: Future<Output = ()>>(
    served: Served,
    act: impl FnOnce(Stage, Begin) -> F + Send + 'static,
) -> AllocationInfo {
    let (upstreams, mut upstream) = unbounded_channel();
    let (addresses, mut address) = unbounded_channel();
    let (wanted, mut wants) = unbounded_channel();
    let (begins, begun) = unbounded_channel();
    let (ended, mut end) = unbounded_channel::<()>();
    let others = thread::spawn(move || {
        runtime().block_on(async {
            let upstream = Scripted::start().await;
            upstreams.send(upstream.upstream()).unwrap();
            let address = address.recv().await.unwrap();
            act(Stage { served, upstream, address }, Begin { wanted, begun }).await;
        });
        drop(ended);
    });
    let proxy = thread::spawn(move || {
        let runtime = runtime();
        runtime.block_on(async {
            let layer = UpgradeProxyLayer::new(upstream.recv().await.unwrap());
            addresses.send(serve(served.app(layer)).await).unwrap();
            wants.recv().await
        });
        measure(|| {
            let _ = begins.send(());
            runtime.block_on(end.recv());
        })
    });
    others.join().unwrap();
    let counted = proxy.join().unwrap();
    assert!(counted.bytes_total > 0, "the proxy ran elsewhere");
    counted
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}
