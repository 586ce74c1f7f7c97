//! Client, proxy and upstream.

use std::net::SocketAddr;

use axum::{
    Router,
    middleware::map_response,
    response::{IntoResponse, Response},
};
use http::StatusCode;
use hyper_util::{rt::TokioExecutor, server::conn::auto};
use test_support::{
    Inner, TestProxy,
    serve::{FREE_PORT, listen, serve_auto_with},
    versions::{Client, End, Upstream, Version},
};
use tower_upgrade_proxy::{Forwarded, TunnelSummary, UpgradeProxyLayer};

/// A field that makes the server in front of the layer discard the 101 and send another response.
pub(crate) const DISCARD: &str = "x-discard";

/// A client and an upstream, connected to a running proxy.
pub(crate) struct Setup {
    pub(crate) client: Client,
    pub(crate) upstream: Upstream,
    pub(crate) client_version: Version,
    proxy: TestProxy,
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
        let layer = change(UpgradeProxyLayer::new(upstream.uri()).forwarded(Forwarded::nginx()));
        let proxy = TestProxy::start_on(Inner::Application, layer, serve).await;
        let client = Client::connect(client_version, proxy.address).await;
        Self { client, upstream, client_version, proxy }
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
        self.proxy.ended().await
    }
}

/// Starts a server whose connection window is large enough for unread streams not to block the others.
async fn serve(app: Router) -> SocketAddr {
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
    serve_auto_with(builder, listen(FREE_PORT), app.layer(discard))
}
