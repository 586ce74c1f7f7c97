//! A7. Field names in any case.

use axum::Router;
use hyper::server::conn::http1;
use test_support::{ACCEPT, Head, Inner, KEY, ScriptedProxy, Wire, ping_pong, serve::serve_http1_with};
use tower_upgrade_proxy::UpgradeProxyLayer;

/// A request with field names in mixed case, and values with white space and case to preserve.
fn mixed_case(first_line: &str) -> String {
    format!(
        "{first_line}\r\nhOST: Client.Example\r\ncONNECTION: upGRADE\r\nuPGRADE: WebSocket\r\n\
         SEC-WEBSOCKET-KEY: {KEY}\r\nsec-websocket-VERSION: 13\r\nx-ODD: A  b\tC\r\nX-odd: D\r\n\r\n"
    )
}

const RESPONSE: &str = "HTTP/1.1 101 Switching Protocols\r\ncONNECTION: upgrade\r\nuPGRADE: websocket\r\n\
    sEC-wEBsOCKET-aCCEPT: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nx-UP: V\r\n\r\n";

/// A proxy on a hyper server that preserves the case of field names.
async fn preserving(inner: Inner, set: impl FnOnce(UpgradeProxyLayer) -> UpgradeProxyLayer) -> ScriptedProxy {
    let mut server = http1::Builder::new();
    server.preserve_header_case(true);
    ScriptedProxy::start_on(inner, set, async move |app: Router| serve_http1_with(server, app).await).await
}

/// Returns the field names as written, in order.
fn names(head: &Head) -> Vec<String> {
    let text = head.text();
    let fields = text.lines().skip(1).filter_map(|line| line.split_once(':'));
    fields.map(|(name, _)| name.to_owned()).collect()
}

#[track_caller]
fn expect_names(head: &Head, names_in_any_order: &[&str]) {
    let mut names = names(head);
    names.retain(|name| !name.eq_ignore_ascii_case("date"));
    names.sort();
    let mut expected = names_in_any_order.to_vec();
    expected.sort_unstable();
    assert_eq!(names, expected);
}

/// Opens a tunnel and exchanges data. Returns the heads received by the upstream and by the client.
async fn heads(proxy: &ScriptedProxy) -> (Head, Head) {
    let (mut client, mut server, request) = proxy.request(mixed_case("GET /Path HTTP/1.1")).await;
    assert_eq!(request.values("host"), ["Client.Example"]);
    assert_eq!(request.values("sec-websocket-key"), [KEY]);
    assert_eq!(request.values("x-odd"), ["A  b\tC", "D"]);
    server.send(RESPONSE).await;
    let response = client.head().await;
    assert_eq!(response.status(), 101);
    assert_eq!(response.values("sec-websocket-accept"), [ACCEPT]);
    assert_eq!(response.values("x-up"), ["V"]);
    ping_pong(&mut client, &mut server).await;
    (request, response)
}

/// Sends an ordinary request. Returns the heads received by the upstream and by the client.
async fn ordinary_heads(proxy: &ScriptedProxy) -> (Head, Head) {
    let (mut client, mut server, request): (Wire, Wire, Head) =
        proxy.request(mixed_case("POST / HTTP/1.1")).await;
    server.send("HTTP/1.1 200 OK\r\ncONTENT-lENGTH: 2\r\nx-UP: V\r\n\r\nok").await;
    (request, client.head().await)
}

async fn a7_names_are_lower_case_and_values_unchanged(inner: Inner) {
    let proxy = ScriptedProxy::start(inner).await;
    let (request, response) = heads(&proxy).await;
    let names = ["host", "connection", "upgrade", "sec-websocket-key", "sec-websocket-version"];
    expect_names(&request, &[&names[..], &["x-odd", "x-odd"]].concat());
    expect_names(&response, &["connection", "upgrade", "sec-websocket-accept", "x-up"]);
}

async fn a7_names_keep_their_case_if_server_and_layer_preserve_it(inner: Inner) {
    let proxy = preserving(inner, UpgradeProxyLayer::preserve_header_case).await;
    let (request, response) = heads(&proxy).await;
    expect_names(
        &request,
        &["hOST", "cONNECTION", "uPGRADE", "SEC-WEBSOCKET-KEY", "sec-websocket-VERSION", "x-ODD", "X-odd"],
    );
    expect_names(&response, &["cONNECTION", "uPGRADE", "sEC-wEBsOCKET-aCCEPT", "x-UP"]);
    if inner == Inner::Forward {
        let (request, response) = ordinary_heads(&proxy).await;
        expect_names(&request, &["hOST", "SEC-WEBSOCKET-KEY", "sec-websocket-VERSION", "x-ODD", "X-odd"]);
        expect_names(&response, &["cONTENT-lENGTH", "x-UP"]);
    }
}

async fn a7_case_is_preserved_per_direction(inner: Inner) {
    let lower = ["host", "connection", "upgrade", "sec-websocket-key", "sec-websocket-version"];
    let (request, response) = heads(&preserving(inner, |layer| layer).await).await;
    expect_names(
        &request,
        &["hOST", "cONNECTION", "uPGRADE", "SEC-WEBSOCKET-KEY", "sec-websocket-VERSION", "x-ODD", "X-odd"],
    );
    expect_names(&response, &["connection", "upgrade", "sec-websocket-accept", "x-up"]);
    let (request, response) =
        heads(&ScriptedProxy::start_with(inner, UpgradeProxyLayer::preserve_header_case).await).await;
    expect_names(&request, &[&lower[..], &["x-odd", "x-odd"]].concat());
    expect_names(&response, &["cONNECTION", "uPGRADE", "sEC-wEBsOCKET-aCCEPT", "x-UP"]);
}

async fn a7_names_are_sent_upstream_in_title_case(inner: Inner) {
    let proxy = ScriptedProxy::start_with(inner, UpgradeProxyLayer::title_case_headers).await;
    let (request, response) = heads(&proxy).await;
    let names = ["Host", "Connection", "Upgrade", "Sec-WebSocket-Key", "Sec-WebSocket-Version"];
    expect_names(&request, &[&names[..], &["X-Odd", "X-Odd"]].concat());
    expect_names(&response, &["Connection", "Upgrade", "Sec-WebSocket-Accept", "x-up"]);
    if inner == Inner::Forward {
        let (request, _) = ordinary_heads(&proxy).await;
        expect_names(&request, &["Host", "Sec-WebSocket-Key", "Sec-WebSocket-Version", "X-Odd", "X-Odd"]);
    }
}

on_both![
    a7_names_are_lower_case_and_values_unchanged,
    a7_names_keep_their_case_if_server_and_layer_preserve_it,
    a7_case_is_preserved_per_direction,
    a7_names_are_sent_upstream_in_title_case,
];
