//! How many pipes bulk tunnels take from the system, and that they do without when they get none.
//! In a process of its own, because it counts the process's file descriptors.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a panic is how a test fails")]

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

/// Each test looks at the whole process.
static ALONE: Mutex<()> = Mutex::new(());

/// Pipes that may hold bytes at once.
const LENT: usize = 64;

/// Empty pipes that a thread may keep.
const KEPT: usize = 4;

/// Enough that a reader who does not read blocks the sender.
const FLOOD: usize = 2_000_000;

/// A sender that floods, a tunnel, and a reader that has not begun.
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

    /// Reads everything, checks it, and closes.
    async fn finish(mut self, seed: u8) -> TunnelSummary {
        let mut read = vec![0; FLOOD];
        self.reader.read_exact(&mut read).await.unwrap();
        assert!(read == bytes(seed), "bytes were lost or changed");
        drop((self.sender.await.unwrap(), self.reader));
        self.tunnel.await.unwrap()
    }
}

/// No two blocks alike, and different for each seed.
fn bytes(seed: u8) -> Vec<u8> {
    let mut bytes = vec![seed; FLOOD];
    for (number, block) in (0_u32..).zip(bytes.chunks_mut(1000)) {
        block[..4].copy_from_slice(&number.to_be_bytes());
    }
    bytes
}

/// Pipes of this process; each has two ends.
fn pipes() -> usize {
    let links = fs::read_dir("/proc/self/fd").unwrap().filter_map(|fd| fs::read_link(fd.ok()?.path()).ok());
    links.filter(|link| link.to_string_lossy().starts_with("pipe:")).count() / 2
}

/// Runs until nothing can go on any more: with paused time a timer fires only then.
async fn settle() {
    tokio::time::sleep(Duration::from_secs(1)).await;
}

fn run(test: impl Future<Output = ()>) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    Builder::new_current_thread().enable_all().start_paused(true).build().unwrap().block_on(test);
}

#[test]
fn readers_that_do_not_read_cannot_take_all_pipes_and_lose_nothing() {
    run(async {
        let before = pipes();
        let mut stalled = Vec::new();
        for seed in 0..2 * LENT as u8 {
            stalled.push(Transfer::start(seed).await);
        }
        settle().await;
        let taken = pipes() - before;
        assert!(taken > 4, "{taken} pipes were used");
        assert!(taken <= LENT / 2 + 1 + KEPT, "{taken} pipes wait for readers");

        // There are pipes left for a reader that reads.
        let summary = Transfer::start(200).await.finish(200).await;
        assert!(summary.spliced() > FLOOD as u64 / 2, "{summary:?}");

        for (seed, transfer) in (0..).zip(stalled) {
            transfer.finish(seed).await;
        }
        let kept = pipes() - before;
        assert!(kept <= KEPT, "{kept} pipes are kept by one quiet thread");
    });
}

#[test]
fn a_tunnel_that_gets_no_pipe_carries_its_bytes_all_the_same() {
    run(async {
        // A thread of its own has no pipe in store yet.
        let transfer = Transfer::start(1).await;
        let limit = getrlimit(Resource::Nofile);
        setrlimit(Resource::Nofile, Rlimit { current: Some(3), maximum: limit.maximum }).unwrap();
        let summary = timeout(Duration::from_secs(3600), transfer.finish(1)).await;
        setrlimit(Resource::Nofile, limit).unwrap();
        assert_eq!(summary.unwrap().spliced(), 0);
        let summary = Transfer::start(2).await.finish(2).await;
        assert!(summary.spliced() > 0, "with descriptors to be had, it splices again: {summary:?}");
    });
}
