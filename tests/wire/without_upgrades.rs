//! Servers that do not support upgrades.

use std::{convert::Infallible, net::SocketAddr};

use http::{Request, Response};
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use test_support::{
    Inner, ScriptedUpstream, Wire, handshake,
    http2::Client,
    proxy::Reports,
    serve::{FREE_PORT, listen},
};
use tokio::net::TcpStream;
use tower::Service;
use tower_upgrade_proxy::{TunnelEnd, UpgradeProxyLayer};

use crate::{events::Log, http2::extended};

/// A server of one connection.
#[derive(Clone, Copy)]
enum Server {
    Hyper,
    Auto,
}

impl Server {
    fn start<S>(self, service: S) -> SocketAddr
    where
        S: Service<
                Request<Incoming>,
                Response = Response<axum::body::Body>,
                Error = Infallible,
                Future: Send,
            > + Clone
            + Send
            + 'static,
    {
        let listener = listen(FREE_PORT);
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(self.serve(stream, service.clone()));
            }
        });
        address
    }

    async fn serve<S>(self, stream: TcpStream, service: S)
    where
        S: Service<
                Request<Incoming>,
                Response = Response<axum::body::Body>,
                Error = Infallible,
                Future: Send,
            > + Clone
            + Send
            + 'static,
    {
        let (io, service) = (TokioIo::new(stream), TowerToHyperService::new(service));
        match self {
            Self::Hyper => drop(http1::Builder::new().serve_connection(io, service).await),
            Self::Auto => {
                let mut builder = auto::Builder::new(TokioExecutor::new());
                builder.http2().enable_connect_protocol();
                drop(builder.serve_connection(io, service).await);
            }
        }
    }
}

#[tokio::test]
async fn a_server_without_upgrades_is_one_warning_and_ends_the_tunnels() {
    let log = Log::default();
    let _guard = log.capture();
    for server in [Server::Hyper, Server::Auto] {
        let upstream = ScriptedUpstream::start().await;
        let (layer, mut reports) = Reports::of(UpgradeProxyLayer::new(upstream.upstream()));
        let address = server.start(Inner::Application.app(layer));
        for _ in 0..2 {
            let mut client = Wire::connect(address).await;
            client.send(handshake("/")).await;
            let mut upstream = upstream.accept_upgrade().await;
            // The upstream accepts, and so the client gets the 101. There is no tunnel behind it.
            assert_eq!(client.head().await.status(), 101);
            client.expect_end().await;
            upstream.expect_end().await;
            assert!(matches!(reports.ended().await.end(), TunnelEnd::UpgradeFailed));
        }
        let line = log.line("does not support upgrades");
        assert!(line.contains("WARN") && line.contains("with_upgrades"), "{line}");
    }
}

/// In HTTP/2 a tunnel is a stream, which needs no support by the server's connection.
#[tokio::test]
async fn tunnels_over_http_2_need_no_upgrades() {
    let upstream = ScriptedUpstream::start().await;
    let address = Server::Auto.start(Inner::Application.app(UpgradeProxyLayer::new(upstream.upstream())));
    let mut client = Client::connect(address).await;
    let pending = client.send_request(extended("websocket").body(()).unwrap(), false);
    tokio::join!(pending.tunnel(), upstream.accept_upgrade());
}
