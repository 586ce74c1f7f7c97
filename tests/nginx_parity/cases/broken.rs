//! Upstreams that abort responses or violate the protocol.

use super::{MALFORMED_RESPONSE, get, send};
use crate::{
    case::{Case, ordinary},
    proxy::Setup::B,
    response::{After, CannedResponse, raw, response},
};

pub(crate) fn cases() -> Vec<Case> {
    [aborted(), malformed(), lenient()].into_iter().flatten().collect()
}

const CHUNKED: &str = "Transfer-Encoding: chunked\r\n";

fn to_get(name: &'static str, response: CannedResponse) -> Case {
    ordinary(B, name, get("/x"), response.and(After::Close))
}

fn with(name: &'static str, lines: &str) -> Case {
    to_get(name, response("200 OK", lines, "body"))
}

fn aborted() -> Vec<Case> {
    let post = send("POST", "Content-Length: 4\r\n", "body");
    vec![
        to_get("no_response", raw("")),
        ordinary(B, "no_response_to_a_post", post, raw("").and(After::Close)),
        to_get("half_a_head", raw("HTTP/1.1 200 OK\r\nX-From: upstream\r\nX-Ha")),
        to_get("within_the_length", response("200 OK", "Content-Length: 100\r\n", "some")),
        to_get("within_a_chunk", response("200 OK", CHUNKED, "64\r\nsome")),
        to_get("between_chunks", response("200 OK", CHUNKED, "4\r\nsome\r\n")),
        to_get("within_the_last_chunk", response("200 OK", CHUNKED, "4\r\nsome\r\n0\r\n")),
    ]
}

/// Refused by both; where the body is malformed, the Rust program's client has received the head.
fn malformed() -> Vec<Case> {
    let cut = |case: Case, line: &str| {
        let head = ["+ down HTTP/1.1 200 OK", line, "+ down date: now", "+ down x-from: upstream"];
        let differences = [&["- down nothing", "+ down body cut short", "+ down closes"], &head[..]].concat();
        case.differs(MALFORMED_RESPONSE, &differences)
    };
    let both = "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n";
    let bad_chunk = response("200 OK", CHUNKED, "zz\r\nsome\r\n0\r\n\r\n");
    vec![
        cut(with("response_of_length_and_chunked", both), "+ down transfer-encoding: chunked"),
        with("response_with_a_space_before_the_colon", "X-Space : 1\r\nContent-Length: 4\r\n"),
        with("response_with_a_folded_line", "X-Fold: 1\r\n  2\r\nContent-Length: 4\r\n"),
        with("response_with_a_null", "X-Null: a\0b\r\nContent-Length: 4\r\n"),
        cut(to_get("response_with_a_bad_chunk_size", bad_chunk), "+ down transfer-encoding: chunked"),
    ]
}

/// Relayed by nginx.
fn lenient() -> Vec<Case> {
    let differs = |case: Case, row, first: &str| {
        case.differs(row, &[&format!("- down {first}"), "+ down HTTP/1.1 502 of its own"])
    };
    let refused = |case, first: &str| differs(case, MALFORMED_RESPONSE, first);
    let coded = |case| differs(case, "Transfer codings of responses", "HTTP/1.1 200 OK");
    let status = |first: &str| raw(format!("{first}\r\nX-From: upstream\r\nContent-Length: 0\r\n\r\n"));
    let ok = "HTTP/1.1 200 OK";
    let gzip_chunked = response("200 OK", "Transfer-Encoding: gzip, chunked\r\n", "4\r\nbody\r\n0\r\n\r\n");
    vec![
        refused(to_get("nonsense_as_response", raw("nonsense\r\n\r\n")), "nonsense"),
        refused(to_get("response_in_http_2", status("HTTP/2.0 200 OK")), ok),
        refused(to_get("response_with_a_bad_status", status("HTTP/1.1 2x0 OK")), "HTTP/1.1 2x0 OK"),
        refused(with("response_with_two_lengths", "Content-Length: 4\r\nContent-Length: 3\r\n"), ok),
        refused(with("response_with_a_bad_length", "Content-Length: four\r\n"), ok),
        refused(with("response_without_a_colon", "nonsense\r\nContent-Length: 4\r\n"), ok),
        coded(with("response_of_unknown_coding", "Transfer-Encoding: gzip\r\n")),
        coded(to_get("response_with_a_coding_before_chunked", gzip_chunked)),
    ]
}
