//! Descriptors, tasks and tunnels left behind by a thousand tunnels and a thousand failures (row G7 of
//! docs/conformance.md). A program of its own, because it counts the file descriptors of the process.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests fail by panicking")]

use std::{fs, sync::Arc, time::Duration};

use test_support::{ACCEPT, Inner, SWITCHING, ScriptedProxy, bounded, handshake, ping_pong};
use tokio::{runtime::Handle, sync::Mutex};
use tower_upgrade_proxy::{Drain, Tunnels};

/// Held by the running test, as each test counts for the whole process.
static ALONE: Mutex<()> = Mutex::const_new(());

const CYCLES: usize = 1000;

/// Number of concurrent cycles.
const AT_ONCE: usize = 20;

/// Descriptors of the pipes that a thread keeps for reuse, two for each.
const PIPES: usize = 2 * 4;

/// Counts of open descriptors and running tasks.
#[derive(Clone, Copy, Debug)]
struct Counts {
    descriptors: usize,
    tasks: usize,
}

impl Counts {
    fn now() -> Self {
        let descriptors = fs::read_dir("/proc/self/fd").unwrap().count();
        Self { descriptors, tasks: Handle::current().metrics().num_alive_tasks() }
    }
}

/// Runs `cycle` a thousand times, twenty at once, and requires that nothing is left behind.
async fn expect_nothing_left<F>(inner: Inner, cycle: impl Fn(Arc<ScriptedProxy>, usize) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let _alone = ALONE.lock().await;
    let (drain, tunnels) = (Drain::new(), Tunnels::new());
    let layer = ScriptedProxy::start_with(inner, |layer| {
        layer.drain(drain.watcher()).tunnels(&tunnels).max_tunnels(AT_ONCE)
    });
    let proxy = Arc::new(layer.await);
    let mut before = None;
    // The first round opens shared resources.
    for round in [0..1, 1..CYCLES / AT_ONCE + 1] {
        for number in round {
            let cycles: Vec<_> = (0..AT_ONCE)
                .map(|at| tokio::spawn(cycle(Arc::clone(&proxy), number * AT_ONCE + at)))
                .collect();
            for cycle in cycles {
                bounded("a cycle", cycle).await.unwrap();
            }
        }
        let counts = settled(before, &drain, &tunnels).await;
        before.get_or_insert(counts);
    }
    let (mut client, mut server) = proxy.tunnel().await;
    ping_pong(&mut client, &mut server).await;
}

/// Waits until the counts are back at `before`, or, without it, until they stop changing.
async fn settled(before: Option<Counts>, drain: &Drain, tunnels: &Tunnels) -> Counts {
    let mut last = Counts::now();
    let settling = async {
        loop {
            tokio::time::sleep(Duration::from_millis(50)).await;
            let now = Counts::now();
            let is_settled = match before {
                Some(before) => now.tasks <= before.tasks && now.descriptors <= before.descriptors + PIPES,
                None => (now.tasks, now.descriptors) == (last.tasks, last.descriptors),
            };
            if is_settled && drain.active() == 0 && tunnels.is_empty() {
                return now;
            }
            last = now;
        }
    };
    match tokio::time::timeout(Duration::from_secs(20), settling).await {
        Ok(counts) => counts,
        Err(_) => panic!("before: {before:?}, now: {:?}, {} tunnels", Counts::now(), tunnels.len()),
    }
}

/// A tunnel that ends in one of all ways.
async fn tunnel(proxy: Arc<ScriptedProxy>, number: usize) {
    let (mut client, mut server) = {
        // One at a time, so that client and upstream connections can be matched.
        static TURN: Mutex<()> = Mutex::const_new(());
        let _turn = TURN.lock().await;
        proxy.tunnel().await
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

/// A handshake with an invalid 101.
async fn invalid_101(proxy: Arc<ScriptedProxy>, number: usize) {
    let mut client = proxy.connect().await;
    client.send(handshake("/")).await;
    let mut server = proxy.upstream.accept().await;
    server.head().await;
    let response = match number % 4 {
        0 => SWITCHING.replace(ACCEPT, "AAAAAAAAAAAAAAAAAAAAAAAAAAA="),
        1 => SWITCHING.replace("Upgrade: websocket\r\n", ""),
        2 => SWITCHING.replace("Upgrade: websocket\r\n", "Upgrade: h2c\r\n"),
        _ => SWITCHING.replace("\r\n\r\n", "\r\nSec-WebSocket-Protocol: unrequested\r\n\r\n"),
    };
    server.send(response).await;
    // It may be the connection of another cycle; all get the same response.
    let head = client.head().await;
    assert_eq!(head.status(), 502);
    client.body(&head).await;
    if !number.is_multiple_of(3) {
        server.expect_end().await;
    }
}

#[tokio::test]
async fn g7_thousand_tunnels_leave_nothing_behind_with_the_layer_alone() {
    expect_nothing_left(Inner::Application, tunnel).await;
}

#[tokio::test]
async fn g7_thousand_tunnels_leave_nothing_behind_with_a_location() {
    expect_nothing_left(Inner::Forward, tunnel).await;
}

#[tokio::test]
async fn g7_thousand_failed_verifications_leave_nothing_behind_with_the_layer_alone() {
    expect_nothing_left(Inner::Application, invalid_101).await;
}

#[tokio::test]
async fn g7_thousand_failed_verifications_leave_nothing_behind_with_a_location() {
    expect_nothing_left(Inner::Forward, invalid_101).await;
}
