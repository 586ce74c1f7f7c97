//! The tls example as its users have it: certificates in files or none, a browser's requests.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a panic is how a test fails")]

mod stranger;

use std::net::SocketAddr;

use futures_util::{SinkExt, StreamExt};
use http::{Request, Uri};
use http_body_util::{BodyExt, Empty};
use hyper::{body::Bytes, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use test_support::{
    Head, Scripted, Wire, bounded, handshake,
    identity::{Identity, NAME, connect},
    program::{self, Program},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    process::Command,
};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Message, protocol::Role},
};

/// The example, as cargo has built it.
fn command() -> Command {
    Command::new(env!("CARGO_BIN_EXE_tls"))
}

/// A running example; killed when dropped.
struct Example {
    https: SocketAddr,
    http: SocketAddr,
    _program: Program,
}

impl Example {
    async fn start(arguments: &[&str]) -> Self {
        let mut command = command();
        command.args(["--https", "127.0.0.1:0", "--http", "127.0.0.1:0"]).args(arguments);
        let mut program = Program::spawn(command);
        let line = program.line_after("open ").await;
        let (https, http) = line.split_once(" (").unwrap();
        let http = http.strip_suffix(" redirects there)").unwrap();
        Self { https: address(https, "https"), http: address(http, "http"), _program: program }
    }

    async fn connect(&self) -> TcpStream {
        bounded("connect", TcpStream::connect(self.https)).await.unwrap()
    }
}

/// The loopback address for a URL like `https://localhost:8443/`.
fn address(url: &str, scheme: &str) -> SocketAddr {
    let uri: Uri = url.parse().unwrap();
    assert_eq!((uri.scheme_str(), uri.host(), uri.path()), (Some(scheme), Some("localhost"), "/"));
    ([127, 0, 0, 1], uri.port_u16().unwrap()).into()
}

/// The page's row about a field.
fn row(name: &str, value: &str) -> String {
    format!("<th>{name}<td id={name}>{value}")
}

/// Requires the page that says what the upstream was told.
fn is_page(page: &str, host: &str) {
    let rows = [
        row("host", host),
        row("x-real-ip", "127.0.0.1"),
        row("x-forwarded-for", "127.0.0.1"),
        row("x-forwarded-proto", "https"),
    ];
    for row in rows {
        assert!(page.contains(&row), "{row}: {page}");
    }
}

async fn shows_its_page<S: AsyncRead + AsyncWrite + Unpin>(stream: S, host: &str) {
    let mut wire = Wire::new(stream);
    let head = wire.ask(format!("GET / HTTP/1.1\r\nHost: {host}\r\nX-Real-IP: 192.0.2.1\r\n\r\n")).await;
    assert_eq!(head.status(), 200, "{}", head.text());
    is_page(&String::from_utf8(wire.body(&head).await).unwrap(), host);
}

async fn echoes<S: AsyncRead + AsyncWrite + Unpin>(stream: S, host: &str) {
    let url = format!("wss://{host}/ws");
    let (mut socket, _) = bounded("handshake", client_async(url, stream)).await.unwrap();
    for message in [Message::text("gr\u{fc}\u{df}e"), Message::binary(vec![7; 100_000])] {
        socket.send(message.clone()).await.unwrap();
        let echo = bounded("the echo", socket.next()).await.unwrap().unwrap();
        assert!(echo == message, "{} other bytes came back", echo.len());
    }
}

/// The answer to a request without TLS.
async fn plain(example: &Example, request: &str) -> Head {
    Wire::connect(example.http).await.ask(request).await
}

async fn redirects(example: &Example, host: &str) {
    let port = example.https.port();
    for target in ["/", "/a//b/%2F?q=%20&r=/?"] {
        let head = plain(example, &format!("GET {target} HTTP/1.1\r\nHost: {host}:8080\r\n\r\n")).await;
        assert_eq!(head.status(), 301);
        assert_eq!(head.values("location"), [format!("https://{host}:{port}{target}")]);
    }
}

#[tokio::test]
async fn with_certificate_files_it_serves_https_wss_and_the_redirect() {
    let files = Identity::new();
    let example = Example::start(&["--cert", &files.chain(), "--key", &files.key()]).await;
    shows_its_page(files.connect(example.connect().await, &["http/1.1"]).await, NAME).await;
    echoes(files.connect(example.connect().await, &["http/1.1"]).await, NAME).await;
    redirects(&example, NAME).await;
}

