//! The gateway example as its users have it: a program, its arguments and its sockets.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a panic is how a test fails")]

#[allow(unused_imports, reason = "it is for several test programs")]
mod support;

use std::{
    io,
    net::SocketAddr,
    path::PathBuf,
    process::{Output, Stdio},
};

use futures_util::{SinkExt, StreamExt};
use support::bounded;
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    process::{Child, Command},
    sync::mpsc::{self, UnboundedReceiver},
};
use tokio_tungstenite::{
    WebSocketStream, accept_hdr_async, client_async,
    tungstenite::{
        self, Message,
        handshake::server::{ErrorResponse, Request, Response},
    },
};

/// A running gateway; killed when dropped.
struct Gateway {
    address: SocketAddr,
    process: Child,
    log: UnboundedReceiver<String>,
}

fn program() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let path = test.ancestors().nth(2).unwrap().join("examples").join("gateway");
    let path = path.with_extension(std::env::consts::EXE_EXTENSION);
    assert!(path.exists(), "{} is missing: run `cargo build --example gateway` first", path.display());
    path
}

impl Gateway {
    async fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new(program());
        command.args(arguments);
        Self::spawn(command).await
    }

    async fn spawn(mut command: Command) -> Self {
        command.args(["--listen", "127.0.0.1:0"]).env("RUST_LOG", "debug").env("NO_COLOR", "1");
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut process = command.spawn().unwrap();
        let mut said = lines(process.stdout.take().unwrap());
        let log = lines(process.stderr.take().unwrap());
        let line = bounded("the first line", said.recv()).await.expect("it says where it listens");
        let address = line.strip_prefix("listening on ").unwrap().parse().unwrap();
        Self { address, process, log }
    }

    async fn connect(&self) -> TcpStream {
        bounded("connect", TcpStream::connect(self.address)).await.unwrap()
    }

    /// A WebSocket handshake for `path`.
    async fn websocket(&self, path: &str) -> Result<WebSocketStream<TcpStream>, tungstenite::Error> {
        let url = format!("ws://client.example{path}");
        bounded("handshake", client_async(url, self.connect().await)).await.map(|(socket, _)| socket)
    }

    /// What the upstream that `path` leads to says of itself.
    async fn ask(&self, path: &str) -> String {
        answer(&mut self.websocket(path).await.unwrap()).await
    }

    /// The status with which an upgrade of `path` is refused.
    async fn refusal(&self, path: &str) -> u16 {
        match self.websocket(path).await {
            Err(tungstenite::Error::Http(response)) => response.status().as_u16(),
            other => panic!("{other:?}"),
        }
    }

    async fn wait_for_log(&mut self, text: &str) {
        let search = async {
            while let Some(line) = self.log.recv().await {
                if line.contains(text) {
                    return;
                }
            }
            panic!("the log ended without {text:?}");
        };
        bounded(text, search).await;
    }
}

/// What a process writes, read at once so that it never waits for its reader.
fn lines(output: impl AsyncRead + Unpin + Send + 'static) -> UnboundedReceiver<String> {
    let (sender, receiver) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let mut lines = BufReader::new(output).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            let _ = sender.send(line);
        }
    });
    receiver
}

async fn answer<S: AsyncRead + AsyncWrite + Unpin>(socket: &mut WebSocketStream<S>) -> String {
    bounded("send", socket.send(Message::text("who?"))).await.unwrap();
    bounded("a message", socket.next()).await.unwrap().unwrap().into_text().unwrap().to_string()
}

/// An upstream that answers every message with its name, the path and the host it was asked for.
async fn upstream(name: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(introduce(stream, name));
        }
    });
    format!("http://{address}")
}

/// The same, on a unix socket.
#[cfg(unix)]
fn unix_upstream(folder: &tempfile::TempDir, name: &'static str) -> String {
    let path = folder.path().join("app.sock");
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(introduce(stream, name));
        }
    });
    format!("unix:{}", path.display())
}

#[allow(clippy::result_large_err, reason = "the signature is tungstenite's")]
async fn introduce<S: AsyncRead + AsyncWrite + Unpin>(stream: S, name: &'static str) {
    let mut introduction = String::new();
    let look = |request: &Request, response: Response| -> Result<Response, ErrorResponse> {
        introduction = format!("{name} {} {}", request.uri(), request.headers()["host"].to_str().unwrap());
        Ok(response)
    };
    let Ok(mut socket) = accept_hdr_async(stream, look).await else { return };
    while let Some(Ok(message)) = socket.next().await {
        if message.is_text() && socket.send(Message::text(introduction.clone())).await.is_err() {
            return;
        }
    }
}

/// Sends `request` and reads until `end` has come.
async fn exchange(stream: &mut TcpStream, request: &str, end: &str) -> String {
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut read = Vec::new();
    while !read.ends_with(end.as_bytes()) {
        let more = bounded(end, stream.read_buf(&mut read)).await.unwrap();
        assert_ne!(more, 0, "closed after {:?}", String::from_utf8_lossy(&read));
    }
    String::from_utf8(read).unwrap()
}

