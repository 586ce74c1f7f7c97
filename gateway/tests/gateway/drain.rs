//! How it ends on a signal.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::{SinkExt, StreamExt, future::join_all};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    process::Command,
    sync::Barrier,
};
use tokio_tungstenite::{WebSocketStream, accept_async, tungstenite::Message};

use crate::{
    Gateway, answer, get,
    http2::Client,
    support::{SWITCHING, Scripted, bounded, handshake},
    upstream,
};

impl Gateway {
    /// Sends it a signal by name.
    pub(crate) async fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.program.process.id().unwrap());
        assert!(Command::new("sh").args(["-c", &kill]).status().await.unwrap().success());
    }

    /// Its exit code.
    pub(crate) async fn code(&mut self) -> Option<i32> {
        bounded("exit", self.program.process.wait()).await.unwrap().code()
    }
}

#[tokio::test]
async fn sigterm_and_ctrl_c_end_it_with_success_once_all_have_answered() {
    let route = format!("/={}", upstream::start("app").await);
    for signal in ["TERM", "INT"] {
        let mut gateway = Gateway::start(&["--route", &route]).await;
        let mut idle = gateway.wire().await;
        assert_eq!(get(&mut idle, "/").await.0.status(), 200);
        let _silent = gateway.wire().await;
        let mut idle_http2 = Client::new(gateway.connect().await).await;
        assert_eq!(idle_http2.ask("GET", "/", "").await.0, 200);
        let mut open = gateway.websocket("/").await.unwrap();
        assert_eq!(answer(&mut open).await, "app / client.example");
        let start = Instant::now();
        gateway.signal(signal).await;
        assert_eq!(last_words(&mut open, None).await, Some(1001), "{signal}");
        idle.expect_end().await;
        assert_eq!(gateway.code().await, Some(0), "{signal}");
        assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
        let refused = bounded("connect", TcpStream::connect(gateway.address)).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    }
}

#[tokio::test]
async fn who_does_not_answer_is_cut_when_the_time_is_over_and_the_code_is_still_0() {
    let upstream = Scripted::start().await;
    let route = format!("/={}", upstream.uri());
    let mut gateway = Gateway::start(&["--route", &route, "--drain", "700ms"]).await;
    let (mut client, _server) = upstream.tunnel(gateway.wire().await).await;
    let start = Instant::now();
    gateway.signal("TERM").await;
    client.expect(b"\x88\x0c\x03\xe9going away").await;
    client.expect_end().await;
    assert_eq!(gateway.code().await, Some(0));
    assert!(start.elapsed() >= Duration::from_millis(700), "{:?}", start.elapsed());
    gateway.program.wait_for_log("0 closed, 0 finished, 1 aborted, 0 remaining").await;
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let upstream = Scripted::start().await;
    let route = format!("/={}", upstream.uri());
    let mut gateway = Gateway::start(&["--route", &route, "--drain", "1h"]).await;
    let _tunnel = upstream.tunnel(gateway.wire().await).await;
    gateway.signal("TERM").await;
    gateway.program.wait_for_log("draining").await;
    gateway.signal("TERM").await;
    assert_eq!(gateway.code().await, Some(0));
}

#[tokio::test]
async fn while_it_drains_a_request_is_finished_and_a_handshake_too() {
    let upstream = Scripted::start().await;
    let mut gateway = Gateway::start(&["--route", &format!("/={}", upstream.uri())]).await;
    let (mut asking, mut upgrading) = (gateway.wire().await, gateway.wire().await);
    asking.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let mut answering = upstream.accept().await;
    answering.head().await;
    upgrading.send(handshake("/")).await;
    let mut server = upstream.accept().await;
    server.head().await;
    gateway.signal("TERM").await;
    gateway.program.wait_for_log("draining").await;

    server.send(SWITCHING).await;
    let head = upgrading.head().await;
    assert_eq!(head.status(), 101, "{}", head.text());
    upgrading.expect(b"\x88\x0c\x03\xe9going away").await;
    upgrading.send(b"\x88\x82\0\0\0\0\x03\xe9").await;
    server.exactly(18).await;
    server.send(b"\x88\x02\x03\xe9").await;
    gateway.program.wait_for_log("tunnels ended drained=1 closed").await;
    answering.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone").await;
    let head = asking.head().await;
    assert_eq!((head.status(), asking.body(&head).await), (200, b"done".to_vec()));
    asking.expect_end().await;
    assert_eq!(gateway.code().await, Some(0));
}

