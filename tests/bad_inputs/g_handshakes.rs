//! G. Faults before there is a tunnel.

use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt;
use tower_upgrade_proxy::{Drain, UpgradeProxyLayer};

use crate::{
    counted::counted,
    e_sizes::MOST,
    stage::{Served, Stage},
    support::{Reserved, Scripted, Wire, bounded, handshake, ping_pong, serve},
};

const ORDINARY: &str = "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n";

/// What goes to the upstream: an application's ordinary requests do not.
fn requests(served: Served) -> Vec<String> {
    match served {
        Served::LayerAlone => vec![handshake("/")],
        Served::Location => vec![handshake("/"), ORDINARY.to_owned()],
    }
}

/// Requires `status`, and that the client's connection is as it was.
async fn expect_failure(stage: &Stage, client: &mut Wire, status: u16, case: &str) {
    let head = client.head().await;
    assert_eq!(head.status(), status, "{case}");
    for name in ["upgrade", "connection", "sec-websocket-accept"] {
        assert!(head.values(name).is_empty(), "{case}: {name}");
    }
    client.body(&head).await;
    assert!(client.buffered().is_empty(), "{case}");
    stage.ordinary(client, "GET /next HTTP/1.1\r\nHost: a.example\r\n\r\n").await;
}

async fn g1_an_upstream_that_refuses_is_502(served: Served) {
    let nobody = Reserved::new();
    let address = serve(served.app(UpgradeProxyLayer::new(nobody.uri().parse().unwrap()))).await;
    for request in requests(served) {
        let mut client = Wire::connect(address).await;
        for _ in 0..2 {
            let head = client.ask(&request).await;
            assert_eq!(head.status(), 502);
            client.body(&head).await;
        }
    }
}

async fn g1_an_upstream_that_resets_or_closes_before_it_answers_is_502(served: Served) {
    let stage = served.stage().await;
    for request in requests(served) {
        for resets in [true, false] {
            for reads in [true, false] {
                let mut client = stage.client().await;
                client.send(&request).await;
                let mut server = stage.upstream.accept().await;
                if reads {
                    server.head().await;
                }
                if resets {
                    server.reset();
                } else {
                    drop(server);
                }
                expect_failure(&stage, &mut client, 502, "gone").await;
            }
        }
    }
}

async fn g1_an_upstream_that_sends_garbage_is_502(served: Served) {
    let stage = served.stage().await;
    let garbage: [&[u8]; 8] = [
        b"\x16\x03\x01\x00\x00 what is this?\r\n\r\n",
        b"HTTP/2.0 101 Switching Protocols\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"HTTP/1.1 1O1 Switching Protocols\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade : websocket\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: web\0socket\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        b"\0\0\0\0",
    ];
    for request in requests(served) {
        for garbage in garbage {
            let mut client = stage.client().await;
            let mut server = stage.upstream.asked(&mut client, &request).await;
            server.send(garbage).await;
            let case = String::from_utf8_lossy(garbage);
            expect_failure(&stage, &mut client, 502, &case).await;
            server.expect_end().await;
        }
    }
}

async fn g1_half_a_head_is_502(served: Served) {
    let stage = served.stage().await;
    for request in requests(served) {
        for half in ["HTTP/1.1 101 Switching Protocols\r\nUpgrade: webso", "HTTP/1.1 200 OK\r\n", "HTT"] {
            let mut client = stage.client().await;
            let mut server = stage.upstream.asked(&mut client, &request).await;
            server.send(half).await;
            server.finish().await;
            expect_failure(&stage, &mut client, 502, half).await;
        }
    }
}

/// 100 fields are as many as hyper takes.
async fn g1_a_head_of_too_many_fields_is_502(served: Served) {
    let stage = served.stage().await;
    for request in requests(served) {
        for (fields, status) in [(100, 403), (101, 502), (5000, 502)] {
            let mut client = stage.client().await;
            let mut server = stage.upstream.asked(&mut client, &request).await;
            let lines: String = (2..fields).map(|number| format!("X-{number}: v\r\n")).collect();
            let last = "Connection: close\r\nContent-Length: 0\r\n\r\n";
            server.send(format!("HTTP/1.1 403 Forbidden\r\n{lines}{last}")).await;
            expect_failure(&stage, &mut client, status, &format!("{fields} fields")).await;
        }
    }
}

/// What hyper takes of a head, and what lies in the sockets' buffers when nobody reads it any more.
const TAKEN: usize = 8 << 20;

async fn g1_an_endless_head_is_502_in_bounded_memory(served: Served) {
    let counted = counted(served, move |stage, mut begin| async move {
        stage.tunnel().await;
        begin.now().await;
        for request in requests(served) {
            for goes_on in ["x".repeat(1 << 14), "X-Field: value\r\n".repeat(1 << 10)] {
                let mut client = stage.client().await;
                let mut server = stage.upstream.asked(&mut client, &request).await;
                server.send("HTTP/1.1 101 Switching Protocols\r\nX-Endless: ").await;
                let mut taken = 0;
                while bounded("to send", server.stream.write_all(goes_on.as_bytes())).await.is_ok() {
                    taken += goes_on.len();
                }
                assert!(taken < TAKEN, "{taken} bytes");
                expect_failure(&stage, &mut client, 502, "endless").await;
            }
        }
    });
    assert!(counted.bytes_max < MOST, "{counted:?}");
}

