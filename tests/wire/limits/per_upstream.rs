//! `max_tunnels_per_upstream`.

use super::*;

/// A client that is sent to `upstream`, below `base`.
fn to(upstream: &ScriptedUpstream, base: &str) -> String {
    handshake_with("/", &[&format!("X-Upstream: {}{base}", upstream.uri())])
}

#[tokio::test]
async fn beyond_its_limit_an_upstream_is_left_alone_and_others_are_not() {
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
async fn a_place_comes_back_when_the_handshake_fails_or_its_client_leaves() {
    let upstream = ScriptedUpstream::start().await;
    let layer = UpgradeProxyLayer::new(upstream.upstream()).max_tunnels_per_upstream(1);
    let address = limited(layer).await;
    expect_place_back(address, &upstream, 503, "upstream_limit").await;
}
