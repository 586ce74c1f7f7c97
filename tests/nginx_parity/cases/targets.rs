//! Methods and targets.

use super::{get, send};
use crate::{
    case::{Case, exchange, ordinary, refused},
    proxy::Setup::{A, B},
    response::ok,
};

pub(crate) fn cases() -> Vec<Case> {
    [methods(), other_methods(), targets(), odd_targets(), locations(), other_locations()]
        .into_iter()
        .flatten()
        .collect()
}

fn methods() -> Vec<Case> {
    vec![
        ordinary(B, "get", get("/"), ok()),
        ordinary(B, "delete", send("DELETE", "", ""), ok()),
        ordinary(B, "options", send("OPTIONS", "", ""), ok()),
        ordinary(B, "propfind", send("PROPFIND", "Depth: 1\r\n", ""), ok()),
        ordinary(B, "unknown_method", send("BREW", "", ""), ok()),
        ordinary(B, "method_with_a_dash", send("M-SEARCH", "", ""), ok()),
    ]
}

fn other_methods() -> Vec<Case> {
    let row = "TRACE, CONNECT and methods in lower case";
    let connect = "CONNECT a.example:80 HTTP/1.1\r\nHost: a.example:80\r\n\r\n";
    vec![
        exchange(B, "trace", send("TRACE", "", ""), ok()).differs(
            row,
            &["+ up TRACE /x HTTP/1.1", "- down HTTP/1.1 405 of its own", "+ down HTTP/1.1 200 OK"],
        ),
        exchange(B, "method_in_lower_case", send("get", "", ""), ok()).differs(
            row,
            &["+ up get /x HTTP/1.1", "- down HTTP/1.1 400 of its own", "+ down HTTP/1.1 200 OK"],
        ),
        refused(B, "connect", connect)
            .differs(row, &["- down HTTP/1.1 400 of its own", "+ down HTTP/1.1 405 of its own"]),
        refused(B, "options_of_the_server", get("*").replace("GET", "OPTIONS")).stays_open(),
    ]
}

fn targets() -> Vec<Case> {
    vec![
        ordinary(B, "encoded_slash", get("/a%2Fb/%41"), ok()),
        ordinary(B, "dots", get("/a/./b/../c"), ok()),
        ordinary(B, "encoded_dots", get("/a/%2e%2e/c"), ok()),
        ordinary(B, "double_slashes", get("//a//b//"), ok()),
        ordinary(B, "query_with_odd_bytes", get("/x?a=%2F&b[]={q}|^`'&c=d?e//..\\"), ok()),
        ordinary(B, "query_not_ascii", get("/x?caf\u{e9}"), ok()),
        ordinary(B, "empty_query", get("/x?"), ok()),
        ordinary(B, "path_with_odd_bytes", get("/x/{a}|'\"\\^[];p=1:2,3@4!$&+*~"), ok()),
        ordinary(B, "long_path", get(&format!("/{}", "x".repeat(6000))), ok()),
        refused(B, "very_long_path", get(&format!("/{}", "x".repeat(70_000)))),
        refused(B, "space_in_the_path", get("/a b")),
        ordinary(B, "absolute_form", get("http://other.example/x?y"), ok()),
        ordinary(B, "absolute_form_without_path", get("http://other.example"), ok()),
    ]
}

fn odd_targets() -> Vec<Case> {
    let passed = |name, path: &str| {
        exchange(B, name, get(path), ok()).differs(
            "Paths that leave the root or can't be decoded",
            &[
                &format!("+ up GET {path} HTTP/1.1"),
                "- down HTTP/1.1 400 of its own",
                "+ down HTTP/1.1 200 OK",
            ],
        )
    };
    // Bytes are shown as characters.
    let not_passed = |name, path: &str, shown: &str| {
        exchange(B, name, get(path), ok()).differs(
            "Bytes that are not allowed in a URI",
            &[
                &format!("- up GET {shown} HTTP/1.1"),
                "- down HTTP/1.1 200 OK",
                "+ down HTTP/1.1 400 of its own",
            ],
        )
    };
    vec![
        passed("climbing_out_of_the_root", "/../x"),
        passed("bad_percent_encoding", "/%zz"),
        passed("null_in_the_path", "/%00"),
        not_passed("path_not_ascii", "/caf\u{e9}", "/caf\u{c3}\u{a9}"),
        not_passed("angle_brackets_in_the_path", "/<x>", "/<x>"),
        not_passed("quotes_in_the_query", "/?\"x\"", "/?\"x\""),
        ordinary(B, "fragment", get("/x#y"), ok())
            .differs("Fragments", &["- up GET /x#y HTTP/1.1", "+ up GET /x HTTP/1.1"]),
        refused(B, "host_in_the_place_of_the_path", get("evil.example")).stays_open(),
    ]
}

fn locations() -> Vec<Case> {
    vec![
        ordinary(A, "the_location_itself", get("/ws/"), ok()),
        ordinary(A, "below_the_location", get("/ws/a//b/../%2F?x"), ok()),
        ordinary(A, "location_in_absolute_form", get("http://other.example/ws/x"), ok()),
        refused(A, "outside", get("/other")),
        refused(A, "longer_name", get("/wsx/")),
        refused(A, "other_case", get("/WS/")),
    ]
}

fn other_locations() -> Vec<Case> {
    let elsewhere = |name, path: &str| {
        exchange(A, name, get(path), ok()).differs(
            "Path used to match locations",
            &[
                &format!("- up GET {path} HTTP/1.1"),
                "- down HTTP/1.1 200 OK",
                "+ down HTTP/1.1 404 of its own",
            ],
        )
    };
    vec![
        elsewhere("encoded_name", "/%77s/x"),
        elsewhere("dots_into_the_location", "/other/../ws/x"),
        elsewhere("double_slash_before", "//ws/x"),
        refused(A, "dots_out_of_the_location", get("/ws/../other")).differs(
            "Dot segments that leave a location",
            &["- down HTTP/1.1 404 of its own", "+ down HTTP/1.1 400 of its own"],
        ),
        exchange(A, "dots_encoded_twice", get("/ws/%252e%252e/other"), ok()).differs(
            "Dot segments that leave a location",
            &[
                "- up GET /ws/%252e%252e/other HTTP/1.1",
                "- down HTTP/1.1 200 OK",
                "+ down HTTP/1.1 400 of its own",
            ],
        ),
        refused(A, "without_the_last_slash", get("/ws?x")).differs(
            "Location without its last slash",
            &[
                "- down HTTP/1.1 301 of its own",
                "- down location: http://client.example/ws/?x",
                "+ down HTTP/1.1 404 of its own",
            ],
        ),
    ]
}
