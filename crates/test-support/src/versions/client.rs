//! The client's side: a handshake in either version.

use std::net::SocketAddr;

use h2::{client::Builder, ext::Protocol};
use http::{HeaderMap, HeaderName, Request, StatusCode};

use super::{Endpoint, HttpVersion};
use crate::{
    http2,
    websocket::handshake::handshake_with,
    wire::{Wire, bounded},
};

/// A client that opens any number of tunnels; in HTTP/2 on one connection.
#[derive(Clone)]
pub struct Client {
    address: SocketAddr,
    http2: Option<http2::Client>,
}

/// The response to a handshake.
pub struct Response {
    pub status: StatusCode,
    pub fields: HeaderMap,
    /// The tunnel, or the body of a refusal.
    pub endpoint: Endpoint,
}

impl Client {
    pub async fn connect(version: HttpVersion, address: SocketAddr) -> Self {
        let http2 = match version {
            HttpVersion::Http1 => None,
            HttpVersion::Http2 => {
                let mut builder = Builder::new();
                builder.initial_window_size(1 << 20).initial_connection_window_size((1 << 31) - 1);
                Some(http2::Client::with(address, &builder).await)
            }
        };
        Self { address, http2 }
    }

    /// Sends a handshake for `path` with further fields, and reads the response.
    pub async fn handshake(&self, path: &str, fields: &[(&str, &str)]) -> Response {
        self.handshake_early(path, fields, "").await
    }

    /// [`handshake`](Self::handshake) with the first bytes of the tunnel sent together with the request.
    pub async fn handshake_early(&self, path: &str, fields: &[(&str, &str)], early: &str) -> Response {
        bounded("the response", async {
            match self.http2.clone() {
                None => self.handshake_http1(path, fields, early).await,
                Some(client) => handshake_http2(client, path, fields, early).await,
            }
        })
        .await
    }

    async fn handshake_http1(&self, path: &str, fields: &[(&str, &str)], early: &str) -> Response {
        let lines: Vec<String> = fields.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let mut wire = Wire::connect(self.address).await;
        let head = wire.request(handshake_with(path, &lines) + early).await;
        let status = StatusCode::from_u16(head.status()).unwrap();
        let fields = head.fields().into_iter();
        let fields =
            fields.map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap()));
        let read = wire.buffered();
        Response { status, fields: fields.collect(), endpoint: Endpoint::socket(wire.stream, read) }
    }
}

async fn handshake_http2(
    mut client: http2::Client,
    path: &str,
    fields: &[(&str, &str)],
    early: &str,
) -> Response {
    let mut request = Request::connect(format!("http://client.example{path}"))
        .extension(Protocol::from_static("websocket"))
        .header("sec-websocket-version", "13");
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    client.ready().await;
    let mut pending = client.send_request(request.body(()).unwrap(), false);
    if !early.is_empty() {
        pending.send.send_data(early.to_owned().into(), false).unwrap();
    }
    let (response, send) = pending.response().await;
    let (parts, receive) = response.into_parts();
    Response { status: parts.status, fields: parts.headers, endpoint: Endpoint::stream(send, receive) }
}
