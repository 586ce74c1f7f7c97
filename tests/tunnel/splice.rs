//! Events during a bulk transfer, while a pipe holds bytes.

use std::io;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{Instant, timeout},
};
use tower_upgrade_proxy::{TunnelConfig, TunnelEnd};

use crate::{
    ends::{Bulk, ORDERS, no_time_passes, sent_by},
    no_timeouts, seconds,
};

/// Writes until the writer blocks.
async fn flood(stream: &mut tokio::net::TcpStream) -> usize {
    let mut written = 0;
    let flood = async {
        loop {
            written += stream.write(&[7; 65536]).await.unwrap();
        }
    };
    assert!(timeout(seconds(1), flood).await.is_err());
    written
}

#[tokio::test]
async fn small_messages_stop_splicing_and_large_ones_restart_it() {
    const WARM_UP: u64 = 2 * 192 * 1024;
    for (near_side, _) in ORDERS {
        let Bulk { mut near, mut far, tunnel } = Bulk::new(near_side, no_timeouts()).await;
        let mut send = async |size: usize| {
            let (message, mut read) = (vec![5; size], vec![0; size]);
            let (sent, received) = tokio::join!(near.write_all(&message), far.read_exact(&mut read));
            sent.and(received.map(drop)).unwrap();
            assert!(read == message);
        };
        // The first is spliced, as the direction is bulk; the others are not.
        for _ in 0..50 {
            send(10_000).await;
        }
        // The first two are not spliced, and make the direction bulk again.
        for _ in 0..20 {
            send(60_000).await;
        }
        drop((near, far));
        let summary = tunnel.await.unwrap();
        assert!(summary.spliced() >= 18 * 60_000, "{summary:?}");
        assert!(summary.spliced() <= WARM_UP + 10_000 + 20 * 60_000, "{summary:?}");
    }
}

#[tokio::test]
async fn a_reset_during_bulk_ends_both_sides() {
    for (near_side, _) in ORDERS {
        let Bulk { mut near, mut far, tunnel } = Bulk::new(near_side, no_timeouts()).await;
        let (message, mut block) = (vec![1; 100_000], vec![0; 100_000]);
        let (sent, read) = tokio::join!(near.write_all(&message), far.read_exact(&mut block));
        sent.and(read.map(drop)).unwrap();
        near.set_zero_linger().unwrap();
        drop(near);
        let ended = far.read(&mut block).await;
        assert!(matches!(&ended, Ok(0)) || ended.is_err(), "{ended:?}");
        let summary = tunnel.await.unwrap();
        match summary.end() {
            TunnelEnd::Failed { side, error } => {
                assert_eq!((*side, error.kind()), (near_side, io::ErrorKind::ConnectionReset));
            }
            end => panic!("{end}"),
        }
        assert!(summary.spliced() > 100_000, "{summary:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_closes_during_bulk_ends_both_sides_and_raises_no_signal() {
    for (near_side, far_side) in ORDERS {
        let Bulk { mut near, far, tunnel } = Bulk::new(near_side, no_timeouts()).await;
        flood(&mut near).await;
        // With unread bytes this is a reset.
        drop(far);
        let summary = no_time_passes(tunnel).await.unwrap();
        match summary.end() {
            TunnelEnd::Failed { side, error } => {
                assert_eq!(*side, far_side);
                let kinds = [io::ErrorKind::ConnectionReset, io::ErrorKind::BrokenPipe];
                assert!(kinds.contains(&error.kind()), "{error:?}");
            }
            end => panic!("{end}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn bytes_in_a_pipe_do_not_keep_an_idle_tunnel_open() {
    for (near_side, _) in ORDERS {
        let config = TunnelConfig::new().idle_timeout(seconds(60));
        let Bulk { mut near, mut far, tunnel } = Bulk::new(near_side, config).await;
        let flooded = flood(&mut near).await;
        let start = Instant::now();
        let summary = tunnel.await.unwrap();
        assert!(matches!(summary.end(), TunnelEnd::IdleTimeout), "{summary:?}");
        assert!(start.elapsed() >= seconds(58) && start.elapsed() < seconds(60), "{:?}", start.elapsed());
        // Bytes accepted by the socket of the other side still arrive; the rest is not counted.
        let mut arrived = 0;
        let mut block = vec![0; 65536];
        while let Ok(read @ 1..) = no_time_passes(far.read(&mut block)).await {
            arrived += read;
        }
        assert!(arrived < flooded);
        assert_eq!(sent_by(near_side, &summary), 192 * 1024 + arrived as u64);
    }
}

#[tokio::test(start_paused = true)]
async fn a_blocked_pipe_does_not_block_the_other_direction() {
    for (near_side, _) in ORDERS {
        let Bulk { mut near, mut far, tunnel } = Bulk::new(near_side, no_timeouts()).await;
        let flooded = flood(&mut near).await;
        for size in [1, 100_000, 1] {
            let (message, mut read) = (vec![3; size], vec![0; size]);
            no_time_passes(async {
                let (sent, received) = tokio::join!(far.write_all(&message), near.read_exact(&mut read));
                sent.and(received.map(drop)).unwrap();
            })
            .await;
            assert!(read == message);
        }
        near.shutdown().await.unwrap();
        let mut read = Vec::new();
        no_time_passes(far.read_to_end(&mut read)).await.unwrap();
        assert!(read.len() == flooded && read.iter().all(|byte| *byte == 7));
        drop((near, far));
        tunnel.await.unwrap();
    }
}
