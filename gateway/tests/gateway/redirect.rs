//! `--redirect-http`: requests without TLS are redirected to https.

use std::net::SocketAddr;

use http::{Request, Uri};
use test_support::{Head, Wire, handshake, http2::Client, tls::CertificateFiles};

use crate::{Gateway, get, upstream};

/// A gateway with TLS, and the address of its redirect.
async fn start(files: &CertificateFiles) -> (Gateway, SocketAddr) {
    let route = format!("/={}", upstream::start("app").await);
    let (chain, key) = (files.chain(), files.key());
    let tls = ["--tls-cert", &chain, "--tls-key", &key, "--redirect-http", "127.0.0.1:0"];
    let mut gateway = Gateway::start(&[&["--route", &route], &tls[..]].concat()).await;
    let address = gateway.program.line_after("redirecting to https on ").await;
    (gateway, address.parse().unwrap())
}

fn location(head: &Head) -> String {
    assert_eq!(head.status(), 301, "{}", head.text());
    assert_eq!(head.values("location").len(), 1, "{}", head.text());
    head.values("location").remove(0)
}

#[tokio::test]
async fn the_redirect_keeps_host_path_and_query_and_names_the_port_of_https() {
    let (gateway, plain) = start(&CertificateFiles::new()).await;
    let port = gateway.address.port();
    let table = [
        ("/", "client.example", format!("https://client.example:{port}/")),
        (
            "/a//b/../%2F?q=%20&r=/?#",
            "client.example:8080",
            format!("https://client.example:{port}/a//b/../%2F?q=%20&r=/?"),
        ),
        ("//other.example/x", "client.example", format!("https://client.example:{port}//other.example/x")),
        ("/?", "127.0.0.1:80", format!("https://127.0.0.1:{port}/?")),
        ("/", "[::1]:80", format!("https://[::1]:{port}/")),
        ("http://target.example/x?y", "client.example", format!("https://target.example:{port}/x?y")),
        ("http://target.example", "client.example", format!("https://target.example:{port}/")),
    ];
    let mut wire = Wire::connect(plain).await;
    for (target, host, expected) in table {
        let head = wire.request(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n")).await;
        assert_eq!(location(&head), expected, "{target}");
        wire.body(&head).await;
    }
    for request in [handshake("/ws"), handshake("/ws").replacen("GET", "POST", 1)] {
        let head = wire.request(request).await;
        assert_eq!(location(&head), format!("https://client.example:{port}/ws"));
        wire.body(&head).await;
    }
}

#[tokio::test]
async fn the_redirect_leads_to_the_upstream() {
    let files = CertificateFiles::new();
    let (gateway, plain) = start(&files).await;
    let head = get(&mut Wire::connect(plain).await, "/x?y=z").await.0;
    let location: Uri = location(&head).parse().unwrap();
    assert_eq!(location.port_u16(), Some(gateway.address.port()));
    let mut wire = Wire::new(files.connect(gateway.connect().await, &[]).await);
    let (_, body) = get(&mut wire, location.path_and_query().unwrap().as_str()).await;
    assert_eq!(body, "app /x?y=z client.example");
}

#[tokio::test]
async fn http_2_requests_are_redirected() {
    let (gateway, plain) = start(&CertificateFiles::new()).await;
    let mut client = Client::connect(plain).await;
    let location = format!("https://client.example:{}/x?y", gateway.address.port());
    let get = Request::get("https://client.example/x?y").body(()).unwrap();
    let (get, websocket) = (client.send_request(get, true), client.connect_websocket("/x?y"));
    for pending in [get, websocket] {
        let (response, _) = pending.response().await;
        assert_eq!(response.status(), 301);
        assert_eq!(response.headers()["location"], location);
    }
}

#[tokio::test]
async fn a_request_without_one_valid_host_or_without_a_path_gets_400() {
    let (_gateway, plain) = start(&CertificateFiles::new()).await;
    let heads = [
        "GET / HTTP/1.1\r\n",
        "GET / HTTP/1.0\r\n",
        "GET / HTTP/1.1\r\nHost:\r\n",
        "GET / HTTP/1.1\r\nHost: a/b\r\n",
        "GET / HTTP/1.1\r\nHost: a b\r\n",
        "GET / HTTP/1.1\r\nHost: \u{e9}\r\n",
        "GET / HTTP/1.1\r\nHost: user@a\r\n",
        "GET / HTTP/1.1\r\nHost: :80\r\n",
        "GET / HTTP/1.1\r\nHost: a:80x\r\n",
        "GET / HTTP/1.1\r\nHost: a:65536\r\n",
        "GET / HTTP/1.1\r\nHost: a:+80\r\n",
        "GET / HTTP/1.1\r\nHost: [zz]\r\n",
        "GET / HTTP/1.1\r\nHost: [::1]x\r\n",
        "GET / HTTP/1.1\r\nHost: a[b]\r\n",
        "GET http://a:80x/ HTTP/1.1\r\nHost: a\r\n",
        "GET http://user@a/ HTTP/1.1\r\nHost: a\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: a\r\n",
        "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n",
    ];
    for head in heads {
        let response = Wire::connect(plain).await.request(format!("{head}\r\n")).await;
        assert_eq!(response.status(), 400, "{head}: {}", response.text());
        assert!(response.values("location").is_empty());
    }
}
