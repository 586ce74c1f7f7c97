//! Metrics, as Prometheus gets them. Each test has a recorder of its own, for its thread.

mod endings;
mod refusals;

use ::metrics::{LocalRecorderGuard, set_default_local_recorder};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use test_support::{
    ScriptedUpstream, Wire, bounded, handshake, handshake_with,
    websocket::frame::{TEXT, frame},
};
use tower_upgrade_proxy::{Protocols, Side, UpgradeProxyLayer};

use crate::{app, app_for, open};

/// Prefix of all names, which the tests leave out.
const PREFIX: &str = "tower_upgrade_proxy_";

struct Metrics {
    handle: PrometheusHandle,
    /// Leaked, as a guard borrows it.
    _guard: LocalRecorderGuard<'static>,
}

impl Metrics {
    fn install() -> Self {
        Self::with(PrometheusBuilder::new().build_recorder())
    }

    fn with(recorder: PrometheusRecorder) -> Self {
        let recorder: &'static PrometheusRecorder = Box::leak(Box::new(recorder));
        Self { handle: recorder.handle(), _guard: set_default_local_recorder(recorder) }
    }

    /// The value of a sample, such as `refused_total{reason="connect"}`; 0 without one.
    fn value(&self, sample: &str) -> f64 {
        let sample = format!("{PREFIX}{sample} ");
        let text = self.handle.render();
        let value = text.lines().find_map(|line| line.strip_prefix(sample.as_str()));
        value.map_or(0.0, |value| value.parse().unwrap())
    }

