//! K. Framing of the upstream's responses.

use test_support::{
    Inner, ScriptedProxy, ScriptedUpstream, TestProxy, Wire,
    http2::{
        FrameConnection,
        frame::{CANCEL, CONNECT_PROTOCOL, INTERNAL_ERROR, NO_ERROR, literal_fields},
    },
    tls::TlsServer,
};
use tower_upgrade_proxy::{Tls, UpgradeProxyLayer};

use crate::exchange::{Kind, Received};

const BODY: &str = "hello world";
const CHUNKS: &str = "b\r\nhello world\r\n0\r\n\r\n";

/// Returns the client's response to an upstream's 403 with these framing fields and bytes.
async fn refused(proxy: &ScriptedProxy, kind: Kind, fields: &str, body: &str) -> Received {
    let (sent, mut server) = kind.request(proxy.address, &proxy.upstream).await;
    server.send(format!("HTTP/1.1 403 Forbidden\r\nConnection: close\r\n{fields}\r\n{body}")).await;
    sent.head().await
}

async fn k1_chunks_take_precedence_over_a_length(inner: Inner) {
    let proxy = ScriptedProxy::start(inner).await;
    for length in ["0", "3", "11", "300", "x"] {
        for kind in Kind::all(inner) {
            for length_first in [true, false] {
                let mut lines =
                    [format!("Content-Length: {length}\r\n"), "Transfer-Encoding: chunked\r\n".into()];
                if !length_first {
                    lines.reverse();
                }
                let received = refused(&proxy, kind, &lines.concat(), CHUNKS).await;
                assert_eq!(received.status, 403, "{lines:?} {kind:?}");
                assert!(received.values("content-length").is_empty(), "{lines:?} {kind:?}");
                assert_eq!(received.complete_body().await.unwrap(), BODY, "{lines:?} {kind:?}");
            }
        }
    }
}

async fn k2_repeated_length_is_sent_once_and_an_invalid_one_is_502(inner: Inner) {
    let proxy = ScriptedProxy::start(inner).await;
    for kind in Kind::all(inner) {
        for lengths in [&["11"][..], &["11", "11"], &["11, 11"], &["11 ,11", "11"], &["011"]] {
            let lines: String =
                lengths.iter().map(|length| format!("Content-Length: {length}\r\n")).collect();
            let received = refused(&proxy, kind, &lines, BODY).await;
            assert_eq!((received.status, received.values("content-length")), (403, vec!["11"]), "{lines:?}");
            assert_eq!(received.complete_body().await.unwrap(), BODY, "{lines:?} {kind:?}");
        }
        for lengths in [&["11", "12"][..], &["11, 12"], &["11,"], &["+11"], &[""], &["18446744073709551616"]]
        {
            let lines: String =
                lengths.iter().map(|length| format!("Content-Length: {length}\r\n")).collect();
            let received = refused(&proxy, kind, &lines, BODY).await;
            assert_eq!(received.status, 502, "{lines:?} {kind:?}");
        }
    }
}

async fn k3_other_transfer_codings_are_502(inner: Inner) {
    let proxy = ScriptedProxy::start(inner).await;
    let codings = [
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip\r\n",
        "Transfer-Encoding: gzip\r\n",
        "Transfer-Encoding: identity\r\n",
        "Transfer-Encoding: chunked, chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked,\r\n",
        "Transfer-Encoding: chunked;q=1\r\n",
        "Transfer-Encoding: xchunked\r\nContent-Length: 11\r\n",
        "Transfer-Encoding:\r\nContent-Length: 11\r\n",
    ];
    for kind in Kind::all(inner) {
        for fields in codings {
            let (sent, mut server) = kind.request(proxy.address, &proxy.upstream).await;
            server.send(format!("HTTP/1.1 403 Forbidden\r\n{fields}\r\n{CHUNKS}")).await;
            assert_eq!(sent.head().await.status, 502, "{fields:?} {kind:?}");
            drop(server);
        }
        // HTTP/1.0 has no transfer codings.
        let (sent, mut server) = kind.request(proxy.address, &proxy.upstream).await;
        server.send(format!("HTTP/1.0 403 Forbidden\r\nTransfer-Encoding: chunked\r\n\r\n{CHUNKS}")).await;
        assert_eq!(sent.head().await.status, 502, "{kind:?}");
    }
}