/// Short timeouts, of which none is another's.
fn in_a_hurry(layer: UpgradeProxyLayer) -> UpgradeProxyLayer {
    layer.handshake_timeout(HURRY).header_timeout(HURRY)
}

const HURRY: Duration = Duration::from_millis(300);

async fn g2_a_silent_upstream_is_504_at_the_timeout(served: Served) {
    let stage = served.stage_with(in_a_hurry).await;
    for request in requests(served) {
        let (mut client, begun) = (stage.client().await, Instant::now());
        let mut server = stage.upstream.asked(&mut client, &request).await;
        expect_failure(&stage, &mut client, 504, "silent").await;
        assert!(begun.elapsed() >= HURRY);
        server.expect_end().await;
    }
}

async fn g2_an_upstream_that_drips_is_504_at_the_timeout(served: Served) {
    let stage = served.stage_with(in_a_hurry).await;
    for request in requests(served) {
        let (mut client, begun) = (stage.client().await, Instant::now());
        let mut server = stage.upstream.asked(&mut client, &request).await;
        let dripping = tokio::spawn(async move {
            server.send("HTTP/1.1 101 Switching Protocols\r\nX-Slow: ").await;
            while server.stream.write_all(b"x").await.is_ok() {
                tokio::time::sleep(HURRY / 20).await;
            }
        });
        expect_failure(&stage, &mut client, 504, "dripping").await;
        assert!(begun.elapsed() >= HURRY);
        bounded("the upstream to be dropped", dripping).await.unwrap();
    }
}

async fn g4_a_client_that_leaves_during_the_handshake_releases_the_upstream(served: Served) {
    let drain = Drain::new();
    let watcher = drain.watcher();
    let stage = served.stage_with(|layer| layer.drain(watcher).max_handshakes(1)).await;
    for request in requests(served) {
        for resets in [true, false] {
            let mut client = stage.client().await;
            let mut server = stage.upstream.asked(&mut client, &request).await;
            server.send("HTTP/1.1 10").await;
            if resets {
                client.reset();
            } else {
                drop(client);
            }
            // Long before the handshake's timeout.
            server.expect_end().await;
            assert_eq!(drain.active(), 0);
        }
    }
    // The place of the handshake is free again.
    let (mut client, mut server) = stage.tunnel().await;
    ping_pong(&mut client, &mut server).await;
}

/// hyper reads no further than what it holds, so it does not see that the client has gone.
async fn g4_a_client_that_sent_bytes_and_left_releases_the_upstream_at_the_timeout(served: Served) {
    let stage = served.stage_with(in_a_hurry).await;
    let begun = Instant::now();
    let (client, mut server, _) = stage.asked(handshake("/") + "early").await;
    drop(client);
    server.expect_end().await;
    assert!(begun.elapsed() >= HURRY, "hyper sees it now");
}

async fn g9_a_request_that_drips_is_ended_by_the_servers_timeout(served: Served) {
    let upstream = Scripted::start().await;
    let mut http1 = hyper::server::conn::http1::Builder::new();
    http1.timer(hyper_util::rt::TokioTimer::new()).header_read_timeout(HURRY);
    let app = served.app(UpgradeProxyLayer::new(upstream.upstream()));
    let address = crate::support::serve_http1_with(http1, app).await;
    let stage = Stage { served, upstream, address };
    let (mut other, mut server) = stage.tunnel().await;
    let (mut slow, begun) = (stage.client().await, Instant::now());
    let dripping = async {
        for byte in handshake("/").bytes().cycle() {
            if slow.stream.write_all(&[byte]).await.is_err() {
                return;
            }
            tokio::time::sleep(HURRY / 20).await;
        }
    };
    bounded("the end", dripping).await;
    assert!(begun.elapsed() >= HURRY);
    stage.upstream.expect_untouched().await;
    // What has had its head is not concerned.
    ping_pong(&mut other, &mut server).await;
}

on_both![
    g1_an_upstream_that_refuses_is_502,
    g1_an_upstream_that_resets_or_closes_before_it_answers_is_502,
    g1_an_upstream_that_sends_garbage_is_502,
    g1_half_a_head_is_502,
    g1_a_head_of_too_many_fields_is_502,
    g1_an_endless_head_is_502_in_bounded_memory,
    g2_a_silent_upstream_is_504_at_the_timeout,
    g2_an_upstream_that_drips_is_504_at_the_timeout,
    g4_a_client_that_leaves_during_the_handshake_releases_the_upstream,
    g4_a_client_that_sent_bytes_and_left_releases_the_upstream_at_the_timeout,
    g9_a_request_that_drips_is_ended_by_the_servers_timeout,
];
