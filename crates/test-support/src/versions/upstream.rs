//! An upstream in either HTTP version with responses given by the test.

use std::{future::poll_fn, net::SocketAddr, sync::Arc, time::Duration};

use h2::{Reason, RecvStream, ext::Protocol, server::SendResponse};
use http::{HeaderMap, HeaderName, Method, Request, Response, StatusCode, header::CONTENT_LENGTH};
use hyper::body::Bytes;
use tokio::{
    net::TcpStream,
    sync::{Mutex, mpsc},
    time::timeout,
};

use super::{End, Version};
use crate::{
    serve::{FREE_PORT, listen},
    websocket::handshake::switching_protocols,
    wire::{Head, Wire, bounded},
};

/// A listener that hands its handshakes to the test.
pub struct Upstream {
    pub version: Version,
    address: SocketAddr,
    handshakes: Arc<Mutex<mpsc::UnboundedReceiver<PendingHandshake>>>,
}

/// A handshake that has no response yet.
pub struct PendingHandshake {
    pub path: String,
    /// `Host`, or `:authority`.
    pub host: String,
    pub fields: HeaderMap,
    transport: Transport,
}

enum Transport {
    Http1(Wire, Head),
    Http2(RecvStream, SendResponse<Bytes>),
}

impl Upstream {
    pub async fn start(version: Version) -> Self {
        let listener = listen(FREE_PORT);
        let address = listener.local_addr().unwrap();
        let (sender, handshakes) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let sender = sender.clone();
                tokio::spawn(async move {
                    match version {
                        Version::Http1 => drop(sender.send(read(socket).await)),
                        Version::Http2 => serve(socket, sender).await,
                    }
                });
            }
        });
        Self { version, address, handshakes: Arc::new(Mutex::new(handshakes)) }
    }

    pub fn uri(&self) -> tower_upgrade_proxy::Upstream {
        let upstream: tower_upgrade_proxy::Upstream = format!("http://{}", self.address).parse().unwrap();
        match self.version {
            Version::Http1 => upstream,
            Version::Http2 => upstream.http2(),
        }
    }

    /// Waits for the next handshake.
    pub async fn next(&self) -> PendingHandshake {
        bounded("a handshake", async { self.handshakes.lock().await.recv().await }).await.unwrap()
    }
}

/// Reads a handshake in HTTP/1.1.
async fn read(socket: TcpStream) -> PendingHandshake {
    let mut wire = Wire::new(socket);
    let head = wire.head().await;
    let line = head.first_line();
    let path = line.strip_prefix("GET ").unwrap().strip_suffix(" HTTP/1.1").unwrap().to_owned();
    let fields = head.fields().into_iter();
    let mut fields: HeaderMap =
        fields.map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap())).collect();
    let host = fields.remove("host").unwrap().to_str().unwrap().to_owned();
    PendingHandshake { path, host, fields, transport: Transport::Http1(wire, head) }
}

/// Passes every extended CONNECT of a connection to the test.
async fn serve(socket: TcpStream, sender: mpsc::UnboundedSender<PendingHandshake>) {
    let mut builder = h2::server::Builder::new();
    builder
        .enable_connect_protocol()
        .max_concurrent_streams(2000)
        .initial_window_size(1 << 20)
        .initial_connection_window_size((1 << 31) - 1);
    // The proxy may fall back to HTTP/1.1, which fails here.
    let Ok(mut connection) = builder.handshake::<_, Bytes>(socket).await else { return };
    while let Some(Ok((request, respond))) = connection.accept().await {
        let _ = sender.send(pending(request, respond));
    }
}

fn pending(request: Request<RecvStream>, respond: SendResponse<Bytes>) -> PendingHandshake {
    let (parts, receive) = request.into_parts();
    assert_eq!(parts.method, Method::CONNECT);
    assert_eq!(parts.extensions.get::<Protocol>().unwrap().as_str(), "websocket");
    assert_eq!(parts.uri.scheme_str(), Some("http"));
    for name in ["host", "connection", "upgrade", "sec-websocket-key"] {
        assert!(!parts.headers.contains_key(name), "{name}");
    }
    PendingHandshake {
        path: parts.uri.path_and_query().unwrap().to_string(),
        host: parts.uri.authority().unwrap().to_string(),
        fields: parts.headers,
        transport: Transport::Http2(receive, respond),
    }
}

impl PendingHandshake {
    /// Accepts the upgrade, with further fields and with data for the tunnel directly after the response.
    pub async fn accept(self, fields: &[(&str, &str)], early: &str) -> End {
        match self.transport {
            Transport::Http1(mut wire, request) => {
                let lines: String =
                    fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
                wire.send(switching_protocols(&request, &lines) + early).await;
                End::socket(wire.stream, Vec::new())
            }
            Transport::Http2(receive, mut respond) => {
                let send = respond.send_response(response(200, fields), false).unwrap();
                let mut end = End::stream(send, receive);
                end.send(early).await;
                end
            }
        }
    }

    /// Requires that no data follows the handshake for a while.
    pub async fn expect_no_data(&mut self) {
        let while_waiting = Duration::from_millis(50);
        match &mut self.transport {
            Transport::Http1(wire, _) => assert!(timeout(while_waiting, wire.exactly(1)).await.is_err()),
            Transport::Http2(receive, _) => assert!(timeout(while_waiting, receive.data()).await.is_err()),
        }
    }

    /// Waits until the request is cancelled.
    pub async fn expect_cancelled(self) {
        match self.transport {
            Transport::Http1(mut wire, _) => wire.expect_end().await,
            Transport::Http2(_, mut respond) => {
                let reset = bounded("the reset", poll_fn(|cx| respond.poll_reset(cx))).await;
                assert_eq!(reset.unwrap(), Reason::CANCEL);
            }
        }
    }

    /// Refuses the upgrade.
    pub async fn refuse(self, status: u16, fields: &[(&str, &str)], body: &str) {
        match self.transport {
            Transport::Http1(mut wire, _) => {
                let mut head = format!("HTTP/1.1 {status} No\r\nContent-Length: {}\r\n", body.len());
                for (name, value) in fields {
                    head += &format!("{name}: {value}\r\n");
                }
                wire.send(head + "\r\n" + body).await;
            }
            Transport::Http2(_, mut respond) => {
                let mut response = response(status, fields);
                response.headers_mut().insert(CONTENT_LENGTH, body.len().into());
                let mut send = respond.send_response(response, false).unwrap();
                send.send_data(Bytes::copy_from_slice(body.as_bytes()), true).unwrap();
            }
        }
    }
}

fn response(status: u16, fields: &[(&str, &str)]) -> Response<()> {
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    for (name, value) in fields {
        response.headers_mut().append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
    }
    response
}
