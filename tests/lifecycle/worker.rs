//! An application on a runtime of its own.

use std::{net::SocketAddr, thread};

use tokio::{runtime::Builder, sync::oneshot};
use tower_upgrade_proxy::UpgradeProxyLayer;

/// A runtime on a thread of its own with an application, until it is stopped.
pub(crate) struct Worker {
    pub(crate) address: SocketAddr,
    stop: oneshot::Sender<()>,
    thread: thread::JoinHandle<()>,
}

impl Worker {
    pub(crate) async fn start(layer: &UpgradeProxyLayer) -> Self {
        let layer = layer.clone();
        let (started, address) = oneshot::channel();
        let (stop, stopped) = oneshot::channel();
        let thread = thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                started.send(crate::app(layer).await).unwrap();
                let _ = stopped.await;
            });
        });
        Self { address: address.await.unwrap(), stop, thread }
    }

    /// Shuts the runtime down, with all its tasks.
    pub(crate) fn stop(self) {
        drop(self.stop);
        self.thread.join().unwrap();
    }
}
