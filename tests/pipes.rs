//! The number of pipes that bulk tunnels use, and bulk without any. A program of its own, because it counts the file
//! descriptors of the process.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests fail by panicking")]

use std::{
    fs,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use test_support::tcp::tcp_pair;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    runtime::Builder,
    task::JoinHandle,
    time::timeout,
};
use tower_upgrade_proxy::{Tunnel, TunnelConfig, TunnelSummary};

/// Held by the running test, as each test counts for the whole process.
static ALONE: Mutex<()> = Mutex::new(());

/// Limit of the pipes that hold bytes at once.
const IN_USE: usize = 64;

/// Limit of the empty pipes that a thread keeps.
const KEPT: usize = 4;

/// Enough bytes to block the sender while nobody reads.
const FLOOD: usize = 2_000_000;

/// A sender that floods, a tunnel, and a reader that has not started.
struct Transfer {
    sender: JoinHandle<TcpStream>,
    reader: TcpStream,
    tunnel: JoinHandle<TunnelSummary>,
}

impl Transfer {
    async fn start(seed: u8) -> Self {
        let ((mut sender, from), (to, reader)) = (tcp_pair().await, tcp_pair().await);
        let config = TunnelConfig::new().idle_timeout(None).half_close_timeout(None);
        let tunnel = tokio::spawn(Tunnel::new(from, to, config));
        let sender = tokio::spawn(async move {
            sender.write_all(&bytes(seed)).await.unwrap();
            sender
        });
        Self { sender, reader, tunnel }
    }

    /// Reads and checks all bytes, and closes.
    async fn finish(mut self, seed: u8) -> TunnelSummary {
        let mut read = vec![0; FLOOD];
        self.reader.read_exact(&mut read).await.unwrap();
        assert!(read == bytes(seed), "bytes were lost or changed");
        drop((self.sender.await.unwrap(), self.reader));
        self.tunnel.await.unwrap()
    }
}

/// Bytes of which no two blocks are equal, different for each seed.
fn bytes(seed: u8) -> Vec<u8> {
    let mut bytes = vec![seed; FLOOD];
    for (number, block) in (0_u32..).zip(bytes.chunks_mut(1000)) {
        block[..4].copy_from_slice(&number.to_be_bytes());
    }
    bytes
}

/// Number of pipes of this process; each has two ends.
fn pipes() -> usize {
    let links = fs::read_dir("/proc/self/fd").unwrap().filter_map(|fd| fs::read_link(fd.ok()?.path()).ok());
    links.filter(|link| link.to_string_lossy().starts_with("pipe:")).count() / 2
}

/// Waits until no task can run: with paused time, only then does a timer fire.
async fn settle() {
    tokio::time::sleep(Duration::from_secs(1)).await;
}

fn run(test: impl Future<Output = ()>) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    Builder::new_current_thread().enable_all().start_paused(true).build().unwrap().block_on(test);
}

#[test]
fn stalled_readers_cannot_use_all_pipes_and_lose_nothing() {
    run(async {
        let before = pipes();
        let mut stalled = Vec::new();
        for seed in 0..2 * IN_USE as u8 {
            stalled.push(Transfer::start(seed).await);
        }
        settle().await;
        let used = pipes() - before;
        assert!(used > 4, "{used} pipes are used");
        assert!(used <= IN_USE / 2 + 1 + KEPT, "{used} pipes are used by stalled readers");

        // A reader that reads still gets a pipe.
        let summary = Transfer::start(200).await.finish(200).await;
        assert!(summary.spliced() > FLOOD as u64 / 2, "{summary:?}");

        for (seed, transfer) in (0..).zip(stalled) {
            transfer.finish(seed).await;
        }
        let kept = pipes() - before;
        assert!(kept <= KEPT, "{kept} pipes are kept by one idle thread");
    });
}

#[test]
fn a_tunnel_without_a_pipe_still_transfers_its_bytes() {
    run(async {
        // This thread keeps no pipe yet.
        let transfer = Transfer::start(1).await;
        let limit = getrlimit(Resource::Nofile);
        setrlimit(Resource::Nofile, Rlimit { current: Some(3), maximum: limit.maximum }).unwrap();
        let summary = timeout(Duration::from_secs(3600), transfer.finish(1)).await;
        setrlimit(Resource::Nofile, limit).unwrap();
        assert_eq!(summary.unwrap().spliced(), 0);
        let summary = Transfer::start(2).await.finish(2).await;
        assert!(summary.spliced() > 0, "spliced again with descriptors: {summary:?}");
    });
}
