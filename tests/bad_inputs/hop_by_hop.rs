//! D. Fields named by `Connection`, and other hop-by-hop fields.

use axum::{Router, extract::Request, middleware::map_request};
use test_support::{Head, Inner, KEY, SWITCHING, ScriptedProxy, handshake_with, ping_pong, serve};
use tower_upgrade_proxy::{Forwarded, PathRewrite, Peer};

/// Returns an ordinary request with `lines`.
pub(crate) fn get_with(path: &str, lines: &[&str]) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: client.example\r\n{}\r\n\r\n", lines.join("\r\n"))
}

/// Returns the head of a handshake with `lines` as received by the upstream, and that of an ordinary request
/// if the proxy forwards it.
pub(crate) async fn received(proxy: &ScriptedProxy, path: &str, lines: &[&str]) -> Vec<Head> {
    let (_, _, upgrade) = proxy.request(handshake_with(path, lines)).await;
    assert_eq!(upgrade.values("connection"), ["Upgrade"], "{lines:?}");
    let mut heads = vec![upgrade];
    if proxy.inner == Inner::Forward {
        let (_, _, ordinary) = proxy.request(get_with(path, lines)).await;
        assert!(ordinary.values("upgrade").is_empty(), "{lines:?}");
        heads.push(ordinary);
    }
    heads
}

async fn d1_fields_named_by_connection_are_removed(inner: Inner) {
    let proxy = ScriptedProxy::start(inner).await;
    let cases: [&[&str]; 5] = [
        &["Connection: X-Secret"],
        &["Connection: keep-alive, x-SECRET ,"],
        &["Connection:", "Connection: close, X-Secret"],
        &["Connection: X-Absent", "Connection: \"X-Kept\", X Kept, /", "Connection: X-Secret, X-Secret"],
        &["Connection: caf\u{e9}, X-Secret, \u{fffd}"],
    ];
    for lines in cases {
        let lines = [lines, &["X-Secret: 1", "x-secret: 2", "X-Kept: 3"]].concat();
        for head in received(&proxy, "/", &lines).await {
            assert!(head.values("x-secret").is_empty(), "{lines:?}");
            assert_eq!(head.values("x-kept"), ["3"], "{lines:?}");
        }
    }
    let empty_first = format!(
        "GET / HTTP/1.1\r\nHost: a\r\nConnection:\r\nConnection: X-Secret\r\nConnection: upgrade\r\n\
         Upgrade: websocket\r\nX-Secret: 1\r\nSec-WebSocket-Key: {KEY}\r\n\r\n"
    );
    let (_, _, head) = proxy.request(empty_first).await;
    assert_eq!(head.values("connection"), ["Upgrade"]);
    assert!(head.values("x-secret").is_empty());
}

async fn d2_connection_cannot_remove_fields_set_by_the_proxy(inner: Inner) {
    let element = "for=203.0.113.7;host=client.example;proto=http";
    let fields = [
        ("X-Forwarded-For", "203.0.113.7"),
        ("X-Forwarded-Host", "client.example"),
        ("X-Forwarded-Proto", "http"),
        ("X-Forwarded-Prefix", "/ws"),
        ("X-Real-IP", "203.0.113.7"),
        ("Forwarded", element),
        ("Via", "1.1 tower-upgrade-proxy"),
    ];
    let all = fields.map(|(name, _)| name).join(", ");
    for trusted in ["198.51.100.0/24", "203.0.113.0/24"] {
        let peer = Peer::new("203.0.113.7:5".parse().unwrap());
        let insert = map_request(move |mut request: Request| async move {
            request.extensions_mut().insert(peer);
            request
        });
        let forwarded = Forwarded::all().trust([trusted.parse().unwrap()]);
        let proxy = ScriptedProxy::start_on(
            inner,
            |layer| layer.forwarded(forwarded).path(PathRewrite::strip_prefix("/ws")),
            async |app: Router| serve(app.layer(insert)).await,
        )
        .await;
        for (name, expected) in fields {
            for named in [name, &name.to_ascii_lowercase(), &all] {
                let lines = [&format!("{name}: forged"), &format!("Connection: {named}"), "X-Kept: 1"];
                for head in received(&proxy, "/ws/x", &lines).await {
                    assert_eq!(head.values(&name.to_ascii_lowercase()), [expected], "{trusted} {named}");
                    assert_eq!(head.values("x-kept"), ["1"]);
                }
            }
        }
    }
}