#[cfg(unix)]
#[tokio::test]
async fn the_longest_prefix_wins_and_the_path_is_forwarded_unchanged() {
    let folder = tempfile::tempdir().unwrap();
    let routes = [
        format!("/={}", upstream("root").await),
        format!("/ws/={}", unix_upstream(&folder, "unix")),
        format!("/ws/admin={}", upstream("admin").await),
    ];
    let gateway =
        Gateway::start(&["--route", &routes[0], "--route", &routes[1], "--route", &routes[2]]).await;
    let table = [
        ("/", "root"),
        ("/ws", "root"),
        ("/wsx/y", "root"),
        ("/WS/", "root"),
        ("/ws/", "unix"),
        ("/ws/x?q=%20a&b=/ws/admin", "unix"),
        ("/ws//a%2fb/./../c;d=1", "unix"),
        ("/ws/admin", "admin"),
        ("/ws/admins/1", "admin"),
    ];
    for (path, name) in table {
        assert_eq!(gateway.ask(path).await, format!("{name} {path} client.example"));
    }
}

#[tokio::test]
async fn ordinary_requests_get_404_and_keep_the_connection() {
    let route = format!("/ws/={}", upstream("ws").await);
    let gateway = Gateway::start(&["--route", &route]).await;
    let mut stream = gateway.connect().await;
    for request in ["GET /ws/ HTTP/1.1", "POST /ws/x HTTP/1.1", "GET / HTTP/1.1", "OPTIONS * HTTP/1.1"] {
        let request = format!("{request}\r\nHost: client.example\r\n\r\n");
        let response = exchange(&mut stream, &request, "only upgrades are served here\n").await;
        assert!(response.starts_with("HTTP/1.1 404 Not Found\r\n"), "{request}: {response}");
    }
    let (mut socket, _) =
        bounded("handshake", client_async("ws://client.example/ws/", stream)).await.unwrap();
    assert_eq!(answer(&mut socket).await, "ws /ws/ client.example");
}

#[tokio::test]
async fn an_upgrade_that_no_route_matches_gets_404() {
    let route = format!("/ws/={}", upstream("ws").await);
    let gateway = Gateway::start(&["--route", &route]).await;
    for path in ["/", "/ws", "/other/ws/"] {
        assert_eq!(gateway.refusal(path).await, 404, "{path}");
    }
}

#[tokio::test]
async fn an_upstream_that_is_not_there_gives_502_and_a_line_in_the_log() {
    let unused = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let mut gateway = Gateway::start(&["--route", &format!("/=http://{unused}")]).await;
    assert_eq!(gateway.refusal("/").await, 502);
    gateway.wait_for_log(&format!("upstream http://{unused}: connect")).await;
}

#[tokio::test]
async fn host_upstream_replaces_the_hosts_name() {
    let upstream = upstream("app").await;
    let route = format!("/={upstream}");
    let gateway = Gateway::start(&["--route", &route, "--host", "upstream"]).await;
    let authority = upstream.strip_prefix("http://").unwrap();
    assert_eq!(gateway.ask("/x").await, format!("app /x {authority}"));
}

#[tokio::test]
async fn an_allowed_protocol_is_tunnelled_with_its_request_body() {
    const REQUEST: &str = "POST /exec HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\
        Content-Length: 4\r\n\r\nbody";
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let route = format!("/=http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let answer = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n";
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\nbody") {
            stream.read_buf(&mut head).await.unwrap();
        }
        stream.write_all(answer.as_bytes()).await.unwrap();
        let (mut reader, mut writer) = stream.split();
        tokio::io::copy(&mut reader, &mut writer).await.unwrap();
    });

    let gateway = Gateway::start(&["--route", &route, "--allow", "tcp"]).await;
    let mut stream = gateway.connect().await;
    let response = exchange(&mut stream, REQUEST, "\r\n\r\n").await;
    assert!(response.starts_with("HTTP/1.1 101 ") && response.contains("upgrade: tcp\r\n"), "{response}");
    assert_eq!(exchange(&mut stream, "raw bytes", "bytes").await, "raw bytes");

    let gateway = Gateway::start(&["--route", &route]).await;
    let response = exchange(&mut gateway.connect().await, REQUEST, "served here\n").await;
    assert!(response.starts_with("HTTP/1.1 404 "), "not without --allow: {response}");
}

