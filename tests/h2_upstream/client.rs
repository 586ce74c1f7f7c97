//! A client in HTTP/2, as streams of the `h2` crate.

use bytes::Bytes;
use h2::{
    RecvStream, SendStream,
    client::{Builder, ResponseFuture, SendRequest},
    ext::Protocol,
};
use http::{Request, Response};
use tokio::{net::TcpStream, task::AbortHandle};

use crate::support::bounded;

pub(crate) struct Client {
    sender: SendRequest<Bytes>,
    connection: AbortHandle,
}

/// A request, and what is to come of it.
pub(crate) struct Asked {
    pub(crate) send: SendStream<Bytes>,
    answer: ResponseFuture,
}

impl Client {
    pub(crate) async fn connect(address: std::net::SocketAddr) -> Self {
        Self::with_window(address, 1 << 20).await
    }

    /// One that takes no more than this on a stream.
    pub(crate) async fn with_window(address: std::net::SocketAddr, window: u32) -> Self {
        Self::with(address, Builder::new().initial_window_size(window)).await
    }

    pub(crate) async fn with(address: std::net::SocketAddr, builder: &Builder) -> Self {
        let tcp = bounded("connect", TcpStream::connect(address)).await.unwrap();
        let handshake = builder.handshake(tcp).await;
        let (sender, connection) = handshake.unwrap();
        let connection = tokio::spawn(connection).abort_handle();
        Self { sender: bounded("the SETTINGS", sender.ready()).await.unwrap(), connection }
    }

    /// Closes the socket.
    pub(crate) fn abort(self) {
        self.connection.abort();
    }

    /// Asks for a tunnel.
    pub(crate) fn connect_to(&mut self, path: &str) -> Asked {
        let request = Request::connect(format!("http://client.example{path}"))
            .extension(Protocol::from_static("websocket"))
            .header("sec-websocket-version", "13");
        self.ask(request.body(()).unwrap(), false)
    }

    pub(crate) fn ask(&mut self, request: Request<()>, ends: bool) -> Asked {
        let (answer, send) = self.sender.send_request(request, ends).unwrap();
        Asked { send, answer }
    }
}

impl Asked {
    pub(crate) async fn answer(self) -> (Response<RecvStream>, SendStream<Bytes>) {
        (bounded("the answer", self.answer).await.unwrap(), self.send)
    }
}
