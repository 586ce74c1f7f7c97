//! NTLM and Negotiate, which authenticate a connection, and shared connections.

use http::{Request, Response};
use test_support::{
    ScriptedUpstream, TestProxy,
    http2::{
        Client, FrameConnection,
        frame::{CONNECT_PROTOCOL, HTTP_1_1_REQUIRED},
    },
    proxy::Inner,
};
use tower_upgrade_proxy::{ConnectionAuth, UpgradeProxyLayer};

use crate::bodies::{behind_with, ok};

/// Sends a request, waits for it at the upstream, and returns both ends.
macro_rules! request {
    ($client:expr, $upstream:expr, $authorization:expr) => {{
        let mut request = Request::get("http://client.example/");
        if let Some(value) = $authorization {
            request = request.header("authorization", value);
        }
        let pending = $client.send_request(request.body(()).unwrap(), true);
        (pending, $upstream.next_request().await)
    }};
}

/// Sends three requests, the second one with this `Authorization`. Returns the number of connections to the upstream.
async fn connections(authorization: &str, policy: ConnectionAuth) -> usize {
    let (upstream, proxy) = behind_with(|layer| layer.connection_auth(policy)).await;
    let mut client = Client::connect(proxy.address).await;
    let mut pending = Vec::new();
    for authorization in [None, Some(authorization), None] {
        pending.push(request!(client, upstream, authorization));
    }
    // Streams that were open before are not disturbed.
    for (response, received) in pending {
        received.respond(ok());
        assert_eq!(response.response().await.0.status(), 200);
    }
    let (response, received) = request!(client, upstream, None::<&str>);
    let challenge = Response::builder().status(401).header("www-authenticate", authorization);
    received.respond(challenge.body(()).unwrap());
    assert_eq!(response.response().await.0.status(), 401);
    upstream.connections()
}

#[tokio::test]
async fn a_connection_whose_request_authenticates_it_takes_no_further_requests() {
    assert_eq!(connections("Negotiate YIIK", ConnectionAuth::Private).await, 2);
    assert_eq!(connections("NTLM TlRM", ConnectionAuth::Private).await, 2);
    assert_eq!(connections("Basic YTpi", ConnectionAuth::Private).await, 1);
    assert_eq!(connections("Negotiate YIIK", ConnectionAuth::Shared).await, 1);
}

#[tokio::test]
async fn a_request_that_requires_http_1_1_is_sent_in_it() {
    let upstream = ScriptedUpstream::start().await;
    let proxy = TestProxy::start(Inner::Forward, UpgradeProxyLayer::new(upstream.upstream().http2())).await;
    let mut client = proxy.connect().await;
    client.send("GET /x HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let mut connection = FrameConnection::accept(&upstream, &[CONNECT_PROTOCOL]).await;
    let stream = connection.next_ordinary_request().await;
    connection.reset_stream(stream, HTTP_1_1_REQUIRED).await;
    let mut server = upstream.accept().await;
    assert_eq!(server.head().await.first_line(), "GET /x HTTP/1.1");
    server.send("HTTP/1.1 204 No Content\r\n\r\n").await;
    assert_eq!(client.head().await.status(), 204);
}
