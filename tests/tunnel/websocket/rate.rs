//! Rate limits.

use std::{num::NonZeroU64, time::Duration};

use test_support::websocket::frame::{BINARY, TEXT};
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tower_upgrade_proxy::{
    CloseCode, CloseFrame, KeepAlive, RateLimit, Side, Tunnel, TunnelConfig, TunnelEnd,
};

use super::{
    Pair,
    clock::{advance, frozen, settle},
    config, from, seconds,
};

/// Larger than the warm-up that makes a direction bulk.
const BURST: u64 = 256 * 1024;

const RATE: u64 = 1 << 20;

const STEP: Duration = Duration::from_millis(100);

fn limited(side: Side) -> TunnelConfig {
    let rate = NonZeroU64::new(RATE).unwrap();
    config().rate_limit(side, RateLimit::bytes_per_second(rate).burst(BURST))
}

/// Moves as many bytes as the limit allows now. Returns their number.
async fn push(pair: &mut Pair, remaining: &mut &[u8]) -> usize {
    let mut moved = 0;
    loop {
        let taken = pair.near.flood(remaining).await;
        *remaining = &remaining[taken..];
        let received = pair.far.drain().await;
        assert!(received.iter().all(|byte| *byte == 9));
        moved += received.len();
        if received.is_empty() {
            return moved;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn bytes_move_at_the_rate_after_the_burst() {
    for side in [Side::Client, Side::Upstream] {
        from(side, limited(side), async |mut pair| {
            advance(seconds(100)).await;
            let frame = pair.near.frame(BINARY, &[9; 5_000_000]);
            let header = frame.len() - 5_000_000;
            pair.near.send(&frame[..header]).await;
            pair.far.bytes(header).await;
            let mut remaining = if side == Side::Client { &[9; 5_000_000][..] } else { &frame[header..] };
            let mut moved = push(&mut pair, &mut remaining).await as u64 + header as u64;
            assert!(moved <= BURST && moved > BURST - RATE / 50, "{moved} at once");
            let polls = pair.polls();
            settle().await;
            assert_eq!(pair.polls(), polls, "a waiting tunnel is polled");
            let mut polls = pair.polls();
            for step in 1..=30 {
                advance(STEP).await;
                let now = push(&mut pair, &mut remaining).await as u64;
                // A socket may report free room with a delay.
                let is_even = (RATE / 10 - RATE / 50..=RATE / 10 + RATE / 50).contains(&now);
                assert!(is_even || pair.bulk, "{now} in a step");
                moved += now;
                assert!(moved <= BURST + RATE * step / 10, "{moved} at {step}");
                assert!(pair.polls() - polls < 300, "{} polls", pair.polls() - polls);
                polls = pair.polls();
            }
            assert!(moved > RATE * 3, "{moved}");
            // The other direction is not limited.
            let message = pair.far.frame(BINARY, &[4; 2_000_000]);
            let Pair { near, far, .. } = &mut pair;
            let ((), received) = tokio::join!(far.send(&message), near.next());
            assert_eq!(received.unwrap().payload.len(), 2_000_000);
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_sender_below_the_rate_is_not_delayed() {
    for side in [Side::Client, Side::Upstream] {
        from(side, limited(side), async |mut pair| {
            advance(seconds(1)).await;
            for _ in 0..100 {
                let message = pair.near.frame(TEXT, &[9; 50_000]);
                let Pair { near, far, .. } = &mut pair;
                tokio::join!(near.send(&message), far.expect(TEXT, &[9; 50_000]));
                advance(STEP).await;
            }
        })
        .await;
    }
}

/// A limit of one byte per second.
fn trickle() -> RateLimit {
    RateLimit::bytes_per_second(NonZeroU64::MIN).burst(1)
}

#[tokio::test(start_paused = true)]
async fn a_rate_limited_tunnel_is_drained_until_the_other_side_ends() {
    let (mut client, client_end) = duplex(100);
    let (mut upstream, upstream_end) = duplex(100);
    let config = config().rate_limit(Side::Client, trickle());
    let mut tunnel = Tunnel::new(client_end, upstream_end, config);
    let handle = tunnel.handle();
    let tunnel = tokio::spawn(tunnel);
    client.write_all(b"abc").await.unwrap();
    assert_eq!(frozen(upstream.read_u8()).await.unwrap(), b'a');
    handle.end(CloseFrame::new(CloseCode::GOING_AWAY), seconds(30));
    let mut rest = Vec::new();
    frozen(upstream.read_to_end(&mut rest)).await.unwrap();
    assert_eq!(rest, b"");
    advance(seconds(10)).await;
    assert!(!tunnel.is_finished());
    drop(upstream);
    let summary = frozen(tunnel).await.unwrap();
    assert!(matches!(summary.end(), TunnelEnd::Drained), "{summary:?}");
}

#[tokio::test(start_paused = true)]
async fn a_rate_limited_tunnel_with_a_blocked_ping_ends_at_the_keep_alive_timeout() {
    // The writer has room for less than the Ping.
    let (client, client_end) = duplex(5);
    let (mut upstream, upstream_end) = duplex(100);
    let keep_alive = KeepAlive::new().client(Duration::from_millis(500)).timeout(seconds(5));
    let limit = RateLimit::bytes_per_second(NonZeroU64::MIN).burst(4);
    let config = config().rate_limit(Side::Upstream, limit).keep_alive(keep_alive);
    let tunnel = tokio::spawn(Tunnel::new(client_end, upstream_end, config).websocket());
    upstream.write_all(b"\x81\x02hi\x81\x02ho").await.unwrap();
    advance(Duration::from_millis(500)).await;
    advance(seconds(3)).await;
    assert!(!tunnel.is_finished());
    advance(seconds(2)).await;
    drop((client, upstream));
    let summary = frozen(tunnel).await.unwrap();
    assert!(matches!(summary.end(), TunnelEnd::KeepAliveTimeout { side: Side::Client }), "{summary:?}");
}
