//! E. Bodies and framing.

use test_support::{Inner, ScriptedProxy, handshake, handshake_with};
use tower_upgrade_proxy::{Forwarded, UpgradeProxyLayer};

/// A request that must be neither answered nor forwarded.
const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: a.example\r\n\r\n";

/// Returns a POST with `lines`, followed by `rest`.
fn post(lines: &[&str], rest: &str) -> String {
    format!("POST /post HTTP/1.1\r\nHost: a.example\r\n{}\r\n\r\n{rest}", lines.join("\r\n"))
}

/// Requires `status` for `request` followed by `rest`, that the proxy does not connect to the upstream, and
/// that `rest` is not parsed as a request.
async fn expect_refused(proxy: &ScriptedProxy, request: &str, rest: &str, status: u16) {
    let mut client = proxy.expect_refusal(request.to_owned() + rest, status).await;
    client.finish().await;
    let rest = String::from_utf8(client.rest().await).unwrap();
    assert!(!rest.contains("HTTP/1.1") && !rest.contains("smuggled"), "{rest}");
    proxy.upstream.expect_untouched().await;
}

async fn e1_upgrade_with_a_body_is_400(inner: Inner) {
    let proxy = ScriptedProxy::start(inner).await;
    let length = format!("Content-Length: {}", SMUGGLED.len());
    let chunk = format!("{:x}\r\n{SMUGGLED}\r\n0\r\n\r\n", SMUGGLED.len());
    for (line, body) in [(length.as_str(), SMUGGLED), ("Transfer-Encoding: chunked", &chunk)] {
        expect_refused(&proxy, &handshake_with("/", &[line]), body, 400).await;
    }
}

async fn e1_announced_body_is_400_before_it_arrives(inner: Inner) {
    let proxy = ScriptedProxy::start(inner).await;
    for line in ["Content-Length: 1000", "Transfer-Encoding: chunked"] {
        proxy.expect_refusal(handshake_with("/", &[line]), 400).await;
    }
}

async fn e1_empty_body_is_no_body(inner: Inner) {
    let proxy = ScriptedProxy::start(inner).await;
    let (_, mut server, head) = proxy.request(handshake_with("/", &["Content-Length: 0"])).await;
    assert_eq!(head.values("upgrade"), ["websocket"]);
    assert!(server.buffered().is_empty());
}

async fn e2_invalid_or_conflicting_lengths_are_400(inner: Inner) {
    let proxy = ScriptedProxy::start(inner).await;
    let lengths: [&[&str]; 9] = [
        &["Content-Length: 5", "Content-Length: 6"],
        &["Content-Length: +5"],
        &["Content-Length: 5, 5"],
        &["Content-Length: 5, 6"],
        &["Content-Length: -5"],
        &["Content-Length: 0x5"],
        &["Content-Length:"],
        &["Content-Length: 5 5"],
        &["Content-Length: 18446744073709551621"],
    ];
    for lines in lengths {
        for request in [handshake_with("/", lines), post(lines, "")] {
            expect_refused(&proxy, &request, SMUGGLED, 400).await;
        }
    }
}

async fn e2_upgrade_with_length_and_coding_is_400(inner: Inner) {
    let proxy = ScriptedProxy::start(inner).await;
    for lines in both_orders() {
        expect_refused(&proxy, &handshake_with("/", &lines), &format!("0\r\n\r\n{SMUGGLED}"), 400).await;
    }
}

