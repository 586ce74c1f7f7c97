//! E. Bodies and framing.

use crate::{
    stage::{Served, Stage},
    support::{handshake, handshake_with},
};

/// What must not be answered, nor reach anybody.
const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: a.example\r\n\r\n";

/// A POST for `path` with further lines, and behind its head this.
fn post(lines: &[&str], behind: &str) -> String {
    format!("POST /post HTTP/1.1\r\nHost: a.example\r\n{}\r\n\r\n{behind}", lines.join("\r\n"))
}

/// Requires `status` for `request` with `behind` following it, that the upstream is not dialled, and that
/// what follows is not taken for a request.
async fn expect_refused(stage: &Stage, request: &str, behind: &str, status: u16) {
    let mut client = stage.refused(request.to_owned() + behind, status).await;
    client.finish().await;
    let rest = String::from_utf8(client.rest().await).unwrap();
    assert!(!rest.contains("HTTP/1.1") && !rest.contains("smuggled"), "{rest}");
    stage.upstream.expect_untouched().await;
}

async fn e1_an_upgrade_with_a_body_is_400(served: Served) {
    let stage = served.stage().await;
    let length = format!("Content-Length: {}", SMUGGLED.len());
    let chunk = format!("{:x}\r\n{SMUGGLED}\r\n0\r\n\r\n", SMUGGLED.len());
    for (line, body) in [(length.as_str(), SMUGGLED), ("Transfer-Encoding: chunked", &chunk)] {
        expect_refused(&stage, &handshake_with("/", &[line]), body, 400).await;
    }
}

async fn e1_a_body_that_has_not_come_is_400_at_once(served: Served) {
    let stage = served.stage().await;
    for line in ["Content-Length: 1000", "Transfer-Encoding: chunked"] {
        stage.refused(handshake_with("/", &[line]), 400).await;
    }
}

async fn e1_a_body_of_no_bytes_is_none(served: Served) {
    let stage = served.stage().await;
    let (_, mut server, head) = stage.asked(handshake_with("/", &["Content-Length: 0"])).await;
    assert_eq!(head.values("upgrade"), ["websocket"]);
    assert!(server.buffered().is_empty());
}

async fn e2_a_length_that_is_none_or_two_is_400(served: Served) {
    let stage = served.stage().await;
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
            expect_refused(&stage, &request, SMUGGLED, 400).await;
        }
    }
}

async fn e2_an_upgrade_with_length_and_coding_is_400(served: Served) {
    let stage = served.stage().await;
    for lines in both_orders() {
        expect_refused(&stage, &handshake_with("/", &lines), &format!("0\r\n\r\n{SMUGGLED}"), 400).await;
    }
}

fn both_orders() -> [[&'static str; 2]; 2] {
    let [length, coding] = ["Content-Length: 5", "Transfer-Encoding: chunked"];
    [[length, coding], [coding, length]]
}

/// [RFC 9112, 6.3](https://www.rfc-editor.org/rfc/rfc9112#section-6.3) leaves a server the choice; hyper's
/// does this, and its application no longer sees that there was a length.
async fn e2_another_request_with_length_and_coding_has_the_coding_and_the_connection_ends(served: Served) {
    let stage = served.stage().await;
    for lines in both_orders() {
        let mut client = stage.client().await;
        let request = post(&lines, "5\r\nhello\r\n0\r\n\r\n");
        let seen = stage.ordinary(&mut client, request + SMUGGLED).await;
        assert_eq!(seen.values("transfer-encoding"), ["chunked"], "{lines:?}");
        assert!(seen.values("content-length").is_empty(), "{lines:?}");
        client.expect_end().await;
        stage.upstream.expect_untouched().await;
    }
}

async fn e2_a_coding_that_does_not_end_in_chunked_is_400(served: Served) {
    let stage = served.stage().await;
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
            expect_refused(&stage, &request, SMUGGLED, 400).await;
        }
    }
}

