//! Property: the client's address and the forwarding fields follow from the peer and the received fields.

mod client;
mod expected;
mod grammar;

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, Request};

use super::input::{first_line, head, words};
use crate::rewrite::forwarded::{Forwarded, ForwardedField, Peer};
use client::check_client;
use expected::{Case, check_element, check_untouched};

/// Names of the fields.
const FIELDS: [&str; 7] = [
    "x-forwarded-for",
    "forwarded",
    "via",
    "x-forwarded-proto",
    "x-forwarded-host",
    "x-forwarded-prefix",
    "x-real-ip",
];

/// Input: a line with the address of the peer (`-` for none), `http` or `https`, and a letter for the policy
/// of each field in the order above (`p`ass, `r`emove, `R`eplace, or any other to append); then the fields.
/// Peers in `10/8` and `fd00::/8` are trusted.
pub fn check(input: &[u8]) {
    let (line, text) = first_line(input);
    let [peer, scheme, policies] = words(line);
    let peer = peer.parse::<SocketAddr>().ok();
    let (before, _) = head(text);
    let policies: Vec<_> = policies.bytes().chain([b'a'; 7]).take(7).map(policy).collect();
    let forwarded = forwarded(&policies);

    let client = client(&forwarded, peer, &before);
    let ip = peer.map(|peer| peer.ip().to_canonical());
    let trusted = ip.is_some_and(is_trusted);
    assert_eq!(client.is_some(), ip.is_some());
    if trusted {
        check_client(client.unwrap(), ip.unwrap(), &before);
    } else {
        assert_eq!(client, ip);
    }

    let apply_to = |before: &HeaderMap| apply(&forwarded, peer, scheme == "https", before);
    let after = apply_to(&before);
    // The values that the proxy adds to a request without forwarding fields.
    let added = apply_to(
        &before
            .iter()
            .filter(|(name, _)| *name == "host")
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect(),
    );
    let case = Case { trusted, peer: ip, client, before: &before, added: &added, after: &after };
    for (name, policy) in FIELDS.iter().zip(&policies) {
        case.check(name, *policy);
    }
    check_untouched(&policies, &before, &after);
    if let Some(element) = added.get("forwarded") {
        check_element(element, ip, scheme == "https", &before);
    }
    // A trusted proxy behind this one finds the same client.
    let hops = before
        .get_all("x-forwarded-for")
        .iter()
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b','))
        .count();
    if policies[0] == ForwardedField::Append && ip.is_some() && (!trusted || hops < 31) {
        assert_eq!(self::client(&forwarded, "10.0.0.250:1".parse().ok(), &after), client);
    }
}

fn policy(letter: u8) -> ForwardedField {
    match letter {
        b'p' => ForwardedField::Pass,
        b'r' => ForwardedField::Remove,
        b'R' => ForwardedField::Replace,
        _ => ForwardedField::Append,
    }
}

fn forwarded(policies: &[ForwardedField]) -> Forwarded {
    let [list, element, via, proto, host, prefix, real] = policies else { unreachable!("there are seven") };
    Forwarded::none()
        .x_forwarded_for(*list)
        .forwarded(*element)
        .via(*via)
        .x_forwarded_proto(*proto)
        .x_forwarded_host(*host)
        .x_forwarded_prefix(*prefix)
        .x_real_ip(*real)
        .trust(["10.0.0.0/8", "fd00::/8"].map(|net| net.parse().unwrap()))
}

fn is_trusted(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.octets()[0] == 10,
        IpAddr::V6(ip) => ip.octets()[0] == 0xfd,
    }
}

fn client(forwarded: &Forwarded, peer: Option<SocketAddr>, headers: &HeaderMap) -> Option<IpAddr> {
    let (mut parts, ()) = Request::new(()).into_parts();
    parts.headers = headers.clone();
    parts.extensions.insert(peer.map_or_else(Peer::unknown, Peer::new));
    forwarded.client(&parts)
}

fn apply(forwarded: &Forwarded, peer: Option<SocketAddr>, https: bool, headers: &HeaderMap) -> HeaderMap {
    let (mut parts, ()) = Request::new(()).into_parts();
    parts.headers = headers.clone();
    let peer = peer.map_or_else(Peer::unknown, Peer::new);
    parts.extensions.insert(if https { peer.https() } else { peer });
    forwarded.apply(&mut parts, |_| Some("/before".to_owned()));
    parts.headers
}
