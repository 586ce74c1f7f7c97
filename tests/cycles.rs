//! What a thousand tunnels and a thousand failures leave behind (rows G7 of docs/conformance.md). In a process
//! of its own, because it counts the process's file descriptors.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a panic is how a test fails")]

#[path = "bad_inputs/stage.rs"]
#[allow(dead_code, reason = "a part is used")]
mod stage;

use std::{fs, sync::Arc, time::Duration};

use stage::{Served, Stage};
use test_support::{self as support, ACCEPT, SWITCHING, bounded, handshake, ping_pong};
use tokio::{runtime::Handle, sync::Mutex};
use tower_upgrade_proxy::{Drain, Tunnels};

/// Each test looks at the whole process.
static ALONE: Mutex<()> = Mutex::const_new(());

const CYCLES: usize = 1000;

/// Cycles under way at once.
const AT_ONCE: usize = 20;

/// Two ends of each pipe that a thread keeps for the next bulk.
const PIPES: usize = 2 * 4;

/// What is counted.
#[derive(Clone, Copy, Debug)]
struct Left {
    descriptors: usize,
    tasks: usize,
}

impl Left {
    fn now() -> Self {
        let descriptors = fs::read_dir("/proc/self/fd").unwrap().count();
        Self { descriptors, tasks: Handle::current().metrics().num_alive_tasks() }
    }
}

/// Runs `cycle` a thousand times, twenty at once, and requires that nothing is left of them.
async fn expect_nothing_left<F>(served: Served, cycle: impl Fn(Arc<Stage>, usize) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let _alone = ALONE.lock().await;
    let (drain, tunnels) = (Drain::new(), Tunnels::new());
    let layer =
        served.stage_with(|layer| layer.drain(drain.watcher()).tunnels(&tunnels).max_tunnels(AT_ONCE));
    let stage = Arc::new(layer.await);
    let mut before = None;
    // The first round opens what is there for all.
    for round in [0..1, 1..CYCLES / AT_ONCE + 1] {
        for number in round {
            let cycles: Vec<_> = (0..AT_ONCE)
                .map(|at| tokio::spawn(cycle(Arc::clone(&stage), number * AT_ONCE + at)))
                .collect();
            for cycle in cycles {
                bounded("a cycle", cycle).await.unwrap();
            }
        }
        let left = settled(before, &drain, &tunnels).await;
        before.get_or_insert(left);
    }
    let (mut client, mut server) = stage.tunnel().await;
    ping_pong(&mut client, &mut server).await;
}

/// Waits until no more is left than `before`; without it, until no task ends any more.
async fn settled(before: Option<Left>, drain: &Drain, tunnels: &Tunnels) -> Left {
    let mut last = Left::now();
    let settling = async {
        loop {
            tokio::time::sleep(Duration::from_millis(50)).await;
            let now = Left::now();
            let over = match before {
                Some(before) => now.tasks <= before.tasks && now.descriptors <= before.descriptors + PIPES,
                None => (now.tasks, now.descriptors) == (last.tasks, last.descriptors),
            };
            if over && drain.active() == 0 && tunnels.is_empty() {
                return now;
            }
            last = now;
        }
    };
    match tokio::time::timeout(Duration::from_secs(20), settling).await {
        Ok(left) => left,
        Err(_) => panic!("before: {before:?}, now: {:?}, {} tunnels", Left::now(), tunnels.len()),
    }
}

/// Tunnels that end in every way there is.
async fn tunnel(stage: Arc<Stage>, number: usize) {
    let (mut client, mut server) = {
        // One after another, so that it is known which connection is whose.
        static TURN: Mutex<()> = Mutex::const_new(());
        let _turn = TURN.lock().await;
        stage.tunnel().await
    };
    ping_pong(&mut client, &mut server).await;
    if number.is_multiple_of(10) {
        let bulk = vec![b'x'; 1 << 20];
        let ((), received) = tokio::join!(server.send(&bulk), client.exactly(bulk.len()));
        assert!(received == bulk);
    }
    match number % 5 {
        0 => drop((client, server)),
        1 => client.reset(),
        2 => server.reset(),
        3 => {
            client.finish().await;
            server.expect_end().await;
        }
        _ => {
            drop(server);
            client.rest().await;
        }
    }
}

/// Upstreams whose 101 is none.
async fn lie(stage: Arc<Stage>, number: usize) {
    let mut client = stage.client().await;
    client.send(handshake("/")).await;
    let mut server = stage.upstream.accept().await;
    server.head().await;
    let answer = match number % 4 {
        0 => SWITCHING.replace(ACCEPT, "AAAAAAAAAAAAAAAAAAAAAAAAAAA="),
        1 => SWITCHING.replace("Upgrade: websocket\r\n", ""),
        2 => SWITCHING.replace("Upgrade: websocket\r\n", "Upgrade: h2c\r\n"),
        _ => SWITCHING.replace("\r\n\r\n", "\r\nSec-WebSocket-Protocol: unasked\r\n\r\n"),
    };
    server.send(answer).await;
    // Whose connection it is does not matter, as all get the same.
    let head = client.head().await;
    assert_eq!(head.status(), 502);
    client.body(&head).await;
    if !number.is_multiple_of(3) {
        server.expect_end().await;
    }
}

#[tokio::test]
async fn g7_a_thousand_tunnels_leave_nothing_to_the_layer_alone() {
    expect_nothing_left(Served::LayerAlone, tunnel).await;
}

#[tokio::test]
async fn g7_a_thousand_tunnels_leave_nothing_to_a_location() {
    expect_nothing_left(Served::Location, tunnel).await;
}

#[tokio::test]
async fn g7_a_thousand_failed_verifications_leave_nothing_to_the_layer_alone() {
    expect_nothing_left(Served::LayerAlone, lie).await;
}

#[tokio::test]
async fn g7_a_thousand_failed_verifications_leave_nothing_to_a_location() {
    expect_nothing_left(Served::Location, lie).await;
}
