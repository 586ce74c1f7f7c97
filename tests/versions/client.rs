//! The client, in either HTTP version.

use std::net::SocketAddr;

use bytes::Bytes;
use h2::{client::SendRequest, ext::Protocol};
use http::{HeaderMap, HeaderName, Request, StatusCode};
use tokio::net::TcpStream;

use crate::{
    Version,
    ends::End,
    support::{Wire, bounded, handshake_with},
};

/// A client that opens any number of tunnels, in HTTP/2 on one connection.
#[derive(Clone)]
pub(crate) struct Client {
    address: SocketAddr,
    http2: Option<SendRequest<Bytes>>,
}

/// The response to a handshake.
pub(crate) struct ClientResponse {
    pub(crate) status: StatusCode,
    pub(crate) fields: HeaderMap,
    /// The end of the tunnel, or the source of the body of a refusal.
    pub(crate) end: End,
}

impl Client {
    pub(crate) async fn connect(version: Version, address: SocketAddr) -> Self {
        let http2 = match version {
            Version::Http1 => None,
            Version::Http2 => {
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

    /// Requests a WebSocket at `path` and waits for the response.
    pub(crate) async fn request(&self, path: &str, fields: &[(&str, &str)]) -> ClientResponse {
        self.request_with_early_data(path, fields, "").await
    }

    /// Sends data for the tunnel directly after the request, before the response.
    pub(crate) async fn request_with_early_data(
        &self,
        path: &str,
        fields: &[(&str, &str)],
        early: &str,
    ) -> ClientResponse {
        bounded("the response", async {
            match self.http2.clone() {
                None => self.request_http1(path, fields, early).await,
                Some(sender) => request_http2(sender, path, fields, early).await,
            }
        })
        .await
    }

    async fn request_http1(&self, path: &str, fields: &[(&str, &str)], early: &str) -> ClientResponse {
        let lines: Vec<String> = fields.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let mut wire = Wire::connect(self.address).await;
        let head = wire.ask(handshake_with(path, &lines) + early).await;
        let status = StatusCode::from_u16(head.status()).unwrap();
        let fields = head.fields().into_iter();
        let fields =
            fields.map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap()));
        let read = wire.buffered();
        ClientResponse { status, fields: fields.collect(), end: End::socket(wire.stream, read) }
    }
}

async fn request_http2(
    sender: SendRequest<Bytes>,
    path: &str,
    fields: &[(&str, &str)],
    early: &str,
) -> ClientResponse {
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
    ClientResponse { status: parts.status, fields: parts.headers, end: End::stream(send, receive) }
}
