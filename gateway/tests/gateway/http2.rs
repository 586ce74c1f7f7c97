//! HTTP/2 with clients, negotiated by ALPN or with prior knowledge, and with upstreams.

use std::time::Duration;

use axum::{
    Router,
    extract::ws::{WebSocketUpgrade, rejection::WebSocketUpgradeRejection},
    response::IntoResponse,
};
use futures_util::future::join_all;
use http::{Uri, Version};
use test_support::{
    ReservedPort, ScriptedUpstream, Wire, bounded,
    http2::{Client, Stream, frame::PREFACE_AND_SETTINGS},
    serve,
    tls::CertificateFiles,
    websocket,
};
use tokio::{io::AsyncWriteExt, time::timeout};
use tokio_tungstenite::tungstenite::Message;

use crate::{Gateway, description, get, https, upstream};

type Upgrade = Result<WebSocketUpgrade, WebSocketUpgradeRejection>;

async fn start_tls(files: &CertificateFiles) -> Gateway {
    let route = format!("/={}", upstream::start("app").await);
    https::start(files, &["--route", &route]).await
}

async fn start(arguments: &[&str]) -> Gateway {
    let route = format!("/={}", upstream::start("app").await);
    Gateway::start(&[&["--route", &route], arguments].concat()).await
}

#[tokio::test]
async fn alpn_selects_http_2_where_the_client_offers_it() {
    let files = CertificateFiles::new();
    let gateway = start_tls(&files).await;
    let table = [
        (&["h2", "http/1.1"][..], Some("h2")),
        (&["http/1.1", "h2"], Some("h2")),
        (&["h2"], Some("h2")),
        (&["http/1.1"], Some("http/1.1")),
        (&[], None),
    ];
    for (offered, selected) in table {
        let stream = files.connect(gateway.connect().await, offered).await;
        assert_eq!(stream.get_ref().1.alpn_protocol(), selected.map(str::as_bytes), "{offered:?}");
        let (status, body) = if selected == Some("h2") {
            Client::over(stream).await.request("GET", "/x?y", "").await
        } else {
            let (head, body) = get(&mut Wire::new(stream), "/x?y").await;
            (head.status(), body)
        };
        assert_eq!((status, body.as_str()), (200, "app /x?y client.example"), "{offered:?}");
    }
}

/// Requests and WebSockets on one connection, none of which waits for another.
async fn expect_requests_and_websockets(mut client: Client) {
    assert_eq!(client.request("GET", "/a", "").await, (200, "app /a client.example".to_owned()));
    let mut first = websocket::Client::on(&mut client, "/first").await;
    let mut second = websocket::Client::on(&mut client, "/second?q=1").await;
    assert_eq!(description(&mut second).await, "app /second?q=1 client.example");
    assert_eq!(client.request("POST", "/b", " body").await, (200, "app /b client.example body".to_owned()));
    assert_eq!(description(&mut first).await, "app /first client.example");
    first.close().await;
    assert_eq!(description(&mut second).await, "app /second?q=1 client.example");
}

#[tokio::test]
async fn requests_and_websockets_share_a_connection_over_tls() {
    let files = CertificateFiles::new();
    let gateway = start_tls(&files).await;
    let stream = files.connect(gateway.connect().await, &["h2"]).await;
    expect_requests_and_websockets(Client::over(stream).await).await;
}

#[tokio::test]
async fn requests_and_websockets_share_a_connection_that_begins_with_the_preface() {
    let gateway = start(&[]).await;
    expect_requests_and_websockets(Client::over(gateway.connect().await).await).await;
    assert_eq!(gateway.description("/").await, "app / client.example", "HTTP/1.1 on the same port");
}

#[tokio::test]
async fn a_refused_request_does_not_affect_its_connection() {
    let route = format!("/ws/={}", upstream::start("ws").await);
    let gateway = Gateway::start(&["--route", &route]).await;
    let mut client = Client::over(gateway.connect().await).await;
    assert_eq!(client.request("GET", "/", "").await.0, 404);
    assert_eq!(client.extended_connect("websocket", "/").response().await.0.status(), 404);
    assert_eq!(client.extended_connect("connect-udp", "/ws/").response().await.0.status(), 501);
    assert_eq!(
        description(&mut websocket::Client::on(&mut client, "/ws/").await).await,
        "ws /ws/ client.example"
    );
}

