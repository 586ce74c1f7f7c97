//! Clients in both versions of HTTP.

use std::net::SocketAddr;

use futures_util::{SinkExt, StreamExt};
use http::Request;
use http_body_util::Empty;
use hyper::{body::Bytes, client::conn::http2, ext::Protocol};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Message, protocol::Role},
};

use crate::bounded;

/// Code and reason of the Close that came.
pub type Told = (u16, String);

/// The code of an end without a Close ([RFC 6455, 7.1.5](https://www.rfc-editor.org/rfc/rfc6455#section-7.1.5)).
pub const ABNORMAL: u16 = 1006;

/// What anybody is told who is not told otherwise.
pub fn going_away() -> Told {
    (1001, "going away".to_owned())
}

pub trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

pub struct Client(WebSocketStream<Box<dyn Io>>);

impl Client {
    pub async fn http1(address: SocketAddr, path: &str) -> Self {
        let stream: Box<dyn Io> = Box::new(TcpStream::connect(address).await.unwrap());
        let handshake = client_async(format!("ws://client.example{path}"), stream);
        Self(bounded("the handshake", handshake).await.unwrap().0)
    }

    /// On a connection of its own.
    pub async fn http2(address: SocketAddr, path: &str) -> Self {
        let response = bounded("the answer", extended(address, path)).await;
        assert_eq!(response.status(), 200);
        let stream: Box<dyn Io> = Box::new(TokioIo::new(hyper::upgrade::on(response).await.unwrap()));
        Self(WebSocketStream::from_raw_socket(stream, Role::Client, None).await)
    }

    pub async fn echo(&mut self, text: &str) {
        self.send(text).await;
        let message = bounded("the echo", self.0.next()).await.unwrap().unwrap();
        assert_eq!(message.into_text().unwrap().as_str(), text);
    }

    pub async fn send(&mut self, text: &str) {
        bounded("send", self.0.send(Message::text(text))).await.unwrap();
    }

    /// Whatever comes next.
    pub async fn next(&mut self) -> Option<Message> {
        self.0.next().await.and_then(Result::ok)
    }

    pub async fn close(&mut self) {
        bounded("close", self.0.close(None)).await.unwrap();
    }

    /// With what it was ended, once its connection has.
    pub async fn told(&mut self) -> Told {
        let mut told = None;
        while let Some(Ok(message)) = bounded("the end", self.0.next()).await {
            if let Message::Close(frame) = message {
                told = frame.map(|frame| (frame.code.into(), frame.reason.to_string()));
            }
        }
        told.unwrap_or((ABNORMAL, String::new()))
    }
}

/// The answer to an extended CONNECT.
pub async fn extended(address: SocketAddr, path: &str) -> http::Response<hyper::body::Incoming> {
    let tcp = TcpStream::connect(address).await.unwrap();
    let (mut client, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(tcp)).await.unwrap();
    tokio::spawn(connection);
    let request = Request::connect(format!("https://client.example{path}"))
        .extension(Protocol::from_static("websocket"))
        .header("sec-websocket-version", "13")
        .body(Empty::<Bytes>::new());
    client.send_request(request.unwrap()).await.unwrap()
}
