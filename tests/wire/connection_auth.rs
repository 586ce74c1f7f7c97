//! NTLM and Negotiate, which authenticate a connection.

use std::{net::SocketAddr, time::Duration};

use axum::Router;
use http::Request;
use hyper::server::conn::http1;
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use test_support::{Head, ScriptedUpstream, Wire, serve, serve::serve_with_peers};
use tower::ServiceExt;
use tower_upgrade_proxy::{ClientConnection, ConnectionAuth, Forwarded, UpgradeProxyLayer};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

fn app(layer: UpgradeProxyLayer) -> Router {
    Router::new().fallback_service(layer.forward())
}

/// Serves a location whose requests carry their client's connection.
async fn with_client_connections(layer: UpgradeProxyLayer) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, peer)) = listener.accept().await {
            let connection = ClientConnection::new();
            let service =
                app(layer.clone()).map_request(move |mut request: Request<hyper::body::Incoming>| {
                    request.extensions_mut().insert(connection.clone());
                    request.extensions_mut().insert(tower_upgrade_proxy::Peer::new(peer));
                    request.map(axum::body::Body::new)
                });
            let served = http1::Builder::new()
                .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
            tokio::spawn(served);
        }
    });
    address
}

/// Sends `request` on a new connection of the upstream, and relays `response`. Returns both ends.
async fn exchange(
    address: SocketAddr,
    upstream: &ScriptedUpstream,
    request: &str,
    response: &str,
) -> (Wire, Wire) {
    let mut client = Wire::connect(address).await;
    let mut server = upstream.receive(&mut client, request).await;
    server.send(response).await;
    let head = client.head().await;
    client.body(&head).await;
    (client, server)
}

/// Exchanges after which the upstream's connection belongs to the client.
fn exchanges() -> Vec<(String, String)> {
    let challenge =
        |lines: &str| format!("HTTP/1.1 401 Unauthorized\r\n{lines}\r\nContent-Length: 2\r\n\r\nno");
    let authorization = |value: &str| GET.replace("Host: a", &format!("Host: a\r\nAuthorization: {value}"));
    vec![
        (GET.to_owned(), challenge("WWW-Authenticate: NTLM")),
        (GET.to_owned(), challenge("WWW-Authenticate: Basic realm=\"a\", negotiate")),
        (
            GET.to_owned(),
            challenge("WWW-Authenticate: Basic realm=\"a\"\r\nWWW-Authenticate: Ntlm TlRMTVNTUAAC"),
        ),
        (GET.to_owned(), challenge("Proxy-Authenticate: NTLM")),
        (GET.to_owned(), OK.replace("Content", "Persistent-Auth: true\r\nContent")),
        (GET.to_owned(), OK.replace("Content", "WWW-Authenticate: Negotiate oYG2==\r\nContent")),
        (authorization("NTLM TlRMTVNTUAAD"), OK.to_owned()),
        (authorization("nEGOTIATE YIIK"), "HTTP/1.1 204 No Content\r\n\r\n".to_owned()),
    ]
}

#[tokio::test]
async fn a_connection_that_may_be_authenticated_is_closed_if_the_client_is_unknown() {
    let upstream = ScriptedUpstream::start().await;
    let address = serve(app(UpgradeProxyLayer::new(upstream.upstream()))).await;
    for (request, response) in exchanges() {
        let (mut client, mut server) = exchange(address, &upstream, &request, &response).await;
        server.expect_end().await;
        // The client's own connection stays open.
        let server = upstream.receive(&mut client, GET).await;
        drop(server);
    }
}

#[tokio::test]
async fn a_connection_that_may_be_authenticated_serves_its_client_only_and_ends_with_it() {
    let upstream = ScriptedUpstream::start().await;
    let address = with_client_connections(UpgradeProxyLayer::new(upstream.upstream())).await;
    for (request, response) in exchanges() {
        let (mut client, mut server) = exchange(address, &upstream, &request, &response).await;
        let (other, other_server) =
            exchange(address, &upstream, GET, "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n").await;
        client.send(GET).await;
        server.head().await;
        server.send(OK).await;
        let head = client.head().await;
        assert_eq!(client.body(&head).await, b"ok");
        drop((other, other_server));
        upstream.expect_untouched().await;
        drop(client);
        server.expect_end().await;
    }
}

