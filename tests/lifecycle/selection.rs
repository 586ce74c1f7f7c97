//! Drains of selected tunnels.

use std::{net::SocketAddr, time::Duration};

use axum::{Router, extract::Request, middleware::map_request};
use test_support::{EchoUpstream, bounded, serve, websocket::Client};
use tower_upgrade_proxy::{
    CloseCode, CloseFrame, DrainConfig, TunnelInfo, TunnelLabel, Tunnels, UpgradeProxyLayer, Upstream,
};

use crate::until;

/// A proxy with two upstreams, at `/a` and `/b`. The label of a tunnel is the last segment of its path.
struct LabelledProxy {
    tunnels: Tunnels,
    address: SocketAddr,
    a: EchoUpstream,
    b: EchoUpstream,
}

impl LabelledProxy {
    async fn start() -> Self {
        let (tunnels, a, b) = (Tunnels::new(), EchoUpstream::start().await, EchoUpstream::start().await);
        let [to_a, to_b] =
            [&a, &b].map(|echo| UpgradeProxyLayer::new(echo.upstream()).tunnels(&tunnels).into_service());
        let label = map_request(async |mut request: Request| {
            let label = request.uri().path().rsplit('/').next().unwrap().to_owned();
            request.extensions_mut().insert(TunnelLabel::new(label));
            request
        });
        let app = Router::new().route_service("/a/{label}", to_a).route_service("/b/{label}", to_b);
        Self { address: serve(app.layer(label)).await, tunnels, a, b }
    }

    /// Opens four tunnels: for eve in HTTP/1.1, eve in HTTP/2, bob, and eve at the other upstream.
    async fn open(&self) -> [Client; 4] {
        [
            Client::http1(self.address, "/a/eve").await,
            Client::http2(self.address, "/a/eve").await,
            Client::http1(self.address, "/a/bob").await,
            Client::http2(self.address, "/b/eve").await,
        ]
    }

    /// Drains the tunnels of `clients` that `filter` selects. Asserts that these are the ones in `expected`.
    async fn drain(
        &mut self,
        mut clients: [Client; 4],
        filter: impl Fn(&TunnelInfo) -> bool,
        expected: [bool; 4],
    ) {
        let close = CloseFrame::new(CloseCode::POLICY_VIOLATION).with_reason("revoked");
        let revoked = (1008, "revoked".to_owned());
        let drained =
            self.tunnels.drain(filter, DrainConfig::new().close(close).jitter(Duration::from_millis(50)));
        let mut late = Client::http1(self.address, "/a/eve").await;
        for ((client, expected), index) in clients.iter_mut().zip(expected).zip(0..) {
            if expected {
                let upstream = if index < 3 { &mut self.a } else { &mut self.b };
                assert_eq!(
                    (client.closed().await, upstream.closed().await),
                    (revoked.clone(), revoked.clone())
                );
            }
        }
        let number = expected.iter().filter(|expected| **expected).count();
        let drained = bounded("the drain", drained).await;
        assert_eq!((drained.closed(), drained.total()), (number, number), "{drained}");
        for (client, expected) in clients.iter_mut().zip(expected) {
            if !expected {
                client.echo("still open").await;
            }
        }
        late.echo("not affected").await;
        assert_eq!(self.tunnels.len(), 5 - number);
        drop((clients, late));
        until(&self.tunnels, 0).await;
    }
}

#[tokio::test]
async fn tunnels_are_selected_by_label() {
    let mut proxy = LabelledProxy::start().await;
    let clients = proxy.open().await;
    proxy.drain(clients, |tunnel| tunnel.label() == Some("eve"), [true, true, false, true]).await;
}

#[tokio::test]
async fn tunnels_are_selected_by_upstream() {
    let mut proxy = LabelledProxy::start().await;
    let clients = proxy.open().await;
    let removed: Upstream = proxy.a.upstream();
    proxy.drain(clients, |tunnel| *tunnel.upstream() == removed, [true, true, true, false]).await;
}

#[tokio::test]
async fn tunnels_are_selected_by_id() {
    let mut proxy = LabelledProxy::start().await;
    let clients = proxy.open().await;
    let id = proxy.tunnels.list()[1].info().id();
    proxy.drain(clients, |tunnel| tunnel.id() == id, [false, true, false, false]).await;
}
