//! A client.

use std::{net::SocketAddr, time::Duration};

use h2::{
    RecvStream, SendStream,
    client::{Builder, ResponseFuture, SendRequest},
    ext::Protocol,
};
use http::{Request, Response};
use hyper::body::Bytes;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    task::AbortHandle,
    time::sleep,
};

use super::stream::{self, Stream};
use crate::wire::bounded;

/// A connection; its clones share it.
#[derive(Clone)]
pub struct Client {
    sender: SendRequest<Bytes>,
    connection: AbortHandle,
}

/// A sent request.
pub struct PendingResponse {
    /// The request's body, or the client's direction of a tunnel.
    pub send: SendStream<Bytes>,
    response: ResponseFuture,
}

impl Client {
    /// Connects, with windows as in hyper.
    pub async fn connect(address: SocketAddr) -> Self {
        Self::with(address, &builder()).await
    }

    /// Connects, with windows of `window` bytes per stream.
    pub async fn with_window(address: SocketAddr, window: u32) -> Self {
        Self::with(address, builder().initial_window_size(window)).await
    }

    pub async fn with(address: SocketAddr, builder: &Builder) -> Self {
        let tcp = bounded("connect", TcpStream::connect(address)).await.unwrap();
        Self::over_with(tcp, builder).await
    }

    /// Starts HTTP/2 on `stream`.
    pub async fn over(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Self {
        Self::over_with(stream, &builder()).await
    }

    /// [`over`](Self::over) with settings.
    pub async fn over_with(
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        builder: &Builder,
    ) -> Self {
        let (sender, connection) = bounded("HTTP/2", builder.handshake(stream)).await.unwrap();
        let connection = tokio::spawn(connection).abort_handle();
        let mut client = Self { sender, connection };
        client.ready().await;
        client
    }

    /// Waits until another stream may be opened.
    pub async fn ready(&mut self) {
        let sender = self.sender.clone();
        self.sender = bounded("a free stream", sender.ready()).await.unwrap();
    }

    /// Waits for a GOAWAY, after which no stream can be opened.
    pub async fn goaway(&self) {
        let received = async {
            while self.sender.clone().ready().await.is_ok() {
                sleep(Duration::from_millis(20)).await;
            }
        };
        bounded("the GOAWAY", received).await;
    }

    /// Closes the socket.
    pub fn abort(self) {
        self.connection.abort();
    }

    /// Sends the head of a request; with `ends`, there is no body.
    pub fn send_request(&mut self, request: Request<()>, ends: bool) -> PendingResponse {
        let (response, send) = self.sender.send_request(request, ends).unwrap();
        PendingResponse { send, response }
    }

    /// Sends a request with a body, and reads the status and the body of the response.
    pub async fn request(&mut self, method: &str, path: &str, body: &str) -> (u16, String) {
        let request = Request::builder().method(method).uri(format!("https://client.example{path}"));
        let mut pending = self.send_request(request.body(()).unwrap(), body.is_empty());
        if !body.is_empty() {
            pending.send.send_data(Bytes::copy_from_slice(body.as_bytes()), true).unwrap();
        }
        let response = pending.response().await.0;
        let status = response.status().as_u16();
        let body = stream::rest(&mut response.into_body()).await.unwrap().0;
        (status, String::from_utf8(body).unwrap())
    }

    /// Sends an extended CONNECT for `websocket`.
    pub fn connect_websocket(&mut self, path: &str) -> PendingResponse {
        self.extended_connect("websocket", path)
    }

    /// Sends an extended CONNECT ([RFC 8441](https://www.rfc-editor.org/rfc/rfc8441)).
    pub fn extended_connect(&mut self, protocol: &str, path: &str) -> PendingResponse {
        let request = Request::connect(format!("https://client.example{path}"))
            .extension(Protocol::from(protocol))
            .header("sec-websocket-version", "13");
        self.send_request(request.body(()).unwrap(), false)
    }
}

/// Large windows: h2 closes a connection with too many small DATA frames for its window.
fn builder() -> Builder {
    let mut builder = Builder::new();
    builder.initial_window_size(1 << 20).initial_connection_window_size(5 << 20);
    builder
}

impl PendingResponse {
    /// The response, and the client's direction of the stream.
    pub async fn response(self) -> (Response<RecvStream>, SendStream<Bytes>) {
        (bounded("the response", self.response).await.unwrap(), self.send)
    }

    /// The response, or the error of the stream.
    pub async fn into_response(self) -> Result<Response<RecvStream>, h2::Error> {
        self.response.await
    }

    /// The tunnel that a 200 opens.
    pub async fn tunnel(self) -> Stream {
        let (response, send) = self.response().await;
        assert_eq!(response.status(), 200);
        Stream::new(send, response.into_body())
    }
}