#[tokio::test]
async fn the_settings_have_the_limit_of_streams_and_allow_extended_connect() {
    for (arguments, streams) in [(&[][..], 100), (&["--http2-streams", "7"], 7)] {
        let gateway = start(arguments).await;
        let mut wire = gateway.wire().await;
        wire.send(PREFACE_AND_SETTINGS).await;
        let head = wire.exactly(9).await;
        assert_eq!(head[3..], [4, 0, 0, 0, 0, 0], "SETTINGS");
        let settings = wire.exactly(usize::from(head[2])).await;
        let value = |name: u16| {
            let mut settings = settings.chunks(6).filter(|setting| setting[..2] == name.to_be_bytes());
            settings.next().map(|setting| u32::from_be_bytes(setting[2..].try_into().unwrap()))
        };
        assert_eq!(value(3), Some(streams), "SETTINGS_MAX_CONCURRENT_STREAMS");
        assert_eq!(value(4), Some(128 * 1024), "SETTINGS_INITIAL_WINDOW_SIZE");
        assert_eq!(value(8), Some(1), "SETTINGS_ENABLE_CONNECT_PROTOCOL");
    }
}

/// Opens a tunnel for `tcp`. Returns its ends, the client's first.
async fn raw_tunnel(client: &mut Client, upstream: &ScriptedUpstream) -> (Stream, Wire) {
    let accept = async {
        let mut server = upstream.accept().await;
        assert!(server.head().await.has("upgrade", "tcp"));
        server.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n").await;
        server
    };
    tokio::join!(client.extended_connect("tcp", "/").tunnel(), accept)
}

#[tokio::test]
async fn streams_that_nobody_reads_do_not_block_the_last_one() {
    let block = vec![b'x'; 1 << 16];
    let upstream = ScriptedUpstream::start().await;
    let route = format!("/={}", upstream.uri());
    let gateway = Gateway::start(&["--route", &route, "--allow", "tcp", "--http2-streams", "4"]).await;
    let mut client = Client::over(gateway.connect().await).await;
    let mut blocked = Vec::new();
    for _ in 0..3 {
        blocked.push(raw_tunnel(&mut client, &upstream).await);
    }
    join_all(blocked.iter_mut().map(async |(stream, _)| {
        while timeout(Duration::from_millis(300), stream.write_all(&block)).await.is_ok() {}
    }))
    .await;
    let (mut stream, mut server) = raw_tunnel(&mut client, &upstream).await;
    for _ in 0..16 {
        bounded("send", stream.write_all(&block)).await.unwrap();
        server.expect(&block).await;
    }
}

/// An upstream that responds with the version and target of the request, and sends them to a WebSocket.
async fn describing_versions() -> String {
    let app = Router::new().fallback(async |upgrade: Upgrade, version: Version, uri: Uri| {
        let request = format!("{version:?} {uri}");
        let Ok(upgrade) = upgrade else { return request.into_response() };
        upgrade.on_upgrade(async move |mut socket| {
            while let Some(Ok(_)) = socket.recv().await {
                let _ = socket.send(request.as_str().into()).await;
            }
        })
    });
    format!("http://{}", serve(app).await)
}

#[tokio::test]
async fn the_version_with_the_upstream_is_that_of_the_option() {
    let route = format!("/={}", describing_versions().await);
    for (argument, expected) in [
        ("--http2-upstream", "HTTP/2.0 http://client.example/x"),
        ("--http2-upstream=always", "HTTP/2.0 http://client.example/x"),
        ("--http2-upstream=auto", "HTTP/1.1 /x"),
        ("--http2-upstream=never", "HTTP/1.1 /x"),
    ] {
        let gateway = Gateway::start(&["--route", &route, argument]).await;
        assert_eq!(gateway.description("/x").await, expected, "{argument}");
        assert_eq!(description(&mut gateway.websocket("/x").await.unwrap()).await, expected, "{argument}");
        let mut client = Client::over(gateway.connect().await).await;
        assert_eq!(client.request("GET", "/x", "").await, (200, expected.to_owned()), "{argument}");
        assert_eq!(
            description(&mut websocket::Client::on(&mut client, "/x").await).await,
            expected,
            "{argument}"
        );
    }
}

#[tokio::test]
async fn a_connection_without_new_requests_gets_a_goaway_and_its_tunnels_stay_open() {
    let gateway = start(&["--keep-alive-timeout", "200ms", "--client-timeout", "200ms"]).await;
    let mut client = Client::over(gateway.connect().await).await;
    let mut tunnel = websocket::Client::on(&mut client, "/").await;
    client.goaway().await;
    tunnel.send("").await;
    let message = bounded("the response", tunnel.next()).await.unwrap();
    assert_eq!(message, Message::text("app / client.example"));
}

#[tokio::test]
async fn failure_responses_to_head_have_no_body() {
    let unused = ReservedPort::new();
    let gateway = Gateway::start(&["--route", &format!("/down/={}", unused.uri())]).await;
    let mut client = Client::over(gateway.connect().await).await;
    for (path, status) in [("/down/", 502), ("/other", 404)] {
        assert_eq!(client.request("HEAD", path, "").await, (status, String::new()), "{path}");
        assert_eq!(client.request("GET", path, "").await.0, status, "{path}");
    }
}
