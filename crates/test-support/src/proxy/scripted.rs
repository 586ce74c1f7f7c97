//! A proxy with a scripted upstream.

use std::{net::SocketAddr, ops::Deref};

use axum::Router;
use tower_upgrade_proxy::UpgradeProxyLayer;

use super::{Inner, TestProxy};
use crate::{
    serve::serve,
    upstream::ScriptedUpstream,
    websocket::handshake::handshake,
    wire::{Head, Wire},
};

/// A proxy with its upstream.
pub struct ScriptedProxy {
    pub proxy: TestProxy,
    pub upstream: ScriptedUpstream,
    pub inner: Inner,
}

impl Deref for ScriptedProxy {
    type Target = TestProxy;

    fn deref(&self) -> &TestProxy {
        &self.proxy
    }
}

impl ScriptedProxy {
    pub async fn start(inner: Inner) -> Self {
        Self::start_with(inner, |layer| layer).await
    }

    /// Starts one whose layer has settings.
    pub async fn start_with(inner: Inner, set: impl FnOnce(UpgradeProxyLayer) -> UpgradeProxyLayer) -> Self {
        Self::start_on(inner, set, serve).await
    }

    /// Starts one on another server, or with more layers around the layer.
    pub async fn start_on(
        inner: Inner,
        set: impl FnOnce(UpgradeProxyLayer) -> UpgradeProxyLayer,
        serve: impl AsyncFnOnce(Router) -> SocketAddr,
    ) -> Self {
        let upstream = ScriptedUpstream::start().await;
        let layer = set(UpgradeProxyLayer::new(upstream.upstream()));
        Self { proxy: TestProxy::start_on(inner, layer, serve).await, upstream, inner }
    }

    /// Connects a client, sends `request` and receives it. Returns the ends, the client's first, and the head received.
    pub async fn receive(&self, request: impl AsRef<[u8]>) -> (Wire, Wire, Head) {
        let mut client = self.connect().await;
        client.send(request).await;
        let mut server = self.upstream.accept().await;
        let head = server.head().await;
        (client, server, head)
    }

    /// Opens a tunnel. Returns its ends, the client's first.
    pub async fn tunnel(&self) -> (Wire, Wire) {
        self.open(&self.upstream).await
    }

    /// Sends a handshake, and `response` from the upstream. Returns the head that the client receives, and the ends,
    /// the client's first.
    pub async fn respond(&self, response: impl AsRef<[u8]>) -> (Head, Wire, Wire) {
        let (mut client, mut server, _) = self.receive(handshake("/")).await;
        server.send(response).await;
        (client.head().await, client, server)
    }

    /// Sends an ordinary request. Returns its head as the application or the upstream has received it, after the client
    /// has received a 200.
    pub async fn ordinary(&self, client: &mut Wire, request: impl AsRef<[u8]>) -> Head {
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
            Inner::UpgradeRequired => panic!("ordinary requests are refused"),
        }
    }
}
