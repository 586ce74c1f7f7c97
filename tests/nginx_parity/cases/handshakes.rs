//! Accepted upgrades, and forms of requests for them.

use super::HOP_BY_HOP;
use test_support::{KEY, handshake, handshake_with};

use crate::{
    case::{Case, exchange, ordinary},
    client::Step,
    proxy::Setup::{A, B, Pitfalls},
    response::{After, CannedResponse, ok, raw, response, switching, switching_with},
};

pub(crate) fn cases() -> Vec<Case> {
    [accepted(), unusual_requests(), not_taken(), malformed(), pitfalls()].into_iter().flatten().collect()
}

fn accepted() -> Vec<Case> {
    let offers = handshake_with(
        "/ws/chat?room=1&x=%2F",
        &[
            "Origin: https://client.example",
            "Cookie: a=1; b=2",
            "Authorization: Bearer x",
            "Sec-WebSocket-Protocol: chat, superchat",
            "Sec-WebSocket-Extensions: permessage-deflate",
        ],
    );
    let selected = switching_with(
        "Sec-WebSocket-Protocol: superchat\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\
         Set-Cookie: a=1\r\nSet-Cookie: b=2\r\n",
    );
    let with_early_bytes =
        CannedResponse { bytes: [switching().bytes, b"early".to_vec()].concat(), ..switching() };
    let closing = switching().and(After::Close);
    let recording = switching().and(After::Record);
    let old = String::from_utf8(with_early_bytes.bytes.clone()).unwrap().replace("HTTP/1.1", "HTTP/1.0");
    let without_connection = switching().without("Connection: Upgrade\r\n");
    let hop = switching_with("Keep-Alive: 5\r\nX-Hop: 1\r\nConnection: X-Hop\r\nContent-Length: 0\r\n");
    vec![
        exchange(A, "upgrade", handshake("/ws/"), switching()).echoes("hello").echoes("again"),
        exchange(B, "upgrade", handshake("/any/path"), switching()).echoes("hello"),
        exchange(A, "cookies_and_subprotocol", offers, selected).echoes("hello"),
        exchange(A, "early_bytes_of_the_client", handshake("/ws/") + "early", switching())
            .step(Step::Bytes(5)),
        exchange(A, "early_bytes_of_the_upstream", handshake("/ws/"), with_early_bytes)
            .step(Step::Bytes(5))
            .echoes("x"),
        exchange(A, "upstream_ends_the_tunnel", handshake("/ws/"), closing).ends(),
        exchange(A, "client_ends_the_tunnel", handshake("/ws/"), recording)
            .step(Step::Finish)
            .ends()
            .differs("WebSockets that end without a Close", &["- up2 0 bytes", "+ up2 Close 1001"]),
        exchange(A, "101_in_http_1_0", handshake("/ws/"), raw(old)).step(Step::Bytes(5)),
        exchange(A, "101_without_connection", handshake("/ws/"), without_connection).echoes("x"),
        exchange(A, "hop_by_hop_fields_in_the_101", handshake("/ws/"), hop)
            .echoes("x")
            .differs(HOP_BY_HOP, &["- down x-hop: 1"])
            .differs("`Content-Length` without a body", &["- down content-length: 0"]),
    ]
}

/// A handshake with one part replaced.
fn altered(part: &str, by: &str) -> String {
    let handshake = handshake("/ws/");
    assert!(handshake.contains(part), "{part}");
    handshake.replace(part, by)
}