async fn k4_responses_without_a_body_keep_only_a_valid_length(inner: Inner) {
    let proxy = ScriptedProxy::start(inner).await;
    let length = "Content-Length: 300\r\n";
    let coding = "Transfer-Encoding: gzip, chunked\r\n";
    let both = [length, coding].concat();
    let ordinary = |method| [Kind::Ordinary(method), Kind::OrdinaryHttp2(method)];
    let upgrades = vec![Kind::Upgrade, Kind::ExtendedConnect];
    let [head, get] = match inner {
        Inner::Application => [vec![], vec![]],
        Inner::Forward => ["HEAD", "GET"].map(|method| ordinary(method).to_vec()),
    };
    let cases = [
        (&upgrades, 304, length, Some("300")),
        (&upgrades, 304, coding, None),
        (&head, 200, length, Some("300")),
        (&head, 200, "Content-Length: 300, 300\r\nContent-Length: 300\r\n", Some("300")),
        (&head, 200, coding, None),
        (&head, 200, &both, None),
        (&head, 404, length, Some("300")),
        (&get, 304, length, Some("300")),
        (&get, 304, &both, None),
        (&get, 204, length, None),
        (&get, 204, &both, None),
        (&get, 200, "Content-Length: 0\r\n", Some("0")),
    ];
    for (kinds, status, fields, length) in cases {
        for kind in kinds {
            let (sent, mut server) = kind.request(proxy.address, &proxy.upstream).await;
            server.send(format!("HTTP/1.1 {status} Status\r\nConnection: close\r\n{fields}\r\n")).await;
            let received = sent.head().await;
            let case = format!("{status} {fields:?} {kind:?}");
            assert_eq!(received.status, status, "{case}");
            assert_eq!(received.values("content-length").first().copied(), length, "{case}");
            assert!(received.values("transfer-encoding").is_empty(), "{case}");
            assert_eq!(received.complete_body().await.unwrap(), "", "{case}");
        }
    }
    for kind in head.iter().chain(&get) {
        let (sent, mut server) = kind.request(proxy.address, &proxy.upstream).await;
        server.send("HTTP/1.1 304 Not Modified\r\nConnection: close\r\nContent-Length: 1, 2\r\n\r\n").await;
        assert_eq!(sent.head().await.status, 502, "{kind:?}");
    }
}

/// Starts a proxy with an upstream in HTTP/2.
async fn start_http2(inner: Inner) -> (TestProxy, ScriptedUpstream) {
    let upstream = ScriptedUpstream::start().await;
    let layer = UpgradeProxyLayer::new(upstream.upstream().http2());
    (TestProxy::start(inner, layer).await, upstream)
}

/// Returns the stream of the next request, whether it has ended or not.
async fn next_stream(connection: &mut FrameConnection) -> u32 {
    loop {
        if let test_support::http2::Frame::Headers { stream, .. } = connection.next().await {
            return stream;
        }
    }
}

/// Names and values.
type Fields<'a> = &'a [(&'a str, &'a str)];

/// Header block of a 404 with these fields.
fn not_found(fields: Fields<'_>) -> Vec<u8> {
    [b"\x8d", &literal_fields(fields)[..]].concat()
}

