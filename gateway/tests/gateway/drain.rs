//! The end of the gateway on a signal.

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{SinkExt, StreamExt, future::join_all};
use test_support::{
    EchoUpstream, SWITCHING, ScriptedUpstream, bounded, handshake, http2,
    websocket::{
        Client,
        frame::{CLOSE, Frame, close_payload, frame},
    },
};
use tokio::{net::TcpStream, sync::Barrier};
use tokio_tungstenite::tungstenite::{Error, Message, error::ProtocolError};
use tower_upgrade_proxy::Side;

use crate::{Gateway, description, get, upstream};

/// The Close that an upstream receives.
fn going_away() -> Vec<u8> {
    Frame::close(1001, "going away").encode(Side::Client)
}

/// The response of either side to a Close.
fn close(from: Side) -> Vec<u8> {
    frame(from, CLOSE, &close_payload(1001, ""))
}

#[tokio::test]
async fn sigterm_and_ctrl_c_exit_with_success_once_all_tunnels_have_closed() {
    let route = format!("/={}", upstream::start("app").await);
    for signal in ["TERM", "INT"] {
        let mut gateway = Gateway::start(&["--route", &route]).await;
        let mut idle = gateway.wire().await;
        assert_eq!(get(&mut idle, "/").await.0.status(), 200);
        let _silent = gateway.wire().await;
        let mut idle_http2 = http2::Client::over(gateway.connect().await).await;
        assert_eq!(idle_http2.request("GET", "/", "").await.0, 200);
        let mut open = gateway.websocket("/").await.unwrap();
        assert_eq!(description(&mut open).await, "app / client.example");
        let start = Instant::now();
        gateway.program.signal(signal).await;
        assert_eq!(close_code(&mut open, None).await, None, "{signal}");
        drop(open);
        idle.expect_end().await;
        assert_eq!(gateway.program.exit_code().await, Some(0), "{signal}");
        assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
        let refused = bounded("connect", TcpStream::connect(gateway.address)).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    }
}

#[tokio::test]
async fn a_tunnel_whose_upstream_does_not_answer_is_aborted_at_the_deadline_and_the_code_is_0() {
    let upstream = ScriptedUpstream::start().await;
    let route = format!("/={}", upstream.uri());
    let mut gateway = Gateway::start(&["--route", &route, "--drain", "700ms"]).await;
    let (mut client, _server) = upstream.tunnel(gateway.wire().await).await;
    let start = Instant::now();
    gateway.program.signal("TERM").await;
    client.expect_end().await;
    assert_eq!(gateway.program.exit_code().await, Some(0));
    assert!(start.elapsed() >= Duration::from_millis(700), "{:?}", start.elapsed());
    gateway.program.wait_for_log("0 closed, 0 finished, 1 aborted, 0 remaining").await;
}

#[tokio::test]
async fn a_second_signal_exits_at_once() {
    let upstream = ScriptedUpstream::start().await;
    let route = format!("/={}", upstream.uri());
    let mut gateway = Gateway::start(&["--route", &route, "--drain", "1h"]).await;
    let _tunnel = upstream.tunnel(gateway.wire().await).await;
    gateway.program.signal("TERM").await;
    gateway.program.wait_for_log("draining").await;
    gateway.program.signal("TERM").await;
    assert_eq!(gateway.program.exit_code().await, Some(0));
}

#[tokio::test]
async fn requests_and_handshakes_complete_during_the_drain() {
    let upstream = ScriptedUpstream::start().await;
    let mut gateway = Gateway::start(&["--route", &format!("/={}", upstream.uri())]).await;
    let (mut requesting, mut upgrading) = (gateway.wire().await, gateway.wire().await);
    requesting.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let mut responding = upstream.accept().await;
    responding.head().await;
    upgrading.send(handshake("/")).await;
    let mut server = upstream.accept().await;
    server.head().await;
    gateway.program.signal("TERM").await;
    gateway.program.wait_for_log("draining").await;

    server.send(SWITCHING).await;
    let head = upgrading.head().await;
    assert_eq!(head.status(), 101, "{}", head.text());
    upgrading.expect_end().await;
    upgrading.finish().await;
    server.exactly(going_away().len()).await;
    server.send(close(Side::Upstream)).await;
    gateway.program.wait_for_log("tunnels ended drained=1 closed").await;
    responding.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone").await;
    let head = requesting.head().await;
    assert_eq!((head.status(), requesting.body(&head).await), (200, b"done".to_vec()));
    requesting.expect_end().await;
    assert_eq!(gateway.program.exit_code().await, Some(0));
}

