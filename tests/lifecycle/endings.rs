//! Ends with a Close, as WebSocket libraries receive it, in each pair of versions of HTTP.

use std::{num::NonZeroU64, time::Duration};

use test_support::{
    EchoUpstream, bounded,
    proxy::Reports,
    websocket::{ABNORMAL, Client, CloseReceived},
};
use tokio_tungstenite::tungstenite::Message;
use tower_upgrade_proxy::{
    CloseCode, CloseFrame, ClosePolicy, KeepAlive, RateLimit, Side, Told, TunnelConfig, TunnelEnd,
    TunnelSummary, UpgradeProxyLayer,
};

use crate::app;

const SHORT: Duration = Duration::from_secs(1);

/// A tunnel through the layer, in one pair of versions.
struct Pair {
    client: Client,
    upstream: EchoUpstream,
    reports: Reports,
}

impl Pair {
    /// Runs `scenario` in each pair.
    async fn each(config: TunnelConfig, scenario: impl AsyncFn(Self)) {
        for (http2_client, http2_upstream) in [(false, false), (false, true), (true, false), (true, true)] {
            let upstream = EchoUpstream::start().await;
            let target = if http2_upstream { upstream.upstream().http2() } else { upstream.upstream() };
            let (layer, reports) = Reports::of(UpgradeProxyLayer::new(target).tunnel(config.clone()));
            let address = app(layer).await;
            let client = match http2_client {
                true => Client::http2(address, "/").await,
                false => Client::http1(address, "/").await,
            };
            let mut pair = Self { client, upstream, reports };
            pair.client.echo("before").await;
            scenario(pair).await;
        }
    }

    /// Disconnects the client, and waits for the summary.
    async fn ended(mut self) -> TunnelSummary {
        drop(self.client);
        self.reports.ended().await
    }
}

fn close(code: u16, reason: &str) -> CloseReceived {
    (code, reason.to_owned())
}

#[tokio::test]
async fn the_sides_of_an_idle_or_old_tunnel_get_what_the_policy_says() {
    for (config, reason) in [
        (TunnelConfig::new().idle_timeout(SHORT), "idle timeout"),
        (TunnelConfig::new().max_lifetime(SHORT), "maximum lifetime reached"),
    ] {
        Pair::each(config.clone(), async |mut pair| {
            assert_eq!(pair.client.closed().await, close(ABNORMAL, ""));
            assert_eq!(pair.upstream.closed().await, close(1001, reason));
            let summary = pair.ended().await;
            let told = [Side::Client, Side::Upstream].map(|side| summary.told(side));
            assert_eq!(told, [Some(Told::EndOfStream), Some(Told::Close(1001))], "{summary:?}");
        })
        .await;
        Pair::each(config.close_policy(ClosePolicy::going_away()), async |mut pair| {
            assert_eq!(pair.client.closed().await, close(1001, reason));
            assert_eq!(pair.upstream.closed().await, close(1001, reason));
            let summary = pair.ended().await;
            let codes = [Side::Client, Side::Upstream].map(|side| summary.close_code(side));
            assert_eq!(codes, [Some(1001); 2], "both have answered: {summary:?}");
            assert_eq!((summary.messages(Side::Client), summary.messages(Side::Upstream)), (1, 1));
        })
        .await;
    }
}

#[tokio::test]
async fn the_sender_gets_1009_for_a_message_above_the_limit_and_the_upstream_1001() {
    let config = TunnelConfig::new().max_message_size(1000);
    Pair::each(config, async |mut pair| {
        pair.client.echo(&"x".repeat(1000)).await;
        pair.client.send(&"x".repeat(1001)).await;
        assert_eq!(pair.client.closed().await, close(1009, "message too big"));
        assert_eq!(pair.upstream.closed().await, close(1001, "the client has gone"));
        let summary = pair.ended().await;
        assert!(matches!(summary.end(), TunnelEnd::TooBig { side: Side::Client }), "{summary:?}");
        assert_eq!(summary.messages(Side::Upstream), 2);
    })
    .await;
}

#[tokio::test]
async fn the_client_of_a_lost_upstream_gets_the_configured_close() {
    let custom = ClosePolicy::from_fn(|_, to| {
        let sorry = CloseFrame::new(CloseCode::SERVICE_RESTART).with_reason("sorry");
        (to == Side::Client).then_some(sorry)
    });
    for (policy, expected) in [
        (ClosePolicy::default(), close(ABNORMAL, "")),
        (ClosePolicy::service_restart(), close(ABNORMAL, "")),
        (ClosePolicy::going_away(), close(1011, "the upstream has gone")),
        (custom, close(1012, "sorry")),
    ] {
        Pair::each(TunnelConfig::new().close_policy(policy), async |mut pair| {
            pair.client.send("leave without a Close").await;
            assert_eq!(pair.client.closed().await, expected);
        })
        .await;
    }
}

#[tokio::test]
async fn a_rate_limit_delays_bytes_and_loses_none() {
    let limit = RateLimit::bytes_per_second(NonZeroU64::new(400_000).unwrap()).burst(20_000);
    let config = TunnelConfig::new().rate_limit(Side::Client, limit).rate_limit(Side::Upstream, limit);
    Pair::each(config, async |mut pair| {
        let start = std::time::Instant::now();
        pair.client.echo(&"x".repeat(100_000)).await;
        // 80,000 bytes beyond the burst.
        assert!(start.elapsed() >= Duration::from_millis(190), "{:?}", start.elapsed());
        pair.client.close().await;
        pair.client.closed().await;
        let summary = pair.ended().await;
        assert!(matches!(summary.end(), TunnelEnd::Closed { first: Side::Client }), "{summary:?}");
    })
    .await;
}

#[tokio::test]
async fn libraries_answer_the_proxys_pings_and_the_tunnel_stays_open() {
    // Long enough for a busy machine.
    const IDLE: Duration = Duration::from_secs(2);
    let keep_alive = KeepAlive::new().client(SHORT / 10).upstream(SHORT / 10).timeout(IDLE);
    let config = TunnelConfig::new().keep_alive(keep_alive).idle_timeout(IDLE);
    Pair::each(config, async |mut pair| {
        // The library answers pings while it waits for a message, and returns them.
        let start = std::time::Instant::now();
        while start.elapsed() < IDLE * 5 / 4 {
            let next = bounded("a ping", pair.client.next()).await;
            assert!(matches!(next, Some(Message::Ping(_))), "{next:?}");
        }
        pair.client.send("after").await;
        loop {
            match bounded("the echo", pair.client.next()).await {
                Some(Message::Ping(_)) => {}
                Some(Message::Text(text)) => break assert_eq!(text.as_str(), "after"),
                other => panic!("{other:?}"),
            }
        }
        pair.client.close().await;
        pair.client.closed().await;
        let summary = pair.ended().await;
        assert!(matches!(summary.end(), TunnelEnd::Closed { first: Side::Client }), "{summary:?}");
        assert_eq!(summary.messages(Side::Client), 2);
    })
    .await;
}
