//! What needs no nginx: each set-up works, the cache sees no upgrade, the four pitfalls are none.

use std::{collections::HashMap, net::SocketAddr, sync::Arc, time::Duration};

use axum::Router;
use tokio::sync::mpsc;
use tower_upgrade_proxy::{TunnelEnd, TunnelInfo, TunnelSummary, UpgradeProxyLayer, Upstream};

use crate::{
    answer::{After, Answer, answer, ok, raw, switching},
    client::{self, Got, Step},
    front::{Address, Front, Setup},
    recorder::Recorder,
    setups::cache,
    support::{bounded, handshake, serve},
};

const RESPONSE: Step = Step::Response { to_head: false };

/// The statuses that `requests` get, one after the other on one connection.
async fn statuses(address: SocketAddr, requests: &[&str]) -> Vec<u16> {
    let steps: Vec<Step> =
        requests.iter().flat_map(|request| [Step::Send(request.as_bytes().to_vec()), RESPONSE]).collect();
    status_of(&client::run(&Address::Tcp(address), &steps).await)
}

fn status_of(got: &[Got]) -> Vec<u16> {
    got.iter().map(|got| if let Got::Response(message) = got { message.status() } else { 0 }).collect()
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: client.example\r\n\r\n")
}

fn upstream(recorder: &Recorder) -> Upstream {
    format!("http://{}", recorder.addresses[0]).parse().unwrap()
}

/// The programs of docs/nginx.md do their work.
pub(crate) async fn each_set_up_serves_pages_and_sockets() {
    let table =
        [(Setup::A, "/ws/x"), (Setup::B, "/x"), (Setup::C, "/x"), (Setup::D, "/chat/x"), (Setup::E, "/ws/x")];
    for (setup, path) in table {
        let front = Front::ours(setup, Recorder::start(&[ok(), switching()]).await).await;
        let steps = [
            Step::Send(get(path).into_bytes()),
            RESPONSE,
            Step::Send(handshake(path).into_bytes()),
            RESPONSE,
        ];
        assert_eq!(status_of(&client::run(&front.addresses[0], &steps).await), [200, 101], "{setup:?}");
        for seen in front.recorder.seen() {
            assert_eq!(seen.request.first, format!("GET {path} HTTP/1.1"), "{setup:?}");
        }
    }
}

/// Before there is a page in the cache, and after.
pub(crate) async fn an_upgrade_never_reaches_a_cache_inside() {
    let recorder = Recorder::start(&[switching(), ok(), switching()]).await;
    let pages = cache::Cache::default();
    let address = serve(cache::site(upstream(&recorder), Arc::clone(&pages))).await;
    assert_eq!(statuses(address, &[&handshake("/x")]).await, [101]);
    assert_eq!(*pages.lock().unwrap(), HashMap::new());
    assert_eq!(statuses(address, &[&get("/x"), &get("/x")]).await, [200, 200]);
    assert_eq!(pages.lock().unwrap().len(), 1);
    assert_eq!(recorder.seen().len(), 2, "the second page came from the cache");
    assert_eq!(statuses(address, &[&handshake("/x")]).await, [101]);
    assert_eq!(pages.lock().unwrap().len(), 1);
}

/// `proxy_http_version`, `Upgrade` and `Connection` can't be forgotten: there is nothing to set.
pub(crate) async fn an_upstream_is_always_asked_properly() {
    let recorder = Recorder::start(&[switching()]).await;
    let plain = UpgradeProxyLayer::new(upstream(&recorder)).into_service();
    let address = serve(Router::new().fallback_service(plain)).await;
    assert_eq!(statuses(address, &[&handshake("/")]).await, [101]);
    let seen = recorder.seen();
    let request = &seen[0].request;
    assert_eq!(request.first, "GET / HTTP/1.1");
    assert!(request.is("upgrade", "websocket"));
    assert_eq!(request.connection(), ["upgrade"]);
}

/// The upstream is asked in HTTP/1.1 all the same; what it answers is what the client gets.
pub(crate) async fn an_upstream_that_answers_in_http_1_0_is_heard() {
    let old = |answer: Answer| {
        let text = String::from_utf8(answer.bytes).unwrap();
        raw(text.replace("HTTP/1.1", "HTTP/1.0")).and(After::Close)
    };
    let sorry = answer("400 Bad Request", "Content-Length: 0\r\n", "");
    for (answer, status) in [(sorry, 400), (ok(), 200), (switching(), 101)] {
        let recorder = Recorder::start(&[old(answer)]).await;
        let location = UpgradeProxyLayer::new(upstream(&recorder)).forward();
        let address = serve(Router::new().fallback_service(location)).await;
        assert_eq!(statuses(address, &[&handshake("/")]).await, [status]);
        assert_eq!(recorder.seen()[0].request.first, "GET / HTTP/1.1");
    }
}

/// A client, or a proxy on the way, that loses `Upgrade` or `Connection` is told.
pub(crate) async fn a_request_that_lost_its_upgrade_is_a_426() {
    let recorder = Recorder::start(&[]).await;
    let sockets = UpgradeProxyLayer::new(upstream(&recorder)).into_service();
    let address = serve(Router::new().fallback_service(sockets)).await;
    for lost in ["Upgrade: websocket\r\n", "Connection: Upgrade\r\n"] {
        assert_eq!(statuses(address, &[&handshake("/").replace(lost, "")]).await, [426], "{lost}");
    }
    assert!(recorder.seen().is_empty());
}

/// The hook learns that the timeout was it.
pub(crate) async fn a_short_timeout_says_so() {
    let recorder = Recorder::start(&[switching()]).await;
    let (sender, mut ends) = mpsc::unbounded_channel();
    let location = UpgradeProxyLayer::new(upstream(&recorder))
        .idle_timeout(Duration::from_millis(200))
        .on_tunnel(move |_: &TunnelInfo, summary: &TunnelSummary| {
            sender.send(matches!(summary.end(), TunnelEnd::IdleTimeout)).unwrap();
        })
        .forward();
    let address = serve(Router::new().fallback_service(location)).await;
    let steps =
        [Step::Send(handshake("/").into_bytes()), RESPONSE, Step::End { after: Duration::from_millis(100) }];
    client::run(&Address::Tcp(address), &steps).await;
    assert_eq!(bounded("the tunnel to end", ends.recv()).await, Some(true));
}
