//! What upstreams are told of the client: `--forwarded` and `--trust`.

use crate::{
    Gateway,
    support::{Head, Scripted, handshake},
};

/// What the client says of itself.
const SAID: [(&str, &str); 7] = [
    ("x-forwarded-for", "192.0.2.1"),
    ("x-forwarded-proto", "https"),
    ("x-forwarded-host", "said.example"),
    ("x-forwarded-prefix", "/said"),
    ("x-real-ip", "192.0.2.2"),
    ("forwarded", "for=192.0.2.3"),
    ("via", "1.0 said"),
];

/// The heads that the upstream gets for an upgrade and for an ordinary request.
async fn heads(arguments: &[&str]) -> [Head; 2] {
    let upstream = Scripted::start().await;
    let route = format!("/app/={}", upstream.uri());
    let gateway = Gateway::start(&[&["--route", &route], arguments].concat()).await;
    let said: String = SAID.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let ordinary = "GET /app/ HTTP/1.1\r\nHost: client.example\r\n\r\n";
    let mut heads = Vec::new();
    for request in [handshake("/app/").as_str(), ordinary] {
        let mut client = gateway.wire().await;
        client.send(request.replacen("\r\n", &format!("\r\n{said}"), 1)).await;
        heads.push(upstream.accept().await.head().await);
    }
    heads.try_into().unwrap()
}

/// Requires these values, in the order of [`SAID`]; an empty one stands for no line.
async fn expect(arguments: &[&str], expected: [&str; 7]) {
    for head in heads(arguments).await {
        for ((name, _), value) in SAID.iter().zip(expected) {
            let values: Vec<_> =
                Some(value.to_owned()).into_iter().filter(|value| !value.is_empty()).collect();
            assert_eq!(head.values(name), values, "{arguments:?} {name}: {}", head.text());
        }
    }
}

#[tokio::test]
async fn without_the_option_everything_passes_as_the_client_said_it() {
    let said = SAID.map(|(_, value)| value);
    expect(&[], said).await;
    expect(&["--forwarded", "none", "--trust", "127.0.0.0/8"], said).await;
}

#[tokio::test]
async fn nginx_tells_address_and_scheme_and_replaces_what_a_stranger_said() {
    let ours = ["127.0.0.1", "http", "said.example", "/said", "127.0.0.1", "for=192.0.2.3", "1.0 said"];
    expect(&["--forwarded", "nginx"], ours).await;
    expect(&["--forwarded", "nginx", "--trust", "10.0.0.0/8", "--trust", "::1/128"], ours).await;
}

#[tokio::test]
async fn nginx_appends_to_what_a_trusted_peer_said() {
    let both =
        ["192.0.2.1, 127.0.0.1", "http", "said.example", "/said", "127.0.0.1", "for=192.0.2.3", "1.0 said"];
    expect(&["--forwarded", "nginx", "--trust", "10.0.0.0/8", "--trust", "127.0.0.0/8"], both).await;
}

#[tokio::test]
async fn all_tells_everything_and_removes_what_a_stranger_said() {
    let element = "for=127.0.0.1;host=client.example;proto=http";
    let via = "1.1 tower-upgrade-proxy";
    let ours = ["127.0.0.1", "http", "client.example", "", "127.0.0.1", element, via];
    expect(&["--forwarded", "all"], ours).await;
    let stripped = ["127.0.0.1", "http", "client.example", "/app", "127.0.0.1", element, via];
    expect(&["--forwarded", "all", "--strip-prefix"], stripped).await;
}

#[tokio::test]
async fn all_adds_to_what_a_trusted_peer_said() {
    let trusted = [
        "192.0.2.1, 127.0.0.1",
        "https",
        "said.example",
        "/said",
        "192.0.2.2",
        "for=192.0.2.3, for=127.0.0.1;host=client.example;proto=http",
        "1.0 said, 1.1 tower-upgrade-proxy",
    ];
    expect(&["--forwarded", "all", "--trust", "127.0.0.1/32"], trusted).await;
}