#[tokio::test]
async fn the_second_of_one_allowed_tunnel_gets_503_until_the_first_ends() {
    let route = format!("/={}", upstream("app").await);
    let gateway = Gateway::start(&["--route", &route, "--max-tunnels", "1"]).await;
    let mut first = gateway.websocket("/").await.unwrap();
    assert_eq!(answer(&mut first).await, "app / client.example");
    match gateway.websocket("/").await {
        Err(tungstenite::Error::Http(response)) => {
            assert_eq!(response.status(), 503);
            assert!(response.headers().contains_key("retry-after"));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(answer(&mut first).await, "app / client.example");
    drop(first);
    // The gateway learns of the end in its own time; each attempt waits for an answer.
    bounded("a free place", async { while gateway.websocket("/").await.is_err() {} }).await;
}

#[tokio::test]
async fn an_idle_tunnel_is_ended() {
    let route = format!("/={}", upstream("app").await);
    let mut gateway = Gateway::start(&["--route", &route, "--idle-timeout", "200ms"]).await;
    let mut socket = gateway.websocket("/").await.unwrap();
    let end = bounded("the end", socket.next()).await;
    assert!(matches!(end, Some(Err(_)) | None), "{end:?}");
    gateway.wait_for_log("idle timeout").await;
}

#[tokio::test]
async fn a_client_that_does_not_finish_its_head_is_disconnected() {
    let route = format!("/={}", upstream("app").await);
    let gateway = Gateway::start(&["--route", &route]).await;
    // "P" may yet become the preface of HTTP/2.
    let ended = ["", "P", "GET / HTTP/1.1\r\nHost: a\r\nX-Slow:"].map(|begun| async {
        let mut stream = gateway.connect().await;
        stream.write_all(begun.as_bytes()).await.unwrap();
        let mut rest = Vec::new();
        bounded("disconnect", stream.read_to_end(&mut rest)).await.unwrap();
    });
    futures_util::future::join_all(ended).await;
}

#[cfg(unix)]
#[tokio::test]
async fn running_out_of_file_descriptors_is_survived() {
    let route = format!("/={}", upstream("app").await);
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 24 && exec \"$@\"", "sh"]).arg(program()).args(["--route", &route]);
    let mut gateway = Gateway::spawn(command).await;
    let mut crowd = Vec::new();
    for _ in 0..40 {
        crowd.push(gateway.connect().await);
    }
    gateway.wait_for_log("accept failed").await;
    drop(crowd);
    bounded("a free place", async { while gateway.websocket("/").await.is_err() {} }).await;
    assert_eq!(gateway.ask("/").await, "app / client.example");
}

#[cfg(unix)]
#[tokio::test]
async fn sigterm_and_ctrl_c_end_it_with_success() {
    let route = format!("/={}", upstream("app").await);
    for signal in ["TERM", "INT"] {
        let mut gateway = Gateway::start(&["--route", &route]).await;
        let mut open = gateway.websocket("/").await.unwrap();
        assert_eq!(answer(&mut open).await, "app / client.example");
        let kill = format!("kill -{signal} {}", gateway.process.id().unwrap());
        assert!(Command::new("sh").args(["-c", &kill]).status().await.unwrap().success());
        assert_eq!(bounded("exit", gateway.process.wait()).await.unwrap().code(), Some(0), "{signal}");
        let refused = bounded("connect", TcpStream::connect(gateway.address)).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    }
}

/// Runs the gateway with arguments that must end it.
async fn end(arguments: &[&str]) -> Output {
    let mut command = Command::new(program());
    bounded("exit", command.args(arguments).kill_on_drop(true).output()).await.unwrap()
}

#[tokio::test]
async fn bad_arguments_end_it_with_code_2_and_say_what_is_wrong() {
    let good = "/=http://127.0.0.1:1";
    let table: [(&[&str], &str); 12] = [
        (&[], "--route <PREFIX=UPSTREAM>"),
        (&["--route", "/ws/"], "it has no `=`; write PREFIX=UPSTREAM"),
        (&["--route", "ws/=http://a"], r#"the prefix "ws/" is not the start of a path"#),
        (&["--route", "=http://a"], r#"the prefix "" is not the start of a path"#),
        (&["--route", "/?x=http://a"], "is not the start of a path"),
        (&["--route", "/="], "it is not a URI"),
        (&["--route", "/=127.0.0.1:9000"], "write http://HOST:PORT or unix:/PATH"),
        (&["--route", "/=unix:app.sock"], "the socket's path must be absolute"),
        (&["--route", good, "--route", good], r#"two routes have the prefix "/""#),
        (&["--route", good, "--idle-timeout", "60"], "time unit needed"),
        (&["--route", good, "--allow", "h2c"], "HTTP inside HTTP is never tunnelled"),
        (&["--route", good, "--listen", "localhost"], "invalid socket address"),
    ];
    for (arguments, message) in table {
        let output = end(arguments).await;
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(said.contains(message), "{arguments:?}: {said}");
        assert!(output.stdout.is_empty());
    }
}

#[tokio::test]
async fn an_address_that_is_taken_ends_it_with_code_1() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = end(&["--route", "/=http://127.0.0.1:1", "--listen", &address]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("in use"));
}

#[tokio::test]
async fn help_shows_every_default() {
    let output = end(&["--help"]).await;
    let help = String::from_utf8(output.stdout).unwrap();
    for default in ["127.0.0.1:8080", "60s", "30s", "10s", "off", "preserve", "no limit"] {
        assert!(help.contains(&format!("[default: {default}]")), "{default}: {help}");
    }
}
