//! Bytes that reach the upstream before a tunnel is reset.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::body::Body;
use hyper::server::conn::http1;
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use test_support::{
    SWITCHING, ScriptedUpstream, TestProxy, Wire, handshake,
    http2::{
        Frame, FrameConnection,
        frame::{CANCEL, CONNECT_PROTOCOL},
    },
    proxy::{Inner, accept_tunnel, sending_closes},
    websocket::frame::close_code,
};
use tokio::io::{AsyncRead, DuplexStream, ReadBuf, duplex, join, split};
use tower::ServiceExt;
use tower_upgrade_proxy::{UpgradeProxyLayer, Upstream};

/// A reader that ends with an error, as TLS does without `close_notify`.
struct Truncated<R>(R);

impl<R: AsyncRead + Unpin> AsyncRead for Truncated<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.0).poll_read(cx, buf))?;
        match buf.filled().len() > before {
            true => Poll::Ready(Ok(())),
            false => Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
        }
    }
}

/// Connects a client that has sent a handshake, on a connection that ends with an error.
async fn connect(upstream: Upstream) -> Wire<DuplexStream> {
    let (client, server) = duplex(1 << 16);
    let (read, write) = split(server);
    let service = UpgradeProxyLayer::new(upstream)
        .into_service()
        .map_request(|request: http::Request<hyper::body::Incoming>| request)
        .map_response(|response| response.map(Body::new));
    tokio::spawn(async move {
        let io = TokioIo::new(join(Truncated(read), write));
        let _ = http1::Builder::new()
            .serve_connection(io, TowerToHyperService::new(service))
            .with_upgrades()
            .await;
    });
    let mut client = Wire::new(client);
    client.send(handshake("/")).await;
    client
}

#[tokio::test]
async fn the_last_bytes_of_a_failed_client_connection_arrive() {
    let upstream = ScriptedUpstream::start().await;
    let mut client = connect(upstream.upstream()).await;
    let mut server = upstream.accept().await;
    server.head().await;
    server.send(SWITCHING).await;
    assert_eq!(client.head().await.status(), 101);
    client.send("the last bytes").await;
    drop(client);
    assert_eq!(server.rest().await, b"the last bytes");

    let mut client = connect(upstream.upstream().http2()).await;
    let mut frames = FrameConnection::accept(&upstream, &[CONNECT_PROTOCOL]).await;
    let stream = frames.next_request().await;
    frames.accept_tunnel(stream).await;
    assert_eq!(client.head().await.status(), 101);
    client.send("the last bytes").await;
    drop(client);
    frames.expect_data(stream, "the last bytes").await;
    frames.expect(Frame::Reset { stream, reason: CANCEL }).await;
}

#[tokio::test]
async fn a_tunnel_at_its_lifetime_limit_ends_before_it_is_reset() {
    let upstream = ScriptedUpstream::start().await;
    let layer = sending_closes(UpgradeProxyLayer::new(upstream.upstream().http2()));
    let proxy = TestProxy::start(
        Inner::Forward,
        layer.max_lifetime(Duration::from_millis(50)).close_timeout(Duration::from_millis(50)),
    )
    .await;
    let client = proxy.connect_with_handshake().await;
    let mut frames = FrameConnection::accept(&upstream, &[CONNECT_PROTOCOL]).await;
    let stream = frames.next_request().await;
    let mut client = accept_tunnel(client, &mut frames, stream).await;
    match frames.next().await {
        Frame::Data { bytes, ends: false, .. } => assert_eq!(close_code(&bytes), Some(1001)),
        frame => panic!("{frame:?}"),
    }
    // The client responds to the Close, the upstream does not.
    client.expect_close(1001).await;
    frames.expect(Frame::Data { stream, bytes: vec![], ends: true }).await;
    frames.expect(Frame::Reset { stream, reason: CANCEL }).await;
}
