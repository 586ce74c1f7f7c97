//! Connections to upstreams: by name and address, unix sockets, custom connectors and TLS.

use axum::{Router, extract::Request, middleware::map_request};
use test_support::{SWITCHING, ScriptedUpstream, Wire, handshake, ping_pong, proxy::describe, serve};
use tower_upgrade_proxy::{UpgradeProxyLayer, Upstream};

use crate::{app, open};

/// Opens a tunnel through `layer` to `upstream`, and sends bytes through it.
async fn expect_tunnel(layer: UpgradeProxyLayer, upstream: &ScriptedUpstream) {
    let (mut client, mut server) = open(app(layer).await, upstream).await;
    client.send("ping").await;
    server.expect("ping").await;
}

#[tokio::test]
async fn by_ws_and_http_and_by_name() {
    let upstream = ScriptedUpstream::start().await;
    let port = upstream.address.port();
    for uri in [format!("ws://127.0.0.1:{port}"), format!("http://localhost:{port}/")] {
        expect_tunnel(UpgradeProxyLayer::new(uri.parse().unwrap()), &upstream).await;
    }
}

#[tokio::test]
async fn by_ipv6() {
    let upstream = ScriptedUpstream::bind("[::1]:0").await;
    let uri = format!("http://[::1]:{}", upstream.address.port());
    expect_tunnel(UpgradeProxyLayer::new(uri.parse().unwrap()), &upstream).await;
}

#[cfg(unix)]
#[tokio::test]
async fn by_a_unix_socket() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("up.sock");
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let layer = UpgradeProxyLayer::new(format!("unix:{}:/base", path.display()).parse().unwrap());
    let mut client = Wire::connect(app(layer).await).await;
    client.send(handshake("/chat")).await;
    let mut server = Wire::new(listener.accept().await.unwrap().0);
    let head = server.head().await;
    assert_eq!(head.first_line(), "GET /base/chat HTTP/1.1");
    assert_eq!(head.values("host"), ["client.example"]);
    server.send(SWITCHING).await;
    assert_eq!(client.head().await.status(), 101);
    ping_pong(&mut client, &mut server).await;
}

#[tokio::test]
async fn by_a_custom_connector() {
    use hyper_util::rt::TokioIo;
    use tokio::{io::DuplexStream, sync::mpsc};

    let (sender, mut connections) = mpsc::unbounded_channel::<(http::Uri, DuplexStream)>();
    let connector = tower::service_fn(move |uri: http::Uri| {
        let (near, far) = tokio::io::duplex(1024);
        sender.send((uri, far)).unwrap();
        async move { Ok::<_, std::io::Error>(TokioIo::new(near)) }
    });
    let upstream = Upstream::for_connector("vsock://3:5000/base".parse().unwrap()).unwrap();
    let mut client = Wire::connect(app(UpgradeProxyLayer::new(upstream).connector(connector)).await).await;
    client.send(handshake("/chat")).await;
    let (uri, stream) = connections.recv().await.unwrap();
    assert_eq!(uri, "vsock://3:5000/");
    let mut server = Wire::new(stream);
    assert_eq!(server.head().await.first_line(), "GET /base/chat HTTP/1.1");
    server.send(SWITCHING).await;
    assert_eq!(client.head().await.status(), 101);
    client.send("ping").await;
    server.expect("ping").await;
}

#[tokio::test]
async fn an_upstream_in_the_request_extensions_overrides_the_layers() {
    let (configured, chosen) = (ScriptedUpstream::start().await, ScriptedUpstream::start().await);
    let override_upstream = chosen.upstream();
    let choose = map_request(move |mut request: Request| {
        let upstream = override_upstream.clone();
        async move {
            if request.uri().path().starts_with("/other") {
                request.extensions_mut().insert(upstream);
            }
            request
        }
    });
    let layer = UpgradeProxyLayer::new(configured.upstream());
    let address = serve(Router::new().fallback(describe).layer(layer).layer(choose)).await;
    for (path, upstream) in [("/here", &configured), ("/other", &chosen)] {
        let mut client = Wire::connect(address).await;
        client.send(handshake(path)).await;
        assert_eq!(upstream.accept().await.head().await.first_line(), format!("GET {path} HTTP/1.1"));
    }
}

mod tls {
    use test_support::{SWITCHING, Wire, handshake, ping_pong, tls::TlsServer};
    use tower_upgrade_proxy::{Host, Tls, UpgradeProxyLayer};

    use crate::app;

    #[tokio::test]
    async fn wss_offers_only_http_1_1_and_names_the_upstream_for_any_host_policy() {
        let upstream = TlsServer::start("127.0.0.1:0").await;
        for scheme in ["https", "wss"] {
            let mut config = upstream.client_config();
            config.alpn_protocols = vec![b"h2".to_vec()];
            let layer = UpgradeProxyLayer::new(upstream.uri(scheme, "localhost").parse().unwrap())
                .host(Host::fixed("other.example").unwrap())
                .tls(Tls::config(config));
            let mut client = Wire::connect(app(layer).await).await;
            client.send(handshake("/")).await;
            let (tcp, _) = upstream.listener.accept().await.unwrap();
            let stream = upstream.acceptor.accept(tcp).await.unwrap();
            assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
            assert_eq!(stream.get_ref().1.server_name(), Some("localhost"));
            let mut server = Wire::new(stream);
            assert_eq!(server.head().await.values("host"), ["other.example"]);
            server.send(SWITCHING).await;
            assert_eq!(client.head().await.status(), 101);
            ping_pong(&mut client, &mut server).await;
            client.finish().await;
            // TLS ends with `close_notify`.
            server.expect_end().await;
        }
    }

    #[tokio::test]
    async fn an_ip_address_is_verified_against_the_certificate() {
        let upstream = TlsServer::start("[::1]:0").await;
        let layer = UpgradeProxyLayer::new(upstream.uri("https", "[::1]").parse().unwrap())
            .tls(Tls::config(upstream.client_config()));
        let mut client = Wire::connect(app(layer).await).await;
        client.send(handshake("/")).await;
        let (tcp, _) = upstream.listener.accept().await.unwrap();
        let mut server = Wire::new(upstream.acceptor.accept(tcp).await.unwrap());
        server.head().await;
        server.send(SWITCHING).await;
        assert_eq!(client.head().await.status(), 101);
    }

    #[tokio::test]
    async fn an_untrusted_or_mismatched_certificate_is_a_502() {
        let upstream = TlsServer::start("127.0.0.1:0").await;
        let trusting = Tls::config(upstream.client_config());
        let cases = [
            ("localhost", Tls::webpki_roots(), "an untrusted certificate"),
            ("127.0.0.1", trusting, "a certificate for another name"),
        ];
        for (host, tls, case) in cases {
            let layer = UpgradeProxyLayer::new(upstream.uri("https", host).parse().unwrap())
                .host(Host::fixed("localhost").unwrap())
                .tls(tls);
            let mut client = Wire::connect(app(layer).await).await;
            client.send(handshake("/")).await;
            let (tcp, _) = upstream.listener.accept().await.unwrap();
            assert!(upstream.acceptor.accept(tcp).await.is_err(), "{case}");
            assert_eq!(client.head().await.status(), 502, "{case}");
        }
    }

    #[test]
    fn the_machines_roots_are_read_or_reported_missing() {
        match Tls::native_roots() {
            Ok(tls) => assert_eq!(format!("{tls:?}"), "Tls"),
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
}
