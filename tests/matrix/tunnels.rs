//! Bytes both ways, and every way in which they end.

use std::time::Duration;

use tower_upgrade_proxy::TunnelEnd;

use crate::{
    Speaks::{self, Http1, Http2},
    ends::End,
    matrix,
    stage::{LOSE, Stage},
};

matrix!(
    bytes_as_they_are,
    client_finishes_first,
    upstream_finishes_first,
    client_resets,
    upstream_resets,
    client_leaves_before_the_answer,
);

mod scenarios {
    use h2::Reason;
    use tower_upgrade_proxy::{Side, TunnelEnd};

    use crate::{ends::Over, stage::Stage};

    pub(super) async fn bytes_as_they_are(stage: Stage) {
        let (mut client, mut upstream) = stage.open().await;
        // A masked frame, an unmasked one, and what is no frame at all.
        for bytes in [&b"\x81\x82\x01\x02\x03\x04ik"[..], b"\x81\x02hi", b"\x00\xff\r\n\r\n"] {
            client.send(bytes).await;
            assert_eq!(upstream.exactly(bytes.len()).await, bytes);
            upstream.send(bytes).await;
            assert_eq!(client.exactly(bytes.len()).await, bytes);
        }
    }

    pub(super) async fn client_finishes_first(mut stage: Stage) {
        let (mut client, mut upstream) = stage.open().await;
        client.send("last words").await;
        client.finish().await;
        assert_eq!(upstream.rest().await, (b"last words".to_vec(), Over::Finished));
        upstream.send("answer").await;
        upstream.finish().await;
        assert_eq!(client.rest().await, (b"answer".to_vec(), Over::Finished));
        let summary = stage.ended().await;
        assert!(matches!(summary.end(), TunnelEnd::Closed { first: Side::Client }), "{summary:?}");
        assert_eq!((summary.bytes(Side::Client), summary.bytes(Side::Upstream)), (10, 6));
    }

    pub(super) async fn upstream_finishes_first(mut stage: Stage) {
        let (mut client, mut upstream) = stage.open().await;
        upstream.send("last words").await;
        upstream.finish().await;
        assert_eq!(client.rest().await, (b"last words".to_vec(), Over::Finished));
        client.send("answer").await;
        client.finish().await;
        assert_eq!(upstream.rest().await, (b"answer".to_vec(), Over::Finished));
        let summary = stage.ended().await;
        assert!(matches!(summary.end(), TunnelEnd::Closed { first: Side::Upstream }), "{summary:?}");
    }

    pub(super) async fn client_resets(mut stage: Stage) {
        let (mut client, mut upstream) = stage.open().await;
        client.send("half a mess").await;
        upstream.expect("half a mess").await;
        // hyper takes CANCEL for an end.
        client.reset(Reason::INTERNAL_ERROR);
        upstream.expect_reset(stage.client_speaks).await;
        let summary = stage.ended().await;
        assert!(matches!(summary.end(), TunnelEnd::Failed { side: Side::Client, .. }), "{summary:?}");
    }

    pub(super) async fn upstream_resets(mut stage: Stage) {
        let (mut client, mut upstream) = stage.open().await;
        upstream.send("half a mess").await;
        client.expect("half a mess").await;
        upstream.reset(Reason::CANCEL);
        client.expect_reset(stage.upstream.speaks).await;
        let summary = stage.ended().await;
        assert!(matches!(summary.end(), TunnelEnd::Failed { side: Side::Upstream, .. }), "{summary:?}");
    }

    pub(super) async fn client_leaves_before_the_answer(stage: Stage) {
        let client = stage.client.clone();
        let asking = tokio::spawn(async move { client.ask("/", &[]).await.status });
        let asked = stage.upstream.asked().await;
        asking.abort();
        asked.expect_abandoned().await;
    }
}

const PAIRS: [(Speaks, Speaks); 4] = [(Http1, Http1), (Http1, Http2), (Http2, Http1), (Http2, Http2)];

const SHORT: Duration = Duration::from_millis(50);

#[tokio::test]
async fn a_silent_tunnel_ends_on_both_sides() {
    for (client, upstream) in PAIRS {
        let mut stage = Stage::set_with(client, upstream, |layer| layer.idle_timeout(SHORT)).await;
        let (mut client_end, mut upstream_end) = stage.open().await;
        for end in [&mut client_end, &mut upstream_end] {
            end.expect_close(1001).await;
        }
        let summary = stage.ended().await;
        assert!(matches!(summary.end(), TunnelEnd::IdleTimeout), "{client:?} {upstream:?} {summary:?}");
    }
}

#[tokio::test]
async fn a_half_closed_tunnel_ends_on_both_sides() {
    for (client, upstream) in PAIRS {
        let mut stage = Stage::set_with(client, upstream, |layer| layer.half_close_timeout(SHORT)).await;
        let (mut client_end, mut upstream_end) = stage.open().await;
        client_end.finish().await;
        assert!(client_end.rest().await.0.is_empty() && upstream_end.rest().await.0.is_empty());
        let summary = stage.ended().await;
        assert!(matches!(summary.end(), TunnelEnd::HalfCloseTimeout), "{client:?} {upstream:?} {summary:?}");
    }
}

#[tokio::test]
async fn an_old_tunnel_ends_on_both_sides_however_busy() {
    for (client, upstream) in PAIRS {
        let mut stage =
            Stage::set_with(client, upstream, |layer| layer.max_lifetime(SHORT).close_timeout(SHORT)).await;
        let (client_end, mut upstream_end) = stage.open().await;
        let End { mut sending, mut receiving } = client_end;
        let busy = tokio::spawn(async move { while sending.try_offer(b"x").await.is_ok() {} });
        while upstream_end.receiving.some().await.is_ok() {}
        while receiving.some().await.is_ok() {}
        let summary = stage.ended().await;
        assert!(matches!(summary.end(), TunnelEnd::LifetimeReached), "{client:?} {upstream:?} {summary:?}");
        busy.abort();
    }
}

#[tokio::test]
async fn an_agreement_that_never_reaches_the_client_releases_the_upstream() {
    for (client, upstream) in PAIRS {
        let mut stage = Stage::set_with(client, upstream, |layer| layer.upgrade_timeout(SHORT)).await;
        let (answer, mut upstream_end) = tokio::join!(stage.client.ask("/", &[]), async {
            stage.upstream.asked().await.agree(&[(LOSE, "1")], "").await
        });
        assert_eq!(answer.status, 418);
        assert!(upstream_end.rest().await.0.is_empty());
        let summary = stage.ended().await;
        let end = summary.end();
        assert!(matches!(end, TunnelEnd::UpgradeTimeout | TunnelEnd::UpgradeFailed), "{summary:?}");
    }
}
