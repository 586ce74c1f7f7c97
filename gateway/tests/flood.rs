//! Ten thousand handshakes that never end, at a gateway with tunnels that go on.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a panic is how a test fails")]
#![cfg(target_os = "linux")]

use std::{fs, net::SocketAddr, time::Duration};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use test_support::{self as support, Scripted, Wire, bounded, handshake, ping_pong, program::Program};
use tokio::{
    process::Command,
    task::JoinSet,
    time::{Instant, sleep},
};

const CLIENTS: usize = 10_000;

/// Descriptors that neither the flood nor its upstreams take.
const SPARE: usize = 200;

/// The most that the gateway's memory may have grown behind a flood, in KiB.
const GROWTH: usize = 8 * 1024;

/// A gateway between an upstream that answers, at `/live`, and one that never does.
struct Flooded {
    gateway: Program,
    address: SocketAddr,
    live: Vec<(Wire, Wire)>,
    silent: Scripted,
}

impl Flooded {
    async fn start() -> Self {
        let (answering, silent) = (Scripted::start().await, Scripted::start().await);
        let mut command = Command::new(env!("CARGO_BIN_EXE_upgrade-gateway"));
        command.args(["--listen", "127.0.0.1:0", "--client-timeout", "600s", "--handshake-timeout", "600s"]);
        command.args(["--route", &format!("/live={}", answering.uri())]);
        command.args(["--route", &format!("/={}", silent.uri())]).env("RUST_LOG", "error");
        let mut gateway = Program::spawn(command);
        let address = gateway.line_after("listening on ").await.parse().unwrap();
        let mut live = Vec::new();
        for _ in 0..8 {
            let mut client = Wire::connect(address).await;
            let mut server = answering.asked(&mut client, handshake("/live")).await;
            server.send(support::SWITCHING).await;
            assert_eq!(client.head().await.status(), 101);
            live.push((client, server));
        }
        Self { gateway, address, live, silent }
    }

    /// Half of them stop within their head, half wait for the answer; those that are refused stay too.
    async fn flood(&self, clients: usize) -> Vec<Wire> {
        let mut asking = JoinSet::new();
        let mut standing = Vec::new();
        for client in 0..clients {
            let (address, whole) = (self.address, client % 2 == 0);
            asking.spawn(async move {
                let mut client = Wire::connect(address).await;
                let request = handshake("/silent");
                client.send(if whole { &request } else { &request[..request.len() - 2] }).await;
                client
            });
            // As many at a time as the listener's queue holds.
            if asking.len() == 100 {
                standing.extend(asking.join_next().await.map(Result::unwrap));
            }
        }
        standing.extend(asking.join_all().await);
        let descriptors = self.live.len() + clients;
        bounded("the gateway to take them all", async {
            while self.descriptors() < descriptors {
                sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
        standing
    }

    /// The time of a message there and back: of ten medians the least, as other programs make the machine slow
    /// now and then, and a flood would always.
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

    /// The allocator gives memory back to the system when there is other work.
    async fn until_memory_is(&self, kibibytes: usize) {
        let work = async {
            while self.memory() > kibibytes {
                let mut client = Wire::connect(self.address).await;
                assert_eq!(client.ask("GET /live HTTP/1.1\r\n\r\n").await.status(), 400);
            }
        };
        bounded("the memory to be given back", work).await;
    }

    fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.gateway.process.id().unwrap())).unwrap().count()
    }

    /// Resident memory, in KiB.
    fn memory(&self) -> usize {
        let status = fs::read_to_string(format!("/proc/{}/status", self.gateway.process.id().unwrap()));
        let line = status.unwrap().lines().find_map(|line| line.strip_prefix("VmRSS:").map(str::to_owned));
        line.unwrap().trim().trim_end_matches(" kB").parse().unwrap()
    }
}

/// As many clients as descriptors allow, in this process and in the gateway, which inherits the limit.
fn clients() -> usize {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).unwrap();
    let most = limit.maximum.map_or(usize::MAX, |most| most as usize);
    // The silent upstream has its ends of the handshakes in flight.
    let clients = CLIENTS.min(most.saturating_sub(SPARE + 1024));
    if clients < CLIENTS {
        eprintln!("a flood of {clients} instead of {CLIENTS}: no more than {most} files can be open");
    }
    clients
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_half_open_handshakes_slows_no_tunnel_and_leaves_no_memory_behind() {
    let clients = clients();
    let mut flooded = Flooded::start().await;
    let (descriptors, memory) = (flooded.descriptors(), flooded.memory());
    for _ in 0..2 {
        let before = flooded.round_trip().await;
        let standing = flooded.flood(clients).await;
        let during = flooded.round_trip().await;
        let dialled = flooded.descriptors() - descriptors - clients;
        let most = flooded.memory();
        drop(standing);
        flooded.until_descriptors_are(descriptors).await;
        flooded.silent.forget().await;
        flooded.until_memory_is(memory + GROWTH).await;
        let after = flooded.round_trip().await;
        eprintln!("{clients} clients, {dialled} dialled; round trip {before:?}, {during:?}, {after:?}");
        eprintln!("{memory} KiB before, {most} during, {} after", flooded.memory());
        assert!(dialled <= 1024, "{dialled} handshakes in flight");
        assert!(during < 3 * before.max(after) + Duration::from_millis(2), "{before:?} {during:?} {after:?}");
    }
}