async fn e3_a_head_that_breaks_the_grammar_is_400(served: Served) {
    let stage = served.stage().await;
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
            expect_refused(&stage, &request, "", 400).await;
        }
    }
    let folded_first = handshake("/").replace("HTTP/1.1\r\n", "HTTP/1.1\r\n X-A: 1\r\n");
    expect_refused(&stage, &folded_first, "", 400).await;
}

/// Each in place of `Host`'s line.
const NO_HOSTS: [&str; 12] = [
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
];

async fn e4_an_upgrade_without_one_valid_host_is_400(served: Served) {
    let stage = served.stage().await;
    for lines in NO_HOSTS {
        let request = handshake("/").replace("Host: client.example\r\n", lines);
        expect_refused(&stage, &request, "", 400).await;
    }
}

/// Ordinary requests that the layer leaves to an application are the application's to judge.
async fn e4_another_request_without_one_valid_host_is_not_sent_on(served: Served) {
    let stage = served.stage().await;
    for lines in NO_HOSTS {
        let request = format!("GET / HTTP/1.1\r\n{lines}\r\n");
        let status = if served == Served::Location { 400 } else { 200 };
        stage.refused(request, status).await;
    }
}

async fn e5_what_is_encoded_in_a_target_stays_so(served: Served) {
    let stage = served.stage().await;
    for target in ["/a%0d%0aX-Injected:%201", "/%0D%0A", "/a?b=%0d%0aX-Injected:%201", "/%00%c3%a9%2e%2E"] {
        let (_, _, head) = stage.asked(handshake(target)).await;
        assert_eq!(head.first_line(), format!("GET {target} HTTP/1.1"));
        assert!(head.values("x-injected").is_empty());
        let request = format!("GET {target} HTTP/1.1\r\nHost: a.example\r\n\r\n");
        let seen = stage.ordinary(&mut stage.client().await, request).await;
        assert_eq!(seen.first_line(), format!("GET {target} HTTP/1.1"));
        assert!(seen.values("x-injected").is_empty());
    }
}

async fn e5_a_target_with_raw_bytes_is_400(served: Served) {
    let stage = served.stage().await;
    for path in ["/a b", "/a\tb", "/a\0b", "/a\x7fb", "/a<b", "/a\rb"] {
        for request in [handshake(path), handshake(path).replace("Upgrade", "X-Nothing")] {
            expect_refused(&stage, &request, "", 400).await;
        }
    }
    // UTF-8, and none. hyper refuses the latter; the former can be seen by an application.
    for (path, refused) in [(&b"/\xc3\xa9"[..], served == Served::Location), (b"/\xe9", true)] {
        let upgrade = handshake("/PATH").into_bytes();
        let plain = b"GET /PATH HTTP/1.1\r\nHost: a.example\r\n\r\n".to_vec();
        for (request, refused) in [(upgrade, true), (plain, refused)] {
            let at = request.windows(5).position(|bytes| bytes == b"/PATH").unwrap();
            let request = [&request[..at], path, &request[at + 5..]].concat();
            stage.refused(request, if refused { 400 } else { 200 }).await;
        }
    }
}

on_both![
    e1_an_upgrade_with_a_body_is_400,
    e1_a_body_that_has_not_come_is_400_at_once,
    e1_a_body_of_no_bytes_is_none,
    e2_a_length_that_is_none_or_two_is_400,
    e2_an_upgrade_with_length_and_coding_is_400,
    e2_another_request_with_length_and_coding_has_the_coding_and_the_connection_ends,
    e2_a_coding_that_does_not_end_in_chunked_is_400,
    e3_a_head_that_breaks_the_grammar_is_400,
    e4_an_upgrade_without_one_valid_host_is_400,
    e4_another_request_without_one_valid_host_is_not_sent_on,
    e5_what_is_encoded_in_a_target_stays_so,
    e5_a_target_with_raw_bytes_is_400,
];