/// Number of clients, half of them in HTTP/2 on connections of 250.
const CLIENTS: usize = 1000;
const STREAMS: usize = 100;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_busy_clients_are_disconnected_between_messages_and_lose_nothing() {
    let mut upstream = EchoUpstream::start().await;
    let mut gateway =
        Gateway::start(&["--route", &format!("/={}", upstream.upstream()), "--drain", "20s"]).await;
    let (all_busy, mut clients) = (Arc::new(Barrier::new(CLIENTS + 1)), Vec::new());
    for _ in 0..CLIENTS / 2 {
        let socket = gateway.websocket("/").await.unwrap();
        clients.push(tokio::spawn(echo_on(socket, Arc::clone(&all_busy))));
    }
    for _ in 0..CLIENTS / 2 / STREAMS {
        let mut connection = http2::Client::over(gateway.connect().await).await;
        for _ in 0..STREAMS {
            let socket = Client::on(&mut connection, "/").await;
            clients.push(tokio::spawn(echo_on(socket, Arc::clone(&all_busy))));
        }
    }
    bounded("the load", all_busy.wait()).await;
    let start = Instant::now();
    gateway.program.signal("TERM").await;
    let ends = bounded("all clients", join_all(clients)).await;
    assert_eq!(gateway.program.exit_code().await, Some(0));
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());

    let mut echoes = 0;
    for end in ends {
        let (code, number) = end.unwrap();
        assert_eq!(code, None, "after {number} echoes");
        echoes += number;
    }
    gateway.program.wait_for_log("1000 closed, 0 finished, 0 aborted, 0 remaining").await;
    for _ in 0..CLIENTS {
        assert_eq!(upstream.closed().await.0, 1001, "at the upstream");
    }
    // Each client may have one echo in transit when the Close arrives.
    let sent = upstream.echoes();
    assert!((echoes..=echoes + CLIENTS).contains(&sent), "{echoes} of {sent}");
}

/// Sends messages and expects their echoes, in order and complete, until a Close. Returns its code and the number of
/// echoes.
async fn echo_on(mut client: Client, all_busy: Arc<Barrier>) -> (Option<u16>, usize) {
    for number in 0.. {
        if number == 1 {
            all_busy.wait().await;
        }
        let text = format!("message {number}");
        if client.socket.send(Message::text(text.as_str())).await.is_err() {
            return (close_code(&mut client, None).await, number);
        }
        match client.socket.next().await {
            Some(Ok(Message::Text(echo))) => assert_eq!(echo.as_str(), text),
            Some(Ok(Message::Close(frame))) => {
                let code = frame.map(|frame| frame.code.into());
                return (close_code(&mut client, code).await, number);
            }
            // A part of a frame would be another error.
            Some(Err(Error::Protocol(ProtocolError::ResetWithoutClosingHandshake)) | Err(Error::Io(_)))
            | None => {
                return (None, number);
            }
            other => panic!("{other:?} after {number} echoes"),
        }
    }
    unreachable!()
}

/// The code of the Close: `code` if it has been received, else that of the next message; `None` if the connection ends
/// without one. The Close must be the last message; an error may follow it, when a stream of HTTP/2 is reset after the
/// client's Close.
async fn close_code(client: &mut Client, mut code: Option<u16>) -> Option<u16> {
    while let Some(message) = bounded("the end", client.socket.next()).await {
        match message {
            Ok(Message::Close(frame)) if code.is_none() => code = frame.map(|frame| frame.code.into()),
            Ok(message) => assert!(code.is_none(), "{message} after the Close"),
            Err(_) => break,
        }
    }
    code
}

#[tokio::test]
async fn other_signals_do_not_end_the_process() {
    let route = format!("/={}", upstream::start("app").await);
    let mut gateway = Gateway::start(&["--route", &route]).await;
    let mut open = gateway.websocket("/").await.unwrap();
    for signal in ["HUP", "USR1", "USR2", "HUP"] {
        gateway.program.signal(signal).await;
        gateway.program.wait_for_log(&format!("SIG{signal} ignored")).await;
        assert_eq!(description(&mut open).await, "app / client.example");
    }
    gateway.program.signal("TERM").await;
    assert_eq!(close_code(&mut open, None).await, None);
    drop(open);
    assert_eq!(gateway.program.exit_code().await, Some(0));
}

