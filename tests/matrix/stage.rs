//! Client, proxy and upstream, ready to play.

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
    Speaks,
    client::Client,
    ends::End,
    support::{FREE_PORT, bounded, listen, serve_auto_with},
    upstream::Upstream,
};

/// A field of an agreement that the server in front of the layer replaces by something else.
pub(crate) const LOSE: &str = "x-lose";

pub(crate) struct Stage {
    pub(crate) client: Client,
    pub(crate) upstream: Upstream,
    pub(crate) client_speaks: Speaks,
    ended: mpsc::UnboundedReceiver<TunnelSummary>,
}

impl Stage {
    pub(crate) async fn set(client: Speaks, upstream: Speaks) -> Self {
        Self::set_with(client, upstream, |layer| layer).await
    }

    /// The same, with settings.
    pub(crate) async fn set_with(
        client_speaks: Speaks,
        upstream: Speaks,
        change: impl FnOnce(UpgradeProxyLayer) -> UpgradeProxyLayer,
    ) -> Self {
        let upstream = Upstream::start(upstream).await;
        let (sender, ended) = mpsc::unbounded_channel();
        let layer = UpgradeProxyLayer::new(upstream.marked())
            .forwarded(Forwarded::nginx())
            .on_tunnel(move |_: &TunnelInfo, summary: &TunnelSummary| drop(sender.send(summary.clone())));
        let address = serve(change(layer));
        let client = Client::connect(client_speaks, address).await;
        Self { client, upstream, client_speaks, ended }
    }

    /// Both ends of a tunnel.
    pub(crate) async fn open(&self) -> (End, End) {
        let (answer, upstream) = tokio::join!(self.client.ask("/", &[]), async {
            self.upstream.asked().await.agree(&[], "").await
        });
        (answer.end, upstream)
    }

    /// How the next tunnel to end has ended.
    pub(crate) async fn ended(&mut self) -> TunnelSummary {
        bounded("the end of the tunnel", self.ended.recv()).await.unwrap()
    }
}

/// A server with windows such that a stream that nobody reads takes nothing from the others.
fn serve(layer: UpgradeProxyLayer) -> SocketAddr {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http2()
        .enable_connect_protocol()
        .max_concurrent_streams(2000)
        .initial_stream_window_size(128 * 1024)
        .initial_connection_window_size((1 << 31) - 1);
    let lossy = map_response(async |response: Response| match response.headers().contains_key(LOSE) {
        true => StatusCode::IM_A_TEAPOT.into_response(),
        false => response,
    });
    let service = Router::new().fallback_service(layer.into_service()).layer(lossy);
    serve_auto_with(builder, listen(FREE_PORT), service)
}
