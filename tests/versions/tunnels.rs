//! Data in both directions, and every way in which tunnels end.

use std::time::Duration;

use test_support::{
    proxy::sending_closes,
    versions::{End, Version},
};
use tower_upgrade_proxy::TunnelEnd;

use crate::{
    each_pair,
    setup::{DISCARD, Setup},
};

each_pair!(
    bytes_are_unchanged,
    client_finishes_first,
    upstream_finishes_first,
    client_resets,
    upstream_resets,
    client_disconnects_before_the_response,
);

mod scenarios {
    use h2::Reason;
    use test_support::versions::StreamEnd;
    use tower_upgrade_proxy::{Side, TunnelEnd};

    use crate::setup::Setup;

    pub(super) async fn bytes_are_unchanged(setup: Setup) {
        let (mut client, mut upstream) = setup.open().await;
        // A masked frame, an unmasked frame, and bytes that are not a frame.
        for bytes in [&b"\x81\x82\x01\x02\x03\x04ik"[..], b"\x81\x02hi", b"\x00\xff\r\n\r\n"] {
            client.send(bytes).await;
            assert_eq!(upstream.exactly(bytes.len()).await, bytes);
            upstream.send(bytes).await;
            assert_eq!(client.exactly(bytes.len()).await, bytes);
        }
    }

    pub(super) async fn client_finishes_first(mut setup: Setup) {
        let (mut client, mut upstream) = setup.open().await;
        client.send("last words").await;
        client.finish().await;
        assert_eq!(upstream.rest().await, (b"last words".to_vec(), StreamEnd::Finished));
        upstream.send("response").await;
        upstream.finish().await;
        assert_eq!(client.rest().await, (b"response".to_vec(), StreamEnd::Finished));
        let summary = setup.ended().await;
        assert!(matches!(summary.end(), TunnelEnd::Closed { first: Side::Client }), "{summary:?}");
        assert_eq!((summary.bytes(Side::Client), summary.bytes(Side::Upstream)), (10, 8));
    }

    pub(super) async fn upstream_finishes_first(mut setup: Setup) {
        let (mut client, mut upstream) = setup.open().await;
        upstream.send("last words").await;
        upstream.finish().await;
        assert_eq!(client.rest().await, (b"last words".to_vec(), StreamEnd::Finished));
        client.send("response").await;
        client.finish().await;
        assert_eq!(upstream.rest().await, (b"response".to_vec(), StreamEnd::Finished));
        let summary = setup.ended().await;
        assert!(matches!(summary.end(), TunnelEnd::Closed { first: Side::Upstream }), "{summary:?}");
    }

    pub(super) async fn client_resets(mut setup: Setup) {
        let (mut client, mut upstream) = setup.open().await;
        client.send("half a mess").await;
        upstream.expect("half a mess").await;
        // hyper reports CANCEL as the end of the stream.
        client.reset(Reason::INTERNAL_ERROR);
        upstream.expect_reset(setup.client_version).await;
        let summary = setup.ended().await;
        assert!(matches!(summary.end(), TunnelEnd::Failed { side: Side::Client, .. }), "{summary:?}");
    }

    pub(super) async fn upstream_resets(mut setup: Setup) {
        let (mut client, mut upstream) = setup.open().await;
        upstream.send("half a mess").await;
        client.expect("half a mess").await;
        upstream.reset(Reason::CANCEL);
        client.expect_reset(setup.upstream.version).await;
        let summary = setup.ended().await;
        assert!(matches!(summary.end(), TunnelEnd::Failed { side: Side::Upstream, .. }), "{summary:?}");
    }

    pub(super) async fn client_disconnects_before_the_response(setup: Setup) {
        let client = setup.client.clone();
        let request = tokio::spawn(async move { client.request("/", &[]).await.status });
        let pending = setup.upstream.next().await;
        request.abort();
        pending.expect_cancelled().await;
    }
}

const SHORT: Duration = Duration::from_millis(50);

#[tokio::test]
async fn idle_timeout_closes_both_sides() {
    for (client, upstream) in Version::PAIRS {
        let mut setup =
            Setup::start_with(client, upstream, |layer| sending_closes(layer).idle_timeout(SHORT)).await;
        let (mut client_end, mut upstream_end) = setup.open().await;
        for end in [&mut client_end, &mut upstream_end] {
            end.expect_close(1001).await;
        }
        let summary = setup.ended().await;
        assert!(matches!(summary.end(), TunnelEnd::IdleTimeout), "{client:?} {upstream:?} {summary:?}");
    }
}

#[tokio::test]
async fn half_close_timeout_closes_both_sides() {
    for (client, upstream) in Version::PAIRS {
        let mut setup =
            Setup::start_with(client, upstream, |layer| sending_closes(layer).half_close_timeout(SHORT))
                .await;
        let (mut client_end, mut upstream_end) = setup.open().await;
        client_end.finish().await;
        assert!(client_end.rest().await.0.is_empty() && upstream_end.rest().await.0.is_empty());
        let summary = setup.ended().await;
        assert!(matches!(summary.end(), TunnelEnd::HalfCloseTimeout), "{client:?} {upstream:?} {summary:?}");
    }
}

#[tokio::test]
async fn max_lifetime_closes_both_sides_of_a_busy_tunnel() {
    for (client, upstream) in Version::PAIRS {
        let mut setup =
            Setup::start_with(client, upstream, |layer| layer.max_lifetime(SHORT).close_timeout(SHORT)).await;
        let (client_end, mut upstream_end) = setup.open().await;
        let End { mut sending, mut receiving } = client_end;
        let busy = tokio::spawn(async move { while sending.try_send(b"x").await.is_ok() {} });
        while upstream_end.receiving.chunk().await.is_ok() {}
        while receiving.chunk().await.is_ok() {}
        let summary = setup.ended().await;
        assert!(matches!(summary.end(), TunnelEnd::LifetimeReached), "{client:?} {upstream:?} {summary:?}");
        busy.abort();
    }
}

#[tokio::test]
async fn upgrade_timeout_releases_the_upstream() {
    for (client, upstream) in Version::PAIRS {
        let mut setup = Setup::start_with(client, upstream, |layer| layer.upgrade_timeout(SHORT)).await;
        let (response, mut upstream_end) = tokio::join!(setup.client.request("/", &[]), async {
            setup.upstream.next().await.accept(&[(DISCARD, "1")], "").await
        });
        assert_eq!(response.status, 418);
        assert!(upstream_end.rest().await.0.is_empty());
        let summary = setup.ended().await;
        let end = summary.end();
        assert!(matches!(end, TunnelEnd::UpgradeTimeout | TunnelEnd::UpgradeFailed), "{summary:?}");
    }
}