#[tokio::test]
async fn without_files_its_certificate_is_self_signed_for_localhost() {
    let example = Example::start(&[]).await;
    let certificate = stranger::certificate(example.connect().await).await;
    for name in ["localhost", "127.0.0.1", "::1"] {
        shows_its_page(connect(&certificate, name, example.connect().await, &[]).await, "localhost").await;
    }
    echoes(connect(&certificate, "localhost", example.connect().await, &[]).await, "localhost").await;
    redirects(&example, "localhost").await;
}

#[tokio::test]
async fn page_and_websocket_over_http_2_are_the_same() {
    let files = Identity::new();
    let example = Example::start(&["--cert", &files.chain(), "--key", &files.key()]).await;
    let stream = files.connect(example.connect().await, &["h2", "http/1.1"]).await;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let connect = http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
    let (mut client, connection) = bounded("HTTP/2", connect).await.unwrap();
    tokio::spawn(connection);
    let request = Request::get(format!("https://{NAME}/")).body(Empty::<Bytes>::new()).unwrap();
    let response = bounded("the answer", client.send_request(request)).await.unwrap();
    assert_eq!(response.status(), 200);
    let page = bounded("the page", response.into_body().collect()).await.unwrap().to_bytes();
    is_page(str::from_utf8(&page).unwrap(), NAME);

    let websocket = Request::connect(format!("https://{NAME}/ws"))
        .extension(hyper::ext::Protocol::from_static("websocket"))
        .header("sec-websocket-version", "13");
    let websocket = client.send_request(websocket.body(Empty::new()).unwrap());
    let response = bounded("the agreement", websocket).await.unwrap();
    assert_eq!(response.status(), 200);
    let stream = TokioIo::new(bounded("the stream", hyper::upgrade::on(response)).await.unwrap());
    let mut stream = WebSocketStream::from_raw_socket(stream, Role::Client, None).await;
    bounded("to send", stream.send("over HTTP/2".into())).await.unwrap();
    let echo = bounded("the echo", stream.next()).await.unwrap().unwrap();
    assert_eq!(echo.to_text().unwrap(), "over HTTP/2");
}

#[tokio::test]
async fn another_upstream_is_told_of_the_client_too() {
    let files = Identity::new();
    let upstream = Scripted::start().await;
    let uri = upstream.uri();
    let arguments = ["--cert", &files.chain(), "--key", &files.key(), "--upstream", &uri];
    let example = Example::start(&arguments).await;
    for request in [handshake("/x?y"), "GET /x?y HTTP/1.1\r\nHost: client.example\r\n\r\n".to_owned()] {
        let mut client = Wire::new(files.connect(example.connect().await, &[]).await);
        client.send(request).await;
        let head = upstream.accept().await.head().await;
        assert_eq!(head.first_line(), "GET /x?y HTTP/1.1");
        for (name, value) in
            [("host", NAME), ("x-forwarded-for", "127.0.0.1"), ("x-forwarded-proto", "https")]
        {
            assert_eq!(head.values(name), [value], "{}", head.text());
        }
    }
}

#[tokio::test]
async fn a_redirect_needs_one_valid_host_and_a_path() {
    let example = Example::start(&[]).await;
    for head in [
        "GET / HTTP/1.1\r\n",
        "GET / HTTP/1.1\r\nHost: a/b\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: a\r\n",
    ] {
        let answer = plain(&example, &format!("{head}\r\n")).await;
        assert_eq!(answer.status(), 400, "{head}: {}", answer.text());
    }
}

#[tokio::test]
async fn bad_files_end_it_with_a_failure_that_names_them() {
    let files = Identity::new();
    let (chain, key, missing) = (files.chain(), files.key(), files.path("missing.pem"));
    let table = [
        (&missing, &key, &missing),
        (&key, &key, &key),
        (&chain, &missing, &missing),
        (&chain, &chain, &chain),
    ];
    for (cert, key, named) in table {
        let arguments = ["--https", "127.0.0.1:0", "--http", "127.0.0.1:0", "--cert", cert, "--key", key];
        let output = program::end(command(), &arguments).await;
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(&format!("{named}: ")) && output.stdout.is_empty(), "{said}");
    }
}
