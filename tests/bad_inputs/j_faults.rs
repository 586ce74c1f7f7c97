//! J7. What ends tunnels in HTTP/2, and which.

use std::time::{Duration, Instant};

use tower_upgrade_proxy::{Drain, TunnelConfig};

use crate::{
    h2_frames::{CANCEL, Frame, Frames, INTERNAL_ERROR, websocket},
    j_handshakes::agree,
    stage::{Served, Stage},
    support::{Wire, bounded},
};

/// A client's connection, with the tunnels on it.
struct Connection {
    client: Frames,
    tunnels: Vec<(u32, Wire)>,
}

impl Connection {
    async fn open(stage: &Stage, tunnels: usize) -> Self {
        let mut connection = Self { client: Frames::connect(stage.address).await, tunnels: Vec::new() };
        for _ in 0..tunnels {
            let stream = connection.client.ask(&websocket()).await;
            let server = agree(&stage.upstream).await;
            assert_eq!(connection.client.status(stream).await, 200);
            connection.tunnels.push((stream, server));
        }
        connection.expect_alive().await;
        connection
    }

    async fn expect_alive(&mut self) {
        for (stream, server) in &mut self.tunnels {
            self.client.data(*stream, b"\x81\x04ping").await;
            server.expect(b"\x81\x04ping").await;
            server.send(b"\x81\x04pong").await;
            self.client.expect(*stream, b"\x81\x04pong").await;
        }
    }
}

/// No timeout that could end a tunnel before the test does.
async fn patient(served: Served, drain: &Drain) -> Stage {
    let hour = Duration::from_secs(3600);
    let tunnel = TunnelConfig::new().half_close_timeout(hour).close_timeout(hour).idle_timeout(hour);
    served.stage_with(|layer| layer.tunnel(tunnel).drain(drain.watcher())).await
}

async fn left(drain: &Drain, tunnels: usize) {
    bounded("the others to be over", async {
        while drain.active() != tunnels {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

async fn j7_a_reset_ends_its_tunnel_alone(served: Served) {
    let drain = Drain::new();
    let stage = patient(served, &drain).await;
    let mut connection = Connection::open(&stage, 3).await;
    let mut other = Connection::open(&stage, 2).await;
    let (stream, mut server) = connection.tunnels.remove(1);
    connection.client.reset(stream, INTERNAL_ERROR).await;
    server.rest().await;
    left(&drain, 4).await;
    connection.expect_alive().await;
    other.expect_alive().await;
}

/// hyper tells a stream that is cancelled like one that has ended.
async fn j7_a_cancelled_stream_is_an_end_and_the_upstream_has_the_half_close_timeout(served: Served) {
    let drain = Drain::new();
    let stage = patient(served, &drain).await;
    let mut connection = Connection::open(&stage, 3).await;
    let (stream, mut server) = connection.tunnels.remove(1);
    connection.client.reset(stream, CANCEL).await;
    server.expect_end().await;
    drop(server);
    left(&drain, 2).await;
    connection.expect_alive().await;

    let soon = Duration::from_millis(300);
    let stage = served.stage_with(|layer| layer.half_close_timeout(soon).drain(drain.watcher())).await;
    let begun = Instant::now();
    let mut connection = Connection::open(&stage, 2).await;
    let (stream, mut server) = connection.tunnels.remove(1);
    connection.client.reset(stream, CANCEL).await;
    server.expect_end().await;
    left(&drain, 2 + 1).await;
    assert!(begun.elapsed() >= soon);
    connection.expect_alive().await;
}

async fn j7_a_reset_during_the_handshake_releases_the_upstream(served: Served) {
    let drain = Drain::new();
    let stage = patient(served, &drain).await;
    let mut connection = Connection::open(&stage, 2).await;
    for reason in [CANCEL, INTERNAL_ERROR] {
        let stream = connection.client.ask(&websocket()).await;
        let mut server = stage.upstream.accept().await;
        server.head().await;
        connection.client.reset(stream, reason).await;
        server.expect_end().await;
        connection.expect_alive().await;
    }
    left(&drain, 2).await;
}

async fn j7_a_connection_that_drops_ends_its_tunnels_and_no_others(served: Served) {
    let drain = Drain::new();
    let stage = patient(served, &drain).await;
    let mut other = Connection::open(&stage, 2).await;
    for resets in [true, false] {
        let Connection { mut client, tunnels } = Connection::open(&stage, 3).await;
        let pending = client.ask(&websocket()).await;
        let mut asked = stage.upstream.accept().await;
        asked.head().await;
        assert!(pending > 0);
        if resets {
            client.stream.set_zero_linger().unwrap();
        }
        drop(client);
        for (_, mut server) in tunnels {
            server.rest().await;
        }
        asked.expect_end().await;
        left(&drain, 2).await;
        other.expect_alive().await;
    }
}

/// It says that the client takes no streams of the server's, of which there are none.
async fn j7_a_goaway_ends_no_tunnel_and_with_the_last_one_the_connection(served: Served) {
    let drain = Drain::new();
    let stage = patient(served, &drain).await;
    let mut connection = Connection::open(&stage, 3).await;
    let mut other = Connection::open(&stage, 2).await;
    connection.client.leave().await;
    connection.client.settle().await;
    connection.expect_alive().await;
    let Connection { mut client, tunnels } = connection;
    for (stream, mut server) in tunnels {
        client.finish(stream).await;
        server.expect_end().await;
        server.finish().await;
    }
    while !matches!(client.next().await, Frame::End) {}
    left(&drain, 2).await;
    other.expect_alive().await;
}

async fn j7_an_upstream_that_drops_ends_its_tunnel_alone(served: Served) {
    let drain = Drain::new();
    let stage = patient(served, &drain).await;
    let mut connection = Connection::open(&stage, 3).await;
    let (stream, server) = connection.tunnels.remove(1);
    server.reset();
    // A Close, and the end.
    let mut bytes = Vec::new();
    loop {
        match connection.client.next_of(stream).await {
            Frame::Data { bytes: data, ends, .. } => {
                bytes.extend(data);
                if ends {
                    break;
                }
            }
            frame => panic!("{frame:?}"),
        }
    }
    assert_eq!(crate::support::close_code(&bytes), Some(1011));
    connection.client.finish(stream).await;
    left(&drain, 2).await;
    connection.expect_alive().await;
}

on_both![
    j7_a_reset_ends_its_tunnel_alone,
    j7_a_cancelled_stream_is_an_end_and_the_upstream_has_the_half_close_timeout,
    j7_a_reset_during_the_handshake_releases_the_upstream,
    j7_a_connection_that_drops_ends_its_tunnels_and_no_others,
    j7_a_goaway_ends_no_tunnel_and_with_the_last_one_the_connection,
    j7_an_upstream_that_drops_ends_its_tunnel_alone,
];
