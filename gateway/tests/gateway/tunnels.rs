//! Protocols that may be tunnelled, and the end of tunnels.

use test_support::{ScriptedUpstream, bounded};
use tokio_tungstenite::tungstenite::Message;

use crate::{Gateway, upstream};

#[tokio::test]
async fn an_allowed_protocol_is_tunnelled_with_its_request_body() {
    const REQUEST: &str = "POST /exec HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\
        Content-Length: 4\r\n\r\nbody";
    let upstream = ScriptedUpstream::start().await;
    let route = format!("/={}", upstream.uri());

    let gateway = Gateway::start(&["--route", &route, "--allow", "tcp"]).await;
    let mut client = gateway.wire().await;
    client.send(REQUEST).await;
    let mut server = upstream.accept().await;
    assert!(server.head().await.has("upgrade", "tcp"));
    server.expect("body").await;
    server.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n").await;
    let head = client.head().await;
    assert!(head.status() == 101 && head.has("upgrade", "tcp"), "{}", head.text());
    client.send("raw bytes").await;
    server.expect("raw bytes").await;
    server.send("and back").await;
    client.expect("and back").await;
}

#[tokio::test]
async fn a_protocol_that_is_not_allowed_is_an_ordinary_request() {
    let upstream = ScriptedUpstream::start().await;
    let gateway = Gateway::start(&["--route", &format!("/={}", upstream.uri())]).await;
    let mut client = gateway.wire().await;
    client.send("GET /x HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n").await;
    let mut server = upstream.accept().await;
    let head = server.head().await;
    assert!(head.values("upgrade").is_empty() && head.values("connection").is_empty(), "{}", head.text());
    server.send("HTTP/1.1 426 Upgrade Required\r\nUpgrade: tcp\r\nContent-Length: 0\r\n\r\n").await;
    assert_eq!(client.head().await.status(), 426);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn bulk_between_sockets_is_spliced() {
    let block = vec![b'x'; 1 << 20];
    let upstream = ScriptedUpstream::start().await;
    let mut gateway = Gateway::start(&["--route", &format!("/={}", upstream.uri())]).await;
    let (mut client, mut server) = upstream.tunnel(gateway.wire().await).await;
    let (_, received) = tokio::join!(server.send(&block), client.exactly(block.len()));
    assert!(received == block);
    drop((client, server));
    let line = gateway.program.wait_for_log("tunnel ended").await;
    let (_, spliced) = line.split_once(" spliced=").unwrap();
    let spliced: usize = spliced.split(' ').next().unwrap().parse().unwrap();
    assert!(spliced > block.len() / 2, "{line}");
}

#[tokio::test]
async fn an_idle_tunnel_is_closed_at_the_idle_timeout() {
    let route = format!("/={}", upstream::start("app").await);
    let mut gateway = Gateway::start(&["--route", &route, "--idle-timeout", "200ms"]).await;
    let mut socket = gateway.websocket("/").await.unwrap();
    match bounded("the end", socket.next()).await {
        Some(Message::Close(Some(close))) => assert_eq!(u16::from(close.code), 1001),
        end => panic!("{end:?}"),
    }
    assert_eq!(bounded("the end", socket.next()).await, None);
    gateway.program.wait_for_log("idle timeout").await;
}
