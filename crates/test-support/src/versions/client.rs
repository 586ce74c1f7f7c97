//! The client, in either HTTP version.

use std::net::SocketAddr;

use h2::{client::Builder, ext::Protocol};
use http::{HeaderMap, HeaderName, Request, StatusCode};

use super::{End, Version};
use crate::{
    http2,
    websocket::handshake::handshake_with,
    wire::{Wire, bounded},
};

/// A client that opens any number of tunnels, in HTTP/2 on one connection.
#[derive(Clone)]
pub struct Client {
    address: SocketAddr,
    http2: Option<http2::Client>,
}

/// The response to a handshake.
pub struct ClientResponse {
    pub status: StatusCode,
    pub fields: HeaderMap,
    /// The end of the tunnel, or the source of the body of a refusal.
    pub end: End,
}

impl Client {
    pub async fn connect(version: Version, address: SocketAddr) -> Self {
        let http2 = match version {
            Version::Http1 => None,
            Version::Http2 => {
                let mut builder = Builder::new();
                builder.initial_window_size(1 << 20).initial_connection_window_size((1 << 31) - 1);
                Some(http2::Client::with(address, &builder).await)
            }
        };
        Self { address, http2 }
    }

    /// Requests a WebSocket at `path` and waits for the response.
    pub async fn request(&self, path: &str, fields: &[(&str, &str)]) -> ClientResponse {
        self.request_with_early_data(path, fields, "").await
    }

    /// Sends data for the tunnel directly after the request, before the response.
    pub async fn request_with_early_data(
        &self,
        path: &str,
        fields: &[(&str, &str)],
        early: &str,
    ) -> ClientResponse {
        bounded("the response", async {
            match self.http2.clone() {
                None => self.request_http1(path, fields, early).await,
                Some(client) => request_http2(client, path, fields, early).await,
            }
        })
        .await
    }

    async fn request_http1(&self, path: &str, fields: &[(&str, &str)], early: &str) -> ClientResponse {
        let lines: Vec<String> = fields.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let mut wire = Wire::connect(self.address).await;
        let head = wire.request(handshake_with(path, &lines) + early).await;
        let status = StatusCode::from_u16(head.status()).unwrap();
        let fields = head.fields().into_iter();
        let fields =
            fields.map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap()));
        let read = wire.buffered();
        ClientResponse { status, fields: fields.collect(), end: End::socket(wire.stream, read) }
    }
}

async fn request_http2(
    mut client: http2::Client,
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
    client.ready().await;
    let mut pending = client.send_request(request.body(()).unwrap(), false);
    if !early.is_empty() {
        pending.send.send_data(early.to_owned().into(), false).unwrap();
    }
    let (response, send) = pending.response().await;
    let (parts, receive) = response.into_parts();
    ClientResponse { status: parts.status, fields: parts.headers, end: End::stream(send, receive) }
}
