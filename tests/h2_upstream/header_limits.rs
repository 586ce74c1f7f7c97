//! Limits on the size of a response head.

use test_support::{
    ScriptedUpstream, TestProxy, handshake,
    http2::{
        Frame, FrameConnection,
        frame::{CONNECT_PROTOCOL, OK, long_field},
    },
    proxy::{Inner, accept_tunnel, expect_open},
};
use tower_upgrade_proxy::{Http2, UpgradeProxyLayer};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

/// The size of a head without the value of `x`: `:status`, the names, and the overhead of both fields.
const OVERHEAD: usize = ":status200x".len() + 2 * 32;

async fn start(http2: Http2) -> (ScriptedUpstream, TestProxy) {
    let upstream = ScriptedUpstream::start().await;
    let proxy =
        TestProxy::start(Inner::Forward, UpgradeProxyLayer::new(upstream.upstream().http2()).http2(http2))
            .await;
    (upstream, proxy)
}

/// The header block of a 200 of this size.
fn head_of(size: usize) -> Vec<u8> {
    [OK, &long_field(size - OVERHEAD)].concat()
}

/// Requires that heads below `limit` are accepted. A head of exactly that size exceeds h2's limit.
async fn expect_limit(http2: Http2, limit: usize) {
    let (upstream, mut proxy) = start(http2).await;
    let requesting = proxy.connect_with_handshake().await;
    let mut connection = FrameConnection::accept(&upstream, &[CONNECT_PROTOCOL]).await;
    let stream = connection.next_request().await;
    let mut client = accept_tunnel(requesting, &mut connection, stream).await;

    for (size, upgrade, ordinary) in [(limit - 1, 101, 200), (limit, 502, 502), (limit / 4 * 5, 502, 502)] {
        for (is_upgrade, status) in [(true, upgrade), (false, ordinary)] {
            let mut other = proxy.connect().await;
            other.send(if is_upgrade { handshake("/") } else { GET.to_owned() }).await;
            let Frame::Headers { stream: of, .. } = connection.next().await else { panic!("no request") };
            connection.long_headers(of, &head_of(size)).await;
            let head = other.head().await;
            assert_eq!(head.status(), status, "{size}");
            if status == 502 {
                assert!(proxy.error().await.is_upstream_protocol());
                let frame = connection.next().await;
                assert!(matches!(frame, Frame::Reset { stream, .. } if stream == of), "{frame:?}");
            } else {
                assert_eq!(head.values("x")[0].len(), size - OVERHEAD);
                // The client disconnects before the end of the response.
                other.reset();
                while !matches!(connection.next().await, Frame::Reset { stream, .. } if stream == of) {}
            }
        }
    }
    expect_open(&mut client, &mut connection, stream).await;
}

#[tokio::test]
async fn a_response_head_above_64_kib_is_a_502_and_other_streams_continue() {
    expect_limit(Http2::new(), 64 << 10).await;
}

#[tokio::test]
async fn the_limit_is_configurable() {
    expect_limit(Http2::new().max_header_list_size(5000), 5000).await;
}

/// Requires that an endless head ends the connection, and that its client gets a 502.
async fn expect_end(first: &[u8], continued: &[u8], limit: usize) {
    let (upstream, mut proxy) = start(Http2::new()).await;
    let mut client = proxy.connect_with_handshake().await;
    let mut connection = FrameConnection::accept(&upstream, &[CONNECT_PROTOCOL]).await;
    let stream = connection.next_request().await;
    let accepted = connection.endless_headers(stream, first, continued).await;
    assert_eq!(client.head().await.status(), 502);
    assert!(proxy.error().await.is_upstream_protocol());
    assert!(accepted < limit, "{accepted} bytes");
}

/// More than the sockets' buffers hold.
const SOCKET_BUFFERS: usize = 8 << 20;

#[tokio::test]
async fn an_endless_head_ends_the_connection() {
    expect_end(OK, &long_field(1 << 13), SOCKET_BUFFERS).await;
}

/// A field that is stored in the dynamic table, and then referred to by one byte each.
#[tokio::test]
async fn a_head_that_grows_when_decompressed_ends_the_connection() {
    let stored: Vec<u8> = [OK, b"\x40", &long_field(3000)[1..]].concat();
    expect_end(&stored, &[0xbe; 1 << 13], SOCKET_BUFFERS).await;
}
