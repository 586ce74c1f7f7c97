//! Bodies of requests.

use super::send;
use crate::{
    case::{Case, exchange, ordinary, refused},
    client::Step,
    proxy::Setup::B,
    response::{ok, response},
};

pub(crate) fn cases() -> Vec<Case> {
    [of_a_length(), chunked(), expected(), framed_badly(), not_refused()].into_iter().flatten().collect()
}

const CHUNKED: &str = "Transfer-Encoding: chunked\r\n";

fn of_a_length() -> Vec<Case> {
    let sized = |body: &str| send("PUT", &format!("Content-Length: {}\r\n", body.len()), body);
    let (mebibyte, more) = ("x".repeat(1 << 20), "x".repeat((1 << 20) + 1));
    vec![
        ordinary(B, "post", send("POST", "Content-Type: text/plain\r\nContent-Length: 4\r\n", "body"), ok()),
        ordinary(B, "post_of_nothing", send("POST", "Content-Length: 0\r\n", ""), ok()),
        ordinary(B, "post_without_length", send("POST", "", ""), ok()),
        ordinary(B, "get_with_a_body", send("GET", "Content-Length: 4\r\n", "body"), ok()),
        ordinary(B, "delete_with_a_body", send("DELETE", "Content-Length: 4\r\n", "body"), ok()),
        ordinary(B, "put_of_200_000_bytes", sized(&"0123456789".repeat(20_000)), ok()),
        ordinary(B, "put_of_a_mebibyte", sized(&mebibyte), ok()),
        exchange(B, "put_of_a_byte_more", sized(&more), ok()).differs(
            "Sizes",
            &["+ up PUT /x HTTP/1.1", "- down HTTP/1.1 413 of its own", "+ down HTTP/1.1 200 OK"],
        ),
    ]
}

fn chunked() -> Vec<Case> {
    let with = |lines: &str, body: &str| send("POST", &format!("{CHUNKED}{lines}"), body);
    let streamed = |name, request: String, length: usize| {
        ordinary(B, name, request, ok()).differs(
            "Chunked request bodies",
            &[&format!("- up content-length: {length}"), "+ up transfer-encoding: chunked"],
        )
    };
    vec![
        streamed("chunked", with("", "4\r\nbody\r\n3;x=y\r\nand\r\n0\r\n\r\n"), 7),
        streamed("chunked_and_empty", with("", "0\r\n\r\n"), 0),
        streamed("chunked_and_coded", with("Content-Encoding: gzip\r\n", "4\r\nbody\r\n0\r\n\r\n"), 4),
        streamed("trailers", with("Trailer: X-Sum\r\n", "4\r\nbody\r\n0\r\nX-Sum: 1\r\n\r\n"), 4)
            .differs("Trailers", &["+ up trailer x-sum: 1"]),
        streamed("chunked_get", send("GET", CHUNKED, "4\r\nbody\r\n0\r\n\r\n"), 4),
    ]
}

fn expected() -> Vec<Case> {
    let head = send("PUT", "Expect: 100-continue\r\nContent-Length: 4\r\n", "");
    let too_large = response("413 Content Too Large", "Content-Length: 0\r\n", "");
    vec![
        ordinary(B, "expect_100_continue", "", ok()).steps([
            Step::Send(head.clone().into_bytes()),
            Step::Interim,
            Step::Send(b"body".to_vec()),
            Step::Response { to_head: false },
        ]),
        ordinary(B, "expect_100_continue_without_waiting", format!("{head}body"), ok()),
        ordinary(B, "expect_something_else", send("PUT", "Expect: x\r\nContent-Length: 0\r\n", ""), ok()),
        ordinary(
            B,
            "response_before_the_body",
            send("POST", "Content-Length: 4\r\n", "body"),
            too_large.early(),
        ),
    ]
}

fn framed_badly() -> Vec<Case> {
    let with = |name, lines: &str, body: &str| refused(B, name, send("POST", lines, body));
    let coding = "Transfer codings";
    let statuses = ["- down HTTP/1.1 501 of its own", "+ down HTTP/1.1 400 of its own"];
    let old = send("POST", CHUNKED, "0\r\n\r\n").replace("HTTP/1.1", "HTTP/1.0");
    vec![
        with("two_lengths", "Content-Length: 4\r\nContent-Length: 5\r\n", "body"),
        with("list_of_lengths", "Content-Length: 4, 4\r\n", "body"),
        with("signed_length", "Content-Length: +4\r\n", "body"),
        with("negative_length", "Content-Length: -4\r\n", "body"),
        with("empty_length", "Content-Length:\r\n", "body"),
        with("huge_length", "Content-Length: 99999999999999999999\r\n", "body"),
        with("coding_without_chunked", "Transfer-Encoding: gzip\r\n", "").differs(coding, &statuses),
        with("unknown_coding", "Transfer-Encoding: xchunked\r\n", "").differs(coding, &statuses),
        with("chunked_twice", "Transfer-Encoding: chunked, chunked\r\n", "0\r\n\r\n")
            .differs(coding, &statuses)
            .stays_open(),
        with("coding_before_chunked", "Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n")
            .differs(coding, &statuses)
            .stays_open(),
        refused(B, "chunked_in_http_1_0", old),
        with("bad_chunk_size", CHUNKED, "x\r\nbody\r\n0\r\n\r\n").stays_open(),
    ]
}

/// Refused by nginx only.
fn not_refused() -> Vec<Case> {
    let with = |name, row, status, lines: &str, body: &str| {
        exchange(B, name, send("POST", lines, body), ok()).differs(
            row,
            &[
                "+ up POST /x HTTP/1.1",
                &format!("- down HTTP/1.1 {status} of its own"),
                "+ down HTTP/1.1 200 OK",
            ],
        )
    };
    let repeated = "Repeated lengths";
    let both = "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n";
    vec![
        with("two_equal_lengths", repeated, 400, "Content-Length: 4\r\nContent-Length: 4\r\n", "body"),
        with("length_and_chunked", repeated, 400, both, "0\r\n\r\n"),
    ]
}
