//! The proxy between a client and an upstream.

use std::{convert::Infallible, fmt, net::SocketAddr};

use axum::{Router, body::Body, extract::Request, http::StatusCode, response::IntoResponse};
use tokio::sync::mpsc::{self, UnboundedReceiver};
use tower::{Layer, service_fn};
use tower_upgrade_proxy::{TunnelInfo, TunnelSummary, UpgradeProxyLayer};

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
    pub(crate) async fn start(server: Server, upstream: SocketAddr) -> Self {
        let (sender, ended) = mpsc::unbounded_channel();
        let layer = UpgradeProxyLayer::new(format!("http://{upstream}").parse().unwrap()).on_tunnel(
            move |_: &TunnelInfo, summary: &TunnelSummary| {
                let _ = sender.send(summary.clone());
            },
        );
        let address = match server {
            Server::Axum => serve(Router::new().fallback(StatusCode::NOT_FOUND).layer(layer)).await,
            Server::Hyper => serve_http1(layer.layer(service_fn(not_found))).await,
        };
        Self { address, ended }
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
}

async fn not_found(_: Request<Body>) -> Result<axum::response::Response, Infallible> {
    Ok(StatusCode::NOT_FOUND.into_response())
}
