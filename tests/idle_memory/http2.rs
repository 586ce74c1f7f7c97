//! Clients and an upstream in HTTP/2, by hyper.

use std::{convert::Infallible, net::SocketAddr};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Empty;
use hyper::{
    body::Incoming,
    client::conn::http2::{self, SendRequest},
    ext::Protocol,
    server,
    service::service_fn,
    upgrade::{self, Upgraded},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{io, net::TcpStream};

/// What 220 echoes of 60 KB fit in.
const WINDOW: u32 = 1 << 25;

pub(crate) type Sender = SendRequest<Empty<Bytes>>;

pub(crate) async fn connect(proxy: SocketAddr) -> Sender {
    let socket = TcpStream::connect(proxy).await.unwrap();
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder.initial_stream_window_size(WINDOW).initial_connection_window_size(WINDOW);
    let (sender, connection) = builder.handshake(TokioIo::new(socket)).await.unwrap();
    tokio::spawn(connection);
    sender
}

pub(crate) async fn open(mut sender: Sender) -> TokioIo<Upgraded> {
    let request = Request::connect("http://a.example/")
        .extension(Protocol::from_static("websocket"))
        .body(Empty::new());
    let response = sender.send_request(request.unwrap()).await.unwrap();
    assert_eq!(response.status(), 200);
    TokioIo::new(upgrade::on(response).await.unwrap())
}

pub(crate) async fn answer(socket: TcpStream) {
    let service = service_fn(|request: Request<Incoming>| async move {
        tokio::spawn(async move {
            let (mut read, mut write) = io::split(TokioIo::new(upgrade::on(request).await.unwrap()));
            let _ = io::copy(&mut read, &mut write).await;
        });
        Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
    });
    let mut builder = server::conn::http2::Builder::new(TokioExecutor::new());
    builder
        .enable_connect_protocol()
        .max_concurrent_streams(1000)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW);
    let _ = builder.serve_connection(TokioIo::new(socket), service).await;
}
