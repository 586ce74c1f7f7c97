//! J8 and J9. What one client, or one tunnel, must not be able to do to the others.

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::join_all;
use h2::{RecvStream, SendStream, client::Builder};
use hyper_util::{rt::TokioExecutor, server::conn::auto};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    time::timeout,
};
use tower_upgrade_proxy::UpgradeProxyLayer;

use crate::{
    client::Client,
    counted::counted,
    h2_frames::{CANCEL, Frames, opened_and_reset, websocket},
    j_handshakes::agree,
    stage::{Served, Stage},
    streams::send,
    support::{Scripted, Wire, bounded, ping_pong, serve_auto_with},
};

/// How long nothing must move to be taken for stalled.
const STALLED: Duration = Duration::from_millis(500);

/// hyper's server takes a few at a time, then it ends the connection.
async fn j8_ten_thousand_streams_that_are_reset_at_once_cost_little(served: Served) {
    let counted = counted(served, |stage, mut begin| async move {
        let (mut client, mut server) = stage.tunnel().await;
        begin.now().await;
        let (mut reading, mut writing) = Frames::connect(stage.address).await.stream.into_split();
        let flood = tokio::spawn(async move {
            for number in 0..10_000 {
                if writing.write_all(&opened_and_reset(2 * number + 1)).await.is_err() {
                    return;
                }
            }
            let _ = writing.shutdown().await;
        });
        let mut answers = Vec::new();
        // The end may be a reset.
        let _ = bounded("the end", reading.read_to_end(&mut answers)).await;
        bounded("the flood", flood).await.unwrap();
        assert!(answers.len() < 1 << 20, "{} bytes", answers.len());
        // Whatever was dialled is let go of.
        let last = Wire::connect(stage.upstream.address).await.stream.local_addr().unwrap();
        let mut dialled = 0;
        loop {
            let mut server = stage.upstream.accept().await;
            if server.stream.peer_addr().unwrap() == last {
                break;
            }
            server.rest().await;
            dialled += 1;
        }
        assert!(dialled <= 1000, "{dialled} connections");
        ping_pong(&mut client, &mut server).await;
    });
    assert!(counted.bytes_max < 2 << 20, "{counted:?}");
    assert!(counted.bytes_current < 1 << 17, "{counted:?}");
}

/// Those that the upstream has been asked for.
async fn j8_streams_that_are_reset_one_by_one_leave_nothing(served: Served) {
    const AT_ONCE: usize = 20;
    let counted = counted(served, |stage, mut begin| async move {
        let mut client = Frames::connect(stage.address).await;
        let tunnel = client.ask(&websocket()).await;
        let mut server = agree(&stage.upstream).await;
        assert_eq!(client.status(tunnel).await, 200);
        for round in 0..50 {
            if round == 5 {
                begin.now().await;
            }
            let mut asked = Vec::new();
            for _ in 0..AT_ONCE {
                let stream = client.ask(&websocket()).await;
                let mut server = stage.upstream.accept().await;
                server.head().await;
                asked.push((stream, server));
            }
            for (stream, mut server) in asked {
                client.reset(stream, CANCEL).await;
                server.expect_end().await;
            }
        }
        client.data(tunnel, "ping").await;
        server.expect("ping").await;
    });
    assert!(counted.bytes_max < 1 << 20, "{counted:?}");
    assert!(counted.bytes_current < 1 << 16, "{counted:?}");
}

type Tunnel = (SendStream<Bytes>, RecvStream, Wire);

/// A connection with tunnels on it, whose windows are large enough on the client's side.
async fn tunnels(stage: &Stage, count: usize) -> Vec<Tunnel> {
    let builder = Builder::new().initial_window_size(1 << 20).initial_connection_window_size(1 << 30).clone();
    let mut client = Client::with(stage.address, &builder).await;
    let mut tunnels = Vec::new();
    for _ in 0..count {
        let asked = client.connect_to("/");
        let server = agree(&stage.upstream).await;
        let (response, up) = asked.answer().await;
        tunnels.push((up, response.into_body(), server));
    }
    tunnels
}

/// Sends until nothing is taken any more.
async fn flood_up(up: &mut SendStream<Bytes>) {
    let block = vec![0; 1 << 14];
    while timeout(STALLED, send(up, &block)).await.is_ok() {}
}

async fn flood_down(server: &mut Wire) {
    let block = vec![0; 1 << 14];
    while timeout(STALLED, server.stream.write_all(&block)).await.is_ok() {}
}

/// A quarter of a mebibyte each way.
async fn carry((up, down, server): &mut Tunnel) {
    const BYTES: usize = 1 << 18;
    let (sent, received) = (vec![1; BYTES], async {
        let mut received = 0;
        while received < BYTES {
            let data = bounded("data", down.data()).await.unwrap().unwrap();
            down.flow_control().release_capacity(data.len()).unwrap();
            received += data.len();
        }
    });
    let (mut reading, mut writing) = server.stream.split();
    let mut read = vec![0; BYTES];
    let (_, _, taken, written) = tokio::join!(
        send(up, &sent),
        received,
        bounded("up", reading.read_exact(&mut read)),
        bounded("down", writing.write_all(&sent))
    );
    taken.unwrap();
    written.unwrap();
}

async fn j9_a_stalled_tunnel_of_a_hundred_leaves_the_others_their_speed(served: Served) {
    const WINDOW: u32 = 128 << 10;
    let upstream = Scripted::start().await;
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http2()
        .enable_connect_protocol()
        .max_concurrent_streams(100)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(4 * 100 * WINDOW);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let app = served.app(UpgradeProxyLayer::new(upstream.upstream()));
    let stage = Stage { served, upstream, address: serve_auto_with(builder, listener, app) };
    let mut tunnels = tunnels(&stage, 100).await;
    let (mut up, _down, mut server) = tunnels.remove(50);
    let mut times = Vec::new();
    for stalled in [false, true] {
        if stalled {
            flood_up(&mut up).await;
            flood_down(&mut server).await;
        }
        let begun = Instant::now();
        bounded("the other 99", join_all(tunnels.iter_mut().map(carry))).await;
        times.push(begun.elapsed());
    }
    assert!(times[1] < 10 * times[0] + Duration::from_secs(5), "{times:?}");
}

/// The connection's window is as large as a stream's, 1 MiB. One may leave a part of it, as h2 gives both back
/// by halves; two do not.
async fn j9_on_axum_serve_stalled_tunnels_hold_up_what_the_others_send(served: Served) {
    let stage = served.stage().await;
    let mut tunnels = tunnels(&stage, 3).await;
    let mut stalled = tunnels.split_off(1);
    let (other, receives, their_server) = &mut tunnels[0];
    let mut looked = 0;
    loop {
        for (up, ..) in &mut stalled {
            flood_up(up).await;
        }
        match timeout(STALLED, send(other, b"x")).await {
            Err(_) => break,
            // The machine was slow.
            Ok(()) => their_server.expect("x").await,
        }
        looked += 1;
        assert!(looked < 10, "axum::serve has learnt it");
    }
    // What they receive is not concerned.
    their_server.send("down").await;
    crate::streams::expect(receives, "down").await;
    // Nor anything after it.
    drop(stalled);
    send(other, b"up").await;
    their_server.expect("up").await;
}

on_both![
    j8_ten_thousand_streams_that_are_reset_at_once_cost_little,
    j8_streams_that_are_reset_one_by_one_leave_nothing,
    j9_a_stalled_tunnel_of_a_hundred_leaves_the_others_their_speed,
    j9_on_axum_serve_stalled_tunnels_hold_up_what_the_others_send,
];
