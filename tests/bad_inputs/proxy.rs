//! A proxy in front of a scripted upstream.

use std::net::SocketAddr;

use axum::{Router, extract::Request, response::IntoResponse};
use http::{Method, StatusCode};
use tower_upgrade_proxy::UpgradeProxyLayer;

use crate::support::{Head, Scripted, Wire, handshake, serve};

/// The service that the layer wraps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Setup {
    /// An application, which serves ordinary requests.
    LayerAlone,
    /// [`Forward`](tower_upgrade_proxy::Forward), which sends ordinary requests to the same upstream.
    Location,
}

/// A running proxy and its upstream.
pub(crate) struct Proxy {
    pub(crate) setup: Setup,
    pub(crate) upstream: Scripted,
    pub(crate) address: SocketAddr,
}

impl Setup {
    /// Starts a proxy with the default settings.
    pub(crate) async fn proxy(self) -> Proxy {
        self.proxy_with(|layer| layer).await
    }

    /// Starts a proxy with other settings.
    pub(crate) async fn proxy_with(self, set: impl FnOnce(UpgradeProxyLayer) -> UpgradeProxyLayer) -> Proxy {
        self.proxy_on(set, serve).await
    }

    /// Starts a proxy on another server, or with middleware around the layer.
    pub(crate) async fn proxy_on(
        self,
        set: impl FnOnce(UpgradeProxyLayer) -> UpgradeProxyLayer,
        serve: impl AsyncFnOnce(Router) -> SocketAddr,
    ) -> Proxy {
        let upstream = Scripted::start().await;
        let app = self.app(set(UpgradeProxyLayer::new(upstream.upstream())));
        Proxy { setup: self, upstream, address: serve(app).await }
    }

    /// Returns the application under test.
    pub(crate) fn app(self, layer: UpgradeProxyLayer) -> Router {
        match self {
            Self::LayerAlone => Router::new().fallback(describe).layer(layer),
            Self::Location => Router::new().fallback_service(layer.forward()),
        }
    }
}

impl Proxy {
    /// Connects to the proxy.
    pub(crate) async fn client(&self) -> Wire {
        Wire::connect(self.address).await
    }

    /// Sends `request`. Returns the client, the upstream connection, and the head that the upstream received.
    pub(crate) async fn request(&self, request: impl AsRef<[u8]>) -> (Wire, Wire, Head) {
        let mut client = self.client().await;
        client.send(request).await;
        let mut server = self.upstream.accept().await;
        let head = server.head().await;
        (client, server, head)
    }

    /// Opens a tunnel and returns both ends.
    pub(crate) async fn tunnel(&self) -> (Wire, Wire) {
        self.upstream.tunnel(self.client().await).await
    }

    /// Answers a handshake with `response`. Returns the head that the client received, and both connections.
    pub(crate) async fn respond(&self, response: impl AsRef<[u8]>) -> (Head, Wire, Wire) {
        let (mut client, mut server, _) = self.request(handshake("/")).await;
        server.send(response).await;
        (client.head().await, client, server)
    }

    /// Sends an ordinary request and reads its response, a 200. Returns the head that the application or the
    /// upstream received.
    pub(crate) async fn ordinary_request(&self, client: &mut Wire, request: impl AsRef<[u8]>) -> Head {
        client.send(request).await;
        match self.setup {
            Setup::LayerAlone => {
                let response = client.head().await;
                assert_eq!(response.status(), 200, "{}", response.text());
                Head { raw: client.body(&response).await }
            }
            Setup::Location => {
                let mut server = self.upstream.accept().await;
                let head = server.head().await;
                server.send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok").await;
                let response = client.head().await;
                assert_eq!((response.status(), client.body(&response).await), (200, b"ok".to_vec()));
                head
            }
        }
    }

    /// Requires that the client's connection is still HTTP, by sending an ordinary request on it.
    pub(crate) async fn expect_http(&self, client: &mut Wire) {
        let received = self.ordinary_request(client, "GET /next HTTP/1.1\r\nHost: a.example\r\n\r\n").await;
        assert_eq!(received.first_line(), "GET /next HTTP/1.1");
    }

    /// Requires that the upstream's `response` to `request` becomes a 502 and closes the upstream connection,
    /// and that the client's connection is still HTTP.
    pub(crate) async fn expect_502(&self, request: impl AsRef<[u8]>, response: impl AsRef<[u8]>) {
        let (mut client, mut server, _) = self.request(request).await;
        server.send(&response).await;
        let head = client.head().await;
        assert_eq!(head.status(), 502, "{}", String::from_utf8_lossy(response.as_ref()));
        for name in ["upgrade", "connection", "sec-websocket-accept"] {
            assert!(head.values(name).is_empty(), "{}", head.text());
        }
        server.expect_end().await;
        client.body(&head).await;
        self.expect_http(&mut client).await;
    }

    /// Requires `status`, and that the proxy has not connected to the upstream.
    pub(crate) async fn expect_refusal(&self, request: impl AsRef<[u8]>, status: u16) -> Wire {
        let mut client = self.client().await;
        let response = client.ask(request).await;
        assert_eq!(response.status(), status, "{}", response.text());
        self.upstream.expect_untouched().await;
        client
    }
}

/// Responds with the head of the request in wire format. CONNECT gets a 405, as from most applications.
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
