//! `/metrics`, in Prometheus's text format.

use std::time::Duration;

use axum::{Router, http::header::CONTENT_TYPE, routing::get};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder};

/// Buckets for the duration of handshakes, in seconds.
const HANDSHAKES: [f64; 10] = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0];

/// Buckets for the duration of tunnels, in seconds.
const TUNNELS: [f64; 7] = [1.0, 10.0, 60.0, 600.0, 3600.0, 21_600.0, 86_400.0];

/// Installs the recorder, and returns the route that serves its metrics.
pub(crate) fn routes() -> Result<Router, BuildError> {
    let metric = |name: &str| Matcher::Full(format!("tower_upgrade_proxy_{name}"));
    let recorder = PrometheusBuilder::new()
        .set_buckets_for_metric(metric("handshake_seconds"), &HANDSHAKES)?
        .set_buckets_for_metric(metric("tunnel_seconds"), &TUNNELS)?
        .install_recorder()?;
    // Without scrapes, samples would accumulate until the upkeep sorts them into buckets.
    let upkeep = recorder.clone();
    tokio::spawn(async move {
        let mut interval = tokio::time::interval(Duration::from_secs(5));
        loop {
            interval.tick().await;
            upkeep.run_upkeep();
        }
    });
    let text = move || async move { ([(CONTENT_TYPE, "text/plain; version=0.0.4")], recorder.render()) };
    Ok(Router::new().route("/metrics", get(text)))
}
