//! Strategy for fields about the client.

use proptest::{collection::vec, prelude::*, sample::select};

use crate::fuzz_bridge::tests::strategies::{any_of, joined, line, lines, list, value};

/// Input of [`forwarded::check`](crate::fuzz_bridge::forwarded::check).
pub(in crate::fuzz_bridge::tests) fn forwarded_head() -> impl Strategy<Value = Vec<u8>> {
    let peer = any_of("10.0.0.1:5 10.0.0.1:5 [::ffff:10.0.0.1]:5 [fd00::1]:5 192.0.2.1:5 -");
    let policies = vec(any_of("p r R a a a"), 7).prop_map(|policies| policies.concat());
    let first = (peer, select(&["http", "https"][..]), policies)
        .prop_map(|(peer, scheme, policies)| format!("{peer} {scheme} {policies}\n").into_bytes());
    let nodes: &[&str] = &[
        "1.1.1.1",
        "10.0.0.7",
        "10.0.0.8",
        "fd00::2",
        "[fd00::3]:80",
        "::ffff:10.0.0.9",
        "[2001:db8::1]",
        "unknown",
        "1.1.1.1:80",
        "10.0.0.9:_x",
        "1.1.1.1:",
        "2001:db8::1",
        "[1.1.1.1]",
        "fe80::1%eth0",
    ];
    let pieces = select(
        &[
            "for=",
            "for=",
            "For=",
            "for=",
            "10.0.0.7",
            "10.0.0.8",
            "1.1.1.1",
            "\"[fd00::1]:80\"",
            "\"10.0.0.7:_p\"",
            "_hidden",
            ";",
            ";",
            ";",
            ",",
            ",",
            ", ",
            "\"",
            "\\",
            "\\\"",
            "host=",
            "\"a,b;for=3.3.3.3\"",
            "proto=https",
            " ",
            "=",
            "by=x",
            "\"a\\\"b\"",
        ][..],
    );
    let text = select(&["a", "a,b;for=3.3.3.3", "a\\\"b", "a\\\", for=3.3.3.3", "\\\\", "\\1"][..]);
    let other = (any_of("host by FOR"), text).prop_map(|(name, text)| format!("{name}=\"{text}\""));
    let proto = any_of("proto=https PROTO=\"wss\" proto=x").prop_map(str::to_owned);
    let pair = prop_oneof![select(nodes).prop_map(|node| format!("for=\"{node}\"")), other, proto];
    let element = vec(pair, 1..3).prop_map(|pairs| pairs.join(";"));
    let elements = vec(element, 1..4).prop_map(|elements| elements.join(", ").into_bytes());
    let line = prop_oneof![
        2 => line("x-forwarded-for", list(nodes)),
        4 => line("forwarded", vec(pieces, 0..14).prop_map(|pieces| pieces.concat().into_bytes())),
        4 => line("forwarded", elements),
        1 => line("host", value(&["a.example:80", "a\"b\\c", "a,b;c", ""])),
        1 => line("x_forwarded_for", value(&["6.6.6.6"])),
        1 => line("x-forwarded_proto", value(&["https"])),
        1 => line("x.real-ip", value(&["6.6.6.6"])),
        1 => line("x-forwarded-proto", value(&["https", "", "javascript", "http, HTTPS", "wss,gopher"])),
        1 => line("x-forwarded-host", value(&["b.example", "a/b", "a, b.example:1", ""])),
        1 => line("x-forwarded-prefix", value(&["/a"])),
        1 => line("x-real-ip", value(&["6.6.6.6", "6.6.6.6, 7.7.7.7", "[fd00::1]:80", "unknown", ""])),
        1 => line("via", value(&["1.0 a", "2 b, 1.1 c"])),
    ];
    (first, lines(line, 6)).prop_map(joined)
}
