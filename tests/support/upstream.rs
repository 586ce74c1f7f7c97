//! An upstream whose every byte the test writes.

use std::{net::SocketAddr, sync::Arc};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Mutex, mpsc},
};

use super::{Wire, bounded};

/// A listener that hands its connections to the test.
pub(crate) struct Scripted {
    pub(crate) address: SocketAddr,
    accepted: Arc<Mutex<mpsc::UnboundedReceiver<TcpStream>>>,
}

impl Scripted {
    pub(crate) async fn start() -> Self {
        Self::bind("127.0.0.1:0").await
    }

    pub(crate) async fn bind(address: &str) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, accepted) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                if sender.send(stream).is_err() {
                    return;
                }
            }
        });
        Self { address, accepted: Arc::new(Mutex::new(accepted)) }
    }

    pub(crate) fn uri(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn upstream(&self) -> tower_upgrade_proxy::Upstream {
        self.uri().parse().unwrap()
    }

    /// The next connection.
    pub(crate) async fn accept(&self) -> Wire {
        let stream = bounded("the proxy to connect", async { self.accepted.lock().await.recv().await }).await;
        Wire::new(stream.unwrap())
    }

    /// Fails when anything has connected that was not accepted.
    pub(crate) async fn expect_untouched(&self) {
        let waiting = self.accepted.lock().await.try_recv();
        assert!(waiting.is_err(), "the proxy connected to the upstream");
    }
}
