//! The proxy under test, behind axum or hyper, in HTTP/1.1 and HTTP/2.
//!
//! [`TestProxy`] serves a layer and receives its reports; [`ScriptedProxy`] adds the upstream. For the layer among
//! other layers, or on other servers, serve [`Inner::app`] or a service by the functions of [`serve`](mod@crate::serve),
//! and get the reports by [`Reports::of`].

mod inner;
mod reports;
mod scripted;
mod worker;

use std::{future::ready, net::SocketAddr};

use axum::{Router, middleware::map_response, response::Response};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tower_upgrade_proxy::{ClosePolicy, Error, TunnelConfig, TunnelSummary, UpgradeProxyLayer};

pub use inner::{Inner, describe};
pub use reports::{Report, Reports};
pub use scripted::ScriptedProxy;
pub use worker::Worker;

use crate::{
    http2::FrameConnection,
    io::Io,
    serve::serve,
    upstream::ScriptedUpstream,
    websocket::handshake::handshake,
    wire::{Wire, bounded},
};

/// A layer that is served.
pub struct TestProxy {
    pub address: SocketAddr,
    pub reports: Reports,
    errors: UnboundedReceiver<Error>,
}

impl TestProxy {
    /// Serves `layer` around `inner` by `axum::serve`. Its hook for tunnels is replaced.
    pub async fn start(inner: Inner, layer: UpgradeProxyLayer) -> Self {
        Self::start_on(inner, layer, serve).await
    }

    /// Serves the application by another server, or with more layers around it.
    pub async fn start_on(
        inner: Inner,
        layer: UpgradeProxyLayer,
        serve: impl AsyncFnOnce(Router) -> SocketAddr,
    ) -> Self {
        let (layer, reports) = Reports::of(layer);
        let (sender, errors) = unbounded_channel();
        let note = map_response(move |response: Response| {
            let error = response.extensions().get::<Error>();
            error.map(|error| sender.send(error.clone()));
            ready(response)
        });
        Self { address: serve(inner.app(layer).layer(note)).await, reports, errors }
    }

    /// Connects a client.
    pub async fn connect(&self) -> Wire {
        Wire::connect(self.address).await
    }

    /// Connects a client that has sent a handshake.
    pub async fn connect_with_handshake(&self) -> Wire {
        let mut client = self.connect().await;
        client.send(handshake("/")).await;
        client
    }

    /// Opens a tunnel. Returns its ends, the client's first.
    pub async fn open(&self, upstream: &ScriptedUpstream) -> (Wire, Wire) {
        upstream.tunnel(self.connect().await).await
    }

    /// Opens a tunnel on `upstream`'s connection. Returns the client's end and the stream.
    pub async fn open_on<S: Io>(&self, upstream: &mut FrameConnection<S>) -> (Wire, u32) {
        let client = self.connect_with_handshake().await;
        let stream = upstream.next_request().await;
        (accept_tunnel(client, upstream, stream).await, stream)
    }

    /// The summary of the next tunnel to end.
    pub async fn ended(&mut self) -> TunnelSummary {
        self.reports.ended().await
    }

    /// The error of the next response that the proxy has made by itself.
    pub async fn error(&mut self) -> Error {
        bounded("an error", self.errors.recv()).await.unwrap()
    }
}

/// Sets the close policy that sends a Close to both sides.
pub fn sending_closes(layer: UpgradeProxyLayer) -> UpgradeProxyLayer {
    layer.tunnel(TunnelConfig::new().close_policy(ClosePolicy::going_away()))
}

/// Accepts the tunnel that `client` has requested on `stream` of `upstream`. Returns the client's end.
pub async fn accept_tunnel<S: Io>(mut client: Wire, upstream: &mut FrameConnection<S>, stream: u32) -> Wire {
    upstream.accept_tunnel(stream).await;
    assert_eq!(client.head().await.status(), 101);
    client
}

/// Expects that bytes pass in both directions of a tunnel on `stream` of `upstream`.
pub async fn expect_open<S: Io>(client: &mut Wire, upstream: &mut FrameConnection<S>, stream: u32) {
    client.send("from the client").await;
    upstream.expect_data(stream, "from the client").await;
    upstream.data(stream, "from the upstream").await;
    client.expect("from the upstream").await;
}
