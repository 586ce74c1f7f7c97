//! A proxy in front of a scripted upstream.

use std::net::SocketAddr;

use axum::Router;
use tower_upgrade_proxy::UpgradeProxyLayer;

use super::Inner;
use crate::{
    serve::serve,
    upstream::ScriptedUpstream,
    websocket::handshake::handshake,
    wire::{Head, Wire},
};

/// A running proxy and its upstream.
pub struct ScriptedProxy {
    pub inner: Inner,
    pub upstream: ScriptedUpstream,
    pub address: SocketAddr,
}

impl ScriptedProxy {
    /// Starts a proxy with the default settings.
    pub async fn start(inner: Inner) -> Self {
        Self::start_with(inner, |layer| layer).await
    }

    /// Starts a proxy with other settings.
    pub async fn start_with(inner: Inner, set: impl FnOnce(UpgradeProxyLayer) -> UpgradeProxyLayer) -> Self {
        Self::start_on(inner, set, serve).await
    }

    /// Starts a proxy on another server, or with middleware around the layer.
    pub async fn start_on(
        inner: Inner,
        set: impl FnOnce(UpgradeProxyLayer) -> UpgradeProxyLayer,
        serve: impl AsyncFnOnce(Router) -> SocketAddr,
    ) -> Self {
        let upstream = ScriptedUpstream::start().await;
        let app = inner.app(set(UpgradeProxyLayer::new(upstream.upstream())));
        Self { inner, upstream, address: serve(app).await }
    }

    /// Connects to the proxy.
    pub async fn connect(&self) -> Wire {
        Wire::connect(self.address).await
    }

    /// Sends `request`. Returns the client, the upstream connection, and the head that the upstream received.
    pub async fn request(&self, request: impl AsRef<[u8]>) -> (Wire, Wire, Head) {
        let mut client = self.connect().await;
        client.send(request).await;
        let mut server = self.upstream.accept().await;
        let head = server.head().await;
        (client, server, head)
    }

    /// Opens a tunnel and returns both ends, the client's first.
    pub async fn tunnel(&self) -> (Wire, Wire) {
        self.upstream.tunnel(self.connect().await).await
    }

    /// Responds to a handshake with `response`. Returns the head that the client received, and both connections.
    pub async fn respond(&self, response: impl AsRef<[u8]>) -> (Head, Wire, Wire) {
        let (mut client, mut server, _) = self.request(handshake("/")).await;
        server.send(response).await;
        (client.head().await, client, server)
    }

    /// Sends an ordinary request and reads its response, a 200. Returns the head that the application or the
    /// upstream received.
    pub async fn ordinary_request(&self, client: &mut Wire, request: impl AsRef<[u8]>) -> Head {
        client.send(request).await;
        match self.inner {
            Inner::Application => {
                let response = client.head().await;
                assert_eq!(response.status(), 200, "{}", response.text());
                Head { raw: client.body(&response).await }
            }
            Inner::Forward => {
                let mut server = self.upstream.accept().await;
                let head = server.head().await;
                server.send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok").await;
                let response = client.head().await;
                assert_eq!((response.status(), client.body(&response).await), (200, b"ok".to_vec()));
                head
            }
        }
    }

    /// Expects that the client's connection is still HTTP, by sending an ordinary request on it.
    pub async fn expect_http(&self, client: &mut Wire) {
        let received = self.ordinary_request(client, "GET /next HTTP/1.1\r\nHost: a.example\r\n\r\n").await;
        assert_eq!(received.first_line(), "GET /next HTTP/1.1");
    }

    /// Expects that the upstream's `response` to `request` becomes a 502 and closes the upstream connection, and
    /// that the client's connection is still HTTP.
    pub async fn expect_502(&self, request: impl AsRef<[u8]>, response: impl AsRef<[u8]>) {
        let (mut client, mut server, _) = self.request(request).await;
        server.send(&response).await;
        let head = client.head().await;
        assert_eq!(head.status(), 502, "{}", String::from_utf8_lossy(response.as_ref()));
        for name in ["upgrade", "connection", "sec-websocket-accept"] {
            assert!(head.values(name).is_empty(), "{}", head.text());
        }
        server.expect_end().await;
        client.body(&head).await;
        self.expect_http(&mut client).await;
    }

    /// Expects `status`, and that the proxy has not connected to the upstream. Returns the client.
    pub async fn expect_refusal(&self, request: impl AsRef<[u8]>, status: u16) -> Wire {
        let mut client = self.connect().await;
        let response = client.request(request).await;
        assert_eq!(response.status(), status, "{}", response.text());
        self.upstream.expect_untouched().await;
        client
    }
}
