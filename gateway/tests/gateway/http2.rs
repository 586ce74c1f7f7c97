//! HTTP/2 for clients, chosen by ALPN or spoken at once, and to upstreams.

use std::time::Duration;

use axum::{
    Router,
    extract::ws::{WebSocketUpgrade, rejection::WebSocketUpgradeRejection},
    response::IntoResponse,
};
use futures_util::future::join_all;
use http::{Request, Response, Uri, Version};
use http_body_util::{BodyExt, Full};
use hyper::{
    body::{Bytes, Incoming},
    client::conn::http2::{self, SendRequest},
    ext::Protocol,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    time::{sleep, timeout},
};
use tokio_tungstenite::{WebSocketStream, tungstenite::protocol::Role};

use crate::{
    Gateway, answer, get, https,
    identity::Identity,
    support::{Scripted, Wire, bounded, serve},
    upstream,
};

type Upgrade = Result<WebSocketUpgrade, WebSocketUpgradeRejection>;

type Stream = TokioIo<hyper::upgrade::Upgraded>;

/// An HTTP/2 connection.
pub(crate) struct Client(SendRequest<Full<Bytes>>);

impl Client {
    pub(crate) async fn new(io: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Self {
        let handshake = http2::handshake(TokioExecutor::new(), TokioIo::new(io));
        let (client, connection) = bounded("HTTP/2", handshake).await.unwrap();
        tokio::spawn(connection);
        Self(client)
    }

    async fn answer(&mut self, request: Request<Full<Bytes>>) -> Response<Incoming> {
        bounded("the answer", self.0.send_request(request)).await.unwrap()
    }

    pub(crate) async fn send(&mut self, method: &str, path: &str, body: &'static str) -> Response<Incoming> {
        let request = Request::builder().method(method).uri(format!("https://client.example{path}"));
        self.answer(request.body(body.into()).unwrap()).await
    }

    /// Status and body of the answer.
    pub(crate) async fn ask(&mut self, method: &str, path: &str, body: &'static str) -> (u16, String) {
        let response = self.send(method, path, body).await;
        let status = response.status().as_u16();
        let body = bounded("the body", response.into_body().collect()).await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    /// The answer to an extended CONNECT.
    pub(crate) async fn extended(&mut self, protocol: &'static str, path: &str) -> Response<Incoming> {
        let request = Request::connect(format!("https://client.example{path}"))
            .extension(Protocol::from_static(protocol))
            .header("sec-websocket-version", "13");
        self.answer(request.body(Full::default()).unwrap()).await
    }

    /// A stream that has become a tunnel.
    async fn tunnel(&mut self, protocol: &'static str, path: &str) -> Stream {
        let response = self.extended(protocol, path).await;
        assert_eq!(response.status(), 200);
        TokioIo::new(bounded("the stream", hyper::upgrade::on(response)).await.unwrap())
    }

    pub(crate) async fn websocket(&mut self, path: &str) -> WebSocketStream<Stream> {
        WebSocketStream::from_raw_socket(self.tunnel("websocket", path).await, Role::Client, None).await
    }
}

async fn start_tls(files: &Identity) -> Gateway {
    let route = format!("/={}", upstream::start("app").await);
    https::start(files, &["--route", &route]).await
}

async fn start(arguments: &[&str]) -> Gateway {
    let route = format!("/={}", upstream::start("app").await);
    Gateway::start(&[&["--route", &route], arguments].concat()).await
}

#[tokio::test]
async fn alpn_chooses_http_2_for_who_speaks_it() {
    let files = Identity::new();
    let gateway = start_tls(&files).await;
    let table = [
        (&["h2", "http/1.1"][..], Some("h2")),
        (&["http/1.1", "h2"], Some("h2")),
        (&["h2"], Some("h2")),
        (&["http/1.1"], Some("http/1.1")),
        (&[], None),
    ];
    for (offered, chosen) in table {
        let stream = files.connect(gateway.connect().await, offered).await;
        assert_eq!(stream.get_ref().1.alpn_protocol(), chosen.map(str::as_bytes), "{offered:?}");
        let (status, body) = if chosen == Some("h2") {
            Client::new(stream).await.ask("GET", "/x?y", "").await
        } else {
            let (head, body) = get(&mut Wire::new(stream), "/x?y").await;
            (head.status(), body)
        };
        assert_eq!((status, body.as_str()), (200, "app /x?y client.example"), "{offered:?}");
    }
}

/// Requests and WebSockets, each waiting for none of the others.
async fn use_everything(mut client: Client) {
    assert_eq!(client.ask("GET", "/a", "").await, (200, "app /a client.example".to_owned()));
    let mut first = client.websocket("/first").await;
    let mut second = client.websocket("/second?q=1").await;
    assert_eq!(answer(&mut second).await, "app /second?q=1 client.example");
    assert_eq!(client.ask("POST", "/b", " body").await, (200, "app /b client.example body".to_owned()));
    assert_eq!(answer(&mut first).await, "app /first client.example");
    bounded("close", first.close(None)).await.unwrap();
    assert_eq!(answer(&mut second).await, "app /second?q=1 client.example");
}

#[tokio::test]
async fn requests_and_websockets_share_a_connection_over_tls() {
    let files = Identity::new();
    let gateway = start_tls(&files).await;
    let stream = files.connect(gateway.connect().await, &["h2"]).await;
    use_everything(Client::new(stream).await).await;
}

#[tokio::test]
async fn requests_and_websockets_share_a_connection_that_begins_with_the_preface() {
    let gateway = start(&[]).await;
    use_everything(Client::new(gateway.connect().await).await).await;
    assert_eq!(gateway.ask("/").await, "app / client.example", "HTTP/1.1 on the same port");
}

#[tokio::test]
async fn what_is_refused_leaves_the_connection_as_it_was() {
    let route = format!("/ws/={}", upstream::start("ws").await);
    let gateway = Gateway::start(&["--route", &route]).await;
    let mut client = Client::new(gateway.connect().await).await;
    assert_eq!(client.ask("GET", "/", "").await.0, 404);
    assert_eq!(client.extended("websocket", "/").await.status(), 404);
    assert_eq!(client.extended("connect-udp", "/ws/").await.status(), 501);
    assert_eq!(answer(&mut client.websocket("/ws/").await).await, "ws /ws/ client.example");
}

/// The preface, and SETTINGS without a setting.
pub(crate) const BEGIN: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

#[tokio::test]
async fn the_settings_say_how_many_streams_and_that_they_may_be_websockets() {
    for (arguments, streams) in [(&[][..], 250), (&["--http2-streams", "7"], 7)] {
        let gateway = start(arguments).await;
        let mut wire = gateway.wire().await;
        wire.send(BEGIN).await;
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

/// A tunnel for `tcp` and the upstream's end of it.
async fn raw_tunnel(client: &mut Client, upstream: &Scripted) -> (Stream, Wire) {
    let agree = async {
        let mut server = upstream.accept().await;
        assert!(server.head().await.has("upgrade", "tcp"));
        server.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n").await;
        server
    };
    tokio::join!(client.tunnel("tcp", "/"), agree)
}

#[tokio::test]
async fn streams_that_stand_still_do_not_hold_the_last_one_up() {
    let block = vec![b'x'; 1 << 16];
    let upstream = Scripted::start().await;
    let route = format!("/={}", upstream.uri());
    let gateway = Gateway::start(&["--route", &route, "--allow", "tcp", "--http2-streams", "4"]).await;
    let mut client = Client::new(gateway.connect().await).await;
    let mut still = Vec::new();
    for _ in 0..3 {
        still.push(raw_tunnel(&mut client, &upstream).await);
    }
    join_all(still.iter_mut().map(async |(stream, _)| {
        while timeout(Duration::from_millis(300), stream.write_all(&block)).await.is_ok() {}
    }))
    .await;
    let (mut stream, mut server) = raw_tunnel(&mut client, &upstream).await;
    for _ in 0..16 {
        bounded("send", stream.write_all(&block)).await.unwrap();
        server.expect(&block).await;
    }
}

/// An upstream that says in which version it was asked, and for what; to a WebSocket too.
async fn telling_versions() -> String {
    let app = Router::new().fallback(async |upgrade: Upgrade, version: Version, uri: Uri| {
        let asked = format!("{version:?} {uri}");
        let Ok(upgrade) = upgrade else { return asked.into_response() };
        upgrade.on_upgrade(async move |mut socket| {
            while let Some(Ok(_)) = socket.recv().await {
                let _ = socket.send(asked.as_str().into()).await;
            }
        })
    });
    format!("http://{}", serve(app).await)
}

#[tokio::test]
async fn upstreams_are_spoken_to_as_asked_for() {
    let route = format!("/={}", telling_versions().await);
    for (argument, told) in [
        ("--http2-upstream", "HTTP/2.0 http://client.example/x"),
        ("--http2-upstream=always", "HTTP/2.0 http://client.example/x"),
        ("--http2-upstream=auto", "HTTP/1.1 /x"),
        ("--http2-upstream=never", "HTTP/1.1 /x"),
    ] {
        let gateway = Gateway::start(&["--route", &route, argument]).await;
        assert_eq!(gateway.ask("/x").await, told, "{argument}");
        assert_eq!(answer(&mut gateway.websocket("/x").await.unwrap()).await, told, "{argument}");
        let mut client = Client::new(gateway.connect().await).await;
        assert_eq!(client.ask("GET", "/x", "").await, (200, told.to_owned()), "{argument}");
        assert_eq!(answer(&mut client.websocket("/x").await).await, told, "{argument}");
    }
}

#[tokio::test]
async fn a_connection_without_new_requests_takes_leave_and_its_tunnels_go_on() {
    let gateway = start(&["--http2-keep-alive", "200ms", "--client-timeout", "200ms"]).await;
    let (mut client, connection) = h2::client::handshake(gateway.connect().await).await.unwrap();
    tokio::spawn(connection);
    let connect = Request::connect("http://client.example/")
        .extension(h2::ext::Protocol::from_static("websocket"))
        .header("sec-websocket-version", "13");
    let (response, mut send) = client.send_request(connect.body(()).unwrap(), false).unwrap();
    let mut receive = bounded("the answer", response).await.unwrap().into_body();
    bounded("the GOAWAY", async {
        while let Ok(ready) = client.clone().ready().await {
            drop(ready);
            sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    // A text without a word, masked.
    send.send_data(Bytes::from_static(b"\x81\x80\0\0\0\0"), false).unwrap();
    let told = bounded("the answer", receive.data()).await.unwrap().unwrap();
    assert!(told.ends_with(b"app / client.example"), "{told:?}");
}
