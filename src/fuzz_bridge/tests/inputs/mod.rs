//! Strategies for the inputs of the properties.

mod forwarded;

use proptest::{collection::vec, prelude::*, sample::select};

use super::strategies::{any_of, joined, line, lines, list, mostly, value, words};

pub(super) use forwarded::forwarded_head;

const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// Input of [`hop_by_hop::check`](super::hop_by_hop::check).
pub(super) fn head() -> impl Strategy<Value = Vec<u8>> {
    const NAMES: &[&str] = &[
        "connection",
        "proxy-connection",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "proxy-authenticate",
        "proxy-authorization",
        "http2-settings",
        "host",
        "content-length",
        "sec-websocket-key",
        "sec-websocket-accept",
        "sec-websocket-version",
        "sec-websocket-protocol",
        "cookie",
        "set-cookie",
        "x-a",
        "x-b",
        "x_a",
        "close",
        "date",
        "x_real.ip",
        "x-forwarded_for",
        "grpc-status",
        "if-match",
        "if-a",
    ];
    let status = words(select(&["101", "200", "426", "502"][..]).prop_map(|status| vec![status]));
    let field = (select(NAMES), value(&["1", "2", "", "websocket", "chunked"]))
        .prop_map(|(name, value)| [name.as_bytes(), b":", &value, b"\n"].concat());
    let line =
        prop_oneof![1 => line("connection", list(NAMES)), 1 => line("trailer", list(NAMES)), 4 => field];
    (status, lines(line, 24)).prop_map(joined)
}

/// Values of `Host`: known ones, and any sequence of their parts.
fn hosts() -> impl Strategy<Value = Vec<u8>> {
    let known =
        value(&["a.example:443", "A.example:443", "[::1]:80", "", "a/b", "u@a", "a:", "a b", "[v1.a:b]"]);
    let parts = any_of(
        "a A_b %2F %2f %zz %2 % [ ] [::1] [zz] [v1. v 1 : :80 :080 :99999 :18446744073709551619 \
         @ ! ~ , ; \\ \" \u{e9} /",
    );
    prop_oneof![1 => known, 1 => vec(parts, 0..4).prop_map(|parts| parts.concat().into_bytes())]
}

/// Input of [`detect::check`](super::detect::check).
pub(super) fn request() -> impl Strategy<Value = Vec<u8>> {
    let first = words(
        (
            any_of("GET GET GET POST PUT CONNECT"),
            any_of(
                "/ / /x?y http://u@a/x a.example:443 http://a.example:443/x http://a:80x/ http://[zz]/ \
                 http://[::1]:80/x http://a:99999/ http://a:/ http://[fe80::1%25eth0]/ http://a[b]/",
            ),
            any_of("HTTP/1.1 HTTP/1.1 HTTP/1.1 HTTP/2 HTTP/2 HTTP/1.0"),
            any_of("websocket any some tcp WebSocket h2c a/b a/b/c \u{e9}"),
            any_of("- websocket tcp WebSocket h2c SPDY/3.1"),
            select(&["", "", "", "stuck"][..]),
        )
            .prop_map(|words| <[&str; 6]>::from(words).to_vec()),
    );
    let protocols: &[&str] =
        &["websocket", "WebSocket", "tcp", "SPDY/3.1", "h2c", "HTTP/2.0", "foo", "foo/", "a/b"];
    let other = prop_oneof![
        line("connection", list(&["upgrade", "keep-alive", "upgraded", "close"])),
        line("upgrade", list(protocols)),
        line("host", hosts()),
        line(
            "sec-websocket-key",
            value(&[
                KEY,
                "AQIDBAUGBwgJCgsMDQ4PEC==",
                "dGhlIHNhbXBsZSBub25j/w==",
                "dGhlIHNhbXBsZSBub25jZQ",
                "dGhlIHNhbXBsZSBub25jZQ=",
                "dGhlIHNhbXBsZSBub25j_w==",
                "dGhlIHNhbXBsZQ==",
                "",
            ]),
        ),
        line("content-length", value(&["0", "5", "00", ""])),
        line("transfer-encoding", list(&["chunked", "gzip"])),
    ];
    const VALID: &[&str] = &[
        "host: a.example:443",
        "connection: keep-alive, Upgrade",
        "upgrade: tcp, websocket",
        "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==",
    ];
    (first, mostly(VALID, other)).prop_map(joined)
}

