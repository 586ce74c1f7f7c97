//! The proxy between a client and an upstream.

use std::{convert::Infallible, fmt, net::SocketAddr};

use axum::{Router, body::Body, extract::Request, http::StatusCode, response::IntoResponse};
use tokio::sync::mpsc::{self, UnboundedReceiver};
use tower::{Layer, service_fn};
use tower_upgrade_proxy::{TunnelInfo, TunnelSummary, UpgradeProxyLayer, Upstream};

use crate::support::{bounded, serve, serve_http1};

/// What the layer is put into.
#[derive(Clone, Copy)]
pub(crate) enum Server {
    /// An axum application.
    Axum,
    /// hyper, without any framework.
    Hyper,
}

impl Server {
    pub(crate) const ALL: [Self; 2] = [Self::Axum, Self::Hyper];
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Axum => "axum",
            Self::Hyper => "hyper",
        })
    }
}

pub(crate) struct Stage {
    address: SocketAddr,
    ended: UnboundedReceiver<TunnelSummary>,
}

impl Stage {
    /// The layer, over an application without anything.
    pub(crate) async fn start(server: Server, upstream: Upstream) -> Self {
        let (layer, ended) = layer(upstream);
        let address = match server {
            Server::Axum => serve(Router::new().fallback(StatusCode::NOT_FOUND).layer(layer)).await,
            Server::Hyper => serve_http1(layer.layer(service_fn(not_found))).await,
        };
        Self { address, ended }
    }

    /// The layer over `Forward`: everything goes to the upstream.
    pub(crate) async fn location(upstream: SocketAddr) -> Self {
        let (layer, ended) = layer(at(upstream));
        let address = serve(Router::new().fallback_service(layer.forward())).await;
        Self { address, ended }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("ws://{}/{path}", self.address)
    }

    /// Waits until the one tunnel has ended, and requires that its two sides meant it to.
    pub(crate) async fn orderly_end(&mut self) -> TunnelSummary {
        let summary = bounded("the tunnel's end", self.ended.recv()).await.unwrap();
        assert!(summary.end().is_orderly(), "{}", summary.end());
        summary
    }

    /// Waits until that many tunnels have ended, and requires that there were no more.
    pub(crate) async fn ends(&mut self, tunnels: usize) {
        for _ in 0..tunnels {
            bounded("the tunnels' end", self.ended.recv()).await.unwrap();
        }
        let more = self.ended.try_recv();
        assert!(more.is_err(), "more than {tunnels}: {more:?}");
    }
}

/// The upstream at `address`, asked in HTTP/1.1.
pub(crate) fn at(address: SocketAddr) -> Upstream {
    format!("http://{address}").parse().unwrap()
}

/// The layer, and the summaries of its tunnels.
fn layer(upstream: Upstream) -> (UpgradeProxyLayer, UnboundedReceiver<TunnelSummary>) {
    let (sender, ended) = mpsc::unbounded_channel();
    let told = move |_: &TunnelInfo, summary: &TunnelSummary| {
        let _ = sender.send(summary.clone());
    };
    (UpgradeProxyLayer::new(upstream).on_tunnel(told), ended)
}

async fn not_found(_: Request<Body>) -> Result<axum::response::Response, Infallible> {
    Ok(StatusCode::NOT_FOUND.into_response())
}
