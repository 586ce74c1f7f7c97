//! Drains of all tunnels.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use test_support::{
    EchoUpstream, Inner, ScriptedUpstream, Wire, bounded,
    proxy::Worker,
    websocket::{ABNORMAL, Client, going_away},
};
use tower_upgrade_proxy::{
    CloseCode, CloseFrame, ClosePolicy, Drain, Http2, Protocol, Protocols, TunnelConfig, UpgradeProxyLayer,
};

use crate::{app, open};

const LONG: Duration = Duration::from_secs(60);

#[tokio::test]
async fn both_sides_are_told_in_any_pair_of_versions_and_the_drain_waits_for_them() {
    let (none, gone) = ((ABNORMAL, String::new()), going_away());
    for (policy, told) in [(ClosePolicy::transparent(), none), (ClosePolicy::going_away(), gone)] {
        for http2 in [false, true] {
            let (mut upstream, drain) =
                (EchoUpstream::start().await, Drain::new().jitter(Duration::from_millis(50)));
            let target = if http2 { upstream.upstream().http2() } else { upstream.upstream() };
            let layer = UpgradeProxyLayer::new(target)
                .http2(Http2::new())
                .tunnel(TunnelConfig::new().close_policy(policy.clone()).close_timeout(LONG))
                .drain(drain.watcher());
            let address = app(layer).await;
            let mut clients = Vec::new();
            for _ in 0..5 {
                clients.push(Client::http1(address, "/").await);
                clients.push(Client::http2(address, "/").await);
            }
            for client in &mut clients {
                client.echo("before").await;
            }
            assert_eq!(drain.active(), 10);
            let (start, drained) = (Instant::now(), drain.shutdown(LONG));
            for mut client in clients {
                assert_eq!(client.closed().await, told);
                assert_eq!(upstream.closed().await, going_away());
            }
            let drained = bounded("the drain", drained).await;
            assert_eq!((drained.closed(), drained.total(), drained.is_clean()), (10, 10, true), "{drained}");
            assert!(start.elapsed() < LONG && drain.active() == 0);
        }
    }
}

#[tokio::test]
async fn code_and_reason_can_be_set() {
    let mut upstream = EchoUpstream::start().await;
    let drain = Drain::new().close(CloseFrame::new(CloseCode::SERVICE_RESTART).with_reason("deploy 42"));
    let address = app(UpgradeProxyLayer::new(upstream.upstream()).drain(drain.watcher())).await;
    let mut client = Client::http1(address, "/").await;
    drop(drain.shutdown(LONG));
    let close = (1012, "deploy 42".to_owned());
    assert_eq!((client.closed().await, upstream.closed().await), (close.clone(), close));
}

#[tokio::test]
async fn a_tunnel_without_answers_is_aborted_at_the_deadline() {
    let grace = Duration::from_millis(300);
    let (upstream, drain) = (ScriptedUpstream::start().await, Drain::new());
    let address = app(UpgradeProxyLayer::new(upstream.upstream()).drain(drain.watcher())).await;
    let (mut client, mut server) = open(address, &upstream).await;
    let (start, drained) = (Instant::now(), drain.shutdown(grace));
    client.expect_end().await;
    assert_eq!(server.exactly(18).await[..2], [0x88, 0x8c]);
    server.expect_end().await;
    let drained = bounded("the drain", drained).await;
    assert_eq!((drained.aborted(), drained.total()), (1, 1), "{drained}");
    assert!((grace..grace * 10).contains(&start.elapsed()), "{:?}", start.elapsed());
}

#[tokio::test]
async fn without_grace_all_tunnels_are_aborted_after_their_close() {
    let (upstream, drain) = (ScriptedUpstream::start().await, Drain::new());
    let address = app(UpgradeProxyLayer::new(upstream.upstream()).drain(drain.watcher())).await;
    let (mut client, mut server) = open(address, &upstream).await;
    let drained = bounded("the drain", drain.shutdown(Duration::ZERO)).await;
    assert_eq!((drained.aborted(), drained.total()), (1, 1), "{drained}");
    assert_eq!(client.rest().await, b"");
    assert_eq!(server.rest().await.len(), 18);
}

