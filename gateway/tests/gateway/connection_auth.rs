//! NTLM and Negotiate, which authenticate a connection.

use test_support::ScriptedUpstream;

use crate::Gateway;

const REQUEST: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const CHALLENGE: &str = "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: NTLM\r\nContent-Length: 0\r\n\r\n";

#[tokio::test]
async fn a_challenged_connection_serves_its_client_only_and_ends_with_it() {
    let upstream = ScriptedUpstream::start().await;
    let gateway = Gateway::start(&["--route", &format!("/={}", upstream.uri())]).await;
    let (mut one, mut two) = (gateway.wire().await, gateway.wire().await);
    let mut first = upstream.receive(&mut one, REQUEST).await;
    first.send(CHALLENGE).await;
    assert_eq!(one.head().await.status(), 401);
    let mut second = upstream.receive(&mut two, REQUEST).await;
    second.send(CHALLENGE).await;
    assert_eq!(two.head().await.status(), 401);
    for (client, server) in [(&mut one, &mut first), (&mut two, &mut second)] {
        client.send(REQUEST).await;
        server.head().await;
        server.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
        assert_eq!(client.head().await.status(), 200);
    }
    drop(one);
    first.expect_end().await;
}

#[tokio::test]
async fn shared_connections_are_reused_for_all_clients() {
    let upstream = ScriptedUpstream::start().await;
    let route = format!("/={}", upstream.uri());
    let arguments = ["--route", &route, "--workers", "1", "--connection-auth", "shared"];
    let gateway = Gateway::start(&arguments).await;
    let (mut one, mut two) = (gateway.wire().await, gateway.wire().await);
    let mut server = upstream.receive(&mut one, REQUEST).await;
    server.send(CHALLENGE).await;
    assert_eq!(one.head().await.status(), 401);
    two.send(REQUEST).await;
    server.head().await;
}
