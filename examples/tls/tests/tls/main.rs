//! The tls example as users run it: with certificates in files or without, and with a browser's requests.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a panic is how a test fails")]

mod any_certificate;

use std::net::SocketAddr;

use futures_util::{SinkExt, StreamExt};
use http::{Request, Uri};
use test_support::{
    Head, ScriptedUpstream, Wire, bounded, handshake,
    http2::{self, stream},
    io::Io,
    process::{Program, run},
    tls::{CertificateFiles, NAME, connect},
    websocket::Client,
};
use tokio::{net::TcpStream, process::Command};
use tokio_tungstenite::tungstenite::Message;

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

/// Expects the page with the fields that the upstream received.
fn expect_page(page: &str, host: &str) {
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

async fn expect_page_on(stream: impl Io, host: &str) {
    let mut wire = Wire::new(stream);
    let head = wire.request(format!("GET / HTTP/1.1\r\nHost: {host}\r\nX-Real-IP: 192.0.2.1\r\n\r\n")).await;
    assert_eq!(head.status(), 200, "{}", head.text());
    expect_page(&String::from_utf8(wire.body(&head).await).unwrap(), host);
}

async fn expect_echoes(stream: impl Io + 'static) {
    let mut socket = Client::open(stream, "/ws").await.unwrap().socket;
    for message in [Message::text("gr\u{fc}\u{df}e"), Message::binary(vec![7; 100_000])] {
        socket.send(message.clone()).await.unwrap();
        let echo = bounded("the echo", socket.next()).await.unwrap().unwrap();
        assert!(echo == message, "{} other bytes came back", echo.len());
    }
}

/// The response to a request without TLS.
async fn plain(example: &Example, request: &str) -> Head {
    Wire::connect(example.http).await.request(request).await
}

async fn expect_redirects(example: &Example, host: &str) {
    let port = example.https.port();
    for target in ["/", "/a//b/%2F?q=%20&r=/?"] {
        let head = plain(example, &format!("GET {target} HTTP/1.1\r\nHost: {host}:8080\r\n\r\n")).await;
        assert_eq!(head.status(), 301);
        assert_eq!(head.values("location"), [format!("https://{host}:{port}{target}")]);
    }
}

#[tokio::test]
async fn with_certificate_files_https_wss_and_the_redirect_are_served() {
    let files = CertificateFiles::new();
    let example = Example::start(&["--cert", &files.chain(), "--key", &files.key()]).await;
    expect_page_on(files.connect(example.connect().await, &["http/1.1"]).await, NAME).await;
    expect_echoes(files.connect(example.connect().await, &["http/1.1"]).await).await;
    expect_redirects(&example, NAME).await;
}

#[tokio::test]
async fn without_files_the_certificate_is_self_signed_for_localhost() {
    let example = Example::start(&[]).await;
    let certificate = any_certificate::certificate(example.connect().await).await;
    for name in ["localhost", "127.0.0.1", "::1"] {
        expect_page_on(connect(&certificate, name, example.connect().await, &[]).await, "localhost").await;
    }
    expect_echoes(connect(&certificate, "localhost", example.connect().await, &[]).await).await;
    expect_redirects(&example, "localhost").await;
}

#[tokio::test]
async fn page_and_websocket_are_the_same_over_http_2() {
    let files = CertificateFiles::new();
    let example = Example::start(&["--cert", &files.chain(), "--key", &files.key()]).await;
    let stream = files.connect(example.connect().await, &["h2", "http/1.1"]).await;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let mut client = http2::Client::over(stream).await;
    let request = Request::get(format!("https://{NAME}/")).body(()).unwrap();
    let (response, _) = client.send_request(request, true).response().await;
    assert_eq!(response.status(), 200);
    let (page, _) = stream::rest(&mut response.into_body()).await.unwrap();
    expect_page(str::from_utf8(&page).unwrap(), NAME);

    Client::on(&mut client, "/ws").await.echo("over HTTP/2").await;
}

#[tokio::test]
async fn another_upstream_receives_the_fields_about_the_client() {
    let files = CertificateFiles::new();
    let upstream = ScriptedUpstream::start().await;
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
        let response = plain(&example, &format!("{head}\r\n")).await;
        assert_eq!(response.status(), 400, "{head}: {}", response.text());
    }
}

#[tokio::test]
async fn bad_files_exit_with_code_1_and_name_the_files() {
    let files = CertificateFiles::new();
    let (chain, key, missing) = (files.chain(), files.key(), files.path("missing.pem"));
    let table = [
        (&missing, &key, &missing),
        (&key, &key, &key),
        (&chain, &missing, &missing),
        (&chain, &chain, &chain),
    ];
    for (cert, key, named) in table {
        let arguments = ["--https", "127.0.0.1:0", "--http", "127.0.0.1:0", "--cert", cert, "--key", key];
        let output = run(command(), &arguments).await;
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{errors}");
        assert!(errors.contains(&format!("{named}: ")) && output.stdout.is_empty(), "{errors}");
    }
}
