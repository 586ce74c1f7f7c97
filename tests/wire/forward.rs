//! Forwarding of ordinary requests.

use std::{net::SocketAddr, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::Request,
    middleware::{map_request, map_response},
    response::Response,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use test_support::{
    Head, SWITCHING, ScriptedUpstream, Wire, handshake,
    http2::{Client, stream::rest},
    serve,
};
use tower_upgrade_proxy::{Error, Forward, UpgradeProxyLayer, proxy_pass};

async fn location(layer: UpgradeProxyLayer) -> SocketAddr {
    serve(Router::new().fallback_service(layer.forward())).await
}

async fn location_for(upstream: &ScriptedUpstream) -> SocketAddr {
    serve(Router::new().fallback_service(proxy_pass(upstream.upstream()))).await
}

/// Sends `request`. Returns the head received by the upstream, and its connection.
async fn forwarded(
    client: &mut Wire,
    upstream: &ScriptedUpstream,
    request: impl AsRef<[u8]>,
) -> (Head, Wire) {
    client.send(request).await;
    let mut server = upstream.accept().await;
    (server.head().await, server)
}

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: client.example\r\n\r\n")
}

#[tokio::test]
async fn a_request_and_its_response_are_forwarded_without_hop_by_hop_fields() {
    let upstream = ScriptedUpstream::start().await;
    let mut client = Wire::connect(location_for(&upstream).await).await;
    let request = "POST /a/%2F?q=1&q=2 HTTP/1.1\r\nHost: client.example\r\nConnection: keep-alive, X-Hop, Upgrade\r\n\
        X-Hop: 1\r\nKeep-Alive: 5\r\nProxy-Connection: x\r\nTE: gzip\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMA\r\n\
        Proxy-Authorization: x\r\nX-Odd: caf\u{e9}\r\nX-Odd: 2\r\nCookie: a=1\r\nContent-Length: 4\r\n\r\nbody";
    let (head, mut server) = forwarded(&mut client, &upstream, request).await;
    assert_eq!(head.first_line(), "POST /a/%2F?q=1&q=2 HTTP/1.1");
    let mut fields = head.fields();
    fields.sort();
    let expected = [
        ("content-length", "4"),
        ("cookie", "a=1"),
        ("host", "client.example"),
        ("x-odd", "2"),
        ("x-odd", "caf\u{c3}\u{a9}"),
    ];
    assert_eq!(fields, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    assert_eq!(server.body(&head).await, b"body");
    server
        .send(
            "HTTP/1.1 201 Made It\r\nConnection: X-Up\r\nX-Up: 1\r\nKeep-Alive: 5\r\nUpgrade: h2c\r\n\
             Proxy-Authenticate: x\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Length: 3\r\n\r\nyes",
        )
        .await;
    let head = client.head().await;
    assert_eq!(head.first_line(), "HTTP/1.1 201 Made It");
    let mut fields: Vec<_> = head.fields().into_iter().filter(|(name, _)| name != "date").collect();
    fields.sort();
    let expected = [("content-length", "3"), ("set-cookie", "a=1"), ("set-cookie", "b=2")];
    assert_eq!(fields, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    assert_eq!(client.body(&head).await, b"yes");
}

#[tokio::test]
async fn upgrades_and_ordinary_requests_share_a_path() {
    let upstream = ScriptedUpstream::start().await;
    let address = location_for(&upstream).await;
    let mut polling = Wire::connect(address).await;
    let (head, mut server) = forwarded(&mut polling, &upstream, get("/socket.io/?transport=polling")).await;
    assert_eq!(head.first_line(), "GET /socket.io/?transport=polling HTTP/1.1");
    server.send(OK).await;
    assert_eq!(polling.head().await.status(), 200);
    polling.expect("ok").await;
    let mut socket = Wire::connect(address).await;
    let (_, mut server) =
        forwarded(&mut socket, &upstream, handshake("/socket.io/?transport=websocket")).await;
    server.send(SWITCHING).await;
    assert_eq!(socket.head().await.status(), 101);
    socket.send("2probe").await;
    server.expect("2probe").await;
}

#[tokio::test]
async fn connections_are_reused_by_other_clients() {
    let upstream = ScriptedUpstream::start().await;
    let address = location_for(&upstream).await;
    let mut clients = [Wire::connect(address).await, Wire::connect(address).await];
    let (_, mut server) = forwarded(&mut clients[0], &upstream, get("/")).await;
    for number in 0..20 {
        server.send(OK).await;
        let head = clients[number % 2].head().await;
        assert_eq!(clients[number % 2].body(&head).await, b"ok");
        clients[(number + 1) % 2].send(get(&format!("/{number}"))).await;
        assert_eq!(server.head().await.first_line(), format!("GET /{number} HTTP/1.1"));
    }
    upstream.expect_untouched().await;
}

#[tokio::test]
async fn a_stale_pooled_connection_causes_no_failed_request() {
    let upstream = ScriptedUpstream::start().await;
    let mut client = Wire::connect(location_for(&upstream).await).await;
    for number in 0..10 {
        let (head, mut server) = forwarded(&mut client, &upstream, get(&format!("/{number}"))).await;
        assert_eq!(head.first_line(), format!("GET /{number} HTTP/1.1"));
        server.send(OK).await;
        // Close the connection as soon as it is idle.
        drop(server);
        let head = client.head().await;
        assert_eq!((head.status(), client.body(&head).await), (200, b"ok".to_vec()));
    }
}

#[tokio::test]
async fn an_unused_connection_is_closed_after_the_pool_idle_timeout() {
    let upstream = ScriptedUpstream::start().await;
    let layer = UpgradeProxyLayer::new(upstream.upstream()).pool_idle_timeout(Duration::from_millis(100));
    let mut client = Wire::connect(location(layer).await).await;
    let (_, mut server) = forwarded(&mut client, &upstream, get("/")).await;
    server.send(OK).await;
    client.head().await;
    server.expect_end().await;
}

#[tokio::test]
async fn bodies_stream_both_ways() {
    let upstream = ScriptedUpstream::start().await;
    let mut client = Wire::connect(location_for(&upstream).await).await;
    let request = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n";
    let (head, mut server) = forwarded(&mut client, &upstream, request).await;
    assert!(head.has("transfer-encoding", "chunked"));
    server.expect("5\r\nfirst\r\n").await;
    server
        .send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        .await;
    server.send("9\r\ndata: 1\n\n\r\n").await;
    assert_eq!(client.head().await.values("content-type"), ["text/event-stream"]);
    client.expect("9\r\ndata: 1\n\n\r\n").await;
    client.send("6\r\nsecond\r\n0\r\n\r\n").await;
    server.expect("6\r\nsecond\r\n0\r\n\r\n").await;
    server.send("9\r\ndata: 2\n\n\r\n0\r\n\r\n").await;
    client.expect("9\r\ndata: 2\n\n\r\n0\r\n\r\n").await;
}

#[tokio::test]
async fn trailers_are_forwarded_both_ways() {
    let upstream = ScriptedUpstream::start().await;
    let mut client = Wire::connect(location_for(&upstream).await).await;
    let request = "POST / HTTP/1.1\r\nHost: a\r\nConnection: TE\r\nTE: trailers, deflate\r\nTrailer: X-Sum\r\n\
        Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-Sum: up\r\n\r\n";
    let (head, mut server) = forwarded(&mut client, &upstream, request).await;
    assert_eq!((head.values("te"), head.values("trailer")), (vec!["trailers".into()], vec!["X-Sum".into()]));
    server.expect("2\r\nhi\r\n0\r\nx-sum: up\r\n\r\n").await;
    server
        .send(
            "HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n\
             2\r\nho\r\n0\r\nX-Sum: down\r\n\r\n",
        )
        .await;
    assert_eq!(client.head().await.values("trailer"), ["X-Sum"]);
    client.expect("2\r\nho\r\n0\r\nx-sum: down\r\n\r\n").await;
}

#[tokio::test]
async fn a_request_without_a_body_gets_none_from_a_wrapped_body() {
    let upstream = ScriptedUpstream::start().await;
    // The body is a stream, which does not know that it is empty.
    let wrap = map_request(|request: Request| async {
        request.map(|body| Body::from_stream(body.into_data_stream()))
    });
    let location = proxy_pass(upstream.upstream());
    let address = serve(Router::new().fallback_service(location).layer(wrap)).await;
    let mut client = Wire::connect(address).await;
    let (head, mut server) = forwarded(&mut client, &upstream, get("/").replace("GET", "DELETE")).await;
    assert!(head.values("transfer-encoding").is_empty(), "{head:?}");
    server.send(OK).await;
    client.head().await;
}

#[tokio::test]
async fn requests_of_http_2_clients_are_forwarded_in_http_1_1() {
    let upstream = ScriptedUpstream::start().await;
    let address = location_for(&upstream).await;
    let mut client = Client::connect(address).await;
    let request =
        http::Request::delete("http://site.example/x?y").header("cookie", "a=1").header("cookie", "b=2");
    let response = client.send_request(request.body(()).unwrap(), true).response();
    let exchange = async {
        let mut server = upstream.accept().await;
        let head = server.head().await;
        server.send(OK).await;
        head
    };
    let (response, head) = tokio::join!(response, exchange);
    assert_eq!(head.first_line(), "DELETE /x?y HTTP/1.1");
    assert!(head.values("transfer-encoding").is_empty(), "{head:?}");
    assert_eq!(
        (head.values("host"), head.values("cookie")),
        (vec!["site.example".into()], vec!["a=1; b=2".into()])
    );
    let (response, _) = response;
    assert_eq!((response.status().as_u16(), response.version()), (200, http::Version::HTTP_2));
    let body = rest(&mut response.into_body()).await.unwrap().0;
    assert_eq!(body, b"ok");
}

#[tokio::test]
async fn head_and_304_keep_their_length_and_the_connection() {
    let upstream = ScriptedUpstream::start().await;
    let mut client = Wire::connect(location_for(&upstream).await).await;
    let (head, mut server) = forwarded(&mut client, &upstream, get("/").replace("GET", "HEAD")).await;
    assert_eq!(head.first_line(), "HEAD / HTTP/1.1");
    server.send("HTTP/1.1 200 OK\r\nContent-Length: 1234\r\nETag: \"x\"\r\n\r\n").await;
    assert_eq!(client.head().await.values("content-length"), ["1234"]);
    client.send(get("/cached").replace("\r\n\r\n", "\r\nIf-None-Match: \"x\"\r\n\r\n")).await;
    server.head().await;
    server.send("HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\n\r\n").await;
    let head = client.head().await;
    assert_eq!((head.status(), head.values("etag")), (304, vec!["\"x\"".to_owned()]));
    client.send(get("/after")).await;
    assert_eq!(server.head().await.first_line(), "GET /after HTTP/1.1");
}

#[tokio::test]
async fn expect_100_continue_is_handled_by_the_server() {
    let upstream = ScriptedUpstream::start().await;
    let mut client = Wire::connect(location_for(&upstream).await).await;
    let request = "PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n";
    let (head, mut server) = forwarded(&mut client, &upstream, request).await;
    assert!(head.values("expect").is_empty());
    assert_eq!(client.head().await.first_line(), "HTTP/1.1 100 Continue");
    client.send("body").await;
    server.expect("body").await;
    server.send(OK).await;
    assert_eq!(client.head().await.status(), 200);
}

#[tokio::test]
async fn an_incomplete_response_aborts_the_clients_connection() {
    let framings = [
        ("Content-Length: 100\r\n\r\nfirst", "first"),
        ("Transfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n", "5\r\nfirst\r\n"),
    ];
    for (framing, first) in framings {
        let upstream = ScriptedUpstream::start().await;
        let mut client = Wire::connect(location_for(&upstream).await).await;
        let (_, mut server) = forwarded(&mut client, &upstream, get("/")).await;
        server.send(format!("HTTP/1.1 200 OK\r\n{framing}")).await;
        assert_eq!(client.head().await.status(), 200);
        client.expect(first).await;
        drop(server);
        client.expect_end().await;
    }
}

#[tokio::test]
async fn a_silent_upstream_is_a_504_and_a_slow_upload_is_not() {
    let upstream = ScriptedUpstream::start().await;
    let layer = UpgradeProxyLayer::new(upstream.upstream()).header_timeout(Duration::from_millis(1500));
    let address = location(layer).await;
    let mut client = Wire::connect(address).await;
    let (_, mut server) = forwarded(&mut client, &upstream, get("/")).await;
    let head = client.head().await;
    assert_eq!(head.status(), 504);
    client.body(&head).await;
    server.expect_end().await;

    let request = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\n";
    let (_, mut server) = forwarded(&mut client, &upstream, request).await;
    for _ in 0..8 {
        tokio::time::sleep(Duration::from_millis(250)).await;
        client.send("x").await;
        server.expect("x").await;
    }
    server.send(OK).await;
    assert_eq!(client.head().await.status(), 200);
}

#[tokio::test]
async fn a_stalled_response_is_aborted_at_the_body_timeout() {
    let upstream = ScriptedUpstream::start().await;
    let layer = UpgradeProxyLayer::new(upstream.upstream()).body_timeout(Duration::from_millis(1500));
    let mut client = Wire::connect(location(layer).await).await;
    let (_, mut server) = forwarded(&mut client, &upstream, get("/")).await;
    server.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n").await;
    client.head().await;
    for _ in 0..8 {
        tokio::time::sleep(Duration::from_millis(250)).await;
        server.send("tick").await;
        client.expect("tick").await;
    }
    client.expect_end().await;
    server.expect_end().await;
}

#[tokio::test]
async fn a_request_that_cannot_be_forwarded_never_reaches_the_upstream() {
    let upstream = ScriptedUpstream::start().await;
    let address = location_for(&upstream).await;
    let cases = [
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400),
        ("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET evil.example HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 400),
        ("CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n", 405),
    ];
    for (request, status) in cases {
        assert_eq!(Wire::connect(address).await.request(request).await.status(), status, "{request}");
    }
    upstream.expect_untouched().await;
}

#[tokio::test]
async fn a_malformed_request_body_is_a_400_and_ends_the_connection() {
    let check = map_response(|response: Response| async {
        let error = response.extensions().get::<Error>().expect("an error");
        assert!(error.is_bad_request() && !error.is_upstream_protocol(), "{error}");
        response
    });
    let upstream = ScriptedUpstream::start().await;
    let location = proxy_pass(upstream.upstream());
    let address = serve(Router::new().fallback_service(location).layer(check)).await;
    let mut client = Wire::connect(address).await;
    let request = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n";
    let head = client.request(request.to_owned() + &get("/smuggled")).await;
    assert_eq!(head.status(), 400);
    client.body(&head).await;
    client.expect_end().await;
    let mut server = upstream.accept().await;
    server.rest().await;
    upstream.expect_untouched().await;
}

#[tokio::test]
async fn a_get_may_have_a_body_of_unknown_length() {
    let upstream = ScriptedUpstream::start().await;
    let mut client = Wire::connect(location_for(&upstream).await).await;
    let request =
        get("/").replace("\r\n\r\n", "\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n");
    let (head, mut server) = forwarded(&mut client, &upstream, request).await;
    assert_eq!(server.body(&head).await, b"body");
}

#[tokio::test]
async fn an_http_1_0_request_is_forwarded_in_1_1_with_the_upstreams_host() {
    let upstream = ScriptedUpstream::start().await;
    let address = location_for(&upstream).await;
    let mut client = Wire::connect(address).await;
    let (head, mut server) = forwarded(&mut client, &upstream, "GET /old HTTP/1.0\r\n\r\n").await;
    assert_eq!(head.first_line(), "GET /old HTTP/1.1");
    assert_eq!(head.values("host"), [upstream.address.to_string()]);
    server.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n").await;
    let head = client.head().await;
    assert_eq!(head.status(), 200);
    assert_eq!(client.rest().await, b"ok");

    // The client gets a response in its own version.
    drop(server);
    let mut client = Wire::connect(address).await;
    let (_, mut server) = forwarded(&mut client, &upstream, get("/")).await;
    server.send("HTTP/1.0 200 OK\r\n\r\nuntil the end").await;
    drop(server);
    let head = client.head().await;
    assert_eq!(head.first_line(), "HTTP/1.1 200 OK");
    assert_eq!(client.body(&head).await, b"until the end");
}

#[tokio::test]
async fn an_unreachable_or_failing_upstream_is_a_502_with_the_error_in_the_extensions() {
    let check = map_response(|mut response: Response| async {
        let kind = match response.extensions().get::<Error>() {
            Some(error) if error.is_connect() => "connect",
            Some(error) if error.is_upstream_protocol() => "protocol",
            other => panic!("{other:?}"),
        };
        response.headers_mut().insert("x-kind", kind.parse().unwrap());
        response
    });
    let upstream = ScriptedUpstream::start().await;
    let absent = Forward::new("unix:/does/not/exist.sock".parse().unwrap());
    let address = serve(Router::new().fallback_service(absent).layer(check.clone())).await;
    let head = Wire::connect(address).await.request(get("/")).await;
    assert_eq!((head.status(), head.values("x-kind")), (502, vec!["connect".to_owned()]));

    let failing = Forward::new(upstream.upstream());
    let address = serve(Router::new().fallback_service(failing).layer(check)).await;
    let mut client = Wire::connect(address).await;
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx").await;
    let mut server = upstream.accept().await;
    server.head().await;
    server.send("HTTP/1.1 2").await;
    drop(server);
    let head = client.head().await;
    assert_eq!((head.status(), head.values("x-kind")), (502, vec!["protocol".to_owned()]));
}

#[tokio::test]
async fn a_connection_that_is_not_accepted_is_a_504() {
    let never = tower::service_fn(|_: http::Uri| {
        std::future::pending::<Result<TokioIo<tokio::net::TcpStream>, std::io::Error>>()
    });
    let layer = UpgradeProxyLayer::new("http://192.0.2.1".parse().unwrap())
        .connector(never)
        .connect_timeout(Duration::from_millis(50));
    assert_eq!(Wire::connect(location(layer).await).await.request(get("/")).await.status(), 504);
}

#[tokio::test]
async fn a_client_that_disconnects_releases_the_upstream() {
    let upstream = ScriptedUpstream::start().await;
    let address = location_for(&upstream).await;
    let mut client = Wire::connect(address).await;
    let (_, mut server) = forwarded(&mut client, &upstream, get("/")).await;
    drop(client);
    server.expect_end().await;
    let mut client = Wire::connect(address).await;
    let (_, mut server) = forwarded(&mut client, &upstream, get("/")).await;
    server.send("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nsome").await;
    client.head().await;
    drop(client);
    server.expect_end().await;
}

#[cfg(unix)]
#[tokio::test]
async fn over_a_unix_socket_with_a_base_path() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("up.sock");
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let upstream = format!("unix:{}:/base", path.display()).parse().unwrap();
    let mut client = Wire::connect(location(UpgradeProxyLayer::new(upstream)).await).await;
    for _ in 0..2 {
        client.send(get("/x?y")).await;
    }
    let mut server = Wire::new(listener.accept().await.unwrap().0);
    for _ in 0..2 {
        assert_eq!(server.head().await.first_line(), "GET /base/x?y HTTP/1.1");
        server.send(OK).await;
        let head = client.head().await;
        assert_eq!(client.body(&head).await, b"ok");
    }
}

#[tokio::test]
async fn over_tls_only_ordinary_requests_use_http_2() {
    use axum::routing::any;
    use hyper_util::{server::conn::auto, service::TowerToHyperService};
    use test_support::tls::TlsServer;
    use tower_upgrade_proxy::{Tls, Upstream};

    let server = TlsServer::start("127.0.0.1:0").await;
    let layer = UpgradeProxyLayer::new(server.uri("https", "localhost").parse::<Upstream>().unwrap().auto())
        .tls(Tls::config(server.client_config()));
    let app =
        Router::new().fallback(any(|request: Request| async move { format!("{:?}", request.version()) }));
    let (sender, mut protocols) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((tcp, _)) = server.listener.accept().await {
            let stream = server.acceptor.accept(tcp).await.unwrap();
            sender.send(stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec)).unwrap();
            let service = TowerToHyperService::new(app.clone());
            tokio::spawn(async move {
                let builder = auto::Builder::new(TokioExecutor::new());
                let _ = builder.serve_connection_with_upgrades(TokioIo::new(stream), service).await;
            });
        }
    });
    let address = location(layer).await;
    let mut client = Wire::connect(address).await;
    for _ in 0..3 {
        let head = client.request(get("/")).await;
        assert_eq!(client.body(&head).await, b"HTTP/2.0");
    }
    let head = client.request(handshake("/")).await;
    assert_eq!(client.body(&head).await, b"HTTP/1.1", "a refused upgrade");
    let used = [protocols.recv().await.unwrap(), protocols.recv().await.unwrap()];
    assert_eq!(used, [Some(b"h2".to_vec()), Some(b"http/1.1".to_vec())]);
    assert!(protocols.try_recv().is_err(), "three requests shared one connection");
}
