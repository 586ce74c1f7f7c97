//! Ten thousand handshakes that never end, in a gateway with open tunnels.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a panic is how a test fails")]
#![cfg(target_os = "linux")]

use std::{fs, time::Duration};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use test_support::{
    SWITCHING, ScriptedUpstream, Wire, bounded, handshake, ping_pong, process::ServerProgram,
};
use tokio::{
    process::Command,
    task::JoinSet,
    time::{Instant, sleep},
};

const CLIENTS: usize = 10_000;

/// Descriptors for everything but the flood and its upstreams.
const SPARE: usize = 200;

/// Default of `--max-handshakes`.
const HANDSHAKES: usize = 1024;

/// Limit of the growth of the gateway's memory after a flood, in KiB.
const GROWTH: usize = 8 * 1024;

/// A gateway with two upstreams: one accepts handshakes, at `/live`, the other never responds.
struct Flooded {
    gateway: ServerProgram,
    live: Vec<(Wire, Wire)>,
    silent: ScriptedUpstream,
}

impl Flooded {
    async fn start() -> Self {
        let (live_upstream, silent) = (ScriptedUpstream::start().await, ScriptedUpstream::start().await);
        let mut command = Command::new(env!("CARGO_BIN_EXE_upgrade-gateway"));
        command.args(["--listen", "127.0.0.1:0", "--client-timeout", "600s", "--handshake-timeout", "600s"]);
        command.args(["--route", &format!("/live={}", live_upstream.uri())]);
        command.args(["--route", &format!("/={}", silent.uri())]).env("RUST_LOG", "error");
        let gateway = ServerProgram::spawn(command).await;
        let mut live = Vec::new();
        for _ in 0..8 {
            let mut client = gateway.wire().await;
            let mut server = live_upstream.receive(&mut client, handshake("/live")).await;
            server.send(SWITCHING).await;
            assert_eq!(client.head().await.status(), 101);
            live.push((client, server));
        }
        Self { gateway, live, silent }
    }

    /// Opens handshakes: half of them stop within their head, half wait for the response. The gateway closes refused ones.
    async fn flood(&self, clients: usize) -> Vec<Wire> {
        let mut connecting = JoinSet::new();
        let mut open = Vec::new();
        for client in 0..clients {
            let (address, whole) = (self.gateway.address, client % 2 == 0);
            connecting.spawn(async move {
                let mut client = Wire::connect(address).await;
                let request = handshake("/silent");
                client.send(if whole { &request } else { &request[..request.len() - 2] }).await;
                client
            });
            // No more at a time than the listener's queue holds.
            if connecting.len() == 100 {
                open.extend(connecting.join_next().await.map(Result::unwrap));
            }
        }
        open.extend(connecting.join_all().await);
        // The unfinished ones, and two for each handshake in progress.
        let descriptors = self.live.len() + clients / 2 + 2 * HANDSHAKES.min(clients / 2);
        bounded("the gateway to accept them all", async {
            while self.descriptors() < descriptors {
                sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
        open
    }

    /// The round-trip time of a message: the least of ten medians, since other programs slow the machine down
    /// temporarily, but a flood permanently.
    async fn round_trip(&mut self) -> Duration {
        let mut medians = Vec::new();
        for _ in 0..10 {
            let mut times = Vec::new();
            for _ in 0..20 {
                for (client, server) in &mut self.live {
                    let begin = Instant::now();
                    ping_pong(client, server).await;
                    times.push(begin.elapsed());
                }
            }
            times.sort();
            medians.push(times[times.len() / 2]);
        }
        medians.into_iter().min().unwrap()
    }

    async fn until_descriptors_are(&self, number: usize) {
        let all = async {
            while self.descriptors() > number {
                sleep(Duration::from_millis(10)).await;
            }
        };
        bounded("the gateway to close them all", all).await;
    }

    /// Waits for the allocator to return memory to the system, which it does when there is other work.
    async fn until_memory_is(&self, kibibytes: usize) {
        let work = async {
            while self.memory() > kibibytes {
                let mut client = self.gateway.wire().await;
                assert_eq!(client.request("GET /live HTTP/1.1\r\n\r\n").await.status(), 400);
            }
        };
        bounded("the memory to be returned", work).await;
    }

    fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.gateway.program.process.id().unwrap())).unwrap().count()
    }

    /// Resident memory, in KiB.
    fn memory(&self) -> usize {
        let status =
            fs::read_to_string(format!("/proc/{}/status", self.gateway.program.process.id().unwrap()));
        let line = status.unwrap().lines().find_map(|line| line.strip_prefix("VmRSS:").map(str::to_owned));
        line.unwrap().trim().trim_end_matches(" kB").parse().unwrap()
    }
}

/// Number of clients that the limit of descriptors allows in this process and in the gateway, which inherits it.
fn clients() -> usize {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).unwrap();
    let most = limit.maximum.map_or(usize::MAX, |most| most as usize);
    // The silent upstream, too, has descriptors for the handshakes in progress.
    let clients = CLIENTS.min(most.saturating_sub(SPARE + 1024));
    if clients < CLIENTS {
        eprintln!("a flood of {clients} instead of {CLIENTS}: no more than {most} files can be open");
    }
    clients
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_half_open_handshakes_slows_no_tunnel_and_keeps_no_memory() {
    let clients = clients();
    let mut flooded = Flooded::start().await;
    let (descriptors, memory) = (flooded.descriptors(), flooded.memory());
    for _ in 0..2 {
        let before = flooded.round_trip().await;
        let handshakes = flooded.flood(clients).await;
        let during = flooded.round_trip().await;
        let dialled = (flooded.descriptors() - descriptors - clients / 2) / 2;
        let most = flooded.memory();
        drop(handshakes);
        flooded.until_descriptors_are(descriptors).await;
        flooded.silent.close_waiting().await;
        flooded.until_memory_is(memory + GROWTH).await;
        let after = flooded.round_trip().await;
        eprintln!("{clients} clients, {dialled} dialled; round trip {before:?}, {during:?}, {after:?}");
        eprintln!("{memory} KiB before, {most} during, {} after", flooded.memory());
        assert!(dialled <= HANDSHAKES, "{dialled} handshakes in progress");
        assert!(during < 3 * before.max(after) + Duration::from_millis(2), "{before:?} {during:?} {after:?}");
    }
}
