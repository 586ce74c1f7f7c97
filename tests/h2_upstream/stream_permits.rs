//! As many streams as the upstream allows, then the next connection.

use std::time::Duration;

use tokio::sync::mpsc::unbounded_channel;
use tower_upgrade_proxy::{Http2, UpgradeProxyLayer};

use crate::{
    frames::{CANCEL, CONNECT_PROTOCOL, Frame, Frames, streams},
    proxy::{Proxy, agreed, expect_open},
    support::{Scripted, Wire},
};

async fn proxy_for(upstream: &Scripted) -> Proxy {
    Proxy::start(UpgradeProxyLayer::new(upstream.upstream().http2())).await
}

/// At most one connection, which allows one stream.
async fn single(upstream: &Scripted, change: impl FnOnce(UpgradeProxyLayer) -> UpgradeProxyLayer) -> Proxy {
    let layer = UpgradeProxyLayer::new(upstream.upstream().http2()).http2(Http2::new().max_connections(1));
    Proxy::start(change(layer)).await
}

const SINGLE: [(u16, u32); 2] = [CONNECT_PROTOCOL, streams(1)];

#[tokio::test]
async fn a_second_connection_is_opened_when_the_first_is_full_and_free_streams_are_reused() {
    let upstream = Scripted::start().await;
    let mut proxy = proxy_for(&upstream).await;
    let settings = [CONNECT_PROTOCOL, streams(2)];
    let opening = proxy.asking().await;
    let mut one = Frames::accept(&upstream, &settings).await;
    let stream = one.asked().await;
    let mut a = (agreed(opening, &mut one, stream).await, stream);
    let mut b = proxy.open(&mut one).await;
    upstream.expect_untouched().await;

    let opening = proxy.asking().await;
    let mut two = Frames::accept(&upstream, &settings).await;
    let stream = two.asked().await;
    let mut c = (agreed(opening, &mut two, stream).await, stream);
    expect_open(&mut a.0, &mut one, a.1).await;
    expect_open(&mut b.0, &mut one, b.1).await;
    expect_open(&mut c.0, &mut two, c.1).await;

    a.0.reset();
    one.expect(Frame::Reset { stream: a.1, reason: CANCEL }).await;
    proxy.ended().await;
    let mut d = proxy.open(&mut one).await;
    expect_open(&mut d.0, &mut one, d.1).await;
    expect_open(&mut b.0, &mut one, b.1).await;
    let mut e = proxy.open(&mut two).await;
    expect_open(&mut e.0, &mut two, e.1).await;
    upstream.expect_untouched().await;
}

#[tokio::test]
async fn concurrent_upgrades_open_no_more_connections_than_needed() {
    let upstream = Scripted::start().await;
    let proxy = proxy_for(&upstream).await;
    let mut clients = Vec::new();
    for _ in 0..5 {
        clients.push(proxy.asking().await);
    }
    let mut connections = Vec::new();
    for asked in [2, 2, 1] {
        let mut connection = Frames::accept(&upstream, &[CONNECT_PROTOCOL, streams(2)]).await;
        for _ in 0..asked {
            let stream = connection.asked().await;
            connection.agree(stream).await;
        }
        connections.push(connection);
    }
    for client in &mut clients {
        assert_eq!(client.head().await.status(), 101);
    }
    upstream.expect_untouched().await;
}

#[tokio::test]
async fn a_changed_stream_limit_is_followed() {
    let upstream = Scripted::start().await;
    let proxy = proxy_for(&upstream).await;
    let opening = proxy.asking().await;
    let mut one = Frames::accept(&upstream, &SINGLE).await;
    let stream = one.asked().await;
    let _a = agreed(opening, &mut one, stream).await;
    one.settings(&[streams(3)]).await;
    let _b = proxy.open(&mut one).await;
    one.settings(&[streams(2)]).await;

    let opening = proxy.asking().await;
    let mut two = Frames::accept(&upstream, &SINGLE).await;
    let stream = two.asked().await;
    let mut c = agreed(opening, &mut two, stream).await;
    expect_open(&mut c, &mut two, stream).await;
}

