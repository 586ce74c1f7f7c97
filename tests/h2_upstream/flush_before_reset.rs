//! What the upstream still gets of a tunnel that is cut.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::body::Body;
use hyper::server::conn::http1;
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use tokio::io::{AsyncRead, DuplexStream, ReadBuf, duplex, join, split};
use tower::ServiceExt;
use tower_upgrade_proxy::{UpgradeProxyLayer, Upstream};

use crate::{
    frames::{CANCEL, CONNECT_PROTOCOL, Frame, Frames},
    proxy::{Proxy, agreed},
    support::{SWITCHING, Scripted, Wire, close_code, handshake},
};

/// A reader whose end is an error, like that of TLS without `close_notify`.
struct Cut<R>(R);

impl<R: AsyncRead + Unpin> AsyncRead for Cut<R> {
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

/// A client that has asked for a tunnel, on a connection that ends with an error.
async fn asking(upstream: Upstream) -> Wire<DuplexStream> {
    let (client, server) = duplex(1 << 16);
    let (read, write) = split(server);
    let service = UpgradeProxyLayer::new(upstream)
        .into_service()
        .map_request(|request: http::Request<hyper::body::Incoming>| request)
        .map_response(|response| response.map(Body::new));
    tokio::spawn(async move {
        let io = TokioIo::new(join(Cut(read), write));
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
    let upstream = Scripted::start().await;
    let mut client = asking(upstream.upstream()).await;
    let mut server = upstream.accept().await;
    server.head().await;
    server.send(SWITCHING).await;
    assert_eq!(client.head().await.status(), 101);
    client.send("last words").await;
    drop(client);
    assert_eq!(server.rest().await, b"last words");

    let mut client = asking(upstream.upstream().http2()).await;
    let mut frames = Frames::accept(&upstream, &[CONNECT_PROTOCOL]).await;
    let stream = frames.asked().await;
    frames.agree(stream).await;
    assert_eq!(client.head().await.status(), 101);
    client.send("last words").await;
    drop(client);
    frames.expect_data(stream, "last words").await;
    frames.expect(Frame::Reset { stream, reason: CANCEL }).await;
}

#[tokio::test]
async fn a_tunnel_at_its_lifetime_limit_ends_before_it_is_reset() {
    let upstream = Scripted::start().await;
    let layer = UpgradeProxyLayer::new(upstream.upstream().http2());
    let proxy =
        Proxy::start(layer.max_lifetime(Duration::from_millis(50)).close_timeout(Duration::from_millis(50)))
            .await;
    let client = proxy.asking().await;
    let mut frames = Frames::accept(&upstream, &[CONNECT_PROTOCOL]).await;
    let stream = frames.asked().await;
    let mut client = agreed(client, &mut frames, stream).await;
    match frames.next().await {
        Frame::Data { bytes, ends: false, .. } => assert_eq!(close_code(&bytes), Some(1001)),
        frame => panic!("{frame:?}"),
    }
    // The upstream does not answer; the client does.
    client.expect_close(1001).await;
    frames.expect(Frame::Data { stream, bytes: vec![], ends: true }).await;
    frames.expect(Frame::Reset { stream, reason: CANCEL }).await;
}
