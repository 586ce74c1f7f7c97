//! `--forwarded` and `--trust`: fields about the client.

use test_support::{Head, ScriptedUpstream, handshake};

use crate::Gateway;

/// The client's own fields.
const SENT: [(&str, &str); 7] = [
    ("x-forwarded-for", "192.0.2.1"),
    ("x-forwarded-proto", "https"),
    ("x-forwarded-host", "sent.example"),
    ("x-forwarded-prefix", "/sent"),
    ("x-real-ip", "192.0.2.2"),
    ("forwarded", "for=192.0.2.3"),
    ("via", "1.0 sent"),
];

/// The heads that the upstream receives for an upgrade and for an ordinary request.
async fn heads(arguments: &[&str]) -> [Head; 2] {
    let upstream = ScriptedUpstream::start().await;
    let route = format!("/app/={}", upstream.uri());
    let gateway = Gateway::start(&[&["--route", &route], arguments].concat()).await;
    let lines: String = SENT.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let ordinary = "GET /app/ HTTP/1.1\r\nHost: client.example\r\n\r\n";
    let mut heads = Vec::new();
    for request in [handshake("/app/").as_str(), ordinary] {
        let mut client = gateway.wire().await;
        client.send(request.replacen("\r\n", &format!("\r\n{lines}"), 1)).await;
        heads.push(upstream.accept().await.head().await);
    }
    heads.try_into().unwrap()
}

/// Expects these values, in the order of [`SENT`]; an empty value means no line.
async fn expect(arguments: &[&str], expected: [&str; 7]) {
    for head in heads(arguments).await {
        for ((name, _), value) in SENT.iter().zip(expected) {
            let values: Vec<_> =
                Some(value.to_owned()).into_iter().filter(|value| !value.is_empty()).collect();
            assert_eq!(head.values(name), values, "{arguments:?} {name}: {}", head.text());
        }
    }
}

#[tokio::test]
async fn without_the_option_all_fields_pass_unchanged() {
    let sent = SENT.map(|(_, value)| value);
    expect(&[], sent).await;
    expect(&["--forwarded", "none", "--trust", "127.0.0.0/8"], sent).await;
}

#[tokio::test]
async fn nginx_sets_address_and_scheme_and_replaces_the_fields_of_untrusted_peers() {
    let expected = ["127.0.0.1", "http", "sent.example", "/sent", "127.0.0.1", "for=192.0.2.3", "1.0 sent"];
    expect(&["--forwarded", "nginx"], expected).await;
    expect(&["--forwarded", "nginx", "--trust", "10.0.0.0/8", "--trust", "::1/128"], expected).await;
}

#[tokio::test]
async fn nginx_keeps_the_fields_of_trusted_peers() {
    let both =
        ["192.0.2.1, 127.0.0.1", "https", "sent.example", "/sent", "192.0.2.1", "for=192.0.2.3", "1.0 sent"];
    expect(&["--forwarded", "nginx", "--trust", "10.0.0.0/8", "--trust", "127.0.0.0/8"], both).await;
}

#[tokio::test]
async fn all_sets_every_field_and_removes_those_of_untrusted_peers() {
    let element = "for=127.0.0.1;host=client.example;proto=http";
    let via = "1.1 tower-upgrade-proxy";
    let expected = ["127.0.0.1", "http", "client.example", "", "127.0.0.1", element, via];
    expect(&["--forwarded", "all"], expected).await;
    let stripped = ["127.0.0.1", "http", "client.example", "/app", "127.0.0.1", element, via];
    expect(&["--forwarded", "all", "--strip-prefix"], stripped).await;
}

#[tokio::test]
async fn all_appends_to_the_fields_of_trusted_peers() {
    let trusted = [
        "192.0.2.1, 127.0.0.1",
        "https",
        "sent.example",
        "/sent",
        "192.0.2.1",
        "for=192.0.2.3, for=127.0.0.1;host=client.example;proto=http",
        "1.0 sent, 1.1 tower-upgrade-proxy",
    ];
    expect(&["--forwarded", "all", "--trust", "127.0.0.1/32"], trusted).await;
}
