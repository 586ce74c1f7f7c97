//! The layer in front of an upstream: upgrades become tunnels, ordinary requests are forwarded.

use std::{future::ready, net::SocketAddr};

use axum::{Router, middleware::map_response, response::Response};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::mpsc::{UnboundedReceiver, unbounded_channel},
};
use tower_upgrade_proxy::{Error, TunnelInfo, TunnelSummary, UpgradeProxyLayer};

use crate::{
    frames::Frames,
    support::{Wire, bounded, handshake, serve},
};

/// What an upstream's connection is made of.
pub(crate) trait Io: AsyncRead + AsyncWrite + Unpin {}

impl<S: AsyncRead + AsyncWrite + Unpin> Io for S {}

pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    ended: UnboundedReceiver<TunnelSummary>,
    errors: UnboundedReceiver<Error>,
}

impl Proxy {
    pub(crate) async fn start(layer: UpgradeProxyLayer) -> Self {
        let (sender, ended) = unbounded_channel();
        let layer = layer
            .on_tunnel(move |_: &TunnelInfo, summary: &TunnelSummary| drop(sender.send(summary.clone())));
        let (sender, errors) = unbounded_channel();
        let note = map_response(move |response: Response| {
            let error = response.extensions().get::<Error>();
            error.map(|error| sender.send(error.clone()));
            ready(response)
        });
        let app = Router::new().fallback_service(layer.forward()).layer(note);
        Self { address: serve(app).await, ended, errors }
    }

    /// A client that has asked for a tunnel.
    pub(crate) async fn asking(&self) -> Wire {
        let mut client = Wire::connect(self.address).await;
        client.send(handshake("/")).await;
        client
    }

    /// A tunnel: the client's end, and its stream on `upstream`.
    pub(crate) async fn open<S: Io>(&self, upstream: &mut Frames<S>) -> (Wire, u32) {
        let client = self.asking().await;
        let stream = upstream.asked().await;
        (agreed(client, upstream, stream).await, stream)
    }

    /// How the next tunnel to end has ended.
    pub(crate) async fn ended(&mut self) -> TunnelSummary {
        bounded("the end of a tunnel", self.ended.recv()).await.unwrap()
    }

    /// What the next response that the proxy made by itself was made of.
    pub(crate) async fn error(&mut self) -> Error {
        bounded("an error", self.errors.recv()).await.unwrap()
    }
}

/// The client's end of a tunnel, once the upstream has agreed to what it was asked on `stream`.
pub(crate) async fn agreed<S: Io>(mut client: Wire, upstream: &mut Frames<S>, stream: u32) -> Wire {
    upstream.agree(stream).await;
    assert_eq!(client.head().await.status(), 101);
    client
}

/// Requires that bytes go through, both ways.
pub(crate) async fn expect_open<S: Io>(client: &mut Wire, upstream: &mut Frames<S>, stream: u32) {
    client.send("from the client").await;
    upstream.expect_data(stream, "from the client").await;
    upstream.data(stream, "from the upstream").await;
    client.expect("from the upstream").await;
}
