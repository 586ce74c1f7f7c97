//! Many handshakes, while endpoints come and go.

use std::{
    net::SocketAddr,
    sync::mpsc,
    thread::{self, JoinHandle},
    time::Duration,
};

use test_support::{EchoUpstream, websocket::Client};
use tokio::{sync::oneshot, task::JoinSet, time::interval};
use tower_upgrade_proxy::{DrainConfig, Endpoint, EndpointStatus, Pool, Retry, UpgradeProxyLayer};

use crate::{endpoint, serve_both, until_loads_are};

/// An upstream whose server ends with its runtime.
struct Mortal {
    endpoint: Endpoint,
    kill: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Mortal {
    fn start() -> Self {
        let (sender, started) = mpsc::channel();
        let (kill, killed) = oneshot::channel::<()>();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let upstream = EchoUpstream::start().await;
                sender.send(endpoint(upstream.upstream())).unwrap();
                let _ = killed.await;
            });
        });
        Self { endpoint: started.recv().unwrap(), kill, thread }
    }

    fn kill(self) {
        self.kill.send(()).unwrap();
        self.thread.join().unwrap();
    }
}

/// Opens and ends tunnels, all at once. A handshake that fails is a panic.
async fn handshakes(proxy: SocketAddr) {
    let mut clients = JoinSet::new();
    for _ in 0..50 {
        clients.spawn(async move { drop(Client::http1(proxy, "/").await) });
    }
    clients.join_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_handshake_fails_after_endpoints_were_killed_added_and_disabled() {
    let (first, second, third) = (Mortal::start(), Mortal::start(), Mortal::start());
    let fourth = EchoUpstream::start().await;
    let all = [first.endpoint.clone(), second.endpoint.clone(), third.endpoint.clone()];
    let pool = Pool::new(all.clone());
    let proxy = serve_both(UpgradeProxyLayer::pool(&pool)).await;
    handshakes(proxy).await;
    first.kill();
    handshakes(proxy).await;
    pool.set(all.iter().cloned().chain([endpoint(fourth.upstream())]));
    handshakes(proxy).await;
    drop(pool.disable(pool.endpoints()[1].id(), DrainConfig::new()));
    handshakes(proxy).await;
    second.kill();
    pool.set(all[2..].iter().cloned().chain([endpoint(fourth.upstream())]));
    handshakes(proxy).await;
    until_loads_are(&pool, &[0, 0]).await;
    third.kill();
    handshakes(proxy).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_is_spread_exactly() {
    let upstreams = [EchoUpstream::start().await, EchoUpstream::start().await, EchoUpstream::start().await];
    let pool = Pool::new(upstreams.iter().map(|upstream| endpoint(upstream.upstream())));
    let proxy = serve_both(UpgradeProxyLayer::pool(&pool)).await;
    let mut clients = JoinSet::new();
    for _ in 0..150 {
        clients.spawn(Client::http1(proxy, "/"));
    }
    let clients = clients.join_all().await;
    assert_eq!(pool.endpoints().iter().map(EndpointStatus::load).collect::<Vec<_>>(), [50; 3]);
    drop(clients);
    until_loads_are(&pool, &[0; 3]).await;
}

/// 200 handshakes a second, and a change after each second.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_handshake_is_lost_while_endpoints_are_killed_added_and_disabled() {
    let (first, second, third) = (Mortal::start(), Mortal::start(), Mortal::start());
    let fourth = EchoUpstream::start().await;
    let all = [first.endpoint.clone(), second.endpoint.clone(), third.endpoint.clone()];
    let pool = Pool::new(all.clone()).retry(Retry::Unanswered);
    let proxy = serve_both(UpgradeProxyLayer::pool(&pool)).await;
    let (mut clients, mut ticks) = (JoinSet::new(), interval(Duration::from_millis(5)));
    let mut first = Some(first);
    for number in 0..800 {
        ticks.tick().await;
        // A panic is a failed handshake.
        clients.spawn(async move { drop(Client::http1(proxy, "/").await) });
        match number {
            200 => drop(first.take().map(|first| first.kill.send(()))),
            400 => pool.set(all.iter().cloned().chain([endpoint(fourth.upstream())])),
            600 => drop(pool.disable(pool.endpoints()[1].id(), DrainConfig::new())),
            _ => {}
        }
    }
    assert_eq!(clients.join_all().await.len(), 800);
    until_loads_are(&pool, &[0; 4]).await;
    drop((second, third));
}