/// Input of [`verify::check`](super::verify::check).
pub(super) fn response() -> impl Strategy<Value = Vec<u8>> {
    let first = words(
        (select(&["websocket", "WebSocket", "tcp"][..]), select(&["HTTP/1.1", "HTTP/1.1", "HTTP/2"][..]))
            .prop_map(|words| <[&str; 2]>::from(words).to_vec()),
    );
    const SENT: &[&str] = &[
        "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==",
        "sec-websocket-protocol: chat, superchat",
        "sec-websocket-protocol: graphql-ws",
    ];
    const VALID: &[&str] = &[
        "connection: upgrade, x-a",
        "upgrade: websocket",
        "sec-websocket-accept: $",
        "sec-websocket-protocol: superchat",
        "set-cookie: a",
        "set-cookie: b",
    ];
    let other = || {
        prop_oneof![
            line("connection", list(&["upgrade", "x-a", "sec-websocket-accept", "sec-websocket-protocol"])),
            line("upgrade", list(&["websocket", "tcp", "h2c"])),
            line("sec-websocket-accept", value(&["$", "s3pPLMBiTxaQ9kYGzzhZRbK+xOa=", ""])),
            line("sec-websocket-protocol", list(&["chat", "graphql-ws", "mqtt"])),
            line("content-length", value(&["5"])),
            line("transfer-encoding", value(&["chunked"])),
            line("x-a", value(&["1"])),
        ]
    };
    let empty = Just(b"\n".to_vec());
    (first, mostly(SENT, other()), empty, mostly(VALID, other()))
        .prop_map(|(first, sent, empty, response)| [first, sent, empty, response].concat())
}

fn target() -> impl Strategy<Value = String> {
    let segments = any_of(
        "/ / / / // .. .. .. . %2e %2E%2e %2f %2F %5c \\ ;x ; %3b a ws /ws /ws/ /api @evil.example :80 %25 %25 2e \
         %252e %252f %25255c %253b %%32e %zz %00 %20 %3f \u{e9} %c0%ae %c0%af %e0%80%ae %c0 %ae %c3%a9",
    );
    let start =
        select(&["", "/", "/", "/ws", "/api/ws", "//evil.example", "http://evil.example/ws/", "*"][..]);
    let query = select(&["", "", "?", "?a=/../..&b=%2e", "??x", "?\u{e9}"][..]);
    (start, vec(segments, 0..12), query)
        .prop_map(|(start, segments, query)| format!("{start}{}{query}", segments.concat()))
}

/// Input of [`path::check`](super::path::check).
pub(super) fn route() -> impl Strategy<Value = Vec<u8>> {
    let policy = select(
        &[
            "keep",
            "original",
            "within /ws/",
            "within /ws",
            "strip /ws",
            "strip ws/",
            "strip",
            "replace /ws /a/b",
            "replace / a",
            "replace /api/ws",
        ][..],
    );
    let upstream =
        select(&["http://up", "http://up:90/base", "http://[::1]/a/b/", "unix:/run/a.sock:/base"][..]);
    (policy, upstream, target(), prop::option::of(target())).prop_map(
        |(policy, upstream, target, original)| {
            [policy, upstream, &target, original.as_deref().unwrap_or_default()].join("\n").into_bytes()
        },
    )
}

/// Lines of cookies.
pub(super) fn cookies() -> impl Strategy<Value = Vec<u8>> {
    let known = &[
        "up=AAAAAAAAAAE",
        "up=-_-_-_-_-_8",
        "up = AAAAAAAAAAE",
        "up=AAAAAAAAAAF",
        "up=AAAAAAAAAAEA",
        "up=",
        "up",
        "Up=AAAAAAAAAAE",
        "upp=1",
        "a=1",
        "a=up=AAAAAAAAAAE",
        "",
        " ",
    ];
    let separator = select(&[";", "; ", " ;", ";;", "\n"][..]);
    let cookie = (value(known), separator)
        .prop_map(|(cookie, separator)| [&cookie[..], separator.as_bytes()].concat());
    vec(cookie, 0..8).prop_map(|cookies| cookies.concat())
}