#[tokio::test]
async fn clients_get_the_close_that_is_chosen() {
    for (close, on_sigterm, on_loss) in
        [("none", None, None), ("restart", Some(1012), None), ("going-away", Some(1001), Some(1011))]
    {
        let mut upstream = EchoUpstream::start().await;
        let route = format!("/={}", upstream.upstream());
        let mut gateway = Gateway::start(&["--route", &route, "--close", close]).await;
        let [mut open, mut lost] =
            [gateway.websocket("/").await.unwrap(), gateway.websocket("/").await.unwrap()];
        lost.send("leave without a Close").await;
        assert_eq!(close_code(&mut lost, None).await, on_loss, "{close}");
        gateway.program.signal("TERM").await;
        assert_eq!(close_code(&mut open, None).await, on_sigterm, "{close}");
        drop((open, lost));
        assert_eq!(gateway.program.exit_code().await, Some(0));
        let codes = [upstream.closed().await.0, upstream.closed().await.0];
        assert!(codes.contains(&1001), "{close}: {codes:?}");
    }
}

#[tokio::test]
async fn the_jitter_of_the_drain_can_be_set() {
    let route = format!("/={}", upstream::start("app").await);
    let gateway = Gateway::start(&["--route", &route, "--drain-jitter", "0s"]).await;
    let mut tunnels = Vec::new();
    for _ in 0..20 {
        tunnels.push(gateway.websocket("/").await.unwrap());
    }
    let start = Instant::now();
    gateway.program.signal("TERM").await;
    for tunnel in &mut tunnels {
        assert_eq!(close_code(tunnel, None).await, None);
    }
    // With the default, the last one of 20 ends after 0.95 s on average.
    assert!(start.elapsed() < Duration::from_millis(600), "{:?}", start.elapsed());
}

#[tokio::test]
async fn requests_have_a_grace_period_of_their_own_and_the_log_names_what_holds_the_exit() {
    let upstream = ScriptedUpstream::start().await;
    let mut gateway = Gateway::start(&[
        "--route",
        &format!("/={}", upstream.uri()),
        "--drain",
        "1h",
        "--drain-requests",
        "2s",
    ])
    .await;
    // A long poll without a response, a response that continues, and one over HTTP/2.
    let (mut polling, mut streaming) = (gateway.wire().await, gateway.wire().await);
    polling.send("GET /poll?secret HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let _first = upstream.accept().await;
    streaming.send("GET /events HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let mut second = upstream.accept().await;
    second.head().await;
    second.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n").await;
    let head = streaming.head().await;
    streaming.exactly("5\r\nhello\r\n".len()).await;
    let mut http2 = http2::Client::over(gateway.connect().await).await;
    let get = http::Request::get("http://a/over-http2").body(()).unwrap();
    let pending = http2.send_request(get, true);
    let _third = upstream.accept().await;
    let tunnel = upstream.tunnel(gateway.wire().await).await;

    let start = Instant::now();
    gateway.program.signal("TERM").await;
    let line = gateway.program.wait_for_log("waiting").await;
    for part in ["tunnels=1", "requests=3", "connections=3", "oldest_request=GET /poll", "age="] {
        assert!(line.contains(part), "{part}: {line}");
    }
    assert!(!line.contains("secret"), "{line}");
    gateway.program.wait_for_log("aborted=3").await;
    polling.expect_end().await;
    streaming.expect_end().await;
    assert!(head.has("transfer-encoding", "chunked"), "{}", head.text());
    assert!(bounded("the end", pending.into_response()).await.is_err());
    assert!(start.elapsed() >= Duration::from_secs(2), "{:?}", start.elapsed());
    // The tunnel has the grace period of tunnels.
    let line = gateway.program.wait_for_log("requests=0").await;
    assert!(line.contains("tunnels=1"), "{line}");
    drop(tunnel);
    // Requests were aborted, although the tunnel has ended in time.
    let line = gateway.program.wait_for_log("stopped").await;
    assert!(line.contains("in_time=false"), "{line}");
    assert_eq!(gateway.program.exit_code().await, Some(0));
}

#[tokio::test]
async fn idle_and_half_begun_connections_do_not_delay_the_exit() {
    let route = format!("/={}", upstream::start("app").await);
    let mut gateway = Gateway::start(&["--route", &route]).await;
    let mut open = Vec::new();
    for start in [
        "",
        "P",
        "PRI",
        "PRI * HTTP/2.0\r\n\r\nSM",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "G",
        "GET / HTTP/1.1\r\nHost: a\r\nX-",
        "GET / HTTP/1.0\r\nHost: a\r\n",
    ] {
        let mut wire = gateway.wire().await;
        wire.send(start).await;
        open.push(wire);
        let mut later = gateway.wire().await;
        assert_eq!(get(&mut later, "/").await.0.status(), 200);
        later.send(start).await;
        open.push(later);
    }
    // Accepts all of them before.
    assert_eq!(get(&mut gateway.wire().await, "/").await.0.status(), 200);
    let start = Instant::now();
    gateway.program.signal("TERM").await;
    assert_eq!(gateway.program.exit_code().await, Some(0));
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    drop(open);
}