async fn k5_http2_response_has_one_valid_length_and_no_coding(inner: Inner) {
    let (proxy, upstream) = start_http2(inner).await;
    let mut connection = None;
    let length = |length| ("content-length", length);
    // The status, and the body if it is complete.
    let cases: [(Fields<'_>, u16, Option<&str>); 10] = [
        (&[length("11")], 404, Some(BODY)),
        (&[length("11"), length("11")], 404, Some(BODY)),
        (&[length("011")], 404, Some(BODY)),
        (&[length("3")], 404, None),
        (&[length("300")], 404, None),
        (&[length("11, 11")], 502, None),
        (&[length("11"), length("12")], 502, None),
        (&[length("")], 502, None),
        (&[length("+11")], 502, None),
        (&[("transfer-encoding", "chunked")], 502, None),
    ];
    for kind in Kind::all(inner) {
        for (fields, status, body) in cases {
            let sent = kind.send(proxy.address).await;
            let connection = match &mut connection {
                Some(connection) => connection,
                None => connection.insert(FrameConnection::accept(&upstream, &[CONNECT_PROTOCOL]).await),
            };
            let stream = next_stream(connection).await;
            connection.headers(stream, &not_found(fields)).await;
            let received = if status == 404 {
                // A length that does not match is a stream error.
                let received = sent.head().await;
                connection.data(stream, BODY).await;
                connection.finish(stream).await;
                received
            } else {
                sent.head().await
            };
            assert_eq!(received.status, status, "{fields:?} {kind:?}");
            if status == 404 {
                assert!(received.values("content-length").len() == 1, "{fields:?} {kind:?}");
                let received = received.complete_body().await;
                assert_eq!(received.as_deref(), body, "{fields:?} {kind:?}");
            }
        }
    }
}

async fn k6_body_of_an_http1_upstream_cut_short_never_looks_complete(inner: Inner) {
    let proxy = ScriptedProxy::start(inner).await;
    let framings = [
        ("Content-Length: 300\r\n", BODY, [true, false].as_slice()),
        ("Transfer-Encoding: chunked\r\n", "b\r\nhello world\r\n", &[true, false]),
        ("Transfer-Encoding: chunked\r\n", "b\r\nhello", &[true, false]),
        ("Transfer-Encoding: chunked\r\n", "b\r\nhello world\r\n0\r\n", &[true, false]),
        // Without a length, the end of the connection is the end of the body, unless it is a reset.
        ("", BODY, &[true]),
    ];
    for kind in Kind::all(inner) {
        for (fields, part, resets) in framings {
            for reset in resets {
                let (sent, mut server) = kind.request(proxy.address, &proxy.upstream).await;
                server.send(format!("HTTP/1.1 403 Forbidden\r\n{fields}\r\n{part}")).await;
                let received = sent.head().await;
                assert_eq!(received.status, 403, "{fields:?} {kind:?}");
                if *reset {
                    server.reset();
                } else {
                    drop(server);
                }
                assert_eq!(received.complete_body().await, None, "{fields:?} {part:?} {reset} {kind:?}");
            }
        }
    }
}

/// Without a length, the end of the body is TLS's `close_notify`, not a FIN that anybody could send.
async fn k6_body_of_a_tls_upstream_is_complete_with_its_close_notify(inner: Inner) {
    let server = TlsServer::with_protocols("127.0.0.1:0", &["http/1.1"]).await;
    let layer = UpgradeProxyLayer::new(server.uri("https", "localhost").parse().unwrap());
    let proxy = TestProxy::start(inner, layer.tls(Tls::config(server.client_config()))).await;
    for kind in Kind::all(inner) {
        for expected in [Some(BODY), None] {
            let sent = kind.send(proxy.address).await;
            let mut wire = Wire::new(server.accept().await.0);
            wire.head().await;
            wire.send(format!("HTTP/1.1 403 Forbidden\r\n\r\n{BODY}")).await;
            let received = sent.head().await;
            if expected.is_some() {
                wire.finish().await;
            }
            drop(wire);
            assert_eq!(received.complete_body().await.as_deref(), expected, "{kind:?}");
        }
    }
}

async fn k6_body_of_an_http2_upstream_cut_short_never_looks_complete(inner: Inner) {
    for kind in Kind::all(inner) {
        for fields in [&[][..], &[("content-length", "300")]] {
            for code in [Some(INTERNAL_ERROR), Some(CANCEL), Some(NO_ERROR), None] {
                for goaway in [true, false] {
                    let (proxy, upstream) = start_http2(inner).await;
                    let sent = kind.send(proxy.address).await;
                    let mut connection = FrameConnection::accept(&upstream, &[CONNECT_PROTOCOL]).await;
                    let stream = next_stream(&mut connection).await;
                    connection.headers(stream, &not_found(fields)).await;
                    connection.data(stream, BODY).await;
                    let received = sent.head().await;
                    if goaway {
                        connection.goaway(stream).await;
                    }
                    match code {
                        Some(code) => connection.reset_stream(stream, code).await,
                        None => drop(connection),
                    }
                    let case = format!("{fields:?} {code:?} {goaway} {kind:?}");
                    assert_eq!(received.complete_body().await, None, "{case}");
                }
            }
        }
    }
}

/// hyper's server closes the connection, which is also the end of a complete body. nginx does the same.
async fn k9_http_1_0_client_detects_an_early_end_only_by_a_length(inner: Inner) {
    if inner == Inner::Application {
        // There are no upgrades in HTTP/1.0.
        return;
    }
    let proxy = ScriptedProxy::start(inner).await;
    let chunked = "Transfer-Encoding: chunked\r\n";
    // The body of the upstream's response, and the length that the client gets.
    let cases = [
        (chunked, CHUNKS, None),
        ("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", CHUNKS, None),
        ("Content-Length: 300\r\n", BODY, Some("300")),
        (chunked, "b\r\nhello world\r\n", None),
    ];
    for (fields, body, length) in cases {
        let (mut client, mut server, _) = proxy.request("GET / HTTP/1.0\r\nHost: a\r\n\r\n").await;
        server.send(format!("HTTP/1.1 200 OK\r\nConnection: close\r\n{fields}\r\n{body}")).await;
        let head = client.head().await;
        drop(server);
        assert!(head.values("transfer-encoding").is_empty(), "{fields:?}");
        assert_eq!(head.values("content-length").first().map(String::as_str), length, "{fields:?}");
        assert_eq!(client.rest().await, BODY.as_bytes(), "{fields:?}");
    }
}

on_both![
    k1_chunks_take_precedence_over_a_length,
    k2_repeated_length_is_sent_once_and_an_invalid_one_is_502,
    k3_other_transfer_codings_are_502,
    k4_responses_without_a_body_keep_only_a_valid_length,
    k5_http2_response_has_one_valid_length_and_no_coding,
    k6_body_of_an_http1_upstream_cut_short_never_looks_complete,
    k6_body_of_a_tls_upstream_is_complete_with_its_close_notify,
    k6_body_of_an_http2_upstream_cut_short_never_looks_complete,
    k9_http_1_0_client_detects_an_early_end_only_by_a_length,
];
