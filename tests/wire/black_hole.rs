//! A peer behind a network that has stopped carrying anything: no bytes, no end.

use std::{net::SocketAddr, time::Duration};

use futures_util::{SinkExt, StreamExt};
use tokio::{
    io::{AsyncReadExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
    sync::{mpsc, oneshot},
    time::Instant,
};
use tokio_tungstenite::{
    WebSocketStream, accept_async, client_async,
    tungstenite::{Message, protocol::CloseFrame},
};
use tower_upgrade_proxy::{
    KeepAlive, OnTunnel, Side, TunnelConfig, TunnelEnd, TunnelInfo, TunnelSummary, UpgradeProxyLayer,
};

use crate::{
    app,
    support::{Scripted, bounded},
};

const INTERVAL: Duration = Duration::from_millis(300);

/// Long enough for an answer on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(1);

/// Long enough for a handshake and a message.
const IDLE: Duration = Duration::from_secs(2);

/// Carries bytes to `target` and back, until it is told to stop and keeps both connections.
struct Middle {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    kept: oneshot::Receiver<(TcpStream, TcpStream)>,
}

impl Middle {
    async fn before(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let ((stop, stopped), (keep, kept)) = (oneshot::channel(), oneshot::channel());
        tokio::spawn(async move {
            let (mut near, _) = listener.accept().await.unwrap();
            let mut far = TcpStream::connect(target).await.unwrap();
            tokio::select! {
                ended = copy_bidirectional(&mut near, &mut far) => panic!("it has ended: {ended:?}"),
                _ = stopped => {}
            }
            keep.send((near, far)).unwrap();
        });
        Self { address, stop, kept }
    }

    /// From here on nothing is carried. Both connections stay open as long as what is returned.
    async fn stop(self) -> (TcpStream, TcpStream) {
        self.stop.send(()).unwrap();
        bounded("the connections", self.kept).await.unwrap()
    }
}

struct Report(mpsc::UnboundedSender<TunnelSummary>);

impl OnTunnel for Report {
    fn on_close(&self, _: &TunnelInfo, summary: &TunnelSummary) {
        self.0.send(summary.clone()).unwrap();
    }
}

/// A layer that pings both sides, and what becomes of its tunnels.
fn pinging(upstream: SocketAddr) -> (UpgradeProxyLayer, mpsc::UnboundedReceiver<TunnelSummary>) {
    let (sender, reports) = mpsc::unbounded_channel();
    let keep_alive = KeepAlive::new().client(INTERVAL).upstream(INTERVAL).timeout(TIMEOUT);
    let layer = UpgradeProxyLayer::new(format!("http://{upstream}").parse().unwrap())
        .tunnel(TunnelConfig::new().keep_alive(keep_alive))
        .on_tunnel(Report(sender));
    (layer, reports)
}

/// Two ends of a tunnel that both know how to answer a Ping.
async fn open(
    address: SocketAddr,
    upstream: &Scripted,
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

/// The next message that is none of our pings, all of which are answered.
async fn beyond_pings(socket: &mut WebSocketStream<TcpStream>) -> Message {
    loop {
        let message = bounded("a message", socket.next()).await.unwrap().unwrap();
        if !message.is_ping() {
            return message;
        }
    }
}

/// The living end is told, and its connection ends; what it says until then is heard by nobody.
async fn expect_close(socket: &mut WebSocketStream<TcpStream>, code: u16, reason: &str) {
    let message = beyond_pings(socket).await;
    let frame = CloseFrame { code: code.into(), reason: reason.into() };
    assert_eq!(message, Message::Close(Some(frame)));
    let end = bounded("the end", socket.next()).await;
    assert!(end.as_ref().is_none_or(Result::is_err), "{end:?}");
}

/// The dead end's connection is let go of.
async fn expect_let_go(mut stream: TcpStream) {
    let mut rest = Vec::new();
    let _ = bounded("the end of the connection", stream.read_to_end(&mut rest)).await;
}

/// A layer that pings nobody, and ends what is idle; and what becomes of its tunnels.
fn waiting(upstream: SocketAddr) -> (UpgradeProxyLayer, mpsc::UnboundedReceiver<TunnelSummary>) {
    let (sender, reports) = mpsc::unbounded_channel();
    let config = TunnelConfig::new().idle_timeout(IDLE).close_timeout(INTERVAL);
    let layer = UpgradeProxyLayer::new(format!("http://{upstream}").parse().unwrap())
        .tunnel(config)
        .on_tunnel(Report(sender));
    (layer, reports)
}

/// Sends until it is told of the end: nothing that it says arrives, and after a while nothing more is taken.
async fn flood_until_told(mut socket: WebSocketStream<TcpStream>) {
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
    // When it comes to an end in the middle of what is sent, the Close may be lost with the connection.
    if let Some(Ok(message)) = close {
        let frame = CloseFrame { code: 1001.into(), reason: "idle timeout".into() };
        assert_eq!(message, Message::Close(Some(frame)));
    }
}

async fn expect_idle_timeout(
    mut reports: mpsc::UnboundedReceiver<TunnelSummary>,
    vanished: Side,
) -> TunnelSummary {
    let summary = bounded("the end of the tunnel", reports.recv()).await.unwrap();
    assert!(matches!(summary.end(), TunnelEnd::IdleTimeout), "{summary:?}");
    assert_eq!(summary.close_code(vanished), Some(1006), "{summary:?}");
    summary
}

#[tokio::test]
async fn without_pings_the_idle_timeout_ends_a_tunnel_to_an_unreachable_upstream() {
    let upstream = Scripted::start().await;
    let middle = Middle::before(upstream.address).await;
    let (layer, reports) = waiting(middle.address);
    let (mut client, _server) = open(app(layer).await, &upstream).await;
    let (near, _far) = middle.stop().await;
    expect_close(&mut client, 1001, "idle timeout").await;
    let summary = expect_idle_timeout(reports, Side::Upstream).await;
    assert_eq!(summary.close_code(Side::Client), Some(1001));
    expect_let_go(near).await;
}

#[tokio::test]
async fn without_pings_the_idle_timeout_ends_a_tunnel_to_an_unreachable_client() {
    let upstream = Scripted::start().await;
    let (layer, reports) = waiting(upstream.address);
    let middle = Middle::before(app(layer).await).await;
    let (_client, mut server) = open(middle.address, &upstream).await;
    let (_near, far) = middle.stop().await;
    expect_close(&mut server, 1001, "idle timeout").await;
    let summary = expect_idle_timeout(reports, Side::Client).await;
    assert_eq!(summary.close_code(Side::Upstream), Some(1001));
    expect_let_go(far).await;
}

#[tokio::test]
async fn a_blocked_flood_to_an_unreachable_side_is_ended_by_the_idle_timeout() {
    let upstream = Scripted::start().await;
    let middle = Middle::before(upstream.address).await;
    let (layer, reports) = waiting(middle.address);
    let (client, _server) = open(app(layer).await, &upstream).await;
    let (near, _far) = middle.stop().await;
    flood_until_told(client).await;
    expect_idle_timeout(reports, Side::Upstream).await;
    expect_let_go(near).await;

    let (layer, reports) = waiting(upstream.address);
    let middle = Middle::before(app(layer).await).await;
    let (_client, server) = open(middle.address, &upstream).await;
    let (_near, far) = middle.stop().await;
    flood_until_told(server).await;
    expect_idle_timeout(reports, Side::Client).await;
    expect_let_go(far).await;
}

#[tokio::test]
async fn an_unreachable_upstream_is_detected_and_the_client_gets_a_close() {
    let upstream = Scripted::start().await;
    let middle = Middle::before(upstream.address).await;
    let (layer, mut reports) = pinging(middle.address);
    let (mut client, _server) = open(app(layer).await, &upstream).await;
    let (near, _far) = middle.stop().await;
    let vanished = Instant::now();
    expect_close(&mut client, 1011, "the upstream has gone").await;
    assert!(vanished.elapsed() < INTERVAL + TIMEOUT + Duration::from_secs(3), "{:?}", vanished.elapsed());
    let summary = bounded("the end of the tunnel", reports.recv()).await.unwrap();
    assert!(matches!(summary.end(), TunnelEnd::KeepAliveTimeout { side: Side::Upstream }), "{summary:?}");
    assert_eq!([Side::Client, Side::Upstream].map(|side| summary.close_code(side)), [Some(1011), Some(1006)]);
    expect_let_go(near).await;
}

#[tokio::test]
async fn an_unreachable_client_is_detected_and_the_upstream_gets_a_close() {
    let upstream = Scripted::start().await;
    let (layer, mut reports) = pinging(upstream.address);
    let middle = Middle::before(app(layer).await).await;
    let (_client, mut server) = open(middle.address, &upstream).await;
    let (_near, far) = middle.stop().await;
    let vanished = Instant::now();
    expect_close(&mut server, 1001, "the client has gone").await;
    assert!(vanished.elapsed() < INTERVAL + TIMEOUT + Duration::from_secs(3), "{:?}", vanished.elapsed());
    let summary = bounded("the end of the tunnel", reports.recv()).await.unwrap();
    assert!(matches!(summary.end(), TunnelEnd::KeepAliveTimeout { side: Side::Client }), "{summary:?}");
    assert_eq!([Side::Client, Side::Upstream].map(|side| summary.close_code(side)), [Some(1006), Some(1001)]);
    expect_let_go(far).await;
}

#[tokio::test]
async fn silent_sides_that_answer_pings_stay_connected() {
    let upstream = Scripted::start().await;
    let (layer, mut reports) = pinging(upstream.address);
    let (mut client, mut server) = open(app(layer).await, &upstream).await;
    let begun = Instant::now();
    while begun.elapsed() < 2 * (INTERVAL + TIMEOUT) {
        // Each takes part by reading, and sees nothing but our pings.
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
    assert!(reports.try_recv().is_err());
    client.send(Message::text("still here")).await.unwrap();
    assert_eq!(beyond_pings(&mut server).await, Message::text("still here"));
}