fn unusual_requests() -> Vec<Case> {
    let cases = altered("Connection: Upgrade", "CONNECTION: keep-alive, uPGRADE");
    let two_lines = altered("Connection: Upgrade", "Connection: keep-alive\r\nConnection: Upgrade");
    let names_a_field = altered("Connection: Upgrade", "Connection: Upgrade, X-Hop\r\nX-Hop: 1");
    let list = altered("Upgrade: websocket", "Upgrade: h2c, websocket");
    let two_upgrades = altered("Upgrade: websocket", "Upgrade: websocket\r\nUpgrade: h2c");
    let no_version = altered("Sec-WebSocket-Version: 13\r\n", "");
    let one_protocol = "Several protocols in `Upgrade`";
    vec![
        exchange(A, "tokens_in_any_case", cases, switching()).echoes("x"),
        exchange(A, "connection_over_two_lines", two_lines, switching()).echoes("x"),
        exchange(A, "connection_names_a_field", names_a_field, switching())
            .differs(HOP_BY_HOP, &["- up x-hop: 1"]),
        exchange(A, "list_of_protocols", list, switching())
            .differs(one_protocol, &["- up upgrade: h2c, websocket", "+ up upgrade: websocket"]),
        exchange(A, "upgrade_over_two_lines", two_upgrades, switching()),
        exchange(A, "version_missing", no_version, ok()),
    ]
}

/// Requests that nginx sends on as upgrades, and the Rust program as ordinary requests.
fn not_taken() -> Vec<Case> {
    let to = |protocol: &str| altered("Upgrade: websocket", &format!("Upgrade: {protocol}"));
    let tunnel = ["- up connection: upgrade", "- up upgrade: websocket"];
    let not_allowed = "Protocols other than WebSocket";
    let other = response("101 Switching Protocols", "Connection: Upgrade\r\nUpgrade: tcp\r\n", "");
    vec![
        ordinary(A, "upgrade_missing", altered("Upgrade: websocket\r\n", ""), ok()),
        exchange(A, "connection_missing", altered("Connection: Upgrade\r\n", ""), ok())
            .differs("`Upgrade` without `Connection: upgrade`", &tunnel),
        exchange(A, "post", altered("GET", "POST"), ok())
            .differs("Upgrade with another method than GET", &tunnel),
        exchange(A, "http_1_0", altered("HTTP/1.1", "HTTP/1.0"), ok())
            .differs("Upgrade in HTTP/1.0", &tunnel)
            .differs(super::OLD_VERSION, &["- down HTTP/1.1 200 OK", "+ down HTTP/1.0 200 OK"]),
        exchange(A, "other_protocol", to("tcp"), other.and(After::Close)).differs(
            not_allowed,
            &[
                "- up connection: upgrade",
                "- up upgrade: tcp",
                "- down HTTP/1.1 101 Switching Protocols",
                "+ down HTTP/1.1 502 of its own",
            ],
        ),
        exchange(A, "h2c", to("h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__"), ok()).differs(
            not_allowed,
            &["- up connection: upgrade", "- up upgrade: h2c", "- up http2-settings: AAMAAABkAAQAAP__"],
        ),
    ]
}

fn malformed() -> Vec<Case> {
    let key = format!("Sec-WebSocket-Key: {KEY}");
    let table = [
        ("body_announced", handshake_with("/ws/", &["Content-Length: 4"]) + "body"),
        ("key_missing", altered(&format!("{key}\r\n"), "")),
        ("key_twice", handshake_with("/ws/", &[&key])),
        ("key_too_short", altered(KEY, "c2hvcnQ=")),
    ];
    let refused = ["- up GET /ws/ HTTP/1.1", "- down HTTP/1.1 200 OK", "+ down HTTP/1.1 400 of its own"];
    let case = |(name, request)| exchange(A, name, request, ok()).differs("Malformed handshakes", &refused);
    table.map(case).into()
}

fn pitfalls() -> Vec<Case> {
    vec![
        exchange(Pitfalls, "no_version", handshake("/no-version/"), ok()).differs(
            "`proxy_http_version` forgotten",
            &["- up GET /no-version/ HTTP/1.0", "+ up GET /no-version/ HTTP/1.1"],
        ),
        exchange(Pitfalls, "no_upgrade", handshake("/no-upgrade/"), ok())
            .differs("`Upgrade` forgotten", &["+ up upgrade: websocket"]),
        exchange(Pitfalls, "no_connection", handshake("/no-connection/"), ok())
            .differs("`Connection` forgotten", &["- up connection: close", "+ up connection: upgrade"]),
    ]
}
