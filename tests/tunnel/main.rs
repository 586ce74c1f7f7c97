//! `Tunnel` alone, most of it with paused time: on streams in memory, and between sockets, so that bytes are spliced.
//! Every test runs again with the sides swapped.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a panic is how a test fails")]

mod ends;
mod faults;
mod faulty;
mod scenario;
mod scenarios;
mod sockets;
#[cfg(target_os = "linux")]
mod splice;
mod trickle;
mod websocket;

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use ends::{BUFFER, Ended, ORDERS, each_way, expect, expect_eof, join, no_time_passes, sent_by};
use faulty::{Endless, FailingShutdown, Faulty, OneByteWrites, WrongCount};
use sha1::{Digest, Sha1};
use test_support::tcp;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, duplex},
    time::{Instant, sleep, timeout},
};
use tower_upgrade_proxy::{Side, Tunnel, TunnelConfig, TunnelEnd};

fn no_timeouts() -> TunnelConfig {
    TunnelConfig::new().idle_timeout(None).half_close_timeout(None)
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[tokio::test]
async fn bytes_are_relayed_both_ways_and_counted() {
    each_way(TunnelConfig::new(), async |mut ends| {
        for round in 0..10 {
            ends.near.write_all(b"ping").await.unwrap();
            expect(&mut ends.far, b"ping").await;
            let reply = vec![round; 1000];
            ends.far.write_all(&reply).await.unwrap();
            expect(&mut ends.near, &reply).await;
        }
        drop(std::mem::replace(&mut ends.near, Box::new(duplex(1).0)));
        expect_eof(&mut ends.far).await;
        drop(std::mem::replace(&mut ends.far, Box::new(duplex(1).0)));
        let Ended { sent_by_near, sent_by_far, .. } = ends.end().await;
        assert_eq!((sent_by_near, sent_by_far), (40, 10_000));
    })
    .await;
}

#[tokio::test]
async fn a_half_close_is_relayed_and_the_other_direction_stays_open() {
    each_way(TunnelConfig::new(), async |mut ends| {
        ends.near.write_all(b"last bytes").await.unwrap();
        ends.near.shutdown().await.unwrap();
        expect(&mut ends.far, b"last bytes").await;
        expect_eof(&mut ends.far).await;
        for reply in [&b"one"[..], b"two", b"three"] {
            ends.far.write_all(reply).await.unwrap();
            expect(&mut ends.near, reply).await;
        }
        assert!(!ends.is_finished());
        ends.far.shutdown().await.unwrap();
        expect_eof(&mut ends.near).await;
        let near = ends.near_side;
        let Ended { summary, sent_by_near, .. } = ends.end().await;
        assert!(matches!(summary.end(), TunnelEnd::Closed { first } if *first == near), "{summary:?}");
        assert_eq!((sent_by_near, summary.end().is_orderly()), (10, true));
    })
    .await;
}

#[tokio::test]
async fn a_reset_closes_the_other_side_after_earlier_bytes_were_delivered() {
    for (near_side, _) in ORDERS {
        let (mut far, far_end) = duplex(BUFFER);
        let near_end = Faulty::reset_after(b"before the reset");
        let tunnel = join(near_side, near_end, far_end, no_timeouts());
        expect(&mut far, b"before the reset").await;
        expect_eof(&mut far).await;
        let summary = tunnel.await.unwrap();
        match summary.end() {
            TunnelEnd::Failed { side, error } => {
                assert_eq!((*side, error.kind()), (near_side, io::ErrorKind::ConnectionReset));
            }
            end => panic!("{end}"),
        }
        assert_eq!(sent_by(near_side, &summary), 16);
    }
}

#[tokio::test]
async fn after_a_write_error_the_last_bytes_of_that_side_are_delivered() {
    for (near_side, far_side) in ORDERS {
        let (mut far, far_end) = duplex(BUFFER);
        let near_end = Faulty::broken_pipe_with(b"goodbye");
        far.write_all(b"request").await.unwrap();
        let tunnel = join(near_side, near_end, far_end, no_timeouts());
        expect(&mut far, b"goodbye").await;
        expect_eof(&mut far).await;
        let summary = tunnel.await.unwrap();
        match summary.end() {
            TunnelEnd::Failed { side, error } => {
                assert_eq!((*side, error.kind()), (near_side, io::ErrorKind::BrokenPipe));
            }
            end => panic!("{end}"),
        }
        assert_eq!((sent_by(near_side, &summary), sent_by(far_side, &summary)), (7, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn the_idle_timeout_starts_at_the_last_byte_in_either_direction() {
    each_way(TunnelConfig::new().idle_timeout(seconds(60)), async |mut ends| {
        let opened = Instant::now();
        sleep(seconds(50)).await;
        ends.near.write_all(b"x").await.unwrap();
        expect(&mut ends.far, b"x").await;
        sleep(seconds(59)).await;
        ends.far.write_all(b"y").await.unwrap();
        expect(&mut ends.near, b"y").await;
        assert!(!ends.is_finished());
        expect_eof(&mut ends.near).await;
        expect_eof(&mut ends.far).await;
        let Ended { summary, .. } = ends.end().await;
        assert!(matches!(summary.end(), TunnelEnd::IdleTimeout), "{summary:?}");
        let elapsed = opened.elapsed();
        assert!(elapsed >= seconds(169) && elapsed < seconds(170), "{elapsed:?}");
        assert_eq!(summary.duration().as_secs(), 169);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn without_an_idle_timeout_an_idle_tunnel_stays_open() {
    each_way(no_timeouts(), async |mut ends| {
        sleep(seconds(1_000_000)).await;
        ends.near.write_all(b"still here").await.unwrap();
        expect(&mut ends.far, b"still here").await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_maximum_lifetime_ends_a_busy_tunnel() {
    let config = TunnelConfig::new().max_lifetime(seconds(100));
    each_way(config, async |mut ends| {
        let opened = Instant::now();
        while ends.near.write_all(b"busy").await.is_ok() {
            let mut read = [0; 4];
            if no_time_passes(ends.far.read_exact(&mut read)).await.is_err() {
                break;
            }
            sleep(seconds(7)).await;
        }
        let elapsed = opened.elapsed();
        let Ended { summary, .. } = ends.end().await;
        assert!(matches!(summary.end(), TunnelEnd::LifetimeReached), "{summary:?}");
        assert_eq!(summary.duration().as_secs(), 100);
        assert!(elapsed >= seconds(100) && elapsed < seconds(108), "{elapsed:?}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_half_close_timeout_starts_at_the_half_close_or_a_later_byte() {
    let config = TunnelConfig::new().idle_timeout(seconds(600)).half_close_timeout(seconds(30));
    each_way(config, async |mut ends| {
        // Much longer than the timeout.
        sleep(seconds(100)).await;
        let half_closed = Instant::now();
        ends.near.shutdown().await.unwrap();
        expect_eof(&mut ends.far).await;
        sleep(seconds(29)).await;
        ends.far.write_all(b"more").await.unwrap();
        expect(&mut ends.near, b"more").await;
        expect_eof(&mut ends.near).await;
        let elapsed = half_closed.elapsed();
        assert!(elapsed >= seconds(59) && elapsed < seconds(60), "{elapsed:?}");
        let Ended { summary, .. } = ends.end().await;
        assert!(matches!(summary.end(), TunnelEnd::HalfCloseTimeout), "{summary:?}");
    })
    .await;
}

#[tokio::test]
async fn early_bytes_are_delivered_first_and_counted() {
    for (near_side, far_side) in ORDERS {
        let (mut near, near_end) = duplex(4);
        let (mut far, far_end) = duplex(4);
        near.write_all(b"!").await.unwrap();
        let (from_near, from_far) = (Bytes::from_static(b"early from near"), Bytes::from_static(b"from far"));
        let tunnel = tokio::spawn(match near_side {
            Side::Client => Tunnel::new(near_end, far_end, no_timeouts()).early_bytes(from_near, from_far),
            Side::Upstream => Tunnel::new(far_end, near_end, no_timeouts()).early_bytes(from_far, from_near),
        });
        expect(&mut far, b"early from near!").await;
        expect(&mut near, b"from far").await;
        drop((near, far));
        let summary = tunnel.await.unwrap();
        assert_eq!((sent_by(near_side, &summary), sent_by(far_side, &summary)), (16, 8));
    }
}

#[tokio::test]
async fn a_writer_of_single_bytes_gets_all_in_order() {
    let message: Vec<u8> = (0..20_000_u32).flat_map(u32::to_be_bytes).collect();
    for (near_side, _) in ORDERS {
        let (mut near, near_end) = duplex(BUFFER);
        let (mut far, far_end) = duplex(64);
        let tunnel = join(near_side, near_end, OneByteWrites::new(far_end), no_timeouts());
        let mut read = Vec::new();
        let write = async {
            near.write_all(&message).await.unwrap();
            near.shutdown().await.unwrap();
        };
        let (_, result) = tokio::join!(write, far.read_to_end(&mut read));
        result.unwrap();
        assert!(read == message);
        drop((near, far));
        assert_eq!(sent_by(near_side, &tunnel.await.unwrap()), 80_000);
    }
}

// With paused time a timeout fires only when all tasks wait: here, when the tunnel has stopped reading.
#[tokio::test(start_paused = true)]
async fn backpressure_stops_the_sender_after_a_bounded_number_of_bytes() {
    each_way(no_timeouts(), async |mut ends| {
        let mut taken = 0_usize;
        let flood = async {
            loop {
                taken += ends.near.write(&[7; 4096]).await.unwrap();
            }
        };
        assert!(timeout(seconds(1), flood).await.is_err());
        assert!(taken <= ends.max_in_flight(), "{taken} bytes were taken");
        // The other direction is not affected, and no byte of the flood is lost.
        ends.far.write_all(b"still open").await.unwrap();
        expect(&mut ends.near, b"still open").await;
        ends.near.shutdown().await.unwrap();
        let mut read = Vec::new();
        ends.far.read_to_end(&mut read).await.unwrap();
        assert_eq!(read.len(), taken);
        assert!(read.iter().all(|byte| *byte == 7));
    })
    .await;
}

#[tokio::test]
async fn a_hundred_mebibytes_each_way_arrive_unchanged() {
    const BLOCKS: u32 = 100;
    each_way(no_timeouts(), async |mut ends| {
        let send = async |half: &mut (dyn AsyncWrite + Unpin + Send), seed: u32| {
            let mut block: Vec<u8> = (0..1 << 18).flat_map(|i: u32| (i ^ seed).to_be_bytes()).collect();
            let mut hash = Sha1::new();
            for number in 0..BLOCKS {
                block[..4].copy_from_slice(&number.to_be_bytes());
                hash.update(&block);
                half.write_all(&block).await.unwrap();
            }
            half.shutdown().await.unwrap();
            hash.finalize()
        };
        let receive = async |half: &mut (dyn AsyncRead + Unpin + Send)| {
            let (mut hash, mut buffer, mut total) = (Sha1::new(), vec![0; 1 << 16], 0);
            loop {
                match half.read(&mut buffer).await.unwrap() {
                    0 => return (hash.finalize(), total),
                    read => {
                        hash.update(&buffer[..read]);
                        total += read as u64;
                    }
                }
            }
        };
        let (mut near_read, mut near_write) = tokio::io::split(&mut ends.near);
        let (mut far_read, mut far_write) = tokio::io::split(&mut ends.far);
        let (up_sent, down_sent, up, down) = tokio::join!(
            send(&mut near_write, 1),
            send(&mut far_write, 2),
            receive(&mut far_read),
            receive(&mut near_read),
        );
        let size = u64::from(BLOCKS) << 20;
        assert_eq!((up, down), ((up_sent, size), (down_sent, size)));
        let Ended { sent_by_near, sent_by_far, .. } = ends.end().await;
        assert_eq!((sent_by_near, sent_by_far), (size, size));
    })
    .await;
}

#[tokio::test]
async fn a_buffered_writer_is_flushed_when_the_reader_is_empty() {
    for (near_side, _) in ORDERS {
        let (mut near, near_end) = duplex(BUFFER);
        let (mut far, far_end) = duplex(BUFFER);
        let _tunnel = join(near_side, near_end, tokio::io::BufStream::new(far_end), no_timeouts());
        near.write_all(b"small").await.unwrap();
        timeout(seconds(10), expect(&mut far, b"small")).await.expect("flushed without being closed");
    }
}

#[tokio::test]
async fn a_buffered_writer_is_flushed_at_the_end() {
    for (near_side, _) in ORDERS {
        let (mut near, near_end) = duplex(BUFFER);
        let (mut far, far_end) = duplex(BUFFER);
        far.shutdown().await.unwrap();
        let tunnel = join(near_side, near_end, tokio::io::BufStream::new(far_end), no_timeouts());
        expect_eof(&mut near).await;
        near.write_all(b"last bytes").await.unwrap();
        near.shutdown().await.unwrap();
        expect(&mut far, b"last bytes").await;
        assert_eq!(sent_by(near_side, &tunnel.await.unwrap()), 10);
    }
}

#[tokio::test]
async fn a_source_and_a_sink_that_never_block_do_not_starve_other_tasks() {
    for (near_side, _) in ORDERS {
        let tunnel = join(near_side, Endless, Endless, no_timeouts());
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        assert!(!tunnel.is_finished());
        tunnel.abort();
    }
}

#[tokio::test]
async fn a_write_of_0_bytes_is_an_error_and_one_of_too_many_bytes_is_clamped() {
    for (count, near_side, far_side) in ORDERS.into_iter().flat_map(|(a, b)| [(0, a, b), (1000, a, b)]) {
        let (mut far, far_end) = duplex(BUFFER);
        let stream = WrongCount { message: b"hi", count, shut_down: Arc::default() };
        let tunnel = join(near_side, stream, far_end, no_timeouts());
        expect(&mut far, b"hi").await;
        far.write_all(b"hello").await.unwrap();
        if count > 0 {
            far.shutdown().await.unwrap();
            tokio::task::yield_now().await;
            assert!(!tunnel.is_finished());
            tunnel.abort();
            continue;
        }
        let summary = tunnel.await.unwrap();
        match summary.end() {
            TunnelEnd::Failed { side, error } => {
                assert_eq!((*side, error.kind()), (near_side, io::ErrorKind::WriteZero));
            }
            end => panic!("{end}"),
        }
        assert_eq!(sent_by(far_side, &summary), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_timeout_shuts_connections_down_and_an_error_does_not() {
    for (near_side, _) in ORDERS {
        let (_far, far_end) = duplex(BUFFER);
        let shut_down = Arc::new(AtomicBool::new(false));
        let quiet = WrongCount { message: b"", count: 1, shut_down: Arc::clone(&shut_down) };
        join(near_side, quiet, far_end, TunnelConfig::new()).await.unwrap();
        assert!(shut_down.load(Ordering::SeqCst), "TLS would send close_notify here");

        let shut_down = Arc::new(AtomicBool::new(false));
        let quiet = WrongCount { message: b"", count: 1, shut_down: Arc::clone(&shut_down) };
        join(near_side, quiet, Faulty::reset_after(b""), TunnelConfig::new()).await.unwrap();
        assert!(!shut_down.load(Ordering::SeqCst), "an error must not look like an end");
    }
}

#[tokio::test]
async fn a_failed_shutdown_of_a_side_that_has_finished_is_no_failure() {
    for (near_side, _) in ORDERS {
        for finished in [true, false] {
            let (mut far, far_end) = duplex(BUFFER);
            let tunnel = join(near_side, FailingShutdown { finished }, far_end, no_timeouts());
            if finished {
                expect_eof(&mut far).await;
            }
            far.shutdown().await.unwrap();
            let summary = tunnel.await.unwrap();
            match summary.end() {
                TunnelEnd::Closed { first } => assert!(finished && *first == near_side, "{summary:?}"),
                TunnelEnd::Failed { side, .. } => assert!(!finished && *side == near_side, "{summary:?}"),
                end => panic!("{end}"),
            }
        }
    }
}

/// Owner of bytes that records its drop.
struct Owner(&'static [u8], Arc<AtomicBool>);

impl AsRef<[u8]> for Owner {
    fn as_ref(&self) -> &[u8] {
        self.0
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.1.store(true, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn an_idle_tunnel_does_not_retain_early_bytes() {
    for text in ["early", ""] {
        let (_near, near_end) = duplex(BUFFER);
        let (mut far, far_end) = duplex(BUFFER);
        let freed = Arc::new(AtomicBool::new(false));
        // An empty slice retains its buffer like any other.
        let early = Bytes::from_owner(Owner(b"early", Arc::clone(&freed))).slice(..text.len());
        let tunnel = Tunnel::new(near_end, far_end, no_timeouts()).early_bytes(early, Bytes::new());
        let tunnel = tokio::spawn(tunnel);
        expect(&mut far, text.as_bytes()).await;
        tokio::task::yield_now().await;
        assert!(freed.load(Ordering::SeqCst), "{text:?}");
        assert!(!tunnel.is_finished());
    }
}

#[tokio::test]
async fn a_drop_of_the_tunnel_closes_both_sides() {
    each_way(no_timeouts(), async |mut ends| {
        ends.abort();
        expect_eof(&mut ends.near).await;
        expect_eof(&mut ends.far).await;
    })
    .await;
}
