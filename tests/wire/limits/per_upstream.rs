//! `max_tunnels_per_upstream`.

use super::*;

/// The handshake of a client for `upstream` with the path `base`.
fn to(upstream: &ScriptedUpstream, base: &str) -> String {
    handshake_with("/", &[&format!("X-Upstream: {}{base}", upstream.uri())])
}

#[tokio::test]
async fn an_upstream_at_its_limit_gets_no_connection_and_others_do() {
    let (one, other) = (ScriptedUpstream::start().await, ScriptedUpstream::start().await);
    let address = limited(UpgradeProxyLayer::per_request().max_tunnels_per_upstream(2)).await;
    let first = open(address, &one, &to(&one, "")).await;
    let _second = open(address, &one, &to(&one, "/base")).await;
    for base in ["", "/base", "/another"] {
        expect_refusal(address, &to(&one, base), 503, "upstream_limit").await;
    }
    one.expect_untouched().await;
    let _elsewhere = open(address, &other, &to(&other, "")).await;
    drop(first);
    let _again = until_admitted(address, &one, &to(&one, "")).await;
    expect_refusal(address, &to(&one, ""), 503, "upstream_limit").await;
}

#[tokio::test]
async fn a_failed_or_abandoned_handshake_releases_its_permit() {
    let upstream = ScriptedUpstream::start().await;
    let layer = UpgradeProxyLayer::new(upstream.upstream()).max_tunnels_per_upstream(1);
    let address = limited(layer).await;
    expect_release(address, &upstream, 503, "upstream_limit").await;
}