fn both_orders() -> [[&'static str; 2]; 2] {
    let [length, coding] = ["Content-Length: 5", "Transfer-Encoding: chunked"];
    [[length, coding], [coding, length]]
}

/// [RFC 9112, 6.3](https://www.rfc-editor.org/rfc/rfc9112#section-6.3) gives servers the choice. hyper uses
/// the coding and hides the length from the application.
async fn e2_ordinary_request_with_length_and_coding_uses_the_coding_and_closes(inner: Inner) {
    let proxy = ScriptedProxy::start(inner).await;
    for lines in both_orders() {
        let mut client = proxy.connect().await;
        let request = post(&lines, "5\r\nhello\r\n0\r\n\r\n");
        let received = proxy.ordinary_request(&mut client, request + SMUGGLED).await;
        assert_eq!(received.values("transfer-encoding"), ["chunked"], "{lines:?}");
        assert!(received.values("content-length").is_empty(), "{lines:?}");
        client.expect_end().await;
        proxy.upstream.expect_untouched().await;
    }
}

async fn e2_coding_not_ending_in_chunked_is_400(inner: Inner) {
    let proxy = ScriptedProxy::start(inner).await;
    let codings: [&[&str]; 6] = [
        &["Transfer-Encoding: identity"],
        &["Transfer-Encoding: xchunked"],
        &["Transfer-Encoding: chunked, gzip"],
        &["Transfer-Encoding: chunked", "Transfer-Encoding: identity"],
        &["Transfer-Encoding: \x0bchunked"],
        &["Transfer-Encoding : chunked"],
    ];
    for lines in codings {
        for request in [handshake_with("/", lines), post(lines, "")] {
            expect_refused(&proxy, &request, SMUGGLED, 400).await;
        }
    }
}

async fn e3_malformed_head_is_400(inner: Inner) {
    let proxy = ScriptedProxy::start(inner).await;
    let lines = [
        "X-A : 1",
        "X-A\t: 1",
        "X-A: 1\r\n folded",
        "X-A: 1\r\n\tfolded",
        "X-A: 1\r2",
        "X-A: 1\rX-B: 2",
        "X-A: 1\0",
        "X-A\0: 1",
        "X A: 1",
        ": 1",
        "X-A",
    ];
    for line in lines {
        for request in [handshake_with("/", &[line]), post(&[line], "")] {
            expect_refused(&proxy, &request, "", 400).await;
        }
    }
    let folded_first = handshake("/").replace("HTTP/1.1\r\n", "HTTP/1.1\r\n X-A: 1\r\n");
    expect_refused(&proxy, &folded_first, "", 400).await;
}

/// Replacements of the `Host` line.
const INVALID_HOSTS: [&str; 21] = [
    "",
    "Host: a.example\r\nHost: a.example\r\n",
    "Host: a.example\r\nHost: b.example\r\n",
    "Host:\r\n",
    "Host: a.example/path\r\n",
    "Host: a.example?query\r\n",
    "Host: a.example#fragment\r\n",
    "Host: user@a.example\r\n",
    "Host: user:secret@a.example\r\n",
    "Host: a.example, b.example\r\n",
    "Host: a example\r\n",
    "Host: a.example:port\r\n",
    "Host: a.example:99999\r\n",
    "Host: :80\r\n",
    "Host: [zz]\r\n",
    "Host: [fe80::1%25eth0]\r\n",
    "Host: a[b]\r\n",
    "Host: %zz\r\n",
    "Host: a%2\r\n",
    "Host: a%\r\n",
    "Host: a\\b\r\n",
];

async fn e4_upgrade_without_one_valid_host_is_400(inner: Inner) {
    let proxy = ScriptedProxy::start(inner).await;
    for lines in INVALID_HOSTS {
        for target in ["/", "http://a.example/"] {
            let request = handshake(target).replace("Host: client.example\r\n", lines);
            expect_refused(&proxy, &request, "", 400).await;
        }
    }
}

/// The layer does not check ordinary requests to an application.
async fn e4_ordinary_request_without_one_valid_host_is_not_forwarded(inner: Inner) {
    let proxy = ScriptedProxy::start(inner).await;
    for lines in INVALID_HOSTS {
        for target in ["/", "http://a.example/"] {
            let request = format!("GET {target} HTTP/1.1\r\n{lines}\r\n");
            let status = if inner == Inner::Forward { 400 } else { 200 };
            proxy.expect_refusal(request, status).await;
        }
    }
}

async fn e7_host_with_any_valid_name_is_forwarded(inner: Inner) {
    let all = |layer: UpgradeProxyLayer| layer.forwarded(Forwarded::all());
    let proxy = ScriptedProxy::start_with(inner, all).await;
    // The host, and how `Forwarded` quotes it.
    let table = [
        ("%2Fvar%2Frun%2Fdocker.sock", "%2Fvar%2Frun%2Fdocker.sock"),
        ("%2frun%00:80", "\"%2frun%00:80\""),
        ("A_b.example", "A_b.example"),
        ("a!$&'*+~b", "a!$&'*+~b"),
        ("a,b;c=(d)", "\"a,b;c=(d)\""),
        ("a.example:", "\"a.example:\""),
        ("[::1]:9000", "\"[::1]:9000\""),
    ];
    for (host, quoted) in table {
        let upgrade = handshake("/").replace("client.example", host);
        let mut heads = vec![proxy.request(upgrade).await.2];
        if inner == Inner::Forward {
            let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
            heads.push(proxy.ordinary_request(&mut proxy.connect().await, request).await);
        }
        for head in heads {
            assert_eq!(head.values("host"), [host]);
            assert_eq!(head.values("x-forwarded-host"), [host]);
            let forwarded = head.values("forwarded").join("|");
            assert!(forwarded.contains(&format!(";host={quoted};")), "{forwarded}");
        }
    }
}

async fn e5_encoded_target_stays_encoded(inner: Inner) {
    let proxy = ScriptedProxy::start(inner).await;
    for target in ["/a%0d%0aX-Injected:%201", "/%0D%0A", "/a?b=%0d%0aX-Injected:%201", "/%00%c3%a9%2e%2E"] {
        let (_, _, head) = proxy.request(handshake(target)).await;
        assert_eq!(head.first_line(), format!("GET {target} HTTP/1.1"));
        assert!(head.values("x-injected").is_empty());
        let request = format!("GET {target} HTTP/1.1\r\nHost: a.example\r\n\r\n");
        let received = proxy.ordinary_request(&mut proxy.connect().await, request).await;
        assert_eq!(received.first_line(), format!("GET {target} HTTP/1.1"));
        assert!(received.values("x-injected").is_empty());
    }
}

async fn e5_target_with_raw_bytes_is_400(inner: Inner) {
    let proxy = ScriptedProxy::start(inner).await;
    for path in ["/a b", "/a\tb", "/a\0b", "/a\x7fb", "/a<b", "/a\rb"] {
        for request in [handshake(path), handshake(path).replace("Upgrade", "X-Nothing")] {
            expect_refused(&proxy, &request, "", 400).await;
        }
    }
    // UTF-8 and Latin-1. hyper rejects the latter, and passes the former to an application.
    for (path, refused) in [(&b"/\xc3\xa9"[..], inner == Inner::Forward), (b"/\xe9", true)] {
        let upgrade = handshake("/PATH").into_bytes();
        let plain = b"GET /PATH HTTP/1.1\r\nHost: a.example\r\n\r\n".to_vec();
        for (request, refused) in [(upgrade, true), (plain, refused)] {
            let at = request.windows(5).position(|bytes| bytes == b"/PATH").unwrap();
            let request = [&request[..at], path, &request[at + 5..]].concat();
            proxy.expect_refusal(request, if refused { 400 } else { 200 }).await;
        }
    }
}

on_both![
    e1_upgrade_with_a_body_is_400,
    e1_announced_body_is_400_before_it_arrives,
    e1_empty_body_is_no_body,
    e2_invalid_or_conflicting_lengths_are_400,
    e2_upgrade_with_length_and_coding_is_400,
    e2_ordinary_request_with_length_and_coding_uses_the_coding_and_closes,
    e2_coding_not_ending_in_chunked_is_400,
    e3_malformed_head_is_400,
    e4_upgrade_without_one_valid_host_is_400,
    e4_ordinary_request_without_one_valid_host_is_not_forwarded,
    e5_encoded_target_stays_encoded,
    e5_target_with_raw_bytes_is_400,
    e7_host_with_any_valid_name_is_forwarded,
];
