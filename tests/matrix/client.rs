//! The client's side: a handshake in either version.

use std::net::SocketAddr;

use bytes::Bytes;
use h2::{client::SendRequest, ext::Protocol};
use http::{HeaderMap, HeaderName, Request, StatusCode};
use tokio::net::TcpStream;

use crate::{
    Speaks,
    ends::End,
    support::{Wire, bounded, handshake_with},
};

/// A client that opens as many tunnels as the test wants; in HTTP/2 on one connection.
#[derive(Clone)]
pub(crate) struct Client {
    address: SocketAddr,
    http2: Option<SendRequest<Bytes>>,
}

/// What the client was answered.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) fields: HeaderMap,
    /// The tunnel's end, or where the refusal's body comes from.
    pub(crate) end: End,
}

impl Client {
    pub(crate) async fn connect(speaks: Speaks, address: SocketAddr) -> Self {
        let http2 = match speaks {
            Speaks::Http1 => None,
            Speaks::Http2 => {
                let tcp = TcpStream::connect(address).await.unwrap();
                let mut builder = h2::client::Builder::new();
                builder.initial_window_size(1 << 20).initial_connection_window_size((1 << 31) - 1);
                let (sender, connection) = builder.handshake(tcp).await.unwrap();
                tokio::spawn(connection);
                Some(sender)
            }
        };
        Self { address, http2 }
    }

    /// Asks for a WebSocket at `path` and waits for the answer.
    pub(crate) async fn ask(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        self.ask_early(path, fields, "").await
    }

    /// The same, with the first bytes of the tunnel right behind the question.
    pub(crate) async fn ask_early(&self, path: &str, fields: &[(&str, &str)], early: &str) -> Answer {
        bounded("the answer", async {
            match self.http2.clone() {
                None => self.ask_http1(path, fields, early).await,
                Some(sender) => ask_http2(sender, path, fields, early).await,
            }
        })
        .await
    }

    async fn ask_http1(&self, path: &str, fields: &[(&str, &str)], early: &str) -> Answer {
        let lines: Vec<String> = fields.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let mut wire = Wire::connect(self.address).await;
        let head = wire.ask(handshake_with(path, &lines) + early).await;
        let status = StatusCode::from_u16(head.status()).unwrap();
        let fields = head.fields().into_iter();
        let fields =
            fields.map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap()));
        let read = wire.buffered();
        Answer { status, fields: fields.collect(), end: End::socket(wire.stream, read) }
    }
}

async fn ask_http2(sender: SendRequest<Bytes>, path: &str, fields: &[(&str, &str)], early: &str) -> Answer {
    let mut request = Request::connect(format!("http://client.example{path}"))
        .extension(Protocol::from_static("websocket"))
        .header("sec-websocket-version", "13");
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    let mut sender = sender.ready().await.unwrap();
    let (response, mut send) = sender.send_request(request.body(()).unwrap(), false).unwrap();
    if !early.is_empty() {
        send.send_data(early.to_owned().into(), false).unwrap();
    }
    let (parts, receive) = response.await.unwrap().into_parts();
    Answer { status: parts.status, fields: parts.headers, end: End::stream(send, receive) }
}
