//! `--tls-cert` and `--tls-key`: https and wss for clients, plain HTTP for upstreams.

use test_support::{ScriptedUpstream, Wire, handshake, tls::CertificateFiles, websocket::Client};

use crate::{Gateway, description, get, upstream};

/// A gateway with TLS and these arguments.
pub(crate) async fn start(files: &CertificateFiles, arguments: &[&str]) -> Gateway {
    let tls = ["--tls-cert", &files.chain(), "--tls-key", &files.key()];
    Gateway::start(&[&tls, arguments].concat()).await
}

#[tokio::test]
async fn https_and_wss_requests_reach_a_plain_http_upstream() {
    let files = CertificateFiles::new();
    let route = format!("/={}", upstream::start("app").await);
    let gateway = start(&files, &["--route", &route]).await;

    let stream = files.connect(gateway.connect().await, &["http/1.1"]).await;
    let (head, body) = get(&mut Wire::new(stream), "/x?y").await;
    assert_eq!((head.status(), body.as_str()), (200, "app /x?y client.example"));

    let stream = files.connect(gateway.connect().await, &[]).await;
    let mut socket = Client::open(stream, "/ws").await.unwrap();
    assert_eq!(description(&mut socket).await, "app /ws client.example");
}

#[tokio::test]
async fn forwarded_fields_name_https() {
    let files = CertificateFiles::new();
    let upstream = ScriptedUpstream::start().await;
    let route = format!("/={}", upstream.uri());
    for (policy, named) in [("nginx", true), ("all", true), ("none", false)] {
        let gateway = start(&files, &["--route", &route, "--forwarded", policy]).await;
        for request in ["GET / HTTP/1.1\r\nHost: client.example\r\n\r\n", &handshake("/")] {
            let stream = files.connect(gateway.connect().await, &["http/1.1"]).await;
            let mut client = Wire::new(stream);
            client.send(request).await;
            let head = upstream.accept().await.head().await;
            assert_eq!(head.has("x-forwarded-proto", "https"), named, "{policy}: {}", head.text());
            assert_eq!(head.has("x-real-ip", "127.0.0.1"), named, "{policy}: {}", head.text());
            let element = "for=127.0.0.1;host=client.example;proto=https";
            assert_eq!(head.has("forwarded", element), policy == "all", "{policy}: {}", head.text());
        }
    }
}

#[tokio::test]
async fn plain_http_on_the_tls_port_gets_no_response_and_does_not_affect_others() {
    let files = CertificateFiles::new();
    let route = format!("/={}", upstream::start("app").await);
    let mut gateway = start(&files, &["--route", &route]).await;
    let mut wire = gateway.wire().await;
    wire.send("GET / HTTP/1.1\r\nHost: client.example\r\n\r\n").await;
    let rest = wire.rest().await;
    assert!(!rest.starts_with(b"HTTP/"), "{rest:?}");
    gateway.program.wait_for_log("TLS handshake failed").await;
    let stream = files.connect(gateway.connect().await, &[]).await;
    assert_eq!(get(&mut Wire::new(stream), "/").await.1, "app / client.example");
}
