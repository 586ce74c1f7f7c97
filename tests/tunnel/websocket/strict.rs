//! Invalid framing.

use std::io::Cursor;

use test_support::websocket::frame::{BINARY, CLOSE, TEXT, close_payload, frame};
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex, join, sink};
use tower_upgrade_proxy::{CloseCode, CloseFrame, ClosePolicy, Framing, KeepAlive, Side, Tunnel, TunnelEnd};

use super::{
    Pair,
    clock::{advance, frozen, settle},
    config, each_way, seconds,
};

/// Invalid unmasked frames and their errors. A payload length is at least 1000 bytes.
const INVALID_FRAMES: [(&[u8], &str); 9] = [
    (b"\x83\x00", "reserved opcode"),
    (b"\x8f\x00", "reserved opcode"),
    (b"\x09\x00", "fragmented control frame"),
    (b"\x89\x7e\x03\xe8", "control frame longer than 125 bytes"),
    (b"\x88\x01x", "Close with a payload of one byte"),
    (b"\x82\x7f\x80\x00\x00\x00\x00\x00\x00\x01x", "length with its top bit set"),
    (b"\x80\x00", "continuation without a message"),
    (b"\x01\x00\x81\x00", "new message within an unfinished one"),
    (b"GET / HTTP/1.1\r\n", "reserved opcode"),
];

/// The same bytes with the masking of `side`.
fn written_by(side: Side, bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    if side == Side::Client && bytes[0] != b'G' {
        bytes[1] |= 0x80;
        if bytes[..2] == [0x01, 0x80] {
            return b"\x01\x80abcd\x81\x80abcd".to_vec();
        }
    }
    bytes
}

fn going_away() -> CloseFrame {
    CloseFrame::new(CloseCode::GOING_AWAY)
}

async fn expect_rejected(mut pair: Pair, expected: &str) {
    pair.near.expect(CLOSE, &close_payload(1002, "invalid framing")).await;
    pair.far.expect(CLOSE, &close_payload(1002, "invalid framing")).await;
    pair.near.finish().await;
    pair.near.expect_end().await;
    pair.far.close(1002).await;
    let ended = pair.end().await;
    match ended.summary.end() {
        TunnelEnd::InvalidFraming { side, reason } => assert_eq!((*side, *reason), (ended.near, expected)),
        end => panic!("{end}"),
    }
    let relayed = [Side::Client, Side::Upstream].map(|side| ended.summary.invalid_framing(side));
    assert_eq!(relayed, [None; 2], "a rejected frame is not relayed");
    assert_eq!(ended.codes().1, 1002);
}

