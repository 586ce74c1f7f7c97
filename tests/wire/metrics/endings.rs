//! Metrics of each end of a tunnel.

use std::{net::SocketAddr, time::Duration};

use axum::{Router, middleware::map_response, response::Response};
use tower_upgrade_proxy::{
    CloseCode, CloseFrame, DrainConfig, OnTunnel, TunnelConfig, TunnelInfo, TunnelSummary, Tunnels,
    UpgradeProxyLayer,
};

use super::{Metrics, from_client};
use test_support::{SWITCHING, ScriptedUpstream, Wire, handshake, proxy::describe, serve};

use crate::{app, open};

const SOON: Duration = Duration::from_millis(20);

impl Metrics {
    /// Waits for the end of the only tunnel, and asserts that `reason` is its reason.
    async fn expect_end(&self, reason: &str) {
        let initiator = match reason {
            "client_closed" | "client_failed" | "upgrade_failed" => "client",
            "upstream_closed" | "upstream_failed" => "upstream",
            _ => "proxy",
        };
        self.until("tunnels_active", 0.0).await;
        let labels = format!("{{initiator=\"{initiator}\",reason=\"{reason}\"}}");
        self.until(&format!("tunnels_ended_total{labels}"), 1.0).await;
        let ends = self.samples("tunnels_ended_total");
        assert_eq!(ends.len(), 1, "{ends:?}");
        assert_eq!(self.value("tunnels_opened_total"), 1.0);
        assert_eq!(self.value("tunnel_seconds_count"), 1.0);
        let text = self.handle.render();
        assert!(text.contains("tunnels_active 0\n"), "{text}");
    }
}

impl Metrics {
    /// Asserts what both sides of the only tunnel were told.
    fn expect_told(&self, client: &str, upstream: &str) {
        let expected = [("client", client), ("upstream", upstream)].map(|(side, told)| {
            format!("tower_upgrade_proxy_told_total{{side=\"{side}\",told=\"{told}\"}} 1")
        });
        let mut told = self.samples("told_total");
        told.sort();
        assert_eq!(told, expected);
    }
}

/// Opens a tunnel through `layer`. Returns its ends, the client's first.
async fn tunnel(layer: impl FnOnce(UpgradeProxyLayer) -> UpgradeProxyLayer) -> (Wire, Wire) {
    let upstream = ScriptedUpstream::start().await;
    open(app(layer(UpgradeProxyLayer::new(upstream.upstream()))).await, &upstream).await
}

#[tokio::test]
async fn ends_by_a_close_are_counted_by_side() {
    for (reason, by_client) in [("client_closed", true), ("upstream_closed", false)] {
        let metrics = Metrics::install();
        let (mut client, mut server) = tunnel(|layer| layer).await;
        let (first, second) = if by_client { (&mut client, &mut server) } else { (&mut server, &mut client) };
        first.finish().await;
        second.rest().await;
        second.finish().await;
        metrics.expect_end(reason).await;
    }
}

#[tokio::test]
async fn ends_by_a_failure_are_counted_by_side() {
    for (reason, by_client) in [("client_failed", true), ("upstream_failed", false)] {
        let metrics = Metrics::install();
        let config = TunnelConfig::new().close_timeout(Duration::ZERO);
        let (client, server) = tunnel(|layer| layer.tunnel(config)).await;
        let (failing, _other) = if by_client { (client, server) } else { (server, client) };
        failing.reset();
        metrics.expect_end(reason).await;
        match by_client {
            true => metrics.expect_told("aborted", "close"),
            false => metrics.expect_told("end_of_stream", "aborted"),
        }
    }
}

#[tokio::test]
async fn ends_by_a_timeout_are_counted_by_timeout() {
    let config = || TunnelConfig::new().close_timeout(Duration::ZERO);
    for (reason, config) in [
        ("idle_timeout", config().idle_timeout(SOON)),
        ("lifetime_reached", config().max_lifetime(SOON)),
        ("half_close_timeout", config().half_close_timeout(SOON)),
    ] {
        let metrics = Metrics::install();
        let (mut client, _server) = tunnel(|layer| layer.tunnel(config)).await;
        if reason == "half_close_timeout" {
            client.finish().await;
        }
        metrics.expect_end(reason).await;
    }
}