async fn d3_host_key_and_version_are_kept_if_connection_names_them(inner: Inner) {
    let proxy = ScriptedProxy::start(inner).await;
    let names = [
        "Host",
        "Sec-WebSocket-Key",
        "Sec-WebSocket-Version",
        "Content-Length",
        "Transfer-Encoding",
        "Connection",
        "Upgrade",
        "Cookie",
        "Host, cookie, Sec-WebSocket-Key, content-length, Transfer-Encoding, connection",
    ];
    for name in names {
        let lines = [&format!("Connection: {name}"), "Cookie: a=1"];
        let (mut client, mut server, head) = proxy.request(handshake_with("/", &lines)).await;
        assert_eq!(head.values("host"), ["client.example"], "{name}");
        assert_eq!(head.values("sec-websocket-key"), [KEY], "{name}");
        assert_eq!(head.values("sec-websocket-version"), ["13"], "{name}");
        assert_eq!(head.values("connection"), ["Upgrade"], "{name}");
        assert_eq!(head.values("upgrade"), ["websocket"], "{name}");
        let cookies = usize::from(!name.to_ascii_lowercase().contains("cookie"));
        assert_eq!(head.values("cookie").len(), cookies, "{name}");
        server.send(SWITCHING).await;
        assert_eq!(client.head().await.status(), 101, "{name}");
        ping_pong(&mut client, &mut server).await;
    }
}

async fn d3_framing_fields_are_kept_if_connection_names_them(inner: Inner) {
    let proxy = ScriptedProxy::start(inner).await;
    let framings = [
        ("Content-Length: 4\r\n\r\nbody", "content-length"),
        ("Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n", "transfer-encoding"),
    ];
    for (framing, field) in framings {
        let connection = "Connection: Content-Length, Transfer-Encoding, Host";
        let request = format!("POST / HTTP/1.1\r\nHost: client.example\r\n{connection}\r\n{framing}");
        let mut client = proxy.connect().await;
        if inner == Inner::Application {
            let received = proxy.ordinary_request(&mut client, request).await;
            assert_eq!(received.values(field).len(), 1);
        } else {
            client.send(request).await;
            let mut server = proxy.upstream.accept().await;
            let head = server.head().await;
            assert_eq!((head.values("host").len(), head.values(field).len()), (1, 1));
            assert_eq!(server.body(&head).await, b"body");
            // The same for the response.
            let response = framing.replace("body", "done");
            server.send(format!("HTTP/1.1 200 OK\r\n{connection}, close\r\n{response}")).await;
            let head = client.head().await;
            assert_eq!(client.body(&head).await, b"done");
        }
        proxy.expect_http(&mut client).await;
    }
}

async fn d4_hop_by_hop_fields_are_removed_without_being_named(inner: Inner) {
    let proxy = ScriptedProxy::start(inner).await;
    let lines = [
        "Proxy-Connection: keep-alive",
        "Keep-Alive: timeout=5",
        "TE: gzip, deflate;q=0.5",
        "Proxy-Authorization: Basic eDp5",
        "Proxy-Authenticate: Basic",
        "X-Kept: 1",
    ];
    for head in received(&proxy, "/", &lines).await {
        for line in &lines[..5] {
            let name = line.split(':').next().unwrap().to_ascii_lowercase();
            assert!(head.values(&name).is_empty(), "{name}");
        }
        assert_eq!(head.values("x-kept"), ["1"]);
    }
    // A handshake has no trailers; those of an ordinary request are passed on.
    let trailers = ["TE: trailers", "Trailer: X-Sum"];
    let heads = received(&proxy, "/", &trailers).await;
    assert!(heads[0].values("te").is_empty() && heads[0].values("trailer").is_empty());
    for ordinary in &heads[1..] {
        assert_eq!(
            (ordinary.values("te"), ordinary.values("connection")),
            (vec!["trailers".into()], vec!["TE".into()])
        );
        assert_eq!(ordinary.values("trailer"), ["X-Sum"]);
    }
}

on_both![
    d1_fields_named_by_connection_are_removed,
    d2_connection_cannot_remove_fields_set_by_the_proxy,
    d3_host_key_and_version_are_kept_if_connection_names_them,
    d3_framing_fields_are_kept_if_connection_names_them,
    d4_hop_by_hop_fields_are_removed_without_being_named,
];