#[tokio::test(start_paused = true)]
async fn strict_framing_rejects_invalid_frames() {
    for (bytes, reason) in INVALID_FRAMES {
        each_way(config().framing(Framing::Strict), async |mut pair| {
            let bytes = written_by(pair.near.side, bytes);
            let before = pair.near.frame(TEXT, b"before");
            pair.near.send(&[&before, &bytes[..]].concat()).await;
            pair.far.expect(TEXT, b"before").await;
            if reason == "new message within an unfinished one" {
                pair.far.expect(0x01, b"").await;
            }
            expect_rejected(pair, reason).await;
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn strict_framing_rejects_frames_with_wrong_masking() {
    let reason = "frame masked by a server, or not by a client";
    for (first, size) in [(TEXT, 5), (BINARY, 40_000), (0x89, 4), (0x89, 100), (CLOSE, 2)] {
        each_way(config().framing(Framing::Strict), async |mut pair| {
            let bytes = frame(pair.far.side, first, &vec![3; size]);
            pair.near.send(&bytes).await;
            pair.far.expect(CLOSE, &close_payload(1002, "invalid framing")).await;
            pair.near.expect(CLOSE, &close_payload(1002, "invalid framing")).await;
            pair.far.close(1002).await;
            pair.near.finish().await;
            let ended = pair.end().await;
            match ended.summary.end() {
                TunnelEnd::InvalidFraming { side, reason: r } => {
                    assert_eq!((*side, *r), (ended.near, reason));
                }
                end => panic!("{end}"),
            }
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn strict_framing_rejects_a_close_with_a_reserved_code() {
    for code in [0, 999, 1004, 1005, 1006, 1015, 2000, 5000] {
        each_way(config().framing(Framing::Strict), async |mut pair| {
            pair.near.close(code).await;
            expect_rejected(pair, "Close with a reserved code").await;
        })
        .await;
    }
    // With a reason and in several writes, most of it is relayed before it is complete.
    each_way(config().framing(Framing::Strict), async |mut pair| {
        let close = pair.near.frame(CLOSE, &close_payload(1005, "a reason"));
        pair.near.send(&close[..close.len() - 2]).await;
        settle().await;
        pair.near.send(&close[close.len() - 2..]).await;
        pair.far.expect(CLOSE, &close_payload(1005, "a reason")).await;
        pair.near.expect_close(1002).await;
        pair.near.expect_end().await;
        pair.far.expect_quiet().await;
        pair.far.close(1002).await;
        let ended = pair.end().await;
        assert!(matches!(ended.summary.end(), TunnelEnd::InvalidFraming { .. }), "{ended:?}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_wrongly_masked_ping_in_several_writes_is_the_last_frame_that_passes() {
    each_way(config().framing(Framing::Strict), async |mut pair| {
        let ping = frame(pair.far.side, 0x89, &[3; 100]);
        let bulk = pair.near.frame(BINARY, &[4; 300_000]);
        pair.near.send(&ping[..50]).await;
        assert_eq!(pair.far.bytes(50).await, ping[..50]);
        pair.near.send(&[&ping[50..], &bulk].concat()).await;
        assert_eq!(pair.far.bytes(ping.len() - 50).await, ping[50..]);
        pair.far.expect_close(1002).await;
        pair.near.expect_close(1002).await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn nothing_follows_a_rejected_close_that_was_written() {
    let close = frame(Side::Client, CLOSE, &close_payload(1005, "a reason"));
    let (first, second) = close.split_at(close.len() - 2);
    let next = frame(Side::Client, TEXT, b"next");
    // Three separate reads.
    let reads = Cursor::new(first.to_vec()).chain(Cursor::new(second.to_vec())).chain(Cursor::new(next));
    let (mut upstream, upstream_end) = duplex(1000);
    let client_end = join(reads, sink());
    let tunnel =
        tokio::spawn(Tunnel::new(client_end, upstream_end, config().framing(Framing::Strict)).websocket());
    upstream.shutdown().await.unwrap();
    let mut received = Vec::new();
    frozen(upstream.read_to_end(&mut received)).await.unwrap();
    assert_eq!(received, close);
    let summary = frozen(tunnel).await.unwrap();
    assert!(matches!(summary.end(), TunnelEnd::InvalidFraming { side: Side::Client, .. }), "{summary:?}");
}

#[tokio::test(start_paused = true)]
async fn by_default_invalid_frames_pass_and_the_tunnel_ends_like_any_other() {
    let keep_alive = KeepAlive::new().client(seconds(20)).upstream(seconds(20)).timeout(seconds(10));
    for (bytes, _) in INVALID_FRAMES {
        each_way(config().keep_alive(keep_alive), async |mut pair| {
            let mut bytes = written_by(pair.near.side, bytes);
            bytes.extend(vec![0x81; 500_000]);
            let Pair { near, far, .. } = &mut pair;
            let ((), received) = tokio::join!(near.send(&bytes), far.bytes(bytes.len()));
            assert!(received == bytes);
            // The other direction is not parsed any more either.
            pair.far.send(b"\x81").await;
            advance(seconds(100)).await;
            pair.far.send(b"\xff").await;
            assert_eq!(pair.near.bytes(2).await, b"\x81\xff");
            pair.far.expect_quiet().await;
            pair.near.expect_quiet().await;
            pair.handle.end(going_away(), seconds(30));
            let upstream = if pair.near.side == Side::Upstream { &mut pair.near } else { &mut pair.far };
            upstream.expect_end().await;
            upstream.send(b"rest").await;
            upstream.finish().await;
            let client = if pair.near.side == Side::Client { &mut pair.near } else { &mut pair.far };
            assert_eq!(client.bytes(4).await, b"rest");
            client.expect_end().await;
            let ended = pair.summary().await;
            assert!(matches!(ended.summary.end(), TunnelEnd::Drained), "{ended:?}");
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn invalid_framing_in_one_direction_stops_injection_in_both() {
    let withholds = config().idle_timeout(seconds(60)).max_frame_size(1 << 20);
    each_way(withholds, async |mut pair| {
        // With a size limit, an incomplete header is withheld until the other direction turns out to be invalid.
        pair.far.send(b"\x81").await;
        pair.near.expect_quiet().await;
        pair.near.send(b"GET /").await;
        assert_eq!(pair.far.bytes(5).await, b"GET /");
        assert_eq!(pair.near.bytes(1).await, b"\x81");
        pair.far.send_frame(TEXT, b"what?").await;
        pair.near.expect(TEXT, b"what?").await;
        advance(seconds(60)).await;
        pair.near.expect_end().await;
        pair.far.expect_end().await;
        let ended = pair.summary().await;
        assert!(matches!(ended.summary.end(), TunnelEnd::IdleTimeout), "{ended:?}");
    })
    .await;
    each_way(config(), async |mut pair| {
        pair.near.send(b"GET /").await;
        assert_eq!(pair.far.bytes(5).await, b"GET /");
        pair.far.finish().await;
        pair.near.expect_end().await;
        pair.near.finish().await;
        pair.end().await;
    })
    .await;
    // The same if the sender ends right after the invalid frame.
    each_way(config().idle_timeout(seconds(60)), async |mut pair| {
        let Pair { near, far, .. } = &mut pair;
        tokio::join!(near.send(b"GET /"), far.send_frame(TEXT, b"first"));
        near.finish().await;
        assert_eq!(pair.far.bytes(5).await, b"GET /");
        pair.far.expect_end().await;
        pair.near.expect(TEXT, b"first").await;
        advance(seconds(60)).await;
        pair.near.expect_end().await;
        let ended = pair.summary().await;
        assert!(matches!(ended.summary.end(), TunnelEnd::IdleTimeout), "{ended:?}");
    })
    .await;
    // The tunnel is not polled again and again when one side has been sent a Close before.
    each_way(config().close_policy(ClosePolicy::from_fn(|_, _| Some(going_away()))), async |mut pair| {
        pair.near.finish().await;
        assert_eq!(pair.far.next().await.unwrap().first, CLOSE);
        pair.far.expect_end().await;
        pair.far.send(b"GET /").await;
        assert_eq!(pair.near.bytes(5).await, b"GET /");
        let polls = pair.polls();
        settle().await;
        assert!(pair.polls() - polls < 3);
    })
    .await;
}
