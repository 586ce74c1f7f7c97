//! An upstream scripted by the test, byte for byte.

use std::{net::SocketAddr, sync::Arc};

use tokio::{
    net::TcpStream,
    sync::{Mutex, mpsc},
};

use crate::{
    serve::listen,
    websocket::handshake::{SWITCHING, handshake, switching_protocols},
    wire::{Wire, bounded},
};

/// A listener that hands its connections to the test. They are accepted before the test takes them.
pub struct ScriptedUpstream {
    pub address: SocketAddr,
    accepted: Arc<Mutex<mpsc::UnboundedReceiver<TcpStream>>>,
}

impl ScriptedUpstream {
    pub async fn start() -> Self {
        Self::bind("127.0.0.1:0").await
    }

    pub async fn bind(address: &str) -> Self {
        let listener = listen(address.parse().unwrap());
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

    pub fn uri(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn upstream(&self) -> tower_upgrade_proxy::Upstream {
        self.uri().parse().unwrap()
    }

    /// The next connection.
    pub async fn accept(&self) -> Wire {
        let stream = bounded("the proxy to connect", async { self.accepted.lock().await.recv().await }).await;
        Wire::new(stream.unwrap())
    }

    /// Sends `request` on `client`'s connection, accepts it here, and reads its head.
    pub async fn receive(&self, client: &mut Wire, request: impl AsRef<[u8]>) -> Wire {
        client.send(request).await;
        let mut server = self.accept().await;
        server.head().await;
        server
    }

    /// Opens a tunnel on `client`'s connection. Returns its ends, the client's first.
    pub async fn tunnel(&self, mut client: Wire) -> (Wire, Wire) {
        let mut server = self.receive(&mut client, handshake("/")).await;
        server.send(SWITCHING).await;
        assert_eq!(client.head().await.status(), 101);
        (client, server)
    }

    /// Accepts the next connection and its handshake, with the 101 for its key.
    pub async fn accept_upgrade(&self) -> Wire {
        let mut server = self.accept().await;
        let head = server.head().await;
        server.send(switching_protocols(&head, "")).await;
        server
    }

    /// Closes the connections that the test has not taken.
    pub async fn close_waiting(&self) {
        let mut waiting = self.accepted.lock().await;
        while waiting.try_recv().is_ok() {}
    }

    /// Fails if there is a connection that the test has not taken.
    pub async fn expect_untouched(&self) {
        // Connections come in the order in which they were made.
        let next = bounded("connect", TcpStream::connect(self.address)).await.unwrap();
        let accepted = self.accept().await.stream.peer_addr().unwrap();
        assert_eq!(accepted, next.local_addr().unwrap(), "the proxy connected to the upstream");
    }
}
