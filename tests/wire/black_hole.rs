//! A side behind a network that drops everything: no bytes arrive, and no end.

use std::{net::SocketAddr, time::Duration};

use futures_util::{SinkExt, StreamExt};
use test_support::{ScriptedUpstream, bounded, proxy::Reports};
use tokio::{
    io::{AsyncReadExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
    sync::oneshot,
    time::Instant,
};
use tokio_tungstenite::{
    WebSocketStream, accept_async, client_async,
    tungstenite::{Message, protocol::CloseFrame},
};
use tower_upgrade_proxy::{
    ClosePolicy, KeepAlive, Side, TunnelConfig, TunnelEnd, TunnelSummary, UpgradeProxyLayer,
};

use crate::app;

const INTERVAL: Duration = Duration::from_millis(300);

/// Long enough for a Pong on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(1);

/// Long enough for a handshake and a message.
const IDLE: Duration = Duration::from_secs(2);

/// A network between two sides that can stop carrying bytes, with both connections open.
struct Network {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    kept: oneshot::Receiver<(TcpStream, TcpStream)>,
}

impl Network {
    async fn before(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let ((stop, stopped), (keep, kept)) = (oneshot::channel(), oneshot::channel());
        tokio::spawn(async move {
            let (mut near, _) = listener.accept().await.unwrap();
            let mut far = TcpStream::connect(target).await.unwrap();
            tokio::select! {
                ended = copy_bidirectional(&mut near, &mut far) => panic!("the network has ended: {ended:?}"),
                _ = stopped => {}
            }
            keep.send((near, far)).unwrap();
        });
        Self { address, stop, kept }
    }

    /// Stops carrying bytes. Returns both connections, which stay open until they are dropped.
    async fn stop(self) -> (TcpStream, TcpStream) {
        self.stop.send(()).unwrap();
        bounded("the connections", self.kept).await.unwrap()
    }
}

/// Returns a layer that pings both sides, with the summaries of its tunnels.
fn with_pings(upstream: SocketAddr) -> (UpgradeProxyLayer, Reports) {
    let keep_alive = KeepAlive::new().client(INTERVAL).upstream(INTERVAL).timeout(TIMEOUT);
    Reports::of(
        UpgradeProxyLayer::new(format!("http://{upstream}").parse().unwrap())
            .tunnel(TunnelConfig::new().keep_alive(keep_alive).close_policy(ClosePolicy::going_away())),
    )
}

/// Opens a tunnel between two WebSockets, which respond to Pings when they are read.
async fn open(
    address: SocketAddr,
    upstream: &ScriptedUpstream,
) -> (WebSocketStream<TcpStream>, WebSocketStream<TcpStream>) {
    let connect = async {
        let stream = TcpStream::connect(address).await.unwrap();
        client_async(format!("ws://{address}/"), stream).await.unwrap().0
    };
    let accept = async { accept_async(upstream.accept().await.stream).await.unwrap() };
    let (mut client, mut server) = bounded("the handshake", async { tokio::join!(connect, accept) }).await;
    client.send(Message::text("hello")).await.unwrap();
    assert_eq!(bounded("a message", server.next()).await.unwrap().unwrap(), Message::text("hello"));
    (client, server)
}

/// Returns the next message that is not a Ping.
async fn next_after_pings(socket: &mut WebSocketStream<TcpStream>) -> Message {
    loop {
        let message = bounded("a message", socket.next()).await.unwrap().unwrap();
        if !message.is_ping() {
            return message;
        }
    }
}

/// Requires a Close with this code and reason, and then the end of the connection.
async fn expect_close(socket: &mut WebSocketStream<TcpStream>, code: u16, reason: &str) {
    let message = next_after_pings(socket).await;
    let frame = CloseFrame { code: code.into(), reason: reason.into() };
    assert_eq!(message, Message::Close(Some(frame)));
    let end = bounded("the end", socket.next()).await;
    assert!(end.as_ref().is_none_or(Result::is_err), "{end:?}");
}

/// Requires that the connection to the unreachable side is closed.
async fn expect_closed(mut stream: TcpStream) {
    let mut rest = Vec::new();
    let _ = bounded("the end of the connection", stream.read_to_end(&mut rest)).await;
}

/// Returns a layer without pings and with an idle timeout, with the summaries of its tunnels.
fn without_pings(upstream: SocketAddr) -> (UpgradeProxyLayer, Reports) {
    let config = TunnelConfig::new()
        .idle_timeout(IDLE)
        .close_timeout(INTERVAL)
        .close_policy(ClosePolicy::going_away());
    Reports::of(UpgradeProxyLayer::new(format!("http://{upstream}").parse().unwrap()).tunnel(config))
}

/// Sends until a Close arrives. Nothing sent reaches the other side, and after a while writes block.
async fn flood_until_close(mut socket: WebSocketStream<TcpStream>) {
    let block = vec![0; 256 * 1024];
    let (mut sending, mut receiving) = (&mut socket).split();
    let close = bounded("a Close", async {
        tokio::select! {
            message = receiving.next() => message,
            () = async { while sending.send(Message::binary(block.clone())).await.is_ok() {} } => {
                receiving.next().await
            }
        }
    })
    .await;
    // If the connection ends in the middle of a write, the Close may be lost with it.
    if let Some(Ok(message)) = close {
        let frame = CloseFrame { code: 1001.into(), reason: "idle timeout".into() };
        assert_eq!(message, Message::Close(Some(frame)));
    }
}

async fn expect_idle_timeout(mut reports: Reports, unreachable: Side) -> TunnelSummary {
    let summary = reports.ended().await;
    assert!(matches!(summary.end(), TunnelEnd::IdleTimeout), "{summary:?}");
    assert_eq!(summary.close_code(unreachable), Some(1006), "{summary:?}");
    summary
}

#[tokio::test]
async fn without_pings_the_idle_timeout_ends_a_tunnel_to_an_unreachable_upstream() {
    let upstream = ScriptedUpstream::start().await;
    let network = Network::before(upstream.address).await;
    let (layer, reports) = without_pings(network.address);
    let (mut client, _server) = open(app(layer).await, &upstream).await;
    let (near, _far) = network.stop().await;
    expect_close(&mut client, 1001, "idle timeout").await;
    let summary = expect_idle_timeout(reports, Side::Upstream).await;
    assert_eq!(summary.close_code(Side::Client), Some(1001));
    expect_closed(near).await;
}

#[tokio::test]
async fn without_pings_the_idle_timeout_ends_a_tunnel_to_an_unreachable_client() {
    let upstream = ScriptedUpstream::start().await;
    let (layer, reports) = without_pings(upstream.address);
    let network = Network::before(app(layer).await).await;
    let (_client, mut server) = open(network.address, &upstream).await;
    let (_near, far) = network.stop().await;
    expect_close(&mut server, 1001, "idle timeout").await;
    let summary = expect_idle_timeout(reports, Side::Client).await;
    assert_eq!(summary.close_code(Side::Upstream), Some(1001));
    expect_closed(far).await;
}

#[tokio::test]
async fn a_blocked_flood_to_an_unreachable_side_is_ended_by_the_idle_timeout() {
    let upstream = ScriptedUpstream::start().await;
    let network = Network::before(upstream.address).await;
    let (layer, reports) = without_pings(network.address);
    let (client, _server) = open(app(layer).await, &upstream).await;
    let (near, _far) = network.stop().await;
    flood_until_close(client).await;
    expect_idle_timeout(reports, Side::Upstream).await;
    expect_closed(near).await;

    let (layer, reports) = without_pings(upstream.address);
    let network = Network::before(app(layer).await).await;
    let (_client, server) = open(network.address, &upstream).await;
    let (_near, far) = network.stop().await;
    flood_until_close(server).await;
    expect_idle_timeout(reports, Side::Client).await;
    expect_closed(far).await;
}

#[tokio::test]
async fn an_unreachable_upstream_is_detected_and_the_client_gets_a_close() {
    let upstream = ScriptedUpstream::start().await;
    let network = Network::before(upstream.address).await;
    let (layer, mut reports) = with_pings(network.address);
    let (mut client, _server) = open(app(layer).await, &upstream).await;
    let (near, _far) = network.stop().await;
    let stopped = Instant::now();
    expect_close(&mut client, 1011, "the upstream has gone").await;
    assert!(stopped.elapsed() < INTERVAL + TIMEOUT + Duration::from_secs(3), "{:?}", stopped.elapsed());
    let summary = reports.ended().await;
    assert!(matches!(summary.end(), TunnelEnd::KeepAliveTimeout { side: Side::Upstream }), "{summary:?}");
    assert_eq!([Side::Client, Side::Upstream].map(|side| summary.close_code(side)), [Some(1011), Some(1006)]);
    expect_closed(near).await;
}

#[tokio::test]
async fn an_unreachable_client_is_detected_and_the_upstream_gets_a_close() {
    let upstream = ScriptedUpstream::start().await;
    let (layer, mut reports) = with_pings(upstream.address);
    let network = Network::before(app(layer).await).await;
    let (_client, mut server) = open(network.address, &upstream).await;
    let (_near, far) = network.stop().await;
    let stopped = Instant::now();
    expect_close(&mut server, 1001, "the client has gone").await;
    assert!(stopped.elapsed() < INTERVAL + TIMEOUT + Duration::from_secs(3), "{:?}", stopped.elapsed());
    let summary = reports.ended().await;
    assert!(matches!(summary.end(), TunnelEnd::KeepAliveTimeout { side: Side::Client }), "{summary:?}");
    assert_eq!([Side::Client, Side::Upstream].map(|side| summary.close_code(side)), [Some(1006), Some(1001)]);
    expect_closed(far).await;
}

#[tokio::test]
async fn silent_sides_that_answer_pings_stay_connected() {
    let upstream = ScriptedUpstream::start().await;
    let (layer, mut reports) = with_pings(upstream.address);
    let (mut client, mut server) = open(app(layer).await, &upstream).await;
    assert!(reports.next().await.1.is_none(), "open");
    let begun = Instant::now();
    while begun.elapsed() < 2 * (INTERVAL + TIMEOUT) {
        // Each side responds by reading, and receives only Pings.
        let message = bounded("a Ping", async {
            tokio::select! {
                message = client.next() => message,
                message = server.next() => message,
            }
        })
        .await;
        let message = message.unwrap().unwrap();
        assert!(message.is_ping() && message.into_data().len() == 8);
        client.flush().await.unwrap();
        server.flush().await.unwrap();
    }
    assert!(reports.is_empty(), "closed");
    client.send(Message::text("still here")).await.unwrap();
    assert_eq!(next_after_pings(&mut server).await, Message::text("still here"));
}
