//! A proxy on a runtime of its own.

use std::{net::SocketAddr, thread};

use tokio::{runtime::Builder, sync::oneshot};
use tower_upgrade_proxy::UpgradeProxyLayer;

use super::Inner;
use crate::serve::serve;

/// A runtime on a thread of its own that serves a layer until it is stopped.
pub struct Worker {
    pub address: SocketAddr,
    stop: oneshot::Sender<()>,
    thread: thread::JoinHandle<()>,
}

impl Worker {
    pub async fn start(inner: Inner, layer: &UpgradeProxyLayer) -> Self {
        let layer = layer.clone();
        let (started, address) = oneshot::channel();
        let (stop, stopped) = oneshot::channel();
        let thread = thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                started.send(serve(inner.app(layer)).await).unwrap();
                let _ = stopped.await;
            });
        });
        Self { address: address.await.unwrap(), stop, thread }
    }

    /// Shuts the runtime down, with all its tasks.
    pub fn stop(self) {
        drop(self.stop);
        self.thread.join().unwrap();
    }
}
