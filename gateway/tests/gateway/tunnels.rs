//! Protocols that may be tunnelled, and the end of tunnels.

use test_support::{ScriptedUpstream, bounded, websocket::ABNORMAL};

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
    assert_eq!(socket.closed().await.0, ABNORMAL);
    gateway.program.wait_for_log("idle timeout").await;
}

#[tokio::test]
async fn an_idle_probe_keeps_a_tunnel_open_whose_client_answers() {
    let upstream = ScriptedUpstream::start().await;
    let route = format!("/={}", upstream.uri());
    let mut gateway =
        Gateway::start(&["--route", &route, "--idle-timeout", "2s", "--idle-probe", "--close", "going-away"])
            .await;
    let (mut client, mut server) = upstream.tunnel(gateway.wire().await).await;
    let start = std::time::Instant::now();
    for _ in 0..3 {
        let ping = client.exactly(10).await;
        assert_eq!(ping[..2], [0x89, 8]);
        assert_eq!(server.exactly(14).await[..2], [0x89, 0x88]);
        client.send([&[0x8a, 0x88, 0, 0, 0, 0], &ping[2..]].concat()).await;
    }
    assert!(start.elapsed() > std::time::Duration::from_secs(4), "{:?}", start.elapsed());
    client.exactly(10).await;
    client.expect_close(1001).await;
    gateway.program.wait_for_log("idle timeout").await;
}

#[tokio::test]
async fn pings_sizes_and_rates_apply_to_tunnels() {
    let upstream = ScriptedUpstream::start().await;
    let route = format!("/={}", upstream.uri());
    let start = async |arguments: &[&str]| {
        let gateway = Gateway::start(&[&["--route", &route], arguments].concat()).await;
        let ends = upstream.tunnel(gateway.wire().await).await;
        (gateway, ends)
    };
    // An unmasked Ping to the client, a masked one to the upstream, and a Close at the timeout of the pong.
    let (_gateway, (mut client, mut server)) = start(&["--ping", "200ms", "--ping-timeout", "300ms"]).await;
    assert_eq!(client.exactly(1).await, [0x89]);
    assert_eq!(server.exactly(2).await, [0x89, 0x88]);
    bounded("the end", client.rest()).await;

    let (_gateway, (mut client, mut server)) = start(&["--max-message-size", "1k"]).await;
    server.send([&[0x82, 126, 4, 0][..], &[0; 1024]].concat()).await;
    client.exactly(4 + 1024).await;
    server.send([&[0x82, 126, 4, 1][..], &[0; 1025]].concat()).await;
    server.expect_close(1009).await;
    client.expect_end().await;

    // 16 KiB at once, and 100 KiB a second after them.
    let (_gateway, (mut client, mut server)) = start(&["--rate-limit", "100k"]).await;
    let begin = std::time::Instant::now();
    server.send([&[0x82, 126, 0xff, 0xff][..], &[0; 0xffff]].concat()).await;
    client.exactly(4 + 0xffff).await;
    assert!(begin.elapsed() > std::time::Duration::from_millis(400), "{:?}", begin.elapsed());
}
