//! Many concurrent handshakes with all results.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::task::{JoinSet, yield_now};
use tower_upgrade_proxy::{OnTunnel, TunnelInfo, TunnelSummary};

use super::*;

const TUNNELS: usize = 12;
const PER_CLIENT: usize = 4;
const PER_UPSTREAM: usize = 9;
const HANDSHAKES: usize = 6;

/// Client and upstream of a tunnel.
type Ends = (Option<IpAddr>, String);

/// Count of the open tunnels, kept apart from the code under test.
#[derive(Default)]
struct Open(Mutex<HashMap<Ends, usize>>);

impl OnTunnel for Open {
    fn on_open(&self, tunnel: &TunnelInfo) {
        let mut open = self.0.lock().unwrap();
        *open.entry((tunnel.client(), tunnel.upstream().to_string())).or_default() += 1;
        let sum = |which: &dyn Fn(&Ends) -> bool| {
            open.iter().filter(|(key, _)| which(key)).map(|(_, count)| count).sum::<usize>()
        };
        assert!(sum(&|_| true) <= TUNNELS, "{open:?}");
        assert!(sum(&|(client, _)| *client == tunnel.client()) <= PER_CLIENT, "{open:?}");
        assert!(sum(&|(_, upstream)| *upstream == tunnel.upstream().to_string()) <= PER_UPSTREAM, "{open:?}");
    }

    fn on_close(&self, tunnel: &TunnelInfo, _: &TunnelSummary) {
        let key = (tunnel.client(), tunnel.upstream().to_string());
        *self.0.lock().unwrap().get_mut(&key).unwrap() -= 1;
    }
}

/// Handles each handshake as its path says.
async fn serve_scripted(upstream: Arc<ScriptedUpstream>) {
    loop {
        let mut server = upstream.accept().await;
        tokio::spawn(async move {
            let head = server.head().await;
            match head.first_line().split(' ').nth(1).unwrap() {
                "/refuse" => server.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n").await,
                "/drop" => {}
                "/silent" => drop(server.rest().await),
                _ => {
                    server.send(SWITCHING).await;
                    server.rest().await;
                }
            }
        });
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn all_permits_are_released_after_many_concurrent_handshakes() {
    let upstreams = [Arc::new(ScriptedUpstream::start().await), Arc::new(ScriptedUpstream::start().await)];
    for upstream in &upstreams {
        tokio::spawn(serve_scripted(Arc::clone(upstream)));
    }
    let layer = UpgradeProxyLayer::per_request()
        .max_tunnels(TUNNELS)
        .max_tunnels_per_client(PER_CLIENT)
        .max_tunnels_per_upstream(PER_UPSTREAM)
        .max_handshakes(HANDSHAKES)
        .on_tunnel(Open::default());
    let unused = format!("{layer:?}");
    let address = limited(layer.clone()).await;
    let [opened, refused] = [(); 2].map(|()| Arc::new(AtomicUsize::new(0)));
    let mut clients = JoinSet::new();
    for number in 0..60 {
        let (opened, refused) = (Arc::clone(&opened), Arc::clone(&refused));
        let uris = upstreams.each_ref().map(|upstream| upstream.uri());
        clients.spawn(async move {
            for round in 0..20 {
                let path = ["/", "/refuse", "/drop", "/silent", "/"][(number + round) % 5];
                let peer = format!("X-Peer: 192.0.2.{}", number % 6);
                let upstream = format!("X-Upstream: {}", uris[(number + round) % 2]);
                let mut client = Wire::connect(address).await;
                client.send(handshake_with(path, &[&peer, &upstream])).await;
                if path == "/silent" {
                    // Disconnects before the response, which may be a refusal.
                    yield_now().await;
                    continue;
                }
                match client.head().await.status() {
                    101 => {
                        opened.fetch_add(1, Ordering::Relaxed);
                        if round % 2 == 0 {
                            client.reset();
                        }
                    }
                    429 | 503 => drop(refused.fetch_add(1, Ordering::Relaxed)),
                    status => assert_eq!(status, if path == "/refuse" { 403 } else { 502 }, "{path}"),
                }
            }
        });
    }
    clients.join_all().await;
    let [opened, refused] = [opened, refused].map(|count| count.load(Ordering::Relaxed));
    assert!(opened > 0 && refused > 0, "{opened} opened, {refused} refused");
    bounded("the release of all permits", async {
        while format!("{layer:?}") != unused {
            yield_now().await;
        }
    })
    .await;
}