/// Clients at a time, half of them in HTTP/2 on connections of 250.
const CLIENTS: usize = 1000;
const STREAMS: usize = 250;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_busy_clients_are_told_1001_and_lose_nothing() {
    let upstream = Busy::start().await;
    let mut gateway =
        Gateway::start(&["--route", &format!("/={}", upstream.address), "--drain", "20s"]).await;
    let (all_busy, mut clients) = (Arc::new(Barrier::new(CLIENTS + 1)), Vec::new());
    for _ in 0..CLIENTS / 2 {
        let socket = gateway.websocket("/").await.unwrap();
        clients.push(tokio::spawn(echo_on(socket, Arc::clone(&all_busy))));
    }
    for _ in 0..CLIENTS / 2 / STREAMS {
        let mut connection = Client::new(gateway.connect().await).await;
        for _ in 0..STREAMS {
            let socket = connection.websocket("/").await;
            clients.push(tokio::spawn(echo_on(socket, Arc::clone(&all_busy))));
        }
    }
    bounded("the load", all_busy.wait()).await;
    let start = Instant::now();
    gateway.signal("TERM").await;
    let ends = bounded("all clients", join_all(clients)).await;
    assert_eq!(gateway.code().await, Some(0));
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());

    let mut echoes = 0;
    for end in ends {
        let (code, number) = end.unwrap();
        assert_eq!(code, Some(1001), "after {number} echoes");
        echoes += number;
    }
    gateway.program.wait_for_log("1000 closed, 0 finished, 0 aborted, 0 remaining").await;
    let told = bounded("the upstream", upstream.until(CLIENTS)).await;
    assert_eq!(told, CLIENTS, "upstream ends that were told 1001");
    // Each may have one echo under way that crossed with the Close.
    let answered = upstream.answered.load(Ordering::SeqCst);
    assert!((echoes..=echoes + CLIENTS).contains(&answered), "{echoes} of {answered}");
}

/// Sends and expects echoes, in order and complete, until told otherwise. The code and the number of echoes.
async fn echo_on<S>(mut socket: WebSocketStream<S>, all_busy: Arc<Barrier>) -> (Option<u16>, usize)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    for number in 0.. {
        if number == 1 {
            all_busy.wait().await;
        }
        let text = format!("message {number}");
        if socket.send(Message::text(text.as_str())).await.is_err() {
            return (last_words(&mut socket, None).await, number);
        }
        match socket.next().await {
            Some(Ok(Message::Text(echo))) => assert_eq!(echo.as_str(), text),
            Some(Ok(Message::Close(frame))) => {
                let code = frame.map(|frame| frame.code.into());
                return (last_words(&mut socket, code).await, number);
            }
            other => panic!("{other:?} after {number} echoes"),
        }
    }
    unreachable!()
}

/// The code of the Close that came, or that comes up to the end of the connection. One Close is the last message;
/// an error may only come behind it, when a stream of HTTP/2 is reset after our answer.
async fn last_words<S>(socket: &mut WebSocketStream<S>, mut code: Option<u16>) -> Option<u16>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    while let Some(message) = bounded("the end", socket.next()).await {
        match message {
            Ok(Message::Close(frame)) if code.is_none() => code = frame.map(|frame| frame.code.into()),
            Ok(message) => assert!(code.is_none(), "{message} after the Close"),
            Err(error) => {
                assert!(code.is_some(), "{error}");
                break;
            }
        }
    }
    code
}

/// An upstream for many echoes.
struct Busy {
    address: String,
    answered: Arc<AtomicUsize>,
    told: Arc<AtomicUsize>,
    ended: Arc<AtomicUsize>,
}

impl Busy {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address: SocketAddr = listener.local_addr().unwrap();
        let [answered, told, ended] = [(); 3].map(|()| Arc::new(AtomicUsize::new(0)));
        let busy = Self { address: format!("http://{address}"), answered, told, ended };
        let [answered, told, ended] = [&busy.answered, &busy.told, &busy.ended].map(Arc::clone);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let [answered, told, ended] = [&answered, &told, &ended].map(Arc::clone);
                tokio::spawn(async move {
                    let mut socket = accept_async(stream).await.unwrap();
                    while let Some(Ok(message)) = socket.next().await {
                        match message {
                            Message::Close(Some(frame)) if u16::from(frame.code) == 1001 => {
                                told.fetch_add(1, Ordering::SeqCst);
                            }
                            Message::Text(_) if socket.send(message).await.is_ok() => {
                                answered.fetch_add(1, Ordering::SeqCst);
                            }
                            _ => {}
                        }
                    }
                    ended.fetch_add(1, Ordering::SeqCst);
                });
            }
        });
        busy
    }

    /// How many were told 1001, once so many have ended.
    async fn until(&self, number: usize) -> usize {
        while self.ended.load(Ordering::SeqCst) < number {
            tokio::task::yield_now().await;
        }
        self.told.load(Ordering::SeqCst)
    }
}
