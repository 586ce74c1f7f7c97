//! A7. Names of fields in any case.

use axum::Router;
use hyper::server::conn::http1;
use tower_upgrade_proxy::UpgradeProxyLayer;

use crate::{
    stage::{Served, Stage},
    support::{ACCEPT, Head, KEY, Wire, ping_pong, serve_http1_with},
};

/// Names in all sorts of case, values with their white space and case.
fn odd(first_line: &str) -> String {
    format!(
        "{first_line}\r\nhOST: Client.Example\r\ncONNECTION: upGRADE\r\nuPGRADE: WebSocket\r\n\
         SEC-WEBSOCKET-KEY: {KEY}\r\nsec-websocket-VERSION: 13\r\nx-ODD: A  b\tC\r\nX-odd: D\r\n\r\n"
    )
}

const ANSWER: &str = "HTTP/1.1 101 Switching Protocols\r\ncONNECTION: upgrade\r\nuPGRADE: websocket\r\n\
    sEC-wEBsOCKET-aCCEPT: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nx-UP: V\r\n\r\n";

/// A server of hyper's that keeps the case of names.
async fn preserving(served: Served, set: impl FnOnce(UpgradeProxyLayer) -> UpgradeProxyLayer) -> Stage {
    let mut server = http1::Builder::new();
    server.preserve_header_case(true);
    served.stage_on(set, async move |app: Router| serve_http1_with(server, app).await).await
}

/// The names as they are written, in order.
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

/// The heads of both directions, the tunnel tried.
async fn heads(stage: &Stage) -> (Head, Head) {
    let (mut client, mut server, asked) = stage.asked(odd("GET /Path HTTP/1.1")).await;
    assert_eq!(asked.values("host"), ["Client.Example"]);
    assert_eq!(asked.values("sec-websocket-key"), [KEY]);
    assert_eq!(asked.values("x-odd"), ["A  b\tC", "D"]);
    server.send(ANSWER).await;
    let answered = client.head().await;
    assert_eq!(answered.status(), 101);
    assert_eq!(answered.values("sec-websocket-accept"), [ACCEPT]);
    assert_eq!(answered.values("x-up"), ["V"]);
    ping_pong(&mut client, &mut server).await;
    (asked, answered)
}

/// The head of an ordinary request that went to the upstream, and of the answer.
async fn ordinary_heads(stage: &Stage) -> (Head, Head) {
    let (mut client, mut server, asked): (Wire, Wire, Head) = stage.asked(odd("POST / HTTP/1.1")).await;
    server.send("HTTP/1.1 200 OK\r\ncONTENT-lENGTH: 2\r\nx-UP: V\r\n\r\nok").await;
    (asked, client.head().await)
}

async fn a7_names_are_in_lower_case_and_values_untouched(served: Served) {
    let stage = served.stage().await;
    let (asked, answered) = heads(&stage).await;
    let own = ["host", "connection", "upgrade", "sec-websocket-key", "sec-websocket-version"];
    expect_names(&asked, &[&own[..], &["x-odd", "x-odd"]].concat());
    expect_names(&answered, &["connection", "upgrade", "sec-websocket-accept", "x-up"]);
}

async fn a7_names_keep_their_case_when_server_and_layer_are_told_so(served: Served) {
    let stage = preserving(served, UpgradeProxyLayer::preserve_header_case).await;
    let (asked, answered) = heads(&stage).await;
    expect_names(
        &asked,
        &["hOST", "cONNECTION", "uPGRADE", "SEC-WEBSOCKET-KEY", "sec-websocket-VERSION", "x-ODD", "X-odd"],
    );
    expect_names(&answered, &["cONNECTION", "uPGRADE", "sEC-wEBsOCKET-aCCEPT", "x-UP"]);
    if served == Served::Location {
        let (asked, answered) = ordinary_heads(&stage).await;
        expect_names(&asked, &["hOST", "SEC-WEBSOCKET-KEY", "sec-websocket-VERSION", "x-ODD", "X-odd"]);
        expect_names(&answered, &["cONTENT-lENGTH", "x-UP"]);
    }
}

async fn a7_each_direction_keeps_them_by_itself(served: Served) {
    let lower = ["host", "connection", "upgrade", "sec-websocket-key", "sec-websocket-version"];
    let (asked, answered) = heads(&preserving(served, |layer| layer).await).await;
    expect_names(
        &asked,
        &["hOST", "cONNECTION", "uPGRADE", "SEC-WEBSOCKET-KEY", "sec-websocket-VERSION", "x-ODD", "X-odd"],
    );
    expect_names(&answered, &["connection", "upgrade", "sec-websocket-accept", "x-up"]);
    let (asked, answered) = heads(&served.stage_with(UpgradeProxyLayer::preserve_header_case).await).await;
    expect_names(&asked, &[&lower[..], &["x-odd", "x-odd"]].concat());
    expect_names(&answered, &["cONNECTION", "uPGRADE", "sEC-wEBsOCKET-aCCEPT", "x-UP"]);
}

async fn a7_names_can_be_put_in_title_case_for_the_upstream(served: Served) {
    let stage = served.stage_with(UpgradeProxyLayer::title_case_headers).await;
    let (asked, answered) = heads(&stage).await;
    let own = ["Host", "Connection", "Upgrade", "Sec-Websocket-Key", "Sec-Websocket-Version"];
    expect_names(&asked, &[&own[..], &["X-Odd", "X-Odd"]].concat());
    expect_names(&answered, &["connection", "upgrade", "sec-websocket-accept", "x-up"]);
    if served == Served::Location {
        let (asked, _) = ordinary_heads(&stage).await;
        expect_names(&asked, &["Host", "Sec-Websocket-Key", "Sec-Websocket-Version", "X-Odd", "X-Odd"]);
    }
}

on_both![
    a7_names_are_in_lower_case_and_values_untouched,
    a7_names_keep_their_case_when_server_and_layer_are_told_so,
    a7_each_direction_keeps_them_by_itself,
    a7_names_can_be_put_in_title_case_for_the_upstream,
];
