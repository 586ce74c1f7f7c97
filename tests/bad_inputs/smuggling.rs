//! B. Refused handshakes: the connection stays HTTP, and no request is smuggled past the proxy.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use axum::{Router, extract::Request, middleware::map_request};
use test_support::{Head, Inner, SWITCHING, ScriptedProxy, handshake, serve};

/// Starts a proxy with middleware around the layer that counts requests.
async fn counting(inner: Inner) -> (ScriptedProxy, Arc<AtomicUsize>) {
    let requests = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&requests);
    let count = map_request(move |request: Request| {
        counter.fetch_add(1, Ordering::SeqCst);
        async { request }
    });
    let proxy =
        ScriptedProxy::start_on(inner, |layer| layer, async |app: Router| serve(app.layer(count)).await)
            .await;
    (proxy, requests)
}

fn fields(head: &Head) -> Vec<(String, String)> {
    let mut fields = head.fields();
    fields.sort();
    fields
}

async fn b1_refusal_is_relayed_whole_and_the_next_request_is_parsed(inner: Inner) {
    const DATE: &str = "Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n";
    let (proxy, requests) = counting(inner).await;
    // Status, end-to-end fields, hop-by-hop fields, the body as sent, and its content.
    let cases = [
        (
            "426 Upgrade Required",
            "Connection: Upgrade\r\nUpgrade: websocket, foo/2\r\nSec-WebSocket-Version: 13, 8\r\nContent-Length: 1\r\n",
            "Keep-Alive: timeout=5\r\n",
            "x",
            "x",
        ),
        ("403 Forbidden", "Content-Length: 2\r\n", "Connection: close\r\n", "no", "no"),
        (
            "401 Unauthorized",
            "WWW-Authenticate: Basic realm=\"x\"\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nTransfer-Encoding: chunked\r\n",
            "Connection: keep-alive, X-Hop\r\nX-Hop: 1\r\n",
            "3\r\nfir\r\n2;x=y\r\nst\r\n0\r\n\r\n",
            "first",
        ),
        ("302 Found", "Location: /login\r\nContent-Length: 0\r\n", "", "", ""),
        ("200 OK", "Content-Length: 3\r\n", "Connection: Upgrade\r\nUpgrade: websocket\r\n", "yes", "yes"),
    ];
    for (status, kept, removed, sent, body) in cases {
        requests.store(0, Ordering::SeqCst);
        let response = format!("HTTP/1.1 {status}\r\n{DATE}{kept}{removed}\r\n{sent}");
        let (head, mut client, mut server) = proxy.respond(response).await;
        assert_eq!(head.first_line(), format!("HTTP/1.1 {status}"));
        let expected = Head { raw: format!("HTTP/1.1 {status}\r\n{DATE}{kept}\r\n").into_bytes() };
        assert_eq!(fields(&head), fields(&expected), "{status}");
        assert_eq!(client.body(&head).await, body.as_bytes(), "{status}");
        proxy.expect_http(&mut client).await;
        assert_eq!(requests.load(Ordering::SeqCst), 2, "{status}");
        server.expect_end().await;
    }
}

async fn b2_request_after_a_refused_handshake_is_parsed_and_never_sent_raw(inner: Inner) {
    let (proxy, requests) = counting(inner).await;
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: b.example\r\nConnection: X-Hop\r\nX-Hop: 1\r\n\r\n";
    let invalid = SWITCHING.replace("Upgrade: websocket\r\n", "");
    let responses = [
        ("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", 403),
        ("HTTP/1.1 200 OK\r\nUpgrade: websocket\r\nContent-Length: 0\r\n\r\n", 200),
        (invalid.as_str(), 502),
    ];
    for (response, status) in responses {
        requests.store(0, Ordering::SeqCst);
        let (mut client, mut server, _) = proxy.request(handshake("/") + smuggled).await;
        server.send(response).await;
        let head = client.head().await;
        assert_eq!(head.status(), status);
        client.body(&head).await;
        let received = proxy.ordinary_request(&mut client, "").await;
        assert_eq!(received.first_line(), "GET /smuggled HTTP/1.1");
        assert_eq!(received.values("host"), ["b.example"]);
        // The request was parsed: the field named by Connection is removed only if the request is forwarded.
        assert_eq!(received.values("x-hop").is_empty(), inner == Inner::Forward);
        assert_eq!(requests.load(Ordering::SeqCst), 2);
        server.expect_end().await;
    }
}

async fn b3_unknown_version_is_left_to_the_upstream(inner: Inner) {
    let proxy = ScriptedProxy::start(inner).await;
    let refusals = [(400, "400 Bad Request\r\n"), (426, "426 Upgrade Required\r\nUpgrade: websocket\r\n")];
    for version in ["1337", "8", "0", "-1", "13, 13"] {
        for (status, refusal) in refusals {
            let line = format!("Version: {version}");
            let (mut client, mut server, request) =
                proxy.request(handshake("/").replace("Version: 13", &line)).await;
            assert_eq!(request.values("sec-websocket-version"), [version]);
            let rest = "Sec-WebSocket-Version: 13\r\nContent-Length: 3\r\n\r\nno!";
            server.send(format!("HTTP/1.1 {refusal}{rest}")).await;
            let head = client.head().await;
            assert_eq!(
                (head.status(), head.values("sec-websocket-version")),
                (status, vec!["13".to_owned()])
            );
            assert_eq!(client.body(&head).await, b"no!");
            server.expect_end().await;
            proxy.expect_http(&mut client).await;
        }
    }
}

on_both![
    b1_refusal_is_relayed_whole_and_the_next_request_is_parsed,
    b2_request_after_a_refused_handshake_is_parsed_and_never_sent_raw,
    b3_unknown_version_is_left_to_the_upstream,
];
