//! Requests during a drain.

use std::{sync::Arc, sync::Mutex, time::Duration};

use axum::{Router, middleware::map_response, response::Response};
use test_support::{ScriptedUpstream, Wire, handshake, serve, websocket::extended_connect};
use tower_upgrade_proxy::{Drain, Error, UpgradeProxyLayer};

use crate::app;

#[tokio::test]
async fn an_upgrade_gets_503_without_a_connection_upstream_and_pages_are_still_served() {
    let (upstream, drain) = (ScriptedUpstream::start().await, Drain::new());
    let address = app(UpgradeProxyLayer::new(upstream.upstream()).drain(drain.watcher())).await;
    drop(drain.shutdown(Duration::from_secs(30)));
    let mut client = Wire::connect(address).await;
    let head = client.request(handshake("/")).await;
    assert_eq!((head.status(), head.values("retry-after")), (503, vec!["5".to_owned()]));
    client.body(&head).await;
    let head = client.request("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!((head.status(), client.body(&head).await), (200, b"a page".to_vec()));

    let response = extended_connect(address, "/").await;
    assert_eq!((response.status().as_u16(), response.headers()["retry-after"].as_bytes()), (503, &b"5"[..]));
    upstream.expect_untouched().await;
}

#[tokio::test]
async fn every_layer_of_the_drain_refuses_with_its_error() {
    let (upstream, drain) = (ScriptedUpstream::start().await, Drain::new());
    let errors: Arc<Mutex<Vec<Error>>> = Arc::default();
    let addresses = [(); 2].map(|()| {
        let errors = Arc::clone(&errors);
        let note = map_response(move |response: Response| {
            errors.lock().unwrap().extend(response.extensions().get::<Error>().cloned());
            async { response }
        });
        let layer = UpgradeProxyLayer::new(upstream.upstream()).drain(drain.watcher());
        serve(Router::new().fallback_service(layer.into_service()).layer(note))
    });
    drop(drain.shutdown(Duration::ZERO));
    for address in addresses {
        assert_eq!(Wire::connect(address.await).await.request(handshake("/")).await.status(), 503);
    }
    let errors = errors.lock().unwrap();
    assert!(errors.len() == 2 && errors.iter().all(Error::is_draining), "{errors:?}");
}

#[tokio::test]
async fn a_layer_without_the_drain_is_not_affected() {
    let (upstream, drain) = (ScriptedUpstream::start().await, Drain::new());
    let layer = UpgradeProxyLayer::new(upstream.upstream());
    let _draining = app(layer.clone().drain(drain.watcher())).await;
    drop(drain.shutdown(Duration::ZERO));
    crate::open(app(layer).await, &upstream).await;
}
