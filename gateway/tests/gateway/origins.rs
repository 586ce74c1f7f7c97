//! Which web pages may open tunnels.

use crate::{
    Gateway,
    support::{Scripted, handshake_with},
};

#[tokio::test]
async fn origins_that_are_not_given_get_403() {
    let upstream = Scripted::start().await;
    let route = format!("/={}", upstream.uri());
    let given = ["--allow-origin", "same-host", "--allow-origin", "https://app.example"];
    let gateway = Gateway::start(&[&["--route", &route], &given[..]].concat()).await;
    for origin in ["http://client.example", "https://app.example"] {
        let mut client = gateway.wire().await;
        upstream.asked(&mut client, handshake_with("/", &[&format!("Origin: {origin}")])).await;
    }
    for origin in ["https://evil.example", "null"] {
        let head = gateway.wire().await.ask(handshake_with("/", &[&format!("Origin: {origin}")])).await;
        assert_eq!(head.status(), 403, "{origin}");
    }
    upstream.expect_untouched().await;
}
