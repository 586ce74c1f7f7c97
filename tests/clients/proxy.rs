//! The proxy between a client and an upstream, on the servers under test.

use std::{convert::Infallible, fmt, net::SocketAddr};

use axum::{Router, body::Body, extract::Request, http::StatusCode, response::IntoResponse};
use test_support::{proxy::Reports, serve, serve_http1};
use tower::{Layer, service_fn};
use tower_upgrade_proxy::{TunnelSummary, UpgradeProxyLayer, Upstream};

/// The server of an application with the layer.
#[derive(Clone, Copy)]
pub(crate) enum Server {
    /// An axum application.
    Axum,
    /// hyper, without any framework.
    Hyper,
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Axum => "axum",
            Self::Hyper => "hyper",
        })
    }
}

impl Server {
    pub(crate) const ALL: [Self; 2] = [Self::Axum, Self::Hyper];

    /// Serves the layer around an application without pages. Returns its address and the reports of its tunnels.
    pub(crate) async fn start(self, upstream: Upstream) -> (SocketAddr, Reports) {
        let (layer, reports) = Reports::of(UpgradeProxyLayer::new(upstream));
        let address = match self {
            Self::Axum => serve(Router::new().fallback(StatusCode::NOT_FOUND).layer(layer)).await,
            Self::Hyper => serve_http1(layer.layer(service_fn(not_found))).await,
        };
        (address, reports)
    }
}

async fn not_found(_: Request<Body>) -> Result<axum::response::Response, Infallible> {
    Ok(StatusCode::NOT_FOUND.into_response())
}

pub(crate) fn url(address: SocketAddr, path: &str) -> String {
    format!("ws://{address}/{path}")
}

/// The upstream at `address`, in HTTP/1.1.
pub(crate) fn upstream(address: SocketAddr) -> Upstream {
    format!("http://{address}").parse().unwrap()
}

/// Waits until the next tunnel has ended, which must be by both sides in order.
pub(crate) async fn orderly_end(reports: &mut Reports) -> TunnelSummary {
    let summary = reports.ended().await;
    assert!(summary.end().is_orderly(), "{}", summary.end());
    summary
}