#[tokio::test]
async fn ends_by_a_drain_are_counted_by_its_result() {
    for (reason, grace) in [("drained", 20), ("drain_timeout", 0)] {
        let metrics = Metrics::install();
        let tunnels = Tunnels::new();
        let (mut client, mut server) = tunnel(|layer| layer.tunnels(&tunnels)).await;
        // Makes sure that the tunnel is open.
        client.send(from_client("hello")).await;
        server.expect(from_client("hello")).await;
        let close = CloseFrame::new(CloseCode::SERVICE_RESTART);
        let config = DrainConfig::new().close(close).grace(Duration::from_secs(grace));
        let drained = tokio::spawn(tunnels.drain(|_| true, config));
        if grace > 0 {
            client.expect([0x88, 2, 3, 244]).await;
            client.send([0x88, 0x82, 0, 0, 0, 0, 3, 244]).await;
            server.exactly(8).await;
            server.send([0x88, 2, 3, 244]).await;
        }
        metrics.expect_end(reason).await;
        metrics.expect_told("close", "close");
        drained.await.unwrap();
    }
}

/// Serves `layer` behind a middleware that replaces the 101, or panics.
async fn replacing(layer: UpgradeProxyLayer, panics: bool) -> SocketAddr {
    let replace = map_response(move |_: Response| async move {
        assert!(!panics, "the test's own panic");
        "replaced"
    });
    serve(Router::new().fallback(describe).layer(layer).layer(replace)).await
}

#[tokio::test]
async fn failed_upgrades_are_counted_by_reason() {
    for (reason, panics) in [("upgrade_timeout", false), ("upgrade_failed", true)] {
        let metrics = Metrics::install();
        let upstream = ScriptedUpstream::start().await;
        let limit = if panics { Duration::from_secs(60) } else { SOON };
        let layer = UpgradeProxyLayer::new(upstream.upstream()).upgrade_timeout(limit);
        let mut client = Wire::connect(replacing(layer, panics).await).await;
        client.send(handshake("/")).await;
        let mut server = upstream.accept().await;
        server.head().await;
        server.send(SWITCHING).await;
        metrics.expect_end(reason).await;
    }
}

#[test]
fn a_tunnel_dropped_with_its_runtime_counts_as_aborted() {
    let metrics = Metrics::install();
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let first = runtime();
    let (mut client, mut server) = first.block_on(tunnel(|layer| layer));
    first.block_on(async {
        for _ in 0..3 {
            client.send(from_client("hello")).await;
            server.expect(from_client("hello")).await;
        }
    });
    assert_eq!(metrics.value("tunnels_active"), 1.0);
    drop(first);
    runtime().block_on(metrics.expect_end("aborted"));
    assert_eq!(metrics.value(r#"bytes_total{direction="client_to_upstream"}"#), 33.0);
}

/// Panics when a tunnel opens.
struct Panics;

impl OnTunnel for Panics {
    fn on_open(&self, _: &TunnelInfo) {
        panic!("the test's own panic");
    }

    fn on_close(&self, _: &TunnelInfo, _: &TunnelSummary) {}
}

#[tokio::test]
async fn a_tunnel_whose_hook_panics_counts_as_aborted() {
    let metrics = Metrics::install();
    let upstream = ScriptedUpstream::start().await;
    let layer = UpgradeProxyLayer::new(upstream.upstream()).on_tunnel(Panics);
    let mut client = Wire::connect(app(layer).await).await;
    client.send(handshake("/")).await;
    let mut server = upstream.accept().await;
    server.head().await;
    server.send(SWITCHING).await;
    client.expect_end().await;
    metrics.expect_end("aborted").await;
}