    /// Waits until a sample has `value`.
    async fn until(&self, sample: &str, value: f64) {
        bounded(sample, async {
            while self.value(sample) != value {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }

    /// All samples of one metric, each with its value.
    fn samples(&self, metric: &str) -> Vec<String> {
        let (start, text) = (format!("{PREFIX}{metric}{{"), self.handle.render());
        text.lines().filter(|line| line.starts_with(&start)).map(str::to_owned).collect()
    }
}

/// A text message of a client, 6 bytes and the text's.
fn from_client(text: &str) -> Vec<u8> {
    frame(Side::Client, TEXT, text.as_bytes())
}

/// A text message of a server: 2 bytes, then the text.
fn from_server(text: &str) -> Vec<u8> {
    frame(Side::Upstream, TEXT, text.as_bytes())
}

#[tokio::test]
async fn traffic_is_counted_while_the_tunnel_is_open_and_the_rest_at_its_end() {
    let metrics = Metrics::install();
    let upstream = ScriptedUpstream::start().await;
    let (mut client, mut server) = open(app_for(&upstream).await, &upstream).await;
    assert_eq!(metrics.value("tunnels_opened_total"), 1.0);
    assert_eq!(metrics.value("tunnels_active"), 1.0);
    client.send(from_client("hello")).await;
    server.expect(from_client("hello")).await;
    metrics.until(r#"bytes_total{direction="client_to_upstream"}"#, 11.0).await;
    assert_eq!(metrics.value(r#"messages_total{direction="client_to_upstream"}"#), 1.0);
    assert_eq!(metrics.value("tunnels_active"), 1.0, "it is open");

    for _ in 0..3 {
        server.send(from_server("hi")).await;
        client.expect(from_server("hi")).await;
    }
    assert!(metrics.value(r#"bytes_total{direction="upstream_to_client"}"#) < 12.0, "not for each message");
    drop((client, server));
    metrics.until("tunnels_active", 0.0).await;
    assert_eq!(metrics.value(r#"bytes_total{direction="client_to_upstream"}"#), 11.0);
    assert_eq!(metrics.value(r#"bytes_total{direction="upstream_to_client"}"#), 12.0);
    assert_eq!(metrics.value(r#"messages_total{direction="client_to_upstream"}"#), 1.0);
    assert_eq!(metrics.value(r#"messages_total{direction="upstream_to_client"}"#), 3.0);
    assert_eq!(metrics.value("tunnel_seconds_count"), 1.0);
    let seconds = metrics.value("tunnel_seconds_sum");
    assert!(seconds > 0.0 && seconds < 20.0, "{seconds}");
}

#[tokio::test]
async fn invalid_framing_is_forwarded_and_counted_once_for_the_side_that_sent_it_first() {
    let metrics = Metrics::install();
    let upstream = ScriptedUpstream::start().await;
    let (mut client, mut server) = open(app_for(&upstream).await, &upstream).await;
    for expected in [1.0, 1.0] {
        client.send([0x83, 0x80, 0, 0, 0, 0]).await;
        server.expect([0x83, 0x80, 0, 0, 0, 0]).await;
        metrics.until(r#"invalid_framing_total{side="client"}"#, expected).await;
    }
    server.send([0x89, 126, 0, 126]).await;
    client.exactly(4).await;
    assert_eq!(metrics.value(r#"invalid_framing_total{side="upstream"}"#), 0.0);
    let (mut client, mut server) = open(app_for(&upstream).await, &upstream).await;
    server.send([0x89, 126, 0, 126]).await;
    client.exactly(4).await;
    metrics.until(r#"invalid_framing_total{side="upstream"}"#, 1.0).await;
    assert_eq!(metrics.value(r#"invalid_framing_total{side="client"}"#), 1.0);
    assert_eq!(metrics.value("tunnels_active"), 2.0, "counted while they are open");
}

#[tokio::test]
async fn handshakes_are_timed_by_outcome() {
    let metrics = Metrics::install();
    let upstream = ScriptedUpstream::start().await;
    let address = app_for(&upstream).await;
    let _tunnel = open(address, &upstream).await;

    let mut denied = Wire::connect(address).await;
    denied.send(handshake("/")).await;
    let mut server = upstream.accept().await;
    server.head().await;
    server.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n").await;
    assert_eq!(denied.head().await.status(), 403);

    let mut cut = Wire::connect(address).await;
    cut.send(handshake("/")).await;
    drop(upstream.accept().await);
    assert_eq!(cut.head().await.status(), 502);

    let mut malformed = Wire::connect(address).await;
    let request = handshake("/").replace("Sec-WebSocket-Key: d", "Sec-WebSocket-Key: ");
    let head = malformed.request(request).await;
    assert_eq!(head.status(), 400);
    malformed.body(&head).await;
    let ordinary = malformed.request("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(ordinary.status(), 200, "no handshake, hence not counted");

    let mut gone = Wire::connect(address).await;
    gone.send(handshake("/")).await;
    let _server = upstream.accept().await;
    gone.reset();
    metrics.until(r#"handshake_seconds_count{outcome="abandoned"}"#, 1.0).await;
    assert_eq!(metrics.value(r#"handshake_seconds_count{outcome="upgraded"}"#), 1.0);
    assert_eq!(metrics.value(r#"handshake_seconds_count{outcome="relayed"}"#), 1.0);
    assert_eq!(metrics.value(r#"handshake_seconds_count{outcome="refused"}"#), 2.0);
    let seconds = metrics.value(r#"handshake_seconds_sum{outcome="upgraded"}"#);
    assert!(seconds > 0.0 && seconds < 20.0, "{seconds}");
}

#[tokio::test]
async fn no_label_has_a_value_that_a_client_sent() {
    let metrics = Metrics::install();
    let upstream = ScriptedUpstream::start().await;
    let address = app(UpgradeProxyLayer::new(upstream.upstream()).protocols(Protocols::any())).await;
    let mut client = Wire::connect(address).await;
    let request = handshake_with("/secret?secret", &["X-Secret: secret", "Origin: http://secret"]);
    client.send(request.replace("Upgrade: websocket", "Upgrade: secret")).await;
    let mut server = upstream.accept().await;
    server.head().await;
    server.send("HTTP/1.1 101 A\r\nConnection: Upgrade\r\nUpgrade: secret\r\n\r\n").await;
    assert_eq!(client.head().await.status(), 101);
    server.send("bytes").await;
    client.expect("bytes").await;
    drop((client, server));
    metrics.until("tunnels_active", 0.0).await;
    let text = metrics.handle.render();
    assert!(text.contains("tunnels_opened_total 1") && !text.contains("secret"), "{text}");
}

#[tokio::test]
async fn a_recorder_that_is_installed_late_gets_all_descriptions() {
    let upstream = ScriptedUpstream::start().await;
    let layer = UpgradeProxyLayer::new(upstream.upstream());
    let address = app(layer.clone()).await;
    let early = open(address, &upstream).await;
    let metrics = Metrics::with(PrometheusBuilder::new().with_recommended_naming(true).build_recorder());
    let (mut client, server) = open(address, &upstream).await;
    client.send(from_client("hello")).await;
    let refused = app(layer.max_tunnels(0)).await;
    assert_eq!(Wire::connect(refused).await.request(handshake("/")).await.status(), 503);
    drop((client, server, early));
    metrics.until("tunnels_active", 0.0).await;

    let text = metrics.handle.render();
    for (name, kind) in [
        ("refused_total", "counter"),
        ("handshake_seconds", "summary"),
        ("tunnels_opened_total", "counter"),
        ("tunnels_active", "gauge"),
        ("tunnels_ended_total", "counter"),
        ("told_total", "counter"),
        ("tunnel_seconds", "summary"),
        ("bytes_total", "counter"),
        ("messages_total", "counter"),
    ] {
        assert!(text.contains(&format!("# TYPE {PREFIX}{name} {kind}\n")), "{name}: {text}");
        assert!(text.contains(&format!("# HELP {PREFIX}{name} ")), "{name}: {text}");
    }
    // The early tunnel has no gauge of this recorder, and did not decrement it below zero.
    metrics.until("tunnel_seconds_count", 2.0).await;
    assert_eq!(metrics.value("tunnels_active"), 0.0);
}