#[tokio::test]
async fn a_trusted_proxy_is_not_one_client() {
    let upstream = ScriptedUpstream::start().await;
    let forwarded = Forwarded::nginx().trust(["127.0.0.0/8".parse().unwrap()]);
    let layer = UpgradeProxyLayer::new(upstream.upstream()).forwarded(forwarded);
    let address = with_client_connections(layer).await;
    let (request, response) = exchanges().swap_remove(0);
    let (_client, mut server) = exchange(address, &upstream, &request, &response).await;
    server.expect_end().await;
}

#[tokio::test]
async fn other_authentication_and_a_policy_of_sharing_leave_connections_to_all_clients() {
    let other = OK.replace("200 OK", "401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"NTLM\"");
    let challenge = exchanges().swap_remove(0).1;
    for (policy, response) in [(ConnectionAuth::Private, other), (ConnectionAuth::Shared, challenge)] {
        let upstream = ScriptedUpstream::start().await;
        let address =
            serve_with_peers(app(UpgradeProxyLayer::new(upstream.upstream()).connection_auth(policy))).await;
        let (_client, mut server) = exchange(address, &upstream, GET, &response).await;
        let mut other = Wire::connect(address).await;
        other.send(GET).await;
        server.head().await;
    }
}

/// Serves one connection as IIS does: three messages authenticate it, then each request on it is that user's.
async fn authenticate(mut server: Wire) {
    let (mut user, mut challenged) = (None::<String>, false);
    loop {
        let head: Head = server.head().await;
        let authorization = head.values("authorization").concat();
        let (status, fields, body) = match (authorization.strip_prefix("NTLM "), &user) {
            (Some("negotiate"), _) => {
                challenged = true;
                ("401 Unauthorized", "WWW-Authenticate: NTLM challenge\r\n", String::new())
            }
            (Some(name), _) if challenged => {
                user = Some(name.to_owned());
                ("200 OK", "Persistent-Auth: true\r\n", format!("page of {name}"))
            }
            (None, Some(name)) => ("200 OK", "", format!("page of {name}")),
            _ => (
                "401 Unauthorized",
                "WWW-Authenticate: Negotiate\r\nWWW-Authenticate: NTLM\r\n",
                String::new(),
            ),
        };
        let length = body.len();
        server.send(format!("HTTP/1.1 {status}\r\n{fields}Content-Length: {length}\r\n\r\n{body}")).await;
    }
}

/// Sends a request, with this message of the handshake. Returns status and body.
async fn request(client: &mut Wire, message: Option<&str>) -> (u16, String) {
    let field = message.map_or_else(String::new, |message| format!("Authorization: NTLM {message}\r\n"));
    let head = client.request(format!("GET / HTTP/1.1\r\nHost: a\r\n{field}\r\n")).await;
    (head.status(), String::from_utf8(client.body(&head).await).unwrap())
}

#[tokio::test]
async fn two_clients_authenticate_at_the_same_time_and_each_gets_its_own_pages() {
    let upstream = ScriptedUpstream::start().await;
    let address = with_client_connections(UpgradeProxyLayer::new(upstream.upstream())).await;
    tokio::spawn(async move {
        loop {
            tokio::spawn(authenticate(upstream.accept().await));
        }
    });
    let mut clients = [Wire::connect(address).await, Wire::connect(address).await];
    let no = (401, String::new());
    for message in [None, Some("negotiate")] {
        for client in &mut clients {
            assert_eq!(request(client, message).await, no);
        }
    }
    let names = ["ada", "bob"];
    for (client, name) in clients.iter_mut().zip(names) {
        assert_eq!(request(client, Some(name)).await, (200, format!("page of {name}")));
    }
    for _ in 0..10 {
        for (client, name) in clients.iter_mut().zip(names) {
            assert_eq!(request(client, None).await, (200, format!("page of {name}")));
        }
        assert_eq!(request(&mut Wire::connect(address).await, None).await, no);
    }
    // Their connections are closed with them, not reused.
    drop(clients);
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(request(&mut Wire::connect(address).await, None).await, no);
}