#[tokio::test]
async fn another_protocol_ends_when_its_upstream_finishes_or_at_the_deadline() {
    for finishes in [true, false] {
        let (upstream, drain) = (ScriptedUpstream::start().await, Drain::new());
        let layer = UpgradeProxyLayer::new(upstream.upstream())
            .protocols(Protocols::websocket().allow(Protocol::new("tcp").unwrap()))
            .drain(drain.watcher());
        let mut client = Wire::connect(app(layer).await).await;
        client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n").await;
        let mut server = upstream.accept().await;
        server.head().await;
        server.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n").await;
        assert_eq!(client.head().await.status(), 101);
        let grace = if finishes { LONG } else { Duration::from_secs(1) };
        let drained = drain.shutdown(grace);
        server.expect_end().await;
        server.send("last bytes").await;
        client.expect("last bytes").await;
        if finishes {
            drop(server);
        }
        client.expect_end().await;
        let drained = bounded("the drain", drained).await;
        assert_eq!((drained.aborted(), drained.total()), (usize::from(!finishes), 1), "{drained}");
    }
}

#[tokio::test]
async fn tunnels_of_two_layers_on_two_runtimes_are_drained_from_a_third() {
    let (mut upstream, drain) = (EchoUpstream::start().await, Drain::new());
    let layer = UpgradeProxyLayer::new(upstream.upstream()).drain(drain.watcher());
    let other = UpgradeProxyLayer::per_request().upstream(upstream.upstream()).drain(drain.watcher());
    let workers =
        [Worker::start(Inner::Application, &layer).await, Worker::start(Inner::Application, &other).await];
    let mut clients = Vec::new();
    for worker in &workers {
        clients.push(Client::http1(worker.address, "/").await);
        clients.push(Client::http2(worker.address, "/").await);
    }
    assert_eq!(drain.active(), 4);
    let drained = drain.shutdown(LONG);
    for mut client in clients {
        assert_eq!(client.closed().await.0, ABNORMAL);
        assert_eq!(upstream.closed().await, going_away());
    }
    assert_eq!(bounded("the drain", drained).await.closed(), 4);
    for worker in workers {
        worker.stop();
    }
}

#[tokio::test]
async fn a_later_deadline_does_not_replace_an_earlier_one_that_a_tunnel_has_taken() {
    let (upstream, drain) = (ScriptedUpstream::start().await, Drain::new());
    let address = app(UpgradeProxyLayer::new(upstream.upstream()).drain(drain.watcher())).await;
    let _tunnels = [open(address, &upstream).await, open(address, &upstream).await];
    let first = drain.shutdown(Duration::from_millis(600));
    // Lets the tunnels take the first request before its moment.
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    let second = drain.shutdown(LONG);
    assert_eq!(bounded("the first", first).await.aborted(), 2);
    assert_eq!(bounded("the second", second).await.aborted(), 2);
}

#[tokio::test]
async fn tunnels_that_end_for_another_reason_are_counted_as_finished() {
    let (upstream, drain) = (ScriptedUpstream::start().await, Drain::new().jitter(LONG));
    let address = app(UpgradeProxyLayer::new(upstream.upstream()).drain(drain.watcher())).await;
    let tunnels = [open(address, &upstream).await, open(address, &upstream).await];
    let drained = drain.shutdown(LONG);
    drop(tunnels); // long before the moment of at least one of them
    let drained = bounded("the drain", drained).await;
    assert_eq!((drained.aborted(), drained.remaining(), drained.total()), (0, 0, 2), "{drained}");
    assert!(drained.finished() >= 1, "{drained}");
}

#[tokio::test]
async fn every_hook_has_returned_when_the_drain_is_ready() {
    let (upstream, drain, closed) =
        (EchoUpstream::start().await, Drain::new(), Arc::new(AtomicUsize::new(0)));
    let layer = UpgradeProxyLayer::new(upstream.upstream()).drain(drain.watcher());
    let count = Arc::clone(&closed);
    let worker = Worker::start(
        Inner::Application,
        &layer.on_tunnel(move |_: &_, _: &_| {
            std::thread::sleep(Duration::from_millis(100));
            count.fetch_add(1, Ordering::SeqCst);
        }),
    )
    .await;
    let mut client = Client::http1(worker.address, "/").await;
    let drained = drain.shutdown(LONG);
    assert_eq!(client.closed().await.0, ABNORMAL);
    drop(client);
    assert_eq!((bounded("the drain", drained).await.total(), closed.load(Ordering::SeqCst)), (1, 1));
    worker.stop();
}
