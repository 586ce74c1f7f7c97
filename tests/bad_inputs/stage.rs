//! A proxy in front of a scripted upstream.

use std::net::SocketAddr;

use axum::{Router, extract::Request, response::IntoResponse};
use http::{Method, StatusCode};
use tower_upgrade_proxy::UpgradeProxyLayer;

use crate::support::{Head, Scripted, Wire, handshake, serve};

/// What the layer wraps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Served {
    /// An application, which ordinary requests are for.
    LayerAlone,
    /// `Forward`, which sends ordinary requests to the same upstream.
    Location,
}

pub(crate) struct Stage {
    pub(crate) served: Served,
    pub(crate) upstream: Scripted,
    pub(crate) address: SocketAddr,
}

impl Served {
    pub(crate) async fn stage(self) -> Stage {
        self.stage_with(|layer| layer).await
    }

    /// The layer with settings.
    pub(crate) async fn stage_with(self, set: impl FnOnce(UpgradeProxyLayer) -> UpgradeProxyLayer) -> Stage {
        self.stage_on(set, serve).await
    }

    /// The same on another server, or with more around the layer.
    pub(crate) async fn stage_on(
        self,
        set: impl FnOnce(UpgradeProxyLayer) -> UpgradeProxyLayer,
        serve: impl AsyncFnOnce(Router) -> SocketAddr,
    ) -> Stage {
        let upstream = Scripted::start().await;
        let app = self.app(set(UpgradeProxyLayer::new(upstream.upstream())));
        Stage { served: self, upstream, address: serve(app).await }
    }

    /// What is served.
    pub(crate) fn app(self, layer: UpgradeProxyLayer) -> Router {
        match self {
            Self::LayerAlone => Router::new().fallback(describe).layer(layer),
            Self::Location => Router::new().fallback_service(layer.forward()),
        }
    }
}

impl Stage {
    /// A connection to the proxy.
    pub(crate) async fn client(&self) -> Wire {
        Wire::connect(self.address).await
    }

    /// A client that has asked with `request`, and the upstream that has read as much.
    pub(crate) async fn asked(&self, request: impl AsRef<[u8]>) -> (Wire, Wire, Head) {
        let mut client = self.client().await;
        client.send(request).await;
        let mut server = self.upstream.accept().await;
        let head = server.head().await;
        (client, server, head)
    }

    /// Both ends of a tunnel.
    pub(crate) async fn tunnel(&self) -> (Wire, Wire) {
        self.upstream.tunnel(self.client().await).await
    }

    /// What the client gets for a handshake that the upstream answers with `answer`.
    pub(crate) async fn answered(&self, answer: impl AsRef<[u8]>) -> (Head, Wire, Wire) {
        let (mut client, mut server, _) = self.asked(handshake("/")).await;
        server.send(answer).await;
        (client.head().await, client, server)
    }

    /// Sends an ordinary request, and gives its head as the application or the upstream has seen it. It is
    /// answered with a 200 that the client has read.
    pub(crate) async fn ordinary(&self, client: &mut Wire, request: impl AsRef<[u8]>) -> Head {
        client.send(request).await;
        match self.served {
            Served::LayerAlone => {
                let answer = client.head().await;
                assert_eq!(answer.status(), 200, "{}", answer.text());
                Head { raw: client.body(&answer).await }
            }
            Served::Location => {
                let mut server = self.upstream.accept().await;
                let head = server.head().await;
                server.send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok").await;
                let answer = client.head().await;
                assert_eq!((answer.status(), client.body(&answer).await), (200, b"ok".to_vec()));
                head
            }
        }
    }

    /// Requires that `client`'s connection is still HTTP: its next request goes the way of an ordinary one.
    pub(crate) async fn still_http(&self, client: &mut Wire) {
        let seen = self.ordinary(client, "GET /next HTTP/1.1\r\nHost: a.example\r\n\r\n").await;
        assert_eq!(seen.first_line(), "GET /next HTTP/1.1");
    }

    /// Requires a 502 for `answer`, the end of the upstream's connection, and the client's as it was.
    pub(crate) async fn lied_to(&self, request: impl AsRef<[u8]>, answer: impl AsRef<[u8]>) {
        let (mut client, mut server, _) = self.asked(request).await;
        server.send(&answer).await;
        let head = client.head().await;
        assert_eq!(head.status(), 502, "{}", String::from_utf8_lossy(answer.as_ref()));
        for name in ["upgrade", "connection", "sec-websocket-accept"] {
            assert!(head.values(name).is_empty(), "{}", head.text());
        }
        server.expect_end().await;
        client.body(&head).await;
        self.still_http(&mut client).await;
    }

    /// Requires `status`, and that the upstream was not dialled.
    pub(crate) async fn refused(&self, request: impl AsRef<[u8]>, status: u16) -> Wire {
        let mut client = self.client().await;
        let answer = client.ask(request).await;
        assert_eq!(answer.status(), status, "{}", answer.text());
        self.upstream.expect_untouched().await;
        client
    }
}

/// A request's head, written as it would be sent. CONNECT is a 405, as with most applications.
async fn describe(request: Request) -> impl IntoResponse {
    let (parts, _) = request.into_parts();
    let status =
        if parts.method == Method::CONNECT { StatusCode::METHOD_NOT_ALLOWED } else { StatusCode::OK };
    let mut head = format!("{} {} {:?}\r\n", parts.method, parts.uri, parts.version).into_bytes();
    for (name, value) in &parts.headers {
        head.extend_from_slice(name.as_str().as_bytes());
        head.extend_from_slice(b": ");
        head.extend_from_slice(value.as_bytes());
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"\r\n");
    (status, head)
}
