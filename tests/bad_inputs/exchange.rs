//! Requests of each kind that reach the upstream, and their responses as clients receive them.

use http::{HeaderMap, HeaderName, Request};
use test_support::{
    Inner, ScriptedUpstream, Wire, bounded, handshake_with,
    http2::{Client, PendingResponse, stream},
};

/// A request that is sent to the upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A WebSocket's upgrade in HTTP/1.1.
    Upgrade,
    /// An extended CONNECT for a WebSocket in HTTP/2.
    ExtendedConnect,
    /// An ordinary request in HTTP/1.1, and its method.
    Ordinary(&'static str),
    /// An ordinary request in HTTP/2, and its method.
    OrdinaryHttp2(&'static str),
}

impl Kind {
    /// Returns the kinds that `inner` sends to the upstream, GET for ordinary requests.
    pub(crate) fn all(inner: Inner) -> Vec<Self> {
        let mut kinds = vec![Self::Upgrade, Self::ExtendedConnect];
        if inner == Inner::Forward {
            kinds.extend([Self::Ordinary("GET"), Self::OrdinaryHttp2("GET")]);
        }
        kinds
    }

    /// Sends the request. The client's connection in HTTP/1.1 ends after the response.
    pub(crate) async fn send(self, proxy: std::net::SocketAddr) -> Sent {
        match self {
            Self::Upgrade => {
                let mut wire = Wire::connect(proxy).await;
                let upgrade = handshake_with("/", &[]);
                wire.send(upgrade.replace("Connection: Upgrade", "Connection: Upgrade, close")).await;
                Sent::Http1(wire, "GET")
            }
            Self::Ordinary(method) => {
                let mut wire = Wire::connect(proxy).await;
                wire.send(format!("{method} / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")).await;
                Sent::Http1(wire, method)
            }
            Self::ExtendedConnect => {
                let mut client = Client::connect(proxy).await;
                Sent::Http2(client.connect_websocket("/"), client)
            }
            Self::OrdinaryHttp2(method) => {
                let mut client = Client::connect(proxy).await;
                let request = Request::builder().method(method).uri("http://a/").body(()).unwrap();
                Sent::Http2(client.send_request(request, true), client)
            }
        }
    }

    /// Sends the request, and accepts it at `upstream`.
    pub(crate) async fn request(
        self,
        proxy: std::net::SocketAddr,
        upstream: &ScriptedUpstream,
    ) -> (Sent, Wire) {
        let sent = self.send(proxy).await;
        let mut server = upstream.accept().await;
        server.head().await;
        (sent, server)
    }
}

/// A request without a response yet.
pub(crate) enum Sent {
    Http1(Wire, &'static str),
    Http2(PendingResponse, Client),
}

/// The head of a response, and the source of its body.
pub(crate) struct Received {
    pub(crate) status: u16,
    pub(crate) fields: HeaderMap,
    body: Body,
}

enum Body {
    Http1(Wire, &'static str),
    Http2(h2::RecvStream, Client),
}

impl Sent {
    pub(crate) async fn head(self) -> Received {
        match self {
            Self::Http1(mut wire, method) => {
                let head = wire.head().await;
                let fields = head.fields().into_iter();
                let fields = fields
                    .map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap()))
                    .collect();
                Received { status: head.status(), fields, body: Body::Http1(wire, method) }
            }
            Self::Http2(pending, client) => {
                let (parts, body) = pending.response().await.0.into_parts();
                let status = parts.status.as_u16();
                Received { status, fields: parts.headers, body: Body::Http2(body, client) }
            }
        }
    }
}

impl Received {
    /// The values of a field.
    pub(crate) fn values(&self, name: &str) -> Vec<&str> {
        self.fields.get_all(name).iter().map(|value| value.to_str().unwrap()).collect()
    }

    /// Returns the body if it looks complete to the client.
    pub(crate) async fn complete_body(self) -> Option<String> {
        let body = match self.body {
            Body::Http2(mut body, _client) => stream::rest(&mut body).await.ok()?.0,
            Body::Http1(mut wire, method) => {
                let rest = bounded("the end", wire.rest()).await;
                let has_body = method != "HEAD" && ![204, 304].contains(&self.status);
                let length = self.fields.get("content-length").map(|length| length.to_str().unwrap());
                match (has_body, length) {
                    (true, _) if self.fields.contains_key("transfer-encoding") => unchunked(&rest)?,
                    (true, Some(length)) => {
                        let length: usize = length.parse().unwrap();
                        assert!(rest.len() <= length, "bytes behind the response: {rest:?}");
                        (rest.len() == length).then_some(rest)?
                    }
                    _ => rest,
                }
            }
        };
        Some(String::from_utf8(body).unwrap())
    }
}

/// Returns the data of chunks, if the last one is there.
fn unchunked(mut bytes: &[u8]) -> Option<Vec<u8>> {
    let mut data = Vec::new();
    loop {
        let end = bytes.windows(2).position(|window| window == b"\r\n")?;
        let size = usize::from_str_radix(std::str::from_utf8(&bytes[..end]).unwrap(), 16).unwrap();
        let chunk = bytes.get(end + 2..end + 2 + size)?;
        data.extend_from_slice(chunk);
        bytes = bytes[end + 2 + size..].strip_prefix(b"\r\n")?;
        if size == 0 {
            assert!(bytes.is_empty(), "bytes behind the response: {bytes:?}");
            return Some(data);
        }
    }
}
