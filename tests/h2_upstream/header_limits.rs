//! How large the head of an answer may be.

use tower_upgrade_proxy::{Http2, UpgradeProxyLayer};

use crate::{
    frames::{CONNECT_PROTOCOL, Frame, Frames, OK, long_field},
    proxy::{Proxy, expect_open},
    support::{Scripted, Wire},
};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

/// What a head of HTTP/2 takes beside the field `x`: `:status`, and what both fields are counted with.
const BESIDE: usize = ":status200x".len() + 2 * 32;

async fn start(http2: Http2) -> (Scripted, Proxy) {
    let upstream = Scripted::start().await;
    let proxy = Proxy::start(UpgradeProxyLayer::new(upstream.upstream().http2()).http2(http2)).await;
    (upstream, proxy)
}

/// A 200 that is as large as this.
fn head_of(size: usize) -> Vec<u8> {
    [OK, &long_field(size - BESIDE)].concat()
}

/// The limit itself is one too many for h2.
async fn expect_limit(http2: Http2, limit: usize) {
    let (upstream, mut proxy) = start(http2).await;
    let asking = proxy.asking().await;
    let mut connection = Frames::accept(&upstream, &[CONNECT_PROTOCOL]).await;
    let stream = connection.asked().await;
    let mut client = crate::proxy::agreed(asking, &mut connection, stream).await;

    for (size, upgrade, ordinary) in [(limit - 1, 101, 200), (limit, 502, 502), (limit / 4 * 5, 502, 502)] {
        for (asks, status) in [(true, upgrade), (false, ordinary)] {
            let mut other = Wire::connect(proxy.address).await;
            other.send(if asks { crate::support::handshake("/") } else { GET.to_owned() }).await;
            let Frame::Headers { stream: of, .. } = connection.next().await else { panic!("no request") };
            connection.long_headers(of, &head_of(size)).await;
            let head = other.head().await;
            assert_eq!(head.status(), status, "{size}");
            if status == 502 {
                assert!(proxy.error().await.is_upstream_protocol());
                let frame = connection.next().await;
                assert!(matches!(frame, Frame::Reset { stream, .. } if stream == of), "{frame:?}");
            } else {
                assert_eq!(head.values("x")[0].len(), size - BESIDE);
                // It leaves before the answer has ended.
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

/// What ends the connection. A client that waits for an answer on it gets a 502.
async fn expect_end(start_with: &[u8], goes_on: &[u8], most: usize) {
    let (upstream, mut proxy) = start(Http2::new()).await;
    let mut client = proxy.asking().await;
    let mut connection = Frames::accept(&upstream, &[CONNECT_PROTOCOL]).await;
    let stream = connection.asked().await;
    let taken = connection.endless_headers(stream, start_with, goes_on).await;
    assert_eq!(client.head().await.status(), 502);
    assert!(proxy.error().await.is_upstream_protocol());
    assert!(taken < most, "{taken} bytes");
}

/// What lies in the sockets' buffers when nobody reads it any more.
const ON_ITS_WAY: usize = 8 << 20;

#[tokio::test]
async fn an_endless_head_ends_the_connection() {
    expect_end(OK, &long_field(1 << 13), ON_ITS_WAY).await;
}

/// A field that is sent once, and referred to in one byte each.
#[tokio::test]
async fn a_head_that_grows_when_decompressed_ends_the_connection() {
    let stored: Vec<u8> = [OK, b"\x40", &long_field(3000)[1..]].concat();
    expect_end(&stored, &[0xbe; 1 << 13], ON_ITS_WAY).await;
}
