//! Tests without nginx: each set-up works, upgrades do not reach the cache, and the four pitfalls do not exist.

use std::{collections::HashMap, net::SocketAddr, sync::Arc, time::Duration};

use axum::Router;
use test_support::{Inner, TestProxy, handshake, serve};
use tower_upgrade_proxy::{TunnelEnd, UpgradeProxyLayer, Upstream};

use crate::{
    client::{self, Received, Step},
    proxy::{Address, Proxy, Setup},
    recorder::Recorder,
    response::{After, CannedResponse, ok, raw, response, switching},
    setups::cache,
};

const RESPONSE: Step = Step::Response { to_head: false };

/// The statuses of the responses to `requests`, sent one after the other on one connection.
async fn statuses(address: SocketAddr, requests: &[&str]) -> Vec<u16> {
    let steps: Vec<Step> =
        requests.iter().flat_map(|request| [Step::Send(request.as_bytes().to_vec()), RESPONSE]).collect();
    statuses_of(&client::run(&Address::Tcp(address), &steps).await)
}

fn statuses_of(received: &[Received]) -> Vec<u16> {
    let status =
        |received: &Received| if let Received::Response(message) = received { message.status() } else { 0 };
    received.iter().map(status).collect()
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: client.example\r\n\r\n")
}

fn upstream(recorder: &Recorder) -> Upstream {
    format!("http://{}", recorder.addresses[0]).parse().unwrap()
}

/// The programs of docs/nginx.md work.
pub(crate) async fn each_set_up_serves_pages_and_sockets() {
    let table =
        [(Setup::A, "/ws/x"), (Setup::B, "/x"), (Setup::C, "/x"), (Setup::D, "/chat/x"), (Setup::E, "/ws/x")];
    for (setup, path) in table {
        let proxy = Proxy::rust(setup, Recorder::start(&[ok(), switching()]).await).await;
        let steps = [
            Step::Send(get(path).into_bytes()),
            RESPONSE,
            Step::Send(handshake(path).into_bytes()),
            RESPONSE,
        ];
        assert_eq!(statuses_of(&client::run(&proxy.addresses[0], &steps).await), [200, 101], "{setup:?}");
        for received in proxy.recorder.received() {
            assert_eq!(received.request.first, format!("GET {path} HTTP/1.1"), "{setup:?}");
        }
    }
}

/// Without a page in the cache, and with one.
pub(crate) async fn an_upgrade_never_reaches_an_inner_cache() {
    let recorder = Recorder::start(&[switching(), ok(), switching()]).await;
    let pages = cache::Cache::default();
    let address = serve(cache::site(upstream(&recorder), Arc::clone(&pages))).await;
    assert_eq!(statuses(address, &[&handshake("/x")]).await, [101]);
    assert_eq!(*pages.lock().unwrap(), HashMap::new());
    assert_eq!(statuses(address, &[&get("/x"), &get("/x")]).await, [200, 200]);
    assert_eq!(pages.lock().unwrap().len(), 1);
    assert_eq!(recorder.received().len(), 2, "the second page came from the cache");
    assert_eq!(statuses(address, &[&handshake("/x")]).await, [101]);
    assert_eq!(pages.lock().unwrap().len(), 1);
}

/// `proxy_http_version`, `Upgrade` and `Connection` cannot be forgotten: there is nothing to set.
pub(crate) async fn requests_to_upstreams_are_always_complete() {
    let recorder = Recorder::start(&[switching()]).await;
    let plain = UpgradeProxyLayer::new(upstream(&recorder)).into_service();
    let address = serve(Router::new().fallback_service(plain)).await;
    assert_eq!(statuses(address, &[&handshake("/")]).await, [101]);
    let received = recorder.received();
    let request = &received[0].request;
    assert_eq!(request.first, "GET / HTTP/1.1");
    assert!(request.is("upgrade", "websocket"));
    assert_eq!(request.connection(), ["upgrade"]);
}

/// The request is in HTTP/1.1 nevertheless, and the response is relayed.
pub(crate) async fn responses_in_http_1_0_are_accepted() {
    let old = |response: CannedResponse| {
        let text = String::from_utf8(response.bytes).unwrap();
        raw(text.replace("HTTP/1.1", "HTTP/1.0")).and(After::Close)
    };
    let refusal = response("400 Bad Request", "Content-Length: 0\r\n", "");
    for (response, status) in [(refusal, 400), (ok(), 200), (switching(), 101)] {
        let recorder = Recorder::start(&[old(response)]).await;
        let location = UpgradeProxyLayer::new(upstream(&recorder)).forward();
        let address = serve(Router::new().fallback_service(location)).await;
        assert_eq!(statuses(address, &[&handshake("/")]).await, [status]);
        assert_eq!(recorder.received()[0].request.first, "GET / HTTP/1.1");
    }
}

/// A client, or a proxy in between, may omit `Upgrade` or `Connection`.
pub(crate) async fn a_request_without_its_upgrade_fields_is_a_426() {
    let recorder = Recorder::start(&[]).await;
    let sockets = UpgradeProxyLayer::new(upstream(&recorder)).into_service();
    let address = serve(Router::new().fallback_service(sockets)).await;
    for omitted in ["Upgrade: websocket\r\n", "Connection: Upgrade\r\n"] {
        assert_eq!(statuses(address, &[&handshake("/").replace(omitted, "")]).await, [426], "{omitted}");
    }
    assert!(recorder.received().is_empty());
}

/// The hook receives the reason.
pub(crate) async fn a_short_timeout_is_reported() {
    let recorder = Recorder::start(&[switching()]).await;
    let layer = UpgradeProxyLayer::new(upstream(&recorder)).idle_timeout(Duration::from_millis(200));
    let mut proxy = TestProxy::start(Inner::Forward, layer).await;
    let steps =
        [Step::Send(handshake("/").into_bytes()), RESPONSE, Step::End { after: Duration::from_millis(100) }];
    client::run(&Address::Tcp(proxy.address), &steps).await;
    assert!(matches!(proxy.ended().await.end(), TunnelEnd::IdleTimeout));
}
