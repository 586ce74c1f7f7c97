//! The upstream's side: a listener whose answers the test gives.

use std::{future::poll_fn, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use h2::{Reason, RecvStream, ext::Protocol, server::SendResponse};
use http::{HeaderMap, HeaderName, Method, Request, Response, StatusCode, header::CONTENT_LENGTH};
use tokio::{
    net::TcpStream,
    sync::{Mutex, mpsc},
    time::timeout,
};

use crate::{
    Speaks,
    ends::End,
    support::{FREE_PORT, Wire, accept, bounded, listen},
};

pub(crate) struct Upstream {
    pub(crate) speaks: Speaks,
    address: SocketAddr,
    asked: Arc<Mutex<mpsc::UnboundedReceiver<Asked>>>,
}

/// A handshake that waits for its answer.
pub(crate) struct Asked {
    pub(crate) path: String,
    /// `Host`, or `:authority`.
    pub(crate) host: String,
    pub(crate) fields: HeaderMap,
    by: By,
}

enum By {
    Http1(Wire),
    Http2(RecvStream, SendResponse<Bytes>),
}

impl Upstream {
    pub(crate) async fn start(speaks: Speaks) -> Self {
        let listener = listen(FREE_PORT);
        let address = listener.local_addr().unwrap();
        let (sender, asked) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let sender = sender.clone();
                tokio::spawn(async move {
                    match speaks {
                        Speaks::Http1 => drop(sender.send(read(socket).await)),
                        Speaks::Http2 => serve(socket, sender).await,
                    }
                });
            }
        });
        Self { speaks, address, asked: Arc::new(Mutex::new(asked)) }
    }

    pub(crate) fn marked(&self) -> tower_upgrade_proxy::Upstream {
        let upstream: tower_upgrade_proxy::Upstream = format!("http://{}", self.address).parse().unwrap();
        match self.speaks {
            Speaks::Http1 => upstream,
            Speaks::Http2 => upstream.http2(),
        }
    }

    /// The next handshake.
    pub(crate) async fn asked(&self) -> Asked {
        bounded("a handshake", async { self.asked.lock().await.recv().await }).await.unwrap()
    }
}

/// The head of a request in HTTP/1.1.
async fn read(socket: TcpStream) -> Asked {
    let mut wire = Wire::new(socket);
    let head = wire.head().await;
    let line = head.first_line();
    let path = line.strip_prefix("GET ").unwrap().strip_suffix(" HTTP/1.1").unwrap().to_owned();
    let fields = head.fields().into_iter();
    let mut fields: HeaderMap =
        fields.map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap())).collect();
    let host = fields.remove("host").unwrap().to_str().unwrap().to_owned();
    Asked { path, host, fields, by: By::Http1(wire) }
}

/// Hands on every extended CONNECT of a connection.
async fn serve(socket: TcpStream, sender: mpsc::UnboundedSender<Asked>) {
    let mut builder = h2::server::Builder::new();
    builder
        .enable_connect_protocol()
        .max_concurrent_streams(2000)
        .initial_window_size(1 << 20)
        .initial_connection_window_size((1 << 31) - 1);
    // An upgrade that is tried in HTTP/1.1 after all ends here.
    let Ok(mut connection) = builder.handshake::<_, Bytes>(socket).await else { return };
    while let Some(Ok((request, respond))) = connection.accept().await {
        let _ = sender.send(asked(request, respond));
    }
}

fn asked(request: Request<RecvStream>, respond: SendResponse<Bytes>) -> Asked {
    let (parts, receive) = request.into_parts();
    assert_eq!(parts.method, Method::CONNECT);
    assert_eq!(parts.extensions.get::<Protocol>().unwrap().as_str(), "websocket");
    assert_eq!(parts.uri.scheme_str(), Some("http"));
    for foreign in ["host", "connection", "upgrade", "sec-websocket-key"] {
        assert!(!parts.headers.contains_key(foreign), "{foreign}");
    }
    Asked {
        path: parts.uri.path_and_query().unwrap().to_string(),
        host: parts.uri.authority().unwrap().to_string(),
        fields: parts.headers,
        by: By::Http2(receive, respond),
    }
}

impl Asked {
    /// Says yes, with further fields and the first bytes of the tunnel right behind.
    pub(crate) async fn agree(self, fields: &[(&str, &str)], early: &str) -> End {
        match self.by {
            By::Http1(mut wire) => {
                let [key] = &self.fields.get_all("sec-websocket-key").iter().collect::<Vec<_>>()[..] else {
                    panic!("one key: {:?}", self.fields)
                };
                let mut head = format!(
                    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                     Sec-WebSocket-Accept: {}\r\n",
                    accept(key.to_str().unwrap())
                );
                for (name, value) in fields {
                    head += &format!("{name}: {value}\r\n");
                }
                wire.send(head + "\r\n" + early).await;
                End::socket(wire.stream, Vec::new())
            }
            By::Http2(receive, mut respond) => {
                let send = respond.send_response(response(200, fields), false).unwrap();
                let mut end = End::stream(send, receive);
                end.send(early).await;
                end
            }
        }
    }

    /// Requires that nothing comes behind the handshake for a while.
    pub(crate) async fn expect_nothing_more(&mut self) {
        let while_waiting = Duration::from_millis(50);
        match &mut self.by {
            By::Http1(wire) => assert!(timeout(while_waiting, wire.exactly(1)).await.is_err()),
            By::Http2(receive, _) => assert!(timeout(while_waiting, receive.data()).await.is_err()),
        }
    }

    /// Waits until nobody wants an answer any more.
    pub(crate) async fn expect_abandoned(self) {
        match self.by {
            By::Http1(mut wire) => wire.expect_end().await,
            By::Http2(_, mut respond) => {
                let reset = bounded("the reset", poll_fn(|cx| respond.poll_reset(cx))).await;
                assert_eq!(reset.unwrap(), Reason::CANCEL);
            }
        }
    }

    /// Says no.
    pub(crate) async fn refuse(self, status: u16, fields: &[(&str, &str)], body: &str) {
        match self.by {
            By::Http1(mut wire) => {
                let mut head = format!("HTTP/1.1 {status} No\r\nContent-Length: {}\r\n", body.len());
                for (name, value) in fields {
                    head += &format!("{name}: {value}\r\n");
                }
                wire.send(head + "\r\n" + body).await;
            }
            By::Http2(_, mut respond) => {
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
