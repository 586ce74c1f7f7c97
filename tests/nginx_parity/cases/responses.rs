//! Responses to ordinary requests.

use super::{NO_BODY, OLD_VERSION, get, get_with, send};
use test_support::handshake;

use crate::{
    case::{Case, exchange, ordinary},
    proxy::Setup::B,
    response::{After, CannedResponse, ok, raw, response, switching},
};

pub(crate) fn cases() -> Vec<Case> {
    [statuses(), without_body(), interim(), framings()].into_iter().flatten().collect()
}

fn to_get(name: &'static str, response: CannedResponse) -> Case {
    ordinary(B, name, get("/x"), response)
}

fn statuses() -> Vec<Case> {
    let page = |status: &str| response(status, "Content-Type: text/html\r\nContent-Length: 4\r\n", "page");
    let part = "Content-Range: bytes 0-1/9\r\nAccept-Ranges: bytes\r\nContent-Length: 2\r\n";
    vec![
        to_get("201_created", response("201 Created", "Location: /new\r\nContent-Length: 0\r\n", "")),
        to_get("206", response("206 Partial Content", part, "ab")),
        to_get("404_page", page("404 Not Found")),
        to_get("500_page", page("500 Internal Server Error")),
        to_get("503_page", page("503 Service Unavailable")),
        to_get("odd_status", page("299 Odd")),
        to_get("status_999", page("999 Odd")),
        to_get("unusual_reason", page("200 Fine By Me")),
        to_get("no_reason", page("200 ")),
    ]
}

fn without_body() -> Vec<Case> {
    let head = |name, lines: &str| {
        ordinary(B, name, send("HEAD", "", ""), response("200 OK", lines, "")).then(get("/2"), ok())
    };
    let unchanged =
        "ETag: \"x\"\r\nCache-Control: max-age=1\r\nLast-Modified: Mon, 01 Jan 2001 00:00:00 GMT\r\n";
    let nothing = |lines: &str| response("204 No Content", lines, "");
    vec![
        head("head", "Content-Length: 1234\r\nContent-Type: a/b\r\n"),
        head("head_chunked", "Transfer-Encoding: chunked\r\n"),
        head("head_without_length", ""),
        to_get("204", nothing("")).then(get("/2"), ok()),
        to_get("204_with_length", nothing("Content-Length: 0\r\n"))
            .differs(NO_BODY, &["- down content-length: 0"]),
        to_get(
            "204_with_a_body",
            raw([nothing("Content-Length: 4\r\n").bytes, b"body".to_vec()].concat()).and(After::Close),
        )
        .differs(NO_BODY, &["- down content-length: 4"]),
        to_get("304", response("304 Not Modified", unchanged, "")).then(get("/2"), ok()),
        to_get("304_with_length", response("304 Not Modified", "Content-Length: 99\r\n", ""))
            .then(get("/2"), ok()),
    ]
}

fn interim() -> Vec<Case> {
    let row = "Interim responses (1xx)";
    let first = |lines: &str, then: CannedResponse| {
        raw([lines.as_bytes(), b"\r\n", &then.bytes[..]].concat()).and(After::Close)
    };
    let hints = "HTTP/1.1 103 Early Hints\r\nX-From: upstream\r\nLink: </a>\r\n";
    vec![
        to_get("100_then_200", first("HTTP/1.1 100 Continue\r\n", ok())).differs(
            row,
            &["- down HTTP/1.1 100 of its own", "+ down HTTP/1.1 200 OK", "- down2 HTTP/1.1 200 OK"],
        ),
        to_get("103_then_204", first(hints, response("204 No Content", "", ""))).differs(
            row,
            &[
                "- down HTTP/1.1 103 Early Hints",
                "- down link: </a>",
                "+ down HTTP/1.1 204 No Content",
                "- down2 HTTP/1.1 204 No Content",
            ],
        ),
        exchange(B, "103_then_101", handshake("/"), first("HTTP/1.1 103 Early Hints\r\n", switching()))
            .differs(
                row,
                &[
                    "- down HTTP/1.1 103 of its own",
                    "+ down HTTP/1.1 101 Switching Protocols",
                    "- down2 HTTP/1.1 101 Switching Protocols",
                ],
            ),
    ]
}

fn framings() -> Vec<Case> {
    let body = "0123456789".repeat(10_000);
    let chunk = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    let chunked = "Transfer-Encoding: chunked\r\n";
    let trailing =
        || response("200 OK", &format!("{chunked}Trailer: X-Sum\r\n"), "2\r\nok\r\n0\r\nX-Sum: 1\r\n\r\n");
    let old = |name, response| {
        ordinary(B, name, get("/x").replace("HTTP/1.1", "HTTP/1.0"), response)
            .differs(OLD_VERSION, &["- down HTTP/1.1 200 OK", "+ down HTTP/1.0 200 OK"])
    };
    let until_the_end = || response("200 OK", "Content-Type: a/b\r\n", "until").and(After::Close);
    let from_old =
        |lines: &str| raw(format!("HTTP/1.0 200 OK\r\nX-From: upstream\r\n{lines}\r\nold")).and(After::Close);
    vec![
        to_get("chunked_response", response("200 OK", chunked, "2;x=y\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n")),
        to_get("chunked_100_000_bytes", response("200 OK", chunked, &chunk)),
        to_get("length_100_000_bytes", response("200 OK", "Content-Length: 100000\r\n", &body)),
        to_get("trailers_without_te", trailing()),
        ordinary(B, "trailers_with_te", get_with("/x", "TE: trailers\r\nConnection: TE\r\n"), trailing())
            .differs("Trailers", &["+ up connection: te", "+ up te: trailers", "+ down trailer x-sum: 1"]),
        to_get("until_the_end", until_the_end()),
        old("until_the_end_for_http_1_0", until_the_end()),
        old("chunked_for_http_1_0", response("200 OK", chunked, "2\r\nok\r\n0\r\n\r\n")),
        to_get("response_in_http_1_0", from_old("")),
        to_get("response_in_http_1_0_with_length", from_old("Content-Length: 3\r\n")),
        to_get(
            "more_than_announced",
            response("200 OK", "Content-Length: 2\r\n", "okmore").and(After::Close),
        ),
    ]
}
