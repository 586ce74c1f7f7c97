//! The whole site: TLS, forwarding headers, and the redirect.

use super::{HOP_BY_HOP, get, get_with};
use test_support::{handshake, handshake_with};

use crate::{
    case::{Case, exchange, ordinary, refused},
    proxy::Setup::C,
    response::{ok, switching},
};

pub(crate) fn cases() -> Vec<Case> {
    [forwarded(), forged(), redirected()].into_iter().flatten().collect()
}

fn with(name: &'static str, lines: &str) -> Case {
    ordinary(C, name, get_with("/x", lines), ok())
}

fn forwarded() -> Vec<Case> {
    vec![
        ordinary(C, "get", get("/x"), ok()),
        exchange(C, "upgrade", handshake("/x"), switching()).echoes("hello"),
        ordinary(C, "keep_alive", get("/1"), ok()).then(get("/2"), ok()),
        with("fields_not_in_the_set_up", "X-Forwarded-Host: a\r\nForwarded: for=a\r\nVia: 1.1 a\r\n"),
    ]
}

fn forged() -> Vec<Case> {
    let row = "`X-Forwarded-For` from an untrusted client";
    let appended = |list: &str| {
        [format!("- up x-forwarded-for: {list}, 127.0.0.1"), "+ up x-forwarded-for: 127.0.0.1".to_owned()]
    };
    let differs = |case: Case, list: &str| case.differs(row, &appended(list).each_ref().map(String::as_str));
    let upgrade = handshake_with("/x", &["X-Real-IP: 6.6.6.6", "X-Forwarded-For: 6.6.6.6"]);
    vec![
        differs(exchange(C, "upgrade_with_a_forged_address", upgrade, switching()), "6.6.6.6"),
        differs(with("forged_address", "X-Forwarded-For: 6.6.6.6\r\nX-Real-IP: 6.6.6.6\r\n"), "6.6.6.6"),
        differs(
            with("forged_address_on_two_lines", "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 7.7.7.7\r\n"),
            "6.6.6.6, 7.7.7.7",
        ),
        with("forged_scheme", "X-Forwarded-Proto: gopher\r\n"),
        with("forged_with_underscores", "X_Real_IP: 6.6.6.6\r\nX_Forwarded_For: 6.6.6.6\r\n"),
        with(
            "address_named_by_connection",
            "X-Real-IP: 6\r\nConnection: X-Real-IP, X-Forwarded-For, Via\r\nVia: 1.1 a\r\n",
        )
        .differs(HOP_BY_HOP, &["- up via: 1.1 a"]),
    ]
}

fn redirected() -> Vec<Case> {
    let to = |name, request: &str| refused(C, name, request).port(1);
    let host = |host: &str| get("/a/../b%2F?c=d&e").replace("client.example", host);
    vec![
        to("redirect", &host("site.example")),
        to("redirect_with_a_port", &host("site.example:80")),
        to("redirect_in_upper_case", &host("SITE.example")),
        to("redirect_of_a_post", &host("site.example").replace("GET", "POST")),
        to("redirect_of_head", &host("site.example").replace("GET", "HEAD")),
        to("redirect_of_absolute_form", "GET http://site.example/x HTTP/1.1\r\nHost: other.example\r\n\r\n"),
        to("redirect_without_path", "GET http://site.example HTTP/1.1\r\nHost: site.example\r\n\r\n"),
        to("redirect_of_an_upgrade", &handshake("/x").replace("client.example", "site.example")),
        to("unknown_host", &host("other.example")),
        to("host_within_another", &host("site.example.evil.example")),
        to("no_host_in_http_1_0", "GET /x HTTP/1.0\r\n\r\n").differs(
            "Port 80 without `Host`",
            &[
                "- down HTTP/1.1 301 of its own",
                "- down location: https://site.example/x",
                "+ down HTTP/1.0 404 of its own",
            ],
        ),
    ]
}
