//! `Host`, set to `$host` and by nginx's default.

use super::{OLD_VERSION, get};
use crate::{
    case::{Case, exchange, ordinary, refused},
    proxy::Setup::{A, B},
    response::ok,
};

pub(crate) fn cases() -> Vec<Case> {
    [passed(), refused_by_both(), old()].into_iter().flatten().collect()
}

/// A request with these lines in the place of `Host`.
fn hosted(lines: &str) -> String {
    get("/x").replace("Host: client.example\r\n", lines)
}

fn passed() -> Vec<Case> {
    let table = [
        ("host_with_a_port", "client.example:8080", "client.example"),
        ("host_in_upper_case", "Client.EXAMPLE", "client.example"),
        ("host_with_a_final_dot", "client.example.", "client.example"),
        ("host_is_an_ipv6_address", "[::1]:8080", "[::1]"),
    ];
    let case = |(name, host, with_nginx): (_, &str, &str)| {
        ordinary(B, name, hosted(&format!("Host: {host}\r\n")), ok())
            .differs("`$host`", &[&format!("- up host: {with_nginx}"), &format!("+ up host: {host}")])
    };
    let mut cases: Vec<Case> = table.map(case).into();
    cases.push(ordinary(B, "host_with_an_underscore", hosted("Host: my_host\r\n"), ok()));
    cases.push(ordinary(B, "host_percent_encoded", hosted("Host: %2frun%2fa.sock\r\n"), ok()));
    cases.push(ordinary(A, "host_of_the_upstream", get("/ws/"), ok()));
    cases.push(
        ordinary(B, "absolute_form_with_a_port", get("http://other.example:81/"), ok())
            .differs("`$host`", &["- up host: other.example", "+ up host: other.example:81"]),
    );
    cases
}

fn refused_by_both() -> Vec<Case> {
    let table = [
        ("host_missing", ""),
        ("host_twice", "Host: a.example\r\nHost: b.example\r\n"),
        ("host_twice_the_same", "Host: a.example\r\nHost: a.example\r\n"),
        ("host_empty", "Host:\r\n"),
        ("host_with_a_path", "Host: a.example/b\r\n"),
        ("host_with_a_space", "Host: a b\r\n"),
    ];
    let mut cases: Vec<Case> = table.map(|(name, lines)| refused(B, name, hosted(lines)).stays_open()).into();
    cases.extend(passed_by_nginx());
    cases
}

fn passed_by_nginx() -> Vec<Case> {
    const INVALID: &str = "Other texts than a name or address with a port in `Host`";
    let table = [
        ("host_with_a_user", "u@a.example", "User information in `Host`"),
        ("host_with_an_invalid_port", "a.example:80x", INVALID),
        ("host_with_an_invalid_address", "[zz]", INVALID),
        ("host_with_an_invalid_escape", "%zz", INVALID),
    ];
    let case = |(name, host, row): (_, &str, _)| {
        exchange(B, name, hosted(&format!("Host: {host}\r\n")), ok()).differs(
            row,
            &["- up GET /x HTTP/1.1", "- down HTTP/1.1 200 OK", "+ down HTTP/1.1 400 of its own"],
        )
    };
    table.map(case).into()
}

fn old() -> Vec<Case> {
    let version = ["- down HTTP/1.1 200 OK", "+ down HTTP/1.0 200 OK"];
    vec![
        ordinary(B, "http_1_0_without_host", "GET /x HTTP/1.0\r\n\r\n", ok())
            .differs(OLD_VERSION, &version)
            .differs("No `Host` in HTTP/1.0", &["+ up host: UPSTREAM"]),
        ordinary(A, "http_1_0_without_host", "GET /ws/ HTTP/1.0\r\n\r\n", ok())
            .differs(OLD_VERSION, &version),
    ]
}
