//! Fields of responses to ordinary requests.

use super::{HOP_BY_HOP, get};
use crate::{
    case::{Case, ordinary},
    proxy::Setup::{A, B},
    response::response,
};

pub(crate) fn cases() -> Vec<Case> {
    [passed(), altered(), redirects()].into_iter().flatten().collect()
}

fn with(name: &'static str, lines: &str) -> Case {
    ordinary(B, name, get("/x"), response("200 OK", &format!("{lines}Content-Length: 2\r\n"), "ok"))
}

fn passed() -> Vec<Case> {
    let repeated = "Set-Cookie: a=1\r\nSet-Cookie: b=2\r\nX-Twice: 1\r\nX-Twice: 2\r\nVary: a\r\nVary: b\r\n\
        Cache-Control: private\r\nCache-Control: max-age=1\r\n";
    let caching = "Expires: Mon, 01 Jan 2001 00:00:00 GMT\r\nETag: W/\"x\"\r\nAge: 1\r\nVary: Accept\r\n\
        Last-Modified: Mon, 01 Jan 2001 00:00:00 GMT\r\nWarning: 1\r\n";
    let content = "Content-Type: text/html; charset=utf-8\r\nContent-Encoding: gzip\r\nContent-Language: de\r\n\
        Content-Disposition: inline\r\nLink: </a>\r\nContent-Location: /a\r\n";
    let security = "Strict-Transport-Security: max-age=1\r\nContent-Security-Policy: default-src 'self'\r\n\
        Access-Control-Allow-Origin: *\r\nWWW-Authenticate: Basic\r\nWWW-Authenticate: Bearer\r\n";
    vec![
        with("repeated_fields", repeated),
        with("caching_fields", caching),
        with("content_fields", content),
        with("security_fields", security),
        with("refresh", "Refresh: 5; url=/x\r\n"),
        with("odd_names_in_a_response", "X_Under: 1\r\nX.Dot: 1\r\n"),
        with("empty_value_in_a_response", "X-Empty:\r\n"),
        with("white_space_in_a_response", "X-Space:  a  b \t\r\n"),
        with("utf_8_in_a_response", "X-Utf: caf\u{e9}\r\n"),
        with("large_value_in_a_response", &format!("X-Large: {}\r\n", "x".repeat(2000))),
    ]
}

fn altered() -> Vec<Case> {
    let of_the_upstream = "Fields that nginx sets or removes";
    vec![
        with("server_and_date", "Server: app/1\r\nDate: Mon, 01 Jan 2001 00:00:00 GMT\r\n").differs(
            of_the_upstream,
            &["- down date: now", "+ down date: Mon, 01 Jan 2001 00:00:00 GMT", "+ down server: app/1"],
        ),
        with(
            "x_accel_and_x_pad",
            "X-Accel-Expires: 1\r\nX-Accel-Buffering: no\r\nX-Accel-Charset: x\r\nX-Pad: x\r\n",
        )
        .differs(
            of_the_upstream,
            &[
                "+ down x-accel-expires: 1",
                "+ down x-accel-buffering: no",
                "+ down x-accel-charset: x",
                "+ down x-pad: x",
            ],
        ),
        with("hop_by_hop_in_a_response", "Connection: close, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\n")
            .differs(HOP_BY_HOP, &["- down x-hop: 1"]),
        with("proxy_fields_in_a_response", "Proxy-Authenticate: Basic\r\nProxy-Connection: close\r\n")
            .differs(HOP_BY_HOP, &["- down proxy-authenticate: Basic", "- down proxy-connection: close"]),
        with("upgrade_offered", "Connection: Upgrade\r\nUpgrade: h2c\r\n")
            .differs("`Upgrade` in other responses", &["- down upgrade: h2c"]),
        with("larger_value_in_a_response", &format!("X-Large: {}\r\n", "x".repeat(20_000)))
            .differs("Sizes", &["- down HTTP/1.1 502 of its own", "+ down HTTP/1.1 200 OK"]),
    ]
}

fn redirects() -> Vec<Case> {
    let to = |place: &str| {
        response("301 Moved Permanently", &format!("Location: {place}\r\nContent-Length: 0\r\n"), "")
    };
    let own = "Redirects to the upstream's own address";
    vec![
        ordinary(B, "redirect_elsewhere", get("/x"), to("https://other.example/x?y")),
        ordinary(B, "redirect_to_a_path", get("/x"), to("/login?x")),
        ordinary(B, "redirect_to_the_clients_host", get("/x"), to("http://client.example/y")),
        ordinary(A, "redirect_to_the_upstream", get("/ws/x"), to("http://UPSTREAM/ws/y?z")).differs(
            own,
            &["- down location: http://client.example/ws/y?z", "+ down location: http://UPSTREAM/ws/y?z"],
        ),
    ]
}
