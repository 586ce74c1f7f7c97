//! `--allow-origin`.

use test_support::{ScriptedUpstream, handshake_with};

use crate::Gateway;

#[tokio::test]
async fn other_origins_get_403() {
    let upstream = ScriptedUpstream::start().await;
    let route = format!("/={}", upstream.uri());
    let origins = ["--allow-origin", "same-host", "--allow-origin", "https://app.example"];
    let gateway = Gateway::start(&[&["--route", &route], &origins[..]].concat()).await;
    for origin in ["http://client.example", "https://app.example"] {
        let mut client = gateway.wire().await;
        upstream.receive(&mut client, handshake_with("/", &[&format!("Origin: {origin}")])).await;
    }
    for origin in ["https://evil.example", "null", "chrome-extension://client.example"] {
        let head = gateway.wire().await.request(handshake_with("/", &[&format!("Origin: {origin}")])).await;
        assert_eq!(head.status(), 403, "{origin}");
    }
    upstream.expect_untouched().await;
}
