//! Client, proxy and upstream.

use std::net::SocketAddr;

use axum::{
    Router,
    middleware::map_response,
    response::{IntoResponse, Response},
};
use http::StatusCode;
use hyper_util::{rt::TokioExecutor, server::conn::auto};
use tokio::sync::mpsc;
use tower_upgrade_proxy::{Forwarded, TunnelInfo, TunnelSummary, UpgradeProxyLayer};

use crate::{
    Version,
    client::Client,
    ends::End,
    support::{FREE_PORT, bounded, listen, serve_auto_with},
    upstream::Upstream,
};

/// A field that makes the server in front of the layer discard the 101 and send another response.
pub(crate) const DISCARD: &str = "x-discard";

/// A client and an upstream, connected to a running proxy.
pub(crate) struct Setup {
    pub(crate) client: Client,
    pub(crate) upstream: Upstream,
    pub(crate) client_version: Version,
    ended: mpsc::UnboundedReceiver<TunnelSummary>,
}

impl Setup {
    /// Starts a proxy with the default settings.
    pub(crate) async fn start(client: Version, upstream: Version) -> Self {
        Self::start_with(client, upstream, |layer| layer).await
    }

    /// Starts a proxy with other settings.
    pub(crate) async fn start_with(
        client_version: Version,
        upstream: Version,
        change: impl FnOnce(UpgradeProxyLayer) -> UpgradeProxyLayer,
    ) -> Self {
        let upstream = Upstream::start(upstream).await;
        let (sender, ended) = mpsc::unbounded_channel();
        let layer = UpgradeProxyLayer::new(upstream.uri())
            .forwarded(Forwarded::nginx())
            .on_tunnel(move |_: &TunnelInfo, summary: &TunnelSummary| drop(sender.send(summary.clone())));
        let address = serve(change(layer));
        let client = Client::connect(client_version, address).await;
        Self { client, upstream, client_version, ended }
    }

    /// Opens a tunnel and returns both ends.
    pub(crate) async fn open(&self) -> (End, End) {
        let (response, upstream) = tokio::join!(self.client.request("/", &[]), async {
            self.upstream.next().await.accept(&[], "").await
        });
        (response.end, upstream)
    }

    /// Waits for the end of a tunnel and returns its summary.
    pub(crate) async fn ended(&mut self) -> TunnelSummary {
        bounded("the end of the tunnel", self.ended.recv()).await.unwrap()
    }
}

/// Starts a server whose connection window is large enough for unread streams not to block the others.
fn serve(layer: UpgradeProxyLayer) -> SocketAddr {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http2()
        .enable_connect_protocol()
        .max_concurrent_streams(2000)
        .initial_stream_window_size(128 * 1024)
        .initial_connection_window_size((1 << 31) - 1);
    let discard = map_response(async |response: Response| match response.headers().contains_key(DISCARD) {
        true => StatusCode::IM_A_TEAPOT.into_response(),
        false => response,
    });
    let service = Router::new().fallback_service(layer.into_service()).layer(discard);
    serve_auto_with(builder, listen(FREE_PORT), service)
}