#[tokio::test]
async fn a_client_that_disconnects_before_the_response_releases_its_stream() {
    let upstream = Scripted::start().await;
    let proxy = single(&upstream, |layer| layer).await;
    let opening = proxy.asking().await;
    let mut one = Frames::accept(&upstream, &SINGLE).await;
    let stream = one.asked().await;
    drop(opening);
    one.expect(Frame::Reset { stream, reason: CANCEL }).await;
    let (mut client, stream) = proxy.open(&mut one).await;
    expect_open(&mut client, &mut one, stream).await;
}

#[tokio::test]
async fn no_free_stream_within_the_connect_timeout_is_a_503() {
    let upstream = Scripted::start().await;
    let mut proxy = single(&upstream, |layer| layer.connect_timeout(Duration::from_secs(1))).await;
    let opening = proxy.asking().await;
    let mut one = Frames::accept(&upstream, &SINGLE).await;
    let stream = one.asked().await;
    let mut first = agreed(opening, &mut one, stream).await;

    let mut second = proxy.asking().await;
    let head = second.head().await;
    assert_eq!((head.status(), head.values("retry-after")), (503, vec!["5".to_owned()]));
    let error = proxy.error().await;
    assert!(error.is_no_stream_free() && !error.is_timeout(), "{error}");
    assert!(error.to_string().contains(&upstream.uri()), "{error}");
    expect_open(&mut first, &mut one, stream).await;
    upstream.expect_untouched().await;
}

/// A tunnel that has the only place, and clients that wait for one.
async fn full(upstream: &Scripted, waiting: usize) -> (Proxy, Frames, (Wire, u32), Vec<Wire>) {
    let (sender, mut rewritten) = unbounded_channel();
    let proxy = single(upstream, |layer| layer.on_request(move |_, _| sender.send(()).unwrap())).await;
    let opening = proxy.asking().await;
    let mut connection = Frames::accept(upstream, &SINGLE).await;
    let stream = connection.asked().await;
    let first = agreed(opening, &mut connection, stream).await;
    rewritten.recv().await.unwrap();
    let mut clients = Vec::new();
    for _ in 0..waiting {
        clients.push(proxy.asking().await);
        // The next thing it does is to wait.
        rewritten.recv().await.unwrap();
    }
    (proxy, connection, (first, stream), clients)
}

#[tokio::test]
async fn a_waiting_upgrade_gets_the_stream_of_a_tunnel_that_ends() {
    let upstream = Scripted::start().await;
    let (_proxy, mut one, (first, stream), waiting) = full(&upstream, 3).await;
    first.reset();
    one.expect(Frame::Reset { stream, reason: CANCEL }).await;
    for client in waiting {
        let stream = one.asked().await;
        let mut client = agreed(client, &mut one, stream).await;
        expect_open(&mut client, &mut one, stream).await;
        client.reset();
        one.expect(Frame::Reset { stream, reason: CANCEL }).await;
    }
    upstream.expect_untouched().await;
}

#[tokio::test]
async fn a_waiting_upgrade_proceeds_when_the_stream_limit_is_raised() {
    let upstream = Scripted::start().await;
    let (_proxy, mut one, _first, mut waiting) = full(&upstream, 1).await;
    one.settings(&[streams(2)]).await;
    let stream = one.asked().await;
    let mut client = agreed(waiting.remove(0), &mut one, stream).await;
    expect_open(&mut client, &mut one, stream).await;
}

#[tokio::test]
async fn a_waiting_upgrade_gets_a_new_connection_after_goaway() {
    let upstream = Scripted::start().await;
    let (_proxy, mut one, (mut client, stream), mut waiting) = full(&upstream, 1).await;
    one.leave(stream).await;
    one.settle().await;
    let mut two = Frames::accept(&upstream, &SINGLE).await;
    let again = two.asked().await;
    let mut second = agreed(waiting.remove(0), &mut two, again).await;
    expect_open(&mut second, &mut two, again).await;
    expect_open(&mut client, &mut one, stream).await;
}
