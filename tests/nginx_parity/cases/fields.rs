//! Fields of ordinary requests.

use super::{HOP_BY_HOP, get, get_with};
use crate::{
    case::{Case, exchange, ordinary, refused},
    proxy::Setup::B,
    response::ok,
};

pub(crate) fn cases() -> Vec<Case> {
    [passed(), odd(), hop_by_hop(), malformed(), lenient(), versions()].into_iter().flatten().collect()
}

fn with(name: &'static str, lines: impl AsRef<[u8]>) -> Case {
    ordinary(B, name, bytes(lines), ok())
}

/// A request with lines of any bytes.
fn bytes(lines: impl AsRef<[u8]>) -> Vec<u8> {
    [get("/x").trim_end().as_bytes(), b"\r\n", lines.as_ref(), b"\r\n"].concat()
}

fn passed() -> Vec<Case> {
    let many: String = (0..90).map(|number| format!("X-Many-{number}: {number}\r\n")).collect();
    let browser = "User-Agent: Mozilla/5.0 (X11)\r\nAccept: text/html, */*;q=0.8\r\nAccept-Encoding: br\r\n\
        Accept-Language: de\r\nCache-Control: no-cache\r\nPragma: no-cache\r\nDNT: 1\r\nReferer: http://a/b\r\n\
        Authorization: Basic eDp5\r\nX-Requested-With: x\r\nUpgrade-Insecure-Requests: 1\r\nFrom: a@b\r\n";
    let conditional = "Range: bytes=0-1\r\nIf-Range: \"x\"\r\nIf-None-Match: \"x\", W/\"y\"\r\n\
        If-Modified-Since: Mon, 01 Jan 2001 00:00:00 GMT\r\nMax-Forwards: 3\r\n";
    let forwarded = "X-Forwarded-For: 6.6.6.6\r\nX-Real-IP: 6.6.6.6\r\nForwarded: for=x\r\nVia: 1.1 x\r\n\
        X-Forwarded-Proto: gopher\r\n";
    let of_a_server = "X-Accel-Redirect: /x\r\nServer: x\r\nDate: Mon, 01 Jan 2001 00:00:00 GMT\r\n";
    vec![
        with("a_browsers_fields", browser),
        with("conditional_fields", conditional),
        with("repeated_field", "X-Twice: 1\r\nX-Twice: 2\r\nX-Twice: 1\r\n"),
        with("repeated_cookie", "Cookie: a=1\r\nCookie: b=2\r\n"),
        with("empty_value", "X-Empty:\r\nX-Blank:   \r\n"),
        with("white_space_around_a_value", "X-Space:  \t a  b \t \r\n"),
        with("latin_1_value", b"X-Latin: caf\xe9\r\n"),
        with("utf_8_value", "X-Utf: caf\u{e9} \u{2713}\r\n"),
        with("large_value", format!("X-Large: {}\r\n", "x".repeat(6000))),
        with("many_fields", many),
        with("forwarded_fields_of_the_client", forwarded),
        with("fields_of_a_server", of_a_server),
    ]
}

fn odd() -> Vec<Case> {
    let row = "Field names with other characters than letters, digits and dashes";
    vec![
        with("underscores_in_names", "X_Under: 1\r\nX_Forwarded_For: 6.6.6.6\r\n")
            .differs(row, &["+ up x_under: 1", "+ up x_forwarded_for: 6.6.6.6"]),
        with("odd_name", "X-!#$%&'*+.^`|~0: 1\r\n").differs(row, &["+ up x-!#$%&'*+.^`|~0: 1"]),
        // hyper's limit is between 400 and 800 KiB, depending on how much is read at once.
        refused(B, "huge_value", bytes(format!("X-Huge: {}\r\n", "x".repeat(1_000_000))))
            .differs("Sizes", &["- down HTTP/1.1 400 of its own", "+ down HTTP/1.1 431 of its own"]),
    ]
}

fn hop_by_hop() -> Vec<Case> {
    vec![
        with("connection_keep_alive", "Connection: keep-alive\r\nKeep-Alive: timeout=5\r\n"),
        with("te_alone", "TE: gzip\r\n"),
        with("trailer_announced", "Trailer: X-Sum\r\n"),
        with("connection_names_a_field", "Connection: X-Hop\r\nX-Hop: 1\r\n")
            .differs(HOP_BY_HOP, &["- up x-hop: 1"]),
        with("connection_names_host", "Connection: Host, Cookie\r\nCookie: a=1\r\n")
            .differs(HOP_BY_HOP, &["- up cookie: a=1"]),
        with("proxy_connection", "Proxy-Connection: keep-alive\r\n")
            .differs(HOP_BY_HOP, &["- up proxy-connection: keep-alive"]),
        with("proxy_authorization", "Proxy-Authorization: Basic eDp5\r\n")
            .differs(HOP_BY_HOP, &["- up proxy-authorization: Basic eDp5"]),
        with("te_trailers", "TE: gzip, trailers\r\nConnection: TE\r\n")
            .differs("Trailers", &["+ up connection: te", "+ up te: trailers"]),
    ]
}

/// Refused by both.
fn malformed() -> Vec<Case> {
    let lines = |name, lines: &str| refused(B, name, bytes(lines));
    vec![
        lines("space_before_the_colon", "X-Space : 1\r\n"),
        lines("space_in_a_name", "X Space: 1\r\n"),
        lines("no_name", ": 1\r\n"),
        lines("folded_line", "X-Fold: 1\r\n  2\r\n"),
        lines("null_in_a_value", "X-Null: a\0b\r\n"),
        lines("carriage_return_in_a_value", "X-Return: a\rb\r\n"),
        refused(B, "nonsense", "nonsense\r\n\r\n"),
    ]
}

/// Accepted by nginx.
fn lenient() -> Vec<Case> {
    let refused = ["- up GET /x HTTP/1.1", "- down HTTP/1.1 200 OK", "+ down HTTP/1.1 400 of its own"];
    let lines =
        |name, lines: &str| exchange(B, name, bytes(lines), ok()).differs("Malformed lines", &refused);
    vec![
        lines("no_colon", "nonsense\r\n"),
        lines("bell_in_a_value", "X-Bell: a\x07b\r\n"),
        lines("name_not_ascii", "X-Caf\u{e9}: 1\r\n"),
        ordinary(B, "bare_line_feeds", get_with("/x", "X-A: 1\r\n").replace("\r\n", "\n"), ok()),
        ordinary(B, "empty_lines_first", format!("\r\n\r\n{}", get("/x")), ok()),
    ]
}

fn versions() -> Vec<Case> {
    let row = "Versions other than HTTP/1.0 and 1.1";
    let version = |version| get("/x").replace("HTTP/1.1", version);
    vec![
        refused(B, "http_2_0", version("HTTP/2.0"))
            .differs(row, &["- down HTTP/1.1 505 of its own", "+ down HTTP/1.1 400 of its own"]),
        exchange(B, "http_1_2", version("HTTP/1.2"), ok()).differs(
            row,
            &["- up GET /x HTTP/1.1", "- down HTTP/1.1 200 OK", "+ down HTTP/1.1 400 of its own"],
        ),
        exchange(B, "http_0_9", "GET /x\r\n", ok())
            .differs(row, &["- up GET /x HTTP/1.1", "- down nothing", "+ down HTTP/1.1 400 of its own"]),
    ]
}
